"""Composites: the matte is the picture's own, nobody floats, and the same seed gives the same clip."""

import cv2
import numpy as np
import pytest
from support.pictures import draw_card

from livestyle.evaluate.composites import (
    FPS,
    MOTIONS,
    NOISE_DEVIATION,
    composite_clip,
    draw_swing,
    scale_portrait,
    stands_free,
)
from livestyle.evaluate.composites import position as swing_at
from livestyle.image.types import Frame, Image, Matte

RED, BLUE = (220, 30, 30), (30, 40, 220)


@pytest.fixture
def portrait() -> tuple[Image, Matte]:
    """A red person whom only the lower edge cuts, before black."""
    matte = np.zeros((240, 200), np.float32)
    cv2.ellipse(matte, (100, 240), (70, 130), 0, 180, 360, 1.0, -1)
    cv2.circle(matte, (100, 90), 40, 1.0, -1)
    return np.full((240, 200, 3), RED, np.uint8), matte


def clip(portrait: tuple[Image, Matte], kind: str, frames: int = 6, seed: int = 0) -> list[tuple[Frame, Matte]]:
    room = np.full((100, 150, 3), BLUE, np.uint8)
    return list(composite_clip(*portrait, room, MOTIONS[kind], frames, np.random.default_rng(seed), (320, 180)))


@pytest.mark.parametrize("kind", MOTIONS)
def test_the_matte_is_the_pictures_own(portrait: tuple[Image, Matte], kind: str) -> None:
    for frame, matte in clip(portrait, kind):
        assert frame.image.shape == (180, 320, 3)
        assert (matte.dtype, matte.shape) == (np.float32, (180, 320))
        assert 0 <= matte.min() < 0.01
        assert 0.99 < matte.max() <= 1.0001
        made = matte[..., None] * np.float32(RED) + (1 - matte[..., None]) * np.float32(BLUE)
        soft = cv2.blur(frame.image.astype(np.float32) - made, (15, 15))
        assert np.abs(soft).max() < 5 * NOISE_DEVIATION


@pytest.mark.parametrize("kind", MOTIONS)
@pytest.mark.parametrize("seed", range(6))
def test_nobody_floats(portrait: tuple[Image, Matte], kind: str, seed: int) -> None:
    for _, matte in clip(portrait, kind, frames=30, seed=seed):
        person = np.where(matte.max(0) > 0.9)[0]
        assert len(person) > 20
        columns = matte[:, person] > 0.9
        # Below any part of a column's person there is no gap at the frame's edge, but for the cheeks over the neck.
        assert columns[-1].mean() > 0.6
        assert matte[-1].max() > 0.99


def test_only_the_fast_are_blurred(portrait: tuple[Image, Matte]) -> None:
    soft = {kind: np.mean([((m > 0.1) & (m < 0.9)).mean() for _, m in clip(portrait, kind, 12)]) for kind in MOTIONS}
    assert soft["fast"] > 1.5 * soft["lively"]


def test_movement_is_smooth_and_bounded(portrait: tuple[Image, Matte]) -> None:
    times = np.arange(600) / FPS
    for seed in range(5):
        path = swing_at(draw_swing(1.0, np.random.default_rng(seed)), times)
        assert np.abs(path).max() <= 1
        assert np.abs(np.diff(path)).max() <= 2 * np.pi * 1.4 / FPS


def test_the_seed_decides(portrait: tuple[Image, Matte]) -> None:
    one, same, other = clip(portrait, "lively"), clip(portrait, "lively"), clip(portrait, "lively", seed=1)
    for (a, matte), (b, again) in zip(one, same, strict=True):
        assert (a.image == b.image).all()
        assert (matte == again).all()
    assert (one[0][1] != other[0][1]).any()
    assert [frame.index for frame, _ in one] == list(range(6))
    assert one[3][0].time == pytest.approx(3 / FPS)


def test_who_stands_free(portrait: tuple[Image, Matte]) -> None:
    _, matte = portrait
    assert stands_free(matte)
    assert not stands_free(matte[:, 60:])
    assert not stands_free(matte[80:])
    assert not stands_free(np.zeros_like(matte))


def test_a_portrait_is_scaled_with_its_matte(portrait: tuple[Image, Matte]) -> None:
    image, matte = draw_card(200, 240), portrait[1]
    shown, alpha, crown, feet = scale_portrait(image, matte, (640, 360), np.random.default_rng(0))
    assert shown.shape[:2] == alpha.shape
    assert alpha[round(crown[1]) + 3, round(crown[0])] > 0.9
    assert feet[:, 1].min() > alpha.shape[0] * 0.98
