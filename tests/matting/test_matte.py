"""Mattes: contract over the segmenters, the smoother's properties, the refinement."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.pixels import grayscale
from livestyle.image.types import Image
from livestyle.matting.main_person import MainPerson
from livestyle.matting.matte import Matting
from livestyle.matting.published import SEGMENTERS, state
from livestyle.matting.refine import refine
from livestyle.matting.segmenter import load_segmenter, scaled_size
from livestyle.matting.smoother import Smoother
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_cards

NAMES = list(find_cards("segmenter"))
FOREIGN = [name for name in SEGMENTERS if name not in NAMES and state(name, Settings()) == "ready"]


def matting(name: str) -> Matting:
    return Matting(load_segmenter(Settings(segmenter=name), choose_engine("cpu"))[1])


@pytest.mark.parametrize("name", [*NAMES, *FOREIGN])
@pytest.mark.parametrize("size", [(65, 47), (1, 1), (640, 360), (33, 500)])
def test_a_matte_matches_its_image(name: str, size: tuple[int, int]) -> None:
    matte = matting(name)(draw_card(*size))
    assert matte.shape == size[::-1]
    assert matte.dtype == np.float32
    assert 0 <= matte.min() <= matte.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_person_is_found_and_the_wall_is_not(name: str, person: Image) -> None:
    matte = matting(name)(person)
    assert matte[120:220, 300:360].mean() > 0.95  # the face
    assert matte[300:, 260:400].mean() > 0.9  # the chest
    wall = 0.4 if name == "segnet" else 0.05  # a small net of the literature, here to compare with
    assert matte[:200, :150].mean() < wall
    assert matte[:200, 500:].mean() < 0.1
    assert ((matte == 0) | (matte == 1)).mean() > 0.8


def test_an_unknown_segmenter_names_the_near_ones() -> None:
    with pytest.raises(UserError, match="deeplab"):
        load_segmenter(Settings(segmenter="deplab"), choose_engine("cpu"))
    with pytest.raises(UserError, match="maskrcnn"):
        load_segmenter(Settings(segmenter="maskrcn"), choose_engine("cpu"))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_scaled_sizes_keep_the_shape_and_fit_the_area(width: int, height: int) -> None:
    w, h = scaled_size((width, height), 256 * 144, 16)
    assert h % 16 == 0
    assert 0.5 * 256 * 144 < -(-w // 16) * 16 * h <= 256 * 144
    shape = min(3.0, max(1 / 3, width / height))
    assert shape - 1 / h < w / h < shape * 1.04 + 1 / h


def test_a_webcams_input_is_256x144() -> None:
    assert scaled_size((640, 360), 256 * 144, 16) == scaled_size((1920, 1080), 256 * 144, 16) == (256, 144)


def wobbly(count: int, rate: float) -> list[tuple[np.ndarray, float]]:  # type: ignore[type-arg]
    """Mattes of a still person whose edge trembles."""
    draw = np.random.default_rng(0)
    return [
        ((0.5 + 0.1 * draw.standard_normal((20, 20))).clip(0, 1).astype(np.float32), n / rate) for n in range(count)
    ]


def scene(size: int = 64, shift: float = 0.0, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """A grey picture of smooth texture, moved to the right by some pixels."""
    texture = np.random.default_rng(seed).integers(0, 256, (size + 64, size + 64)).astype(np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    move = np.float32([[1, 0, shift - 32], [0, 1, -32]])
    return cv2.warpAffine(texture, move, (size, size)).astype(np.uint8)


def half(size: int, edge: float) -> np.ndarray:  # type: ignore[type-arg]
    """A person left of `edge`."""
    return np.repeat(np.clip(edge - np.arange(size), 0, 1)[None], size, 0).astype(np.float32)


def test_smoothing_steadies_what_trembles() -> None:
    smoother, still = Smoother(), scene(20)
    mattes = wobbly(30, 30)
    smooth = [smoother(matte, still, at) for matte, at in mattes]
    before = np.mean([np.abs(b[0] - a[0]).mean() for a, b in pairwise(mattes)])
    after = np.mean([np.abs(b - a).mean() for a, b in pairwise(smooth)])
    assert after < 0.2 * before


def test_what_the_picture_shows_to_change_is_taken_at_once() -> None:
    smoother = Smoother()
    empty, full = np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32)
    smoother(empty, scene(seed=1), 0.0)
    now = smoother(full, scene(seed=2), 0.033)
    assert np.mean(now > 0.9) > 0.8  # some places look alike in both


def test_memory_moves_with_the_picture() -> None:
    """A hand that crosses the frame: the steadied matte neither trails nor leads it."""
    smoother, draw = Smoother(), np.random.default_rng(3)
    for n in range(12):
        truth = 0.2 + 0.6 * half(64, 10 + 3 * n)
        seen = (truth + 0.05 * draw.standard_normal(truth.shape)).astype(np.float32)
        out = smoother(seen, scene(shift=3 * n), n / 30)
    assert np.abs(out - truth).mean() < 0.6 * np.abs(seen - truth).mean()
    assert np.abs((out[:, 16:] > 0.5).sum(1) - (truth[:, 16:] > 0.5).sum(1)).max() <= 1


@given(st.floats(0.0, 1.0, allow_subnormal=False), st.integers(1, 5), st.integers(1, 40))
def test_a_still_matte_stays(value: float, steps: int, size: int) -> None:
    smoother, matte = Smoother(), np.full((size, size), value, np.float32)
    for n in range(steps):
        out = smoother(matte, scene(size), n / 30)
    np.testing.assert_allclose(out, matte, atol=1e-6)


def settled(rate: int, step: float) -> float:
    """Where a step of a matte has got to after 0.2 s before a still picture."""
    smoother, still = Smoother(), scene(2)
    smoother(np.full((2, 2), 0.5, np.float32), still, 0.0)
    for n in range(1, round(0.2 * rate) + 1):
        out = smoother(np.full((2, 2), 0.5 + step, np.float32), still, n / rate)
    return float(out[0, 0])


@pytest.mark.parametrize("rate", [15, 60, 120])
@pytest.mark.parametrize("step", [0.02, 0.4])
def test_smoothing_is_independent_of_the_frame_rate(rate: int, step: float) -> None:
    assert settled(rate, step) == pytest.approx(settled(30, step), abs=1e-4)
    assert settled(rate, step) == pytest.approx(0.5 + step * (1 - np.exp(-0.2 / Smoother().seconds)), abs=1e-4)


@pytest.mark.parametrize(("shape", "time"), [((8, 8), 9.0), ((8, 8), -1.0), ((6, 8), 0.03)])
def test_a_gap_or_a_new_size_starts_anew(shape: tuple[int, int], time: float) -> None:
    smoother = Smoother()
    smoother(np.full((8, 8), 0.5, np.float32), scene(8), 0.0)
    matte = np.full(shape, 0.6, np.float32)
    assert (smoother(matte, scene(8)[: shape[0]], time) == matte).all()


def test_reset_forgets() -> None:
    smoother = Smoother()
    smoother(np.full((8, 8), 0.5, np.float32), scene(8), 0.0)
    smoother.reset()
    matte = np.full((8, 8), 0.6, np.float32)
    assert (smoother(matte, scene(8), 0.03) == matte).all()


def test_refining_draws_the_edge_along_the_pictures() -> None:
    y, x = np.mgrid[:360, :640]
    truth = (np.hypot(x - 320, y - 250) < 150).astype(np.float32)
    image = np.repeat((60 + 140 * truth).astype(np.uint8)[..., None], 3, axis=2)
    coarse = cv2.GaussianBlur(cv2.resize(truth, (256, 144), interpolation=cv2.INTER_AREA), (0, 0), 1.5)
    blurry = cv2.resize(coarse, (640, 360))
    assert np.abs(refine(coarse, image[..., 0]) - truth).mean() < 0.7 * np.abs(blurry - truth).mean()


@given(st.sampled_from([0.0, 1.0]))
def test_refining_keeps_what_is_sure(value: float) -> None:
    assert (refine(np.full((20, 30), value, np.float32), grayscale(draw_card(90, 60))) == value).all()


def blob(shape: tuple[int, int], x: float, radius: float) -> np.ndarray:  # type: ignore[type-arg]
    """The soft matte of somebody round."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.clip(radius + 0.5 - np.hypot(rows - shape[0] / 2, columns - x), 0, 1).astype(np.float32)


def test_the_main_person_stays_and_the_others_go() -> None:
    main, other = blob((60, 100), 45, 14), blob((60, 100), 85, 9)
    np.testing.assert_array_equal(MainPerson()(np.maximum(main, other)), main)
    np.testing.assert_array_equal(MainPerson()(main), main)
    assert not MainPerson()(np.zeros((5, 7), np.float32)).any()


def test_the_main_person_stays_the_same_when_a_larger_one_walks_through() -> None:
    choose, main = MainPerson(), blob((60, 120), 40, 12)
    for x in range(130, 65, -5):
        both = np.maximum(main, blob((60, 120), x, 15))
        np.testing.assert_array_equal(choose(both)[:, :50], main[:, :50])
        assert not choose(both)[:, 55:].any()
