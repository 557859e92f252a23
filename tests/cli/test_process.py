"""What the command line changes for its whole process."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.cli import HEADLESS

from livestyle.cli.process import NO_MEMORY, VARIABLES, find_home, is_scarce, plain, prepare_process
from livestyle.errors import UserError


def test_variables_are_set_unless_the_user_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    prepare_process()
    assert {name: os.environ[name] for name in VARIABLES} == VARIABLES
    for name in VARIABLES:
        monkeypatch.setenv(name, "7")
    prepare_process()
    assert {os.environ[name] for name in VARIABLES} == {"7"}


def shell(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell in which `livestyle` is the command."""
    line = f'livestyle() {{ "{sys.executable}" -m livestyle "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env={**HEADLESS, **variables}, timeout=120, check=False,
        encoding=variables.get("PYTHONIOENCODING"),
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_help_is_printed_in_any_encoding(encoding: str) -> None:
    done = shell("livestyle live --help", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "--background" in done.stdout
    assert "?" not in done.stdout


def test_a_full_stdout_gets_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    done = shell("livestyle --version >/dev/full")
    assert done.returncode == 2
    assert done.stderr == "stdout takes nothing: No space left on device.\nFree space, or send it elsewhere.\n"


def test_what_is_closed_is_not_written_elsewhere() -> None:
    done = shell("livestyle nonsense 2>&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert shell("livestyle --version >&- <&- 2>&-").returncode == 0


def test_names_of_any_bytes_are_printed() -> None:
    assert plain(UnicodeEncodeError("ascii", "a…\udce9─x", 1, 4, "")) == ("...?-", 4)


@pytest.mark.skipif(sys.platform == "win32", reason="users of Unix")
def test_an_unknown_user_without_a_home_gets_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    find_home()
    home = Path.home()
    assert home.parent == tmp_path
    assert home.stat().st_mode & 0o777 == 0o700
    find_home()
    assert Path.home() == home
    home.rmdir()
    home.write_text("of somebody else")
    monkeypatch.delenv("HOME")
    find_home()
    assert Path.home() != home
    assert Path.home().is_dir()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
def test_too_little_memory_gets_a_sentence_whatever_breaks() -> None:
    done = shell("ulimit -v 600000; livestyle live --source demo --sink null --frames 2 --json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) <= 3
    assert NO_MEMORY[0] in done.stderr or "needs more memory" in done.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
@pytest.mark.parametrize(
    ("end", "code"),
    [("os.abort()", 2), ("os._exit(1)", 2), ("tell_end(); os._exit(1)", 1), ("os.kill(os.getppid(), 15)", 2)],
)
def test_the_process_that_watches_tells_how_the_other_ended(end: str, code: int) -> None:
    program = f"import os, time; from livestyle.cli.process import *; watch_child(); {end}; time.sleep(60)"
    done = shell(f'ulimit -v 500000; "{sys.executable}" -c "{program}"')
    assert (done.returncode, NO_MEMORY[0] in done.stderr) == (code, code == 2)


def test_errors_of_too_little_memory_are_known_also_behind_others() -> None:
    def wrapped(error: Exception) -> Exception:
        try:
            try:
                raise error
            except type(error):
                raise UserError("a.onnx cannot be read.") from None
        except UserError as found:
            return found

    for error in (
        MemoryError(),
        OSError(12, ""),
        ImportError("x.so: failed to map segment"),
        RuntimeError("bad_alloc"),
    ):
        assert is_scarce(error)
        assert is_scarce(wrapped(error))
    assert not is_scarce(wrapped(ValueError("no ONNX")))
    assert not is_scarce(UserError("There is no file a."))
