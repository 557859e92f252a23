"""Files are written atomically and durably, also with two writers; folders that fail are reported."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from livestyle import files
from livestyle.config.look import Look, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import PartialFile, atomic_write, locked, save_tensors
from livestyle.image.io import load_image, save_image
from livestyle.live.snapshots import Shot, Snapshots
from livestyle.nets.card import save_card
from livestyle.nets.library import find_card

SCRIPTS = Path(__file__).parents[2] / "scripts/checks"
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not rename open files")
not_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record each call of fsync and rename, in order, with the file name that it was for."""
    calls: list[tuple[str, str]] = []
    fsync_path, replace = files.fsync_path, os.replace

    def recorded_fsync(path: Path) -> None:
        calls.append(("fsync", Path(path).name))
        fsync_path(path)

    def recorded_replace(old: Path, new: Path) -> None:
        calls.append(("rename", Path(new).name))
        replace(old, new)

    monkeypatch.setattr(files, "fsync_path", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    return calls


WRITERS = {
    "picture": lambda folder: save_image(folder / "a.png", np.zeros((4, 4, 3), np.uint8)),
    "card": lambda folder: save_card(find_card("style", None), folder),
    "text": lambda folder: write(folder / "a.txt", "x"),
    "tensors": lambda folder: save_zeros(folder / "a.safetensors"),
}


def write(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text, "utf-8")


def save_zeros(path: Path) -> None:
    torch = pytest.importorskip("torch")
    save_tensors(path, {"a": torch.zeros(4)})


@pytest.mark.parametrize("kind", WRITERS)
def test_bytes_reach_the_disk_before_the_name_does(kind: str, tmp_path: Path, steps: list[tuple[str, str]]) -> None:
    WRITERS[kind](tmp_path)
    (first, part), (second, name), *folder = steps
    assert (first, second) == ("fsync", "rename")
    assert ".part." in part
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert folder == ([("fsync", tmp_path.name)] if sys.platform != "win32" else [])


@needs_posix
@pytest.mark.parametrize("kind", WRITERS)
def test_permissions_are_those_of_any_new_file(kind: str, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        WRITERS[kind](tmp_path)
    finally:
        os.umask(before)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644


def test_only_files_py_renames() -> None:
    """The progress of a job is the exception: it may be lost."""
    found = {
        path.name
        for path in Path(files.__file__).parent.rglob("*.py")
        if "os.replace(" in path.read_text("utf-8") or ".rename(" in path.read_text("utf-8")
    }
    assert found == {"files.py", "job_process.py"}


@needs_posix
def test_leftovers_of_a_killed_process_are_removed_but_not_files_being_written(tmp_path: Path) -> None:
    (tmp_path / ".a.0badcafe.part.txt").write_text("left behind")
    (tmp_path / ".ab.0badcafe.part.txt").write_text("of another file")
    partial = PartialFile(tmp_path / "a.txt")
    write(tmp_path / "a.txt", "done")
    assert {file.name for file in tmp_path.iterdir()} == {"a.txt", ".ab.0badcafe.part.txt", partial.part.name}
    partial.part.write_text("later")
    partial.keep()
    partial.close()
    assert (tmp_path / "a.txt").read_text() == "later"


def test_a_name_with_wildcards_is_taken_literally(tmp_path: Path) -> None:
    (tmp_path / ".a.0badcafe.part.txt").write_text("of another file")
    write(tmp_path / "[a]*.txt" if sys.platform != "win32" else tmp_path / "[a].txt", "x")
    assert (tmp_path / ".a.0badcafe.part.txt").exists()


TWO = """
import sys
from pathlib import Path
from livestyle.files import atomic_write
for number in range(60):
    with atomic_write(Path(sys.argv[1]) / "same.txt") as part:
        part.write_text(sys.argv[2] * 10_000)
"""


def test_a_file_that_two_processes_write_is_always_the_whole_of_one(tmp_path: Path) -> None:
    pair = [subprocess.Popen([sys.executable, "-c", TWO, str(tmp_path), letter]) for letter in "ab"]
    while any(one.poll() is None for one in pair):
        if (tmp_path / "same.txt").exists():
            assert (tmp_path / "same.txt").read_text() in ("a" * 10_000, "b" * 10_000)
    assert [one.wait() for one in pair] == [0, 0]
    assert [file.name for file in tmp_path.iterdir()] == ["same.txt"]


@needs_posix
def test_a_cleanup_before_the_file_is_locked_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process finds the new file not locked yet, and removes it as a leftover."""
    lock_file, removed = files.lock_file, list[Path]()

    def late_lock(descriptor: int, wait: bool) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return lock_file(descriptor, wait)

    monkeypatch.setattr(files, "lock_file", late_lock)
    write(tmp_path / "a.txt", "whole")
    assert len(removed) == 1
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "whole")]


def test_snapshots_of_two_runs_in_one_folder_overwrite_nothing(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    shot = Shot(picture, np.zeros((8, 8), np.float32), picture, Look(parse_plane("none")), taken=1e9)
    with Snapshots(Settings(), tmp_path) as one, Snapshots(Settings(), tmp_path) as two:
        for _ in range(3):
            one.take(shot, False)
            two.take(shot, False)
    assert len(list(tmp_path.glob("*-original.png"))) == 6
    assert len(list(tmp_path.iterdir())) == 18


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_folder_that_vanishes_is_reported(when: str, tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    if when == "before":
        folder.rmdir()
    with pytest.raises(UserError, match="stick"), atomic_write(folder / "a.txt") as part:
        part.unlink()
        folder.rmdir()
    assert not folder.exists()


@not_root
def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "a.txt", "x")


def test_a_folder_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="There is no folder"):
        write(tmp_path / "file" / "a.txt", "x")


def test_a_symbolic_link_is_not_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody guesses the name of the temporary file."""
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "guessed")
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".a.guessed.part.txt").symlink_to(tmp_path / "precious")
    with locked(tmp_path / "precious"), pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "a.txt", "x")
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_stills_survive_kills(tmp_path: Path) -> None:
    """scripts/checks/kills.py does the same at length, also with trainings, paintings and recordings."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "kills.py", "stills", "--kills", "3"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert "stills: 3 kills" in done.stdout, done.stderr


def test_a_file_can_be_read_while_its_replacement_is_written(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", np.full((4, 4, 3), 7, np.uint8))
    with atomic_write(tmp_path / "a.png") as part:
        save_image(tmp_path / "b.png", load_image(tmp_path / "a.png"))
        part.write_bytes((tmp_path / "b.png").read_bytes())
    assert load_image(tmp_path / "a.png").mean() == 7


@needs_posix
@pytest.mark.parametrize("stem", ["a" * 251, "é" * 125 + "a", "画" * 83 + "aa"], ids=["ascii", "latin", "chinese"])
def test_names_as_long_as_the_system_takes_are_written_and_cleaned_up(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.txt"
    assert len(os.fsencode(path.name)) == 255
    left = PartialFile(path)
    os.close(left._descriptor)  # as if its process had been killed
    write(path, "whole")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(path.name, "whole")]
    left.part = tmp_path / "none"
    with pytest.raises(UserError, match="too long") as caught:
        write(tmp_path / f"{stem}b.txt", "x")
    assert "shorter" in caught.value.step


@needs_posix
def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("there/a.txt")
    write(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert [(file.name, file.read_text()) for file in (tmp_path / "there").iterdir()] == [("a.txt", "new")]
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "gone/a.txt")
    with pytest.raises(UserError, match=r"no folder .*gone"):
        write(tmp_path / "nowhere.txt", "x")


@needs_posix
def test_pipes_and_devices_are_refused_and_stay(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "pipe.txt", Path("/dev/null")):
        with pytest.raises(UserError, match="is a device or a pipe"):
            write(path, "x")
    assert (tmp_path / "pipe.txt").is_fifo()


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "Free space"), (errno.EACCES, "may write"), (errno.EROFS, "may write"), (errno.EFBIG, "larger"),
        (errno.EINVAL, "another kind"), (errno.EIO, "Check the disk"), (errno.EBUSY, "elsewhere"),
    ],
)  # fmt: skip
def test_the_cause_of_a_failed_write_is_told_with_what_helps(number: int, step: str) -> None:
    import av

    with pytest.raises(av.FFmpegError) as caught:
        av.error.err_check(-number)
    for error in (OSError(number, os.strerror(number)), caught.value):
        told = files.write_error(Path("a.mp4"), error)
        assert told.problem == f"a.mp4 cannot be written: {os.strerror(number)}."
        assert step in told.step
