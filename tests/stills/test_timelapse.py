"""A painting coming to be: what its time-lapse shows."""

from pathlib import Path

import numpy as np
import pytest
from support.pictures import draw_card

pytest.importorskip("torch")

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.stills.recipe import Recipe
from livestyle.stills.timelapse import AFTER_S, BEFORE_S, FPS, MAX_KEPT, Timelapse, check_timelapse, equal_steps
from livestyle.video.sources.open import open_source

pytestmark = pytest.mark.torch


def grey(level: float) -> Image:
    return np.full((48, 64, 3), round(level), np.uint8)


def film(path: Path, count: int, frames: list[bytes] | None = None) -> Timelapse:
    return Timelapse(path, draw_card(64, 48), None, Recipe({}), count, [] if frames is None else frames)


def test_it_begins_with_the_still_and_ends_on_the_painting(tmp_path: Path) -> None:
    lapse = film(tmp_path / "a.mp4", 5)
    for number in range(1, 6):
        assert lapse.wants(number)
        lapse.keep({"person": grey(40 * number)[::2, ::2]})  # of a coarser scale
    lapse.write({"person": grey(210)})
    with open_source(str(tmp_path / "a.mp4")) as source:
        images = [frame.image.astype(int) for frame in source]
    assert len(images) == BEFORE_S * FPS + 5 + AFTER_S * FPS
    assert {image.shape for image in images} == {(48, 64, 3)}
    for number, image in enumerate(images):
        step = number - BEFORE_S * FPS
        shown = draw_card(64, 48) if step < 0 else grey(40 * (step + 1) if step < 5 else 210)
        assert np.abs(image - shown).mean() < 8, number


def test_steps_are_equal_to_the_eye() -> None:
    """Most changes in the first iterations."""
    levels = 250 * (1 - np.exp(-np.arange(200) / 20))
    frames: list[bytes] = []
    lapse = film(Path("a.gif"), 200, frames)
    for level in levels:
        lapse.keep({"person": grey(level)})
    chosen = equal_steps(frames, 20)
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1] > 90) == (0, True)
    assert np.diff(levels[chosen]).max() < 2 * np.diff(levels[chosen]).mean()
    assert equal_steps(frames[:5], 20) == [0, 1, 2, 3, 4]
    assert sum(film(Path("a.gif"), 10_000).wants(number + 1) for number in range(10_000)) <= MAX_KEPT


def test_what_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    for name, words in (("a.png", "a.png does not say"), ("gone/a.mp4", "no folder"), ("out.webp", "result itself")):
        with pytest.raises(UserError, match=words):
            check_timelapse(tmp_path / name, tmp_path / "out.webp")
