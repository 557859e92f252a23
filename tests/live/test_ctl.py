"""`livestyle ctl` from another process: the command, its shortcut, and a whole live run."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import HEADLESS
from support.controls import FakeControls

from livestyle.config.settings import Settings
from livestyle.live.actions import open_controls
from livestyle.live.client import HAS_UNIX_SOCKETS
from livestyle.live.server import Server

needs_unix = pytest.mark.skipif(not HAS_UNIX_SOCKETS, reason="needs Unix sockets")


@needs_unix
@pytest.mark.parametrize("words", [["style", "x"], ["style", "x", "--json"], ["status"], ["nonsense", "--json"]])
def test_the_shortcut_of_ctl_answers_as_the_command_does(tmp_path: Path, words: list[str]) -> None:
    """A plain action does not import Typer. One with --filter does."""
    controls = FakeControls()

    def press(text: str) -> str:
        return controls.press("refuse" if text == "nonsense" else text)

    def status() -> dict[str, object]:
        return {**open_controls(Settings()).status(), **controls.facts}

    (tmp_path / "run").mkdir(mode=0o700)
    env = HEADLESS | {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    with Server(press, status, folder=tmp_path / "run" / "livestyle"):
        short, long = (
            subprocess.run(
                [sys.executable, "-m", "livestyle", "ctl", *words, *more],
                env=env, capture_output=True, text=True, check=False,
            )
            for more in ((), ("--filter", "1"))
        )  # fmt: skip
        assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
        assert short.returncode == (2 if words[0] == "nonsense" else 0)
        other = [sys.executable, "-m", "livestyle", "ctl", "still", "--filter", "3"]
        refused = subprocess.run(other, env=env, capture_output=True, text=True, check=False)
        assert (refused.returncode, refused.stderr) == (2, "No filter '3' is running.\nThere is: 1.\n")


class Shell:
    """A user with a running filter, and a shell that sends commands to it."""

    def __init__(self, root: Path) -> None:
        self.file = root / "config.toml"
        self.file.touch()
        for name in ("run", "state"):
            (root / name).mkdir(mode=0o700)
        self.env = HEADLESS | {
            "XDG_RUNTIME_DIR": str(root / "run"), "XDG_STATE_HOME": str(root / "state"), "HOME": str(root),
            "LIVESTYLE_CONFIG": str(self.file),
        }  # fmt: skip

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "livestyle", "live", "--source", "demo", "--sink", "null", *arguments]
        self.live = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.until(lambda line: "demo ->" in line)
        return self.live

    def until(self, wanted: Callable[[str], bool]) -> str:
        assert self.live.stderr
        return next(line for line in self.live.stderr if wanted(line))

    def ctl(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "livestyle", "ctl", *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def status(self) -> Any:
        return json.loads(self.ctl("status", "--json"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    if hasattr(shell, "live"):
        shell.live.kill()
        shell.live.communicate()


@needs_unix
def test_a_live_run_is_controlled_from_another_process(shell: Shell, tmp_path: Path) -> None:
    assert shell.ctl("next-style", code=2) == "No filter is running.\nStart one: livestyle live\n"
    shell.start("--seconds", "120", "--json")
    first = shell.status()
    assert {"background", "person", "paused", "recording", "fps", "frames"} <= set(first)
    assert "starry_night" in shell.ctl("style", "starry_night")
    assert shell.status()["background"] == "starry_night"
    assert "Did you mean next-style?" in shell.ctl("nekst-style", code=2)
    assert "no style 'stary_night'" in shell.ctl("background", "stary_night", code=2)
    (tmp_path / "bad.onnx").write_bytes(b"no net")
    shell.ctl("background", str(tmp_path / "bad.onnx"))
    said = json.loads(shell.ctl("panic", "--json"))
    assert (said["paused"], said["panicked"]) == (True, True)
    shell.ctl("confirm")
    watch = subprocess.Popen(
        [sys.executable, "-m", "livestyle", "ctl", "watch"], env=shell.env, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout
    backgrounds = (json.loads(line)["background"] for line in watch.stdout)
    assert next(name for name in backgrounds if name == "starry_night")  # the damaged style is gone
    shell.file.write_text("strenght = 1\n")
    assert "line 1" in shell.until(lambda line: "strenght" in line)
    assert shell.status()["background"] == "starry_night"
    shell.file.write_text('background = "blur:0.4"\n')  # while it runs
    assert next(name for name in backgrounds if name == "blur:0.4")
    assert "1" in shell.ctl("list", "--json")
    shell.file.write_text("")
    assert next(name for name in backgrounds if name == first["background"])
    shell.ctl("background", "color:#102030")
    assert shell.ctl("quit") == "The end\n"
    assert watch.wait(20) == 0
    facts = json.loads(shell.live.communicate(timeout=60)[0])
    assert shell.live.returncode == 0
    assert facts["background"] == "color:#102030"
    shell.start("--frames", "2", "--json")  # it starts with the look that it was left with
    assert json.loads(shell.live.communicate(timeout=60)[0])["background"] == "color:#102030"
