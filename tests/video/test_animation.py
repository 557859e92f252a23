"""GIF and WebP: their times, size, loop and colours, and that they are whole or not there."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil
from support.pictures import draw_card
from support.sound import beep

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.actions import ANIMATION_NAMES
from livestyle.video.sinks.animation import ANIMATIONS, MAX_FPS, MAX_SIDE_PX, PART_FRAMES, Thinned, animation_size
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream

KINDS = pytest.mark.parametrize("kind", ["gif", "webp"])


def write(path: Path, times: list[float], size: tuple[int, int] = (64, 48)) -> None:
    with ClipSink(path, Stream(size, 30)) as sink:
        for index, time in enumerate(times):
            sink.send(Frame(draw_card(*size, seed=index), index, time))


def test_the_action_knows_every_kind() -> None:
    """It names them itself, for a table that imports nothing heavy."""
    assert {f".{name}" for name in ANIMATION_NAMES} == {*ANIMATIONS}


@KINDS
def test_an_animation_keeps_its_length_and_its_colours(kind: str, tmp_path: Path) -> None:
    """More frames than share a palette."""
    path = tmp_path / f"a.{kind}"
    count = round(30 / MAX_FPS * (PART_FRAMES + 5))
    write(path, [number / 30 for number in range(count)])
    with Pil.open(path) as animation:
        assert (animation.size, animation.info["loop"]) == ((64, 48), 0)
        assert animation.n_frames == pytest.approx(count / 30 * MAX_FPS, abs=1.5)
        lengths = []
        for number in range(animation.n_frames):
            animation.seek(number)
            image = np.asarray(animation.convert("RGB"), int)
            assert np.abs(image - draw_card(64, 48)).mean() < 12, number
            lengths.append(animation.info["duration"])
    assert sum(lengths) / 1000 == pytest.approx(count / 30, abs=2 / MAX_FPS)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@KINDS
def test_a_pause_is_kept_and_a_fault_leaves_nothing(kind: str, tmp_path: Path) -> None:
    write(tmp_path / f"pause.{kind}", [5.0, 6.0, 6.1])
    with Pil.open(tmp_path / f"pause.{kind}") as animation:
        animation.load()
        assert (animation.n_frames, animation.info["duration"]) == (3, 1000)
    stream = Stream((64, 48), 25)
    with pytest.raises(RuntimeError, match="on purpose"), ClipSink(tmp_path / f"a.{kind}", stream) as sink:
        sink.send(Frame(draw_card(64, 48), 0, 0.0))
        raise RuntimeError("on purpose")
    ClipSink(tmp_path / f"empty.{kind}", stream).close()
    with pytest.raises(UserError, match="no folder"):
        ClipSink(tmp_path / "gone" / f"a.{kind}", stream)
    assert [file.name for file in tmp_path.iterdir()] == [f"pause.{kind}"]


def test_sound_that_is_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path / "silent.mp4", [0.0, 0.1])
    for source, words in ((beep(tmp_path / "beep.mkv", 0.2), ["GIF holds no sound."]), (tmp_path / "silent.mp4", [])):
        with ClipSink(tmp_path / "a.gif", Stream((64, 48), 25, audio=source)) as sink:
            assert sink.messages() == words
            assert sink.messages() == []


@given(st.tuples(st.integers(1, 8000), st.integers(1, 8000)))
def test_sizes_are_even_and_bounded(size: tuple[int, int]) -> None:
    small = animation_size(size)
    assert all(side % 2 == 0 and 2 <= side <= MAX_SIDE_PX for side in small)
    assert all(side <= max(2, own + 1) for side, own in zip(small, size, strict=True))


@given(st.lists(st.floats(0, 20, width=32, allow_subnormal=False), min_size=1, max_size=200))
def test_no_second_has_more_frames_than_it_may(times: list[float]) -> None:
    thinned = Thinned()
    kept = [time for time in sorted(times) if thinned.takes(time)]
    assert kept[0] == min(times)
    for time in kept:
        assert sum(time <= other < time + 1 for other in kept) <= MAX_FPS + 2
