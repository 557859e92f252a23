"""The bare command works on every machine, and nobody in a call gets the demo."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import HEADLESS, run_here

from livestyle.config.settings import LiveSettings
from livestyle.live import first_run as module
from livestyle.live.first_run import Machine, chosen, first_run, free_clip
from livestyle.video.sources.clip import DEMO, ClipSource

CLIP = Path("livestyle-demo.mp4")
FILE = (f"file:{CLIP}",)
WHOLE, DARK, BLIND = Machine(True, True, CLIP, 200), Machine(False, False, CLIP, 200), Machine(True, False, CLIP, 200)
SEEING = replace(DARK, has_camera=True)  # but no screen


@pytest.mark.parametrize(
    ("machine", "asked", "changes", "said"),
    [
        (WHOLE, {}, {}, ""),
        (BLIND, {}, {"source": "demo"}, "no camera"),
        (DARK, {}, {"source": "demo", "sinks": FILE, "frames": 200}, "No window"),
        (SEEING, {}, {"source": "demo", "sinks": FILE, "frames": 200}, "No window"),
        (DARK, {"frames": 5}, {"source": "demo", "sinks": FILE}, "No window"),
        (DARK, {"seconds": 2.0}, {"source": "demo", "sinks": FILE}, "No window"),
        (DARK, {"private": True}, {}, ""),  # in a call
        (BLIND, {"private": True}, {}, ""),
        (BLIND, {"sinks": ("window", "virtual-camera")}, {}, ""),
        (BLIND, {"on_demand": True}, {}, ""),
    ],
)
def test_what_is_opened(machine: Machine, asked: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    live = LiveSettings(**asked)
    wanted, why = first_run(live, machine)
    assert wanted == replace(live, **changes)
    assert said in why
    assert bool(why) == bool(said)


@pytest.mark.parametrize("given", [{"source"}, {"sink"}, {"source", "sink", "background"}])
def test_what_was_asked_for_stays(given: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "look_around", lambda: DARK)
    assert chosen(LiveSettings(), given) == (LiveSettings(), "")
    assert chosen(LiveSettings(), {"background"})[1] != ""


def test_no_clip_is_replaced(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        names.append(free_clip(tmp_path).name)
        (tmp_path / names[-1]).touch()
    assert names == ["livestyle-demo.mp4", "livestyle-demo-2.mp4", "livestyle-demo-3.mp4"]


def frames_of(path: Path) -> int:
    with ClipSource(str(path)) as clip:
        return sum(1 for _ in clip)


@pytest.mark.readme
def test_without_a_screen_the_demo_goes_into_a_clip(tmp_path: Path) -> None:
    for name, words, frames in (
        ("livestyle-demo.mp4", (), frames_of(DEMO)), ("livestyle-demo-2.mp4", ("--frames", "3"), 3),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "livestyle", *words], cwd=tmp_path, env=HEADLESS | {"LIVESTYLE_CONFIG": "none"},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"No window opens here: the demo goes into {name}.")
        assert frames_of(tmp_path / name) == frames
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (("--sink", "window"), {}, "no screen"),
        (("--source", "demo"), {}, "no screen"),
        ((), {"LIVESTYLE_SINK": "window", "LIVESTYLE_SOURCE": "demo"}, "no screen"),
        (("--sink", "window", "--sink", "virtual-camera:/dev/video99"), {}, "no screen"),
        (("--private", "--source", "demo"), {}, "no screen"),
    ],
)
def test_what_was_asked_for_is_an_error_where_it_cannot_be(
    words: tuple[str, ...], variables: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.toml").touch()
    if words[:1] == ("--sink",) and not Path("/dev/video0").exists():
        said = "no camera"
    done = run_here("live", *words, code=2, LIVESTYLE_CONFIG=str(tmp_path / "empty.toml"), **variables)
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.toml"]


def test_a_loopback_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    if not module.IS_LINUX or Path("/dev/video0").exists():
        pytest.skip("this machine has a camera")
    monkeypatch.setattr(module, "video_devices", lambda: ["a loopback"])
    monkeypatch.setattr(module, "loopbacks", lambda: ["a loopback"])
    assert not module.has_camera()
    monkeypatch.setattr(module, "loopbacks", list)
    assert module.has_camera()
