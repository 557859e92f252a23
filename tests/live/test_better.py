"""A picture's style that gets better: the process, what people are told, faults, and styles that are kept."""

import errno
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from support import better as fake
from support.pictures import draw_card

from livestyle.config.look import look_of
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.types import Frame, Image
from livestyle.live import better, keep
from livestyle.live.actions import make_controls
from livestyle.live.better import DONE, LATER_INTERVAL_S, SETTLE_S, SILENCE_S, Better
from livestyle.live.better_process import BetterProcess, read_step
from livestyle.live.controls import Controls
from livestyle.live.keep import Keeper
from livestyle.live.preview import buttons, lines
from livestyle.live.shown import Shown
from livestyle.nets.card import ROW, Card, load_card
from livestyle.nets.gallery_rows import NUMBERS, read_row
from livestyle.nets.library import find_cards
from livestyle.render.filter import Filter
from livestyle.types import Size

NET = find_cards("style")["starry_night"].path(".onnx")
FOREVER_S = 60.0


class FakeFilter(Filter):
    """Record which networks take over."""

    def __init__(self) -> None:
        self.replaced: list[tuple[str, str]] = []
        self.why = ""

    def style_size(self, size: Size) -> Size:
        return size

    def replace_style(self, name: str, card: Card, size: Size) -> None:
        if self.why:
            raise UserError(self.why)
        self.replaced.append((name, sha256(card.path(".onnx"))))


class FakePredictor:
    """Predict one row for all."""

    card = Card("any", "predictor", "Any", "slim", {"any.onnx": "0" * 64}, "MIT", "", "", "", folder=Path("any"))

    def mix(self, _: str) -> np.ndarray[Any, Any]:
        return np.full(NUMBERS, 0.5, np.float32)


class Run:
    """A run with a picture's look, frame by frame, on a clock of its own."""

    def __init__(self, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BetterProcess, "COMMAND", (sys.executable, fake.__file__, mode))
        monkeypatch.setenv("TEST_NET", str(NET))
        monkeypatch.setattr(better, "open_predictor", lambda _: FakePredictor)
        self.paths = [tmp_path / name for name in ("Two Boats.png", "other.png")]
        for number, path in enumerate(self.paths):
            Pil.fromarray(draw_card(32, 24, seed=number)).save(path)
        self.controls, self.time, self.said = make_controls(self.look(0)), 0.0, list[str]()
        self.filter, self.models = FakeFilter(), tmp_path / "models"
        self.better = Better(Settings(), 0.5, Keeper(Settings(models=None), self.models))
        self.better.attach(self.filter)

    def look(self, number: int) -> Any:
        return look_of(Settings(background=f"picture:{self.paths[number]}"), "")

    def go(self, seconds: float, hidden: bool = False, step: float = 0.25) -> None:
        """Show frames for so many seconds."""
        for _ in range(round(seconds / step)):
            frame = Frame(draw_card(64, 48, seed=round(self.time * 4)), 0, self.time)
            shown = Shown(frame, frame.image, self.controls.look, hidden)
            self.said += self.better.follow(frame, shown, self.controls)
            self.time += step

    @property
    def process(self) -> BetterProcess:
        """The process that runs, once its steps are known."""
        assert self.better._running
        return self.better._running.process


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Run]:
    made = Run(tmp_path, getattr(request, "param", "good"), monkeypatch)
    with made.better:
        yield made


def words(controls: Controls) -> object:
    return (controls.status()["improving"] or {}).get("words")  # type: ignore[attr-defined]


def until_heard(run: Run, steps: int) -> None:
    """Wait for steps of the process: it says no more before the next frames."""
    process = run.process
    with process.changed:
        assert process.changed.wait_for(lambda: process.heard >= steps or not process.is_running, FOREVER_S)
    run.go(0.25)


def test_a_style_gets_better_while_it_is_shown_and_no_file_is_left(run: Run) -> None:
    run.go(SETTLE_S)
    assert words(run.controls) is None
    run.go(0.5)
    assert words(run.controls) == "getting better, 0:30"
    until_heard(run, 4)
    assert run.filter.replaced == [(run.controls.look.background.text, sha256(NET))] * 2
    assert words(run.controls) in [text for text, _ in lines(run.controls)]
    assert {"keep", "stop-improving"} <= buttons(run.controls).keys()
    assert run.controls.status()["improving"] == {
        "words": "getting better, 0:29", "style": run.controls.look.background.text, "seconds_left": 29,
        "images": 13, "loss": 1.5, "start_loss": 2.0,
    }  # fmt: skip
    folder = run.better._folder
    assert folder
    assert len(list(folder.glob("better_*"))) == 2  # the newest network alone
    process = run.process
    process._process.stdin.close()  # type: ignore[union-attr]
    assert process.wait(FOREVER_S)
    run.go(0.5)
    assert words(run.controls) == DONE
    run.go(better.DONE_S + 1)
    assert words(run.controls) is None
    assert not run.better._running  # it is finished
    run.better.close()
    assert not folder.exists()
    assert not run.said


FAULTS = {
    "crash": "it fell over", "nonsense": "its process said what cannot be read", "problem": "The picture is gone.",
    "broken": "not_there.onnx", "silent": "nothing was heard of its process for 3 minutes",
}  # fmt: skip


@pytest.mark.parametrize(("run", "told"), FAULTS.items(), indirect=["run"])
def test_a_process_that_fails_changes_nothing_and_is_told_once(run: Run, told: str) -> None:
    run.go(SETTLE_S + 0.5)
    process = run.process
    if told.endswith("minutes"):
        until_heard(run, 1)
        run.go(SILENCE_S + 2, step=2)
    else:
        assert process.wait(FOREVER_S)
        run.go(0.25)
    (line,) = run.said
    assert told in line
    assert line.startswith("The style gets no better")
    assert process._process.poll() is not None
    run.go(2 * SETTLE_S)
    assert words(run.controls) is None
    assert len(run.said) == 1
    assert not run.filter.replaced


@pytest.mark.parametrize("run", ["late"], indirect=True)
def test_a_process_that_fails_after_its_time_is_done(run: Run) -> None:
    run.go(SETTLE_S + 0.5)
    assert run.process.wait(FOREVER_S)
    run.go(0.5)
    assert words(run.controls) == DONE
    assert not run.said


def test_a_network_that_cannot_be_loaded_changes_nothing(run: Run) -> None:
    run.filter.why = "It is damaged."
    run.go(SETTLE_S + 0.5)
    assert run.process.wait(FOREVER_S)
    run.go(0.5)
    assert run.said == ["The style gets no better: It is damaged."]


@pytest.mark.parametrize("run", ["silent"], indirect=True)
def test_another_look_and_the_end_of_the_run_end_the_process(run: Run) -> None:
    run.go(SETTLE_S + 0.5)
    first = run.process
    run.controls.look = run.look(1)
    run.go(0.25)
    assert first._process.poll() is not None
    assert words(run.controls) is None
    run.go(SETTLE_S + 0.5)
    second = run.process
    run.better.close()
    assert second._process.poll() is not None


@pytest.mark.parametrize("run", ["silent"], indirect=True)
def test_no_frame_is_kept_while_hidden_or_bypassed_and_hiding_forgets(run: Run) -> None:
    sent: list[Image] = []
    run.go(2)
    assert len(run.better._frames) == 8
    run.controls.press("bypass")
    run.go(1)
    assert len(run.better._frames) == 8
    run.controls.press("bypass")
    run.controls.panic()
    run.go(SETTLE_S, hidden=True)
    assert not run.better._frames
    assert not run.better._running  # there is nothing to learn from
    run.controls.press("confirm")
    run.go(2.25)
    run.process.send = sent.append  # type: ignore[method-assign]
    run.go(2 * LATER_INTERVAL_S)
    assert len(sent) == 2
    run.controls.panic()
    run.go(2 * LATER_INTERVAL_S, hidden=True)
    assert len(sent) == 2


@pytest.mark.parametrize("run", ["silent"], indirect=True)
def test_who_has_seen_enough_stops_it(run: Run) -> None:
    with pytest.raises(UserError, match="No style gets better"):
        run.controls.press("stop-improving")
    run.go(SETTLE_S + 0.5)
    process = run.process
    assert run.controls.press("S") == "The style stays as it is"
    run.go(2 * SETTLE_S)
    assert process._process.poll() is not None
    assert words(run.controls) is None


@pytest.mark.parametrize("missing", ["torch", "memory"])
def test_what_is_missing_is_said_once(run: Run, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(better, "has_package", lambda name: name != missing)
    monkeypatch.setattr(better, "free_bytes", lambda: 0 if missing == "memory" else None)
    for number in (0, 1, 0):
        run.controls.look = run.look(number)
        run.go(2 * SETTLE_S)
    (line,) = run.said
    assert {"torch": "livestyle[torch]", "memory": "GB of memory"}[missing] in line


def test_a_style_that_comes_back_never_gets_worse(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.go(SETTLE_S + 0.5)
    until_heard(run, 4)
    monkeypatch.setattr(BetterProcess, "COMMAND", (sys.executable, fake.__file__, "worse"))
    for number in (1, 0):
        run.controls.look = run.look(number)
        run.go(1)
    run.go(SETTLE_S)
    until_heard(run, 2)
    assert len(run.filter.replaced) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_the_process_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    os.mkfifo(gone)
    code = (
        "import sys; from livestyle.live.better_process import BetterProcess as P;"
        f"P.COMMAND = ({sys.executable!r}, {fake.__file__!r}, 'silent');"
        "p = P({'frames': 0}, print); c = p.changed; c.acquire(); c.wait_for(lambda: p.heard); print('on', flush=True);"
        "sys.stdin.read()"
    )
    reader = os.open(gone, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "TEST_GONE": str(gone)},
    ) as parent:  # fmt: skip
        assert parent.stdout
        assert parent.stdout.readline() == b"on\n"
        assert not select.select([reader], [], [], 0)[0]
        parent.kill()
        assert select.select([reader], [], [], FOREVER_S)[0]
    os.close(reader)


@pytest.mark.skipif(not hasattr(os, "nice"), reason="needs niceness")
def test_the_process_has_the_lowest_priority(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("import os, sys; print(os.nice(0), sys.argv[1:], __name__)")
    command = [sys.executable, "-m", BetterProcess.COMMAND[2], "told", "more"]
    path = os.pathsep.join((str(tmp_path), *sys.path))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
        start_new_session=True,
    )  # fmt: skip
    assert done.stdout == "19 ['more'] __main__\n"


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b"\xff", b'{"seconds": NaN}', b"[" * 9999])
def test_a_line_that_is_no_step_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_step(line)


# Styles that are kept.


def kept(run: Run) -> Path:
    """The folder of styles, once all that were ordered are kept."""
    run.go(0.25)
    run.better._keeper.close()
    run.said += run.better.messages()
    return run.models / "styles"


def test_a_better_style_is_kept_by_the_pictures_name(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.models.mkdir()
    monkeypatch.setenv("LIVESTYLE_MODELS", str(run.models))
    run.go(SETTLE_S + 0.5)
    until_heard(run, 4)
    run.controls.press("K")
    styles = kept(run)
    assert run.said == [f"Kept as the style two_boats, in {styles / 'two_boats'}"]
    card = load_card(styles / "two_boats/card.json")
    assert (card.title, card.source) == ("Two Boats", str(run.paths[0]))
    assert card.painting_sha256 == sha256(run.paths[0])
    assert (card.net, card.figures["loss"], card.figures["start_loss"]) == ("slim", 1.5, 2.0)
    assert card.path(".onnx").read_bytes() == NET.read_bytes()
    assert Pil.open(styles / "two_boats/thumbnail.png").size == (240, 135)
    assert "two_boats" in find_cards("style")
    assert keep.free_name(run.controls.look.background.text, None) == "two_boats_2"
    with pytest.raises(UserError, match="already"):
        run.controls.press("keep two_boats")
    assert sorted(path.name for path in run.models.iterdir()) == ["styles"]


def test_a_style_is_kept_at_once_as_its_row(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "open_predictor", lambda _: FakePredictor())
    monkeypatch.setattr(keep, "load_card_style", lambda *_: lambda image: image)
    run.controls.press("keep boats")
    styles = kept(run)
    card = load_card(styles / "boats/card.json")
    assert (card.net, list(card.files), card.figures) == (ROW, ["boats.safetensors"], {"predictor": "0" * 64})
    assert (read_row(card) == 0.5).all()
    assert card.thumbnail.is_file()


@pytest.mark.parametrize("what", ["copyfile", "card.json", "thumbnail.png"])
def test_a_full_disk_leaves_no_part_of_a_style(run: Run, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run.go(SETTLE_S + 0.5)
    until_heard(run, 4)

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if what == "copyfile":
        monkeypatch.setattr(shutil, "copyfile", full)
    else:
        writes = {"card.json": "save_card", "thumbnail.png": "save_image"}
        monkeypatch.setattr(keep, writes[what], full)
    run.controls.press("keep boats")
    styles = kept(run)
    assert run.said == [
        f"{styles / 'boats'} cannot be written: No space left on device. Free space, or write elsewhere."
    ]
    assert not list(styles.iterdir())
    assert list(run.models.iterdir()) == [styles]


@pytest.mark.parametrize("name", ["../up", "blur", "a b", "x.onnx"])
def test_what_is_no_name_of_a_style_is_refused_at_once(run: Run, name: str) -> None:
    with pytest.raises(UserError, match="cannot be a style's name"):
        run.controls.press(f"keep {name}")


def test_only_pictures_are_kept() -> None:
    with pytest.raises(UserError, match="Only the style of a picture"):
        make_controls(look_of(Settings(background="blur"), "")).press("keep")
