"""The fully connected CRF: its contract, its kernel against the exact one, and that it mends an edge."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting import crf
from livestyle.matting.crf import mean_field
from livestyle.render.filter import Filter


def disc() -> tuple[Image, Matte, Matte]:
    """A disc before a wall, its matte, and a coarse one that is off by some pixels."""
    y, x = np.mgrid[:120, :160]
    truth = (np.hypot(x - 80, y - 60) < 40).astype(np.float32)
    image = np.repeat((60 + 130 * truth)[..., None], 3, axis=2) + np.random.default_rng(0).normal(0, 3, (120, 160, 3))
    small = cv2.resize(truth, (20, 15), interpolation=cv2.INTER_AREA)
    coarse = np.roll(cv2.resize(small, (160, 120)), 3, axis=1)
    return np.clip(image, 0, 255).astype(np.uint8), truth, coarse


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(1, 30),
    st.sampled_from(["black", "white", "noise", "card"]),
)  # fmt: skip
def test_any_matte_of_any_picture_stays_a_matte(width: int, height: int, w: int, h: int, kind: str) -> None:
    draw = np.random.default_rng(width * height)
    image = {
        "black": np.zeros((height, width, 3), np.uint8),
        "white": np.full((height, width, 3), 255, np.uint8),
        "noise": draw.integers(0, 256, (height, width, 3), np.uint8),
        "card": draw_card(width, height),
    }[kind]
    result = mean_field(draw.random((h, w), np.float32), image)
    assert result.shape == (height, width)
    assert result.dtype == np.float32
    assert 0 <= result.min() <= result.max() <= 1


def test_a_large_picture_is_bounded() -> None:
    result = mean_field(np.zeros((90, 160), np.float32), draw_card(1600, 900))
    assert result.size <= 1.01 * crf.MAX_PIXELS
    assert result.max() < 0.5


def test_an_edge_that_is_off_is_drawn_along_the_pictures() -> None:
    image, truth, coarse = disc()
    mended = mean_field(coarse, image)
    assert np.abs(mended - truth).mean() < 0.6 * np.abs(coarse - truth).mean()
    assert ((mended > 0.5) != (truth > 0.5)).mean() < 0.5 * ((coarse > 0.5) != (truth > 0.5)).mean()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_what_is_sure_stays(value: float) -> None:
    assert np.abs(mean_field(np.full((30, 40), value, np.float32), draw_card(80, 60)) - value).max() < 0.02


def test_person_and_background_are_alike_to_it() -> None:
    image, _, coarse = disc()
    np.testing.assert_allclose(mean_field(1 - coarse, image), 1 - mean_field(coarse, image), atol=1e-4)


def test_the_grid_is_near_the_exact_kernel() -> None:
    """Normalised, as it is used, against the sum over all pairs of pixels."""
    image, _, coarse = disc()
    image, coarse = image[::4, ::4].copy(), coarse[::4, ::4].copy()
    place = np.indices(image.shape[:2]).reshape(2, -1).T / (crf.APPEARANCE_DISTANCE_SHARE * max(image.shape))
    features = np.concatenate([place, image.reshape(-1, 3) / crf.APPEARANCE_COLOR_LEVELS], axis=1)
    pairs = np.exp(-0.5 * ((features[:, None] - features) ** 2).sum(2))
    exact = crf.normalised(lambda v: (pairs @ v.ravel()).reshape(v.shape).astype(np.float32), coarse)(coarse)
    grid = crf.normalised(crf.appearance(image), coarse)(coarse)
    assert np.abs(grid - exact).mean() < 0.02


def test_a_filter_refines_stills_alone(person: Image) -> None:
    with Filter(Settings(refine="crf"), live=False) as filter:
        matte = filter.matte(Frame(person, 0, 0.0))
    assert matte.shape == person.shape[:2]
    assert matte[120:220, 300:360].mean() > 0.95
    assert matte[:200, :150].mean() < 0.05
    with pytest.raises(UserError, match="stills only"):
        Filter(Settings(refine="crf"))
    with pytest.raises(UserError, match="guided, crf"):
        Filter(Settings(refine="sharp"), live=False)
