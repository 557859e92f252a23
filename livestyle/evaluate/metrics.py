"""Metrics of mattes, pictures and clips."""

import statistics
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Flow, Values

Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8]
Counts = NDArray[np.int64]  # (2, 2): n[i, j] pixels of class i said to be j; background 0, person 1


BAND = 0.02  # of the picture's diagonal: how far from the true edge the boundary reaches
STEADY_LEAST = 32  # pixels: the shortest side at which the flow and SSIM mean something


def confusion(truth: Mask, found: Mask) -> Counts:
    """Pixels of each class said to be each."""
    return np.bincount((2 * truth + found).ravel().astype(np.int64), minlength=4).reshape(2, 2)


def accuracies(counts: Counts) -> dict[str, float]:
    """Pixel accuracy, mean accuracy, mean IU and frequency-weighted IU (Long et al. 2015, section 5)."""
    right, of_class, said = np.diag(counts), counts.sum(1), counts.sum(0)
    union = of_class + said - right
    iu = np.where(union > 0, right / np.maximum(union, 1), 1.0)
    accuracy = np.where(of_class > 0, right / np.maximum(of_class, 1), 1.0)
    return {
        "pixel_accuracy": float(right.sum() / counts.sum()),
        "mean_accuracy": float(accuracy.mean()),
        "mean_iu": float(iu.mean()),
        "fw_iu": float((of_class * iu).sum() / counts.sum()),
    }


def edge_band(truth: Mask) -> Mask:
    """Pixels within BAND of a mask's edge."""
    radius = max(1, round(BAND * float(np.hypot(*truth.shape))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = truth.astype(np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


def picture_scores(truth: NDArray[np.float32], matte: NDArray[np.float32]) -> dict[str, float]:
    """Mean IU of one picture, the same near the true edge, and the mean absolute difference of the mattes."""
    true, found = truth > 0.5, matte > 0.5
    band = edge_band(true)
    return {
        "mean_iu_per_image": accuracies(confusion(true, found))["mean_iu"],
        "boundary_iu": accuracies(confusion(true[band], found[band]))["mean_iu"] if band.any() else 1.0,
        "mad": float(np.abs(matte - truth).mean()),
    }


def optical_flow(before: Gray, after: Gray) -> Flow:
    """Dense inverse search (Kroeger et al. 2016): where each pixel of the first picture is in the second."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(before, after, None), np.float32)  # type: ignore[call-overload]


def targets(flow: Flow) -> Flow:
    """Where each pixel has moved to, (x, y)."""
    y, x = np.indices(flow.shape[:2], np.float32)
    return flow + np.dstack([x, y])


def warped(array: Values, flow: Flow) -> Values:
    """The second picture's values laid where the first one's pixels are, given the flow from the first to the second.

    Bilinear; what would come from outside takes the border's value.
    """
    moved = cv2.remap(array, targets(flow), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def visible(forward: Flow, backward: Flow) -> Mask:
    """Pixels of the first picture that the second shows too, and whose flow can be trusted.

    As in Lai et al. (2018), after Sundaram et al. (2010): there and back must lead to the same place,
    |w + v|^2 <= 0.01 (|w|^2 + |v|^2) + 0.5, and motion boundaries, |du|^2 + |dv|^2 > 0.01 |w|^2 + 0.002, do not count.
    Nor does what leaves the frame.
    """
    back = warped(backward, forward)
    length = squared(forward)
    returns = squared(forward + back) <= 0.01 * (length + squared(back)) + 0.5
    slopes = sum(squared(np.diff(forward, axis=axis, append=edge(forward, axis))) for axis in (0, 1))
    (height, width), (x, y) = length.shape, np.moveaxis(targets(forward), 2, 0)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return np.asarray(returns & (slopes <= 0.01 * length + 0.002) & inside, np.bool_)


def squared(vectors: Flow) -> Values:
    """Their lengths, squared."""
    return np.asarray(np.square(vectors).sum(2), np.float32)


def edge(flow: Flow, axis: int) -> Flow:
    """The last row (axis 0) or column (axis 1), beyond which nothing changes."""
    return np.take(flow, [-1], axis)


def matte_flicker(before: Values, after: Values, forward: Flow, seen: Mask) -> float:
    """Mean |warp(after) - before| of two mattes over the pixels seen in both; 0 where there are none."""
    return float(np.abs(warped(after, forward) - before)[seen].mean()) if seen.any() else 0.0


def warp_error(before: Gray, after: Gray, forward: Flow, seen: Mask) -> float:
    """Mean squared difference of one image and the next warped onto it (Lai et al. 2018), in 0..1, over pixels seen."""
    change = (warped(after.astype(np.float32), forward) - before) / np.float32(255)
    return float(np.square(change)[seen].mean()) if seen.any() else 0.0


def dtssd(found: Sequence[Values], truth: Sequence[Values]) -> float:
    """How differently two sequences of mattes change: 100 times the root mean square, averaged over the frames.

    After Erofeev et al. (2015), the first frame counted as 0 as by Lin et al. (2022, RobustVideoMatting).
    """
    steps = zip(found, found[1:], truth, truth[1:], strict=False)
    errors = [100 * float(np.sqrt(np.square((b - a) - (d - c)).mean())) for a, b, c, d in steps]
    return sum(errors) / (len(errors) + 1)


def ssim(image: Gray, other: Gray) -> float:
    """Structural similarity of two grey pictures (Wang et al. 2004): a Gaussian window of 11 pixels, sigma 1.5."""
    a, b = image.astype(np.float64), other.astype(np.float64)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    together = mean(a * b) - mean_a * mean_b
    small, smaller = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_a * mean_b + small) / (mean_a**2 + mean_b**2 + small)
    structure = (2 * together + smaller) / (spread_a + spread_b + smaller)
    return float((light * structure)[5:-5, 5:-5].mean())


Row = dict[str, float]


def mean_row(rows: list[Row], digits: int = 5) -> Row:
    """Each figure's mean."""
    return {key: round(statistics.fmean(row[key] for row in rows), digits) for key in rows[0]}
