"""The metrics against hand-made cases, a brute-force count, and scikit-learn."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from livestyle.evaluate.metrics import (
    accuracies,
    confusion,
    dtssd,
    edge_band,
    matte_flicker,
    optical_flow,
    picture_scores,
    ssim,
    visible,
    warp,
    warp_error,
)
from livestyle.image.pixels import grayscale
from livestyle.image.types import Image, Values

masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@given(masks)
def test_a_perfect_matte_scores_one(mask) -> None:  # type: ignore[no-untyped-def]
    assert set(accuracies(confusion(mask, mask)).values()) == {1.0}
    scores = picture_scores(mask.astype(np.float32), mask.astype(np.float32))
    assert scores == {"mean_iu_per_image": 1.0, "boundary_iu": 1.0, "mad": 0.0}


@given(hnp.arrays(np.bool_, (2, 12, 9)))
def test_iu_is_intersection_over_union(both) -> None:  # type: ignore[no-untyped-def]
    truth, found = both
    ius = []
    for a, b in ((truth, found), (~truth, ~found)):
        ius.append((a & b).sum() / (a | b).sum() if (a | b).any() else 1.0)
    assert accuracies(confusion(truth, found))["mean_iu"] == pytest.approx(np.mean(ius))
    assert accuracies(confusion(truth, found))["pixel_accuracy"] == pytest.approx((truth == found).mean())


def test_a_known_case() -> None:
    """Eight background pixels, two of them called person; two of person, both found."""
    scores = accuracies(np.array([[6, 2], [0, 2]]))
    assert scores["pixel_accuracy"] == pytest.approx(0.8)
    assert scores["mean_accuracy"] == pytest.approx((6 / 8 + 1) / 2)
    assert scores["mean_iu"] == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert scores["fw_iu"] == pytest.approx((8 * 6 / 8 + 2 * 2 / 4) / 10)


def test_the_band_lies_around_the_edge() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[:, 200:] = True
    band = edge_band(mask)
    assert band[:, 195:205].all()
    assert not band[:, :185].any()
    assert not band[:, 215:].any()


def corners(*on: tuple[int, int]) -> Values:
    """A 3x3 matte that is 1 at some places."""
    matte = np.zeros((3, 3), np.float32)
    for place in on:
        matte[place] = 1
    return matte


def test_three_by_three_by_hand() -> None:
    """Truth: the upper row and the middle, 4 of 9. Found: the upper row and a corner: 3 right, 1 missed, 1 more."""
    truth = corners((0, 0), (0, 1), (0, 2), (1, 1))
    found = corners((0, 0), (0, 1), (0, 2), (2, 2))
    counts = confusion(truth > 0.5, found > 0.5)
    assert counts.tolist() == [[4, 1], [1, 3]]
    assert accuracies(counts) == pytest.approx(
        {
            "pixel_accuracy": 7 / 9,
            "mean_accuracy": (4 / 5 + 3 / 4) / 2,
            "mean_iu": (4 / 6 + 3 / 5) / 2,
            "fw_iu": (5 * 4 / 6 + 4 * 3 / 5) / 9,
        }
    )
    scores = picture_scores(truth, found)
    # In a picture this small, the band is what has a neighbour of the other class beside, above or below.
    assert edge_band(truth > 0.5).tolist() == [[True, False, True], [True, True, True], [False, True, False]]
    assert scores["mean_iu_per_image"] == pytest.approx((4 / 6 + 3 / 5) / 2)
    assert scores["boundary_iu"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert scores["mad"] == pytest.approx(2 / 9)


@given(hnp.arrays(np.bool_, (2, 12, 9)))
def test_the_scores_are_those_of_scikit_learn(both) -> None:  # type: ignore[no-untyped-def]
    from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

    truth, found = both[0].ravel(), both[1].ravel()
    scores = accuracies(confusion(*both))
    jaccard = partial(jaccard_score, truth, found, labels=[False, True], zero_division=1.0)
    assert confusion(*both).tolist() == confusion_matrix(truth, found, labels=[False, True]).tolist()
    assert scores["pixel_accuracy"] == pytest.approx(accuracy_score(truth, found))
    assert scores["mean_accuracy"] == pytest.approx(
        recall_score(truth, found, labels=[False, True], average="macro", zero_division=1.0)
    )
    assert scores["mean_iu"] == pytest.approx(jaccard(average="macro"))
    assert scores["fw_iu"] == pytest.approx(jaccard(average="weighted"))


def uniform(x: float, y: float, size: tuple[int, int] = (3, 3)) -> Values:
    """A flow that is the same everywhere."""
    return np.full((*size, 2), (x, y), np.float32)


def test_warping_fetches_what_has_moved() -> None:
    after = np.arange(9, dtype=np.float32).reshape(3, 3)
    assert warp(after, uniform(1, 0)).tolist() == [[1, 2, 2], [4, 5, 5], [7, 8, 8]]
    assert warp(after, uniform(0, -0.5)).tolist() == [[0, 1, 2], [1.5, 2.5, 3.5], [4.5, 5.5, 6.5]]


def test_what_leaves_or_does_not_come_back_is_not_visible() -> None:
    right = [[True, True, False]] * 3
    assert visible(uniform(1, 0), uniform(-1, 0)).tolist() == right
    assert visible(uniform(0, 0), uniform(0, 0)).all()
    # |w + v|^2 = 0.64 is above 0.01 (0 + 0.64) + 0.5, 0.49 is below 0.01 (0 + 0.49) + 0.5.
    assert not visible(uniform(0, 0), uniform(0.8, 0)).any()
    assert visible(uniform(0, 0), uniform(0.7, 0)).all()


def test_a_motion_boundary_is_not_visible() -> None:
    """|du|^2 = 0.01 between the columns is above 0.002 + 0.01 |w|^2, and |w|^2 is 0 to the left."""
    forward = uniform(0, 0)
    forward[:, 2] = -0.1, 0
    assert visible(forward, -forward).tolist() == [[True, False, True]] * 3
    forward[:, 2] = -0.04, 0
    assert visible(forward, -forward).all()


def test_flicker_and_warping_error_by_hand() -> None:
    """A matte whose left column moves one to the right; of what both show, one of six pixels is off by a half."""
    before, after = corners((0, 0), (1, 0), (2, 0)), corners((0, 1), (1, 1), (2, 1))
    after[1, 1] = 0.5
    forward = uniform(1, 0)
    seen = visible(forward, uniform(-1, 0))
    assert matte_flicker(before, after, forward, seen) == pytest.approx(0.5 / 6)
    images = [np.asarray(np.repeat(matte[..., None] * 254, 3, 2), np.uint8) for matte in (before, after)]
    assert warp_error(*images, forward, seen) == pytest.approx((127 / 255) ** 2 / 6)
    assert warp_error(*images, uniform(0, 0), ~seen) == 0
    assert matte_flicker(before, after, forward, np.zeros((3, 3), np.bool_)) == 0


def test_dtssd_by_hand() -> None:
    """One of nine pixels changes where the truth stands still, in the second of three frames."""
    still, off = corners((0, 0)), corners((0, 0), (2, 2))
    assert dtssd([still] * 3, [still] * 3) == 0
    assert dtssd([still, off, off], [still] * 3) == pytest.approx(100 / 3 / 3)
    assert dtssd([off] * 3, [still] * 3) == 0  # steadily wrong is steady
    assert dtssd([still, off], [still, off]) == 0


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (5, 4)])
def test_a_shifted_picture_is_steady(person: Image, x: int, y: int) -> None:
    """The flow explains a shift, which a plain difference takes for flicker."""
    window, moved = np.s_[20:340, 20:620], np.s_[20 - y : 340 - y, 20 - x : 620 - x]
    before, after = (np.ascontiguousarray(person[part]) for part in (window, moved))
    gray = grayscale(before), grayscale(after)
    forward, backward = optical_flow(*gray), optical_flow(*gray[::-1])
    seen = visible(forward, backward)
    assert forward.shape == (320, 600, 2)
    assert np.median(forward, (0, 1)) == pytest.approx([x, y], abs=0.1)
    assert seen.mean() > 0.9
    mattes = [g.astype(np.float32) / np.float32(255) for g in gray]
    plain = np.abs(mattes[0] - mattes[1]).mean()
    assert matte_flicker(*mattes, forward, seen) < 0.1 * plain
    assert warp_error(before, after, forward, seen) < 0.05 * np.square(mattes[0] - mattes[1]).mean()


def test_ssim_of_flat_equal_and_opposite_pictures(person: Image) -> None:
    gray = grayscale(person)
    assert ssim(gray, gray) == pytest.approx(1)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    assert ssim(noise, np.asarray(255 - noise, np.uint8)) < -0.8
    flat = [np.full((20, 20), value, np.uint8) for value in (100, 120)]
    constant = (0.01 * 255) ** 2
    assert ssim(*flat) == pytest.approx((2 * 100 * 120 + constant) / (100**2 + 120**2 + constant))
