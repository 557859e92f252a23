"""Metrics of mattes, pictures and clips."""

import statistics
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Flow, Gray, Values

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]  # (2, 2): n[i, j] pixels of class i that were classified as j; background 0, person 1
Scores = dict[str, float]

BOUNDARY_SHARE = 0.02  # width of the band along the true edge, to either side, as a share of the diagonal
MIN_FLOW_SIDE_PX = 32  # flow and SSIM mean nothing on smaller pictures


def confusion(truth: Mask, found: Mask) -> Counts:
    """Count the pixels of each true class by the class that was found."""
    return np.bincount((2 * truth + found).ravel().astype(np.int64), minlength=4).reshape(2, 2)


def accuracies(counts: Counts) -> dict[str, float]:
    """Return pixel accuracy, mean accuracy, mean IU and frequency-weighted IU (Long et al. 2015, section 5)."""
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
    """Return the pixels within BOUNDARY_SHARE of a mask's edge."""
    radius = max(1, round(BOUNDARY_SHARE * float(np.hypot(*truth.shape))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    mask = truth.astype(np.uint8)
    return np.asarray(cv2.dilate(mask, kernel) != cv2.erode(mask, kernel))


def picture_scores(truth: NDArray[np.float32], matte: NDArray[np.float32]) -> dict[str, float]:
    """Return the mean IU of one picture, the same near the true edge, and the mean absolute difference of the mattes.

    Args:
        truth, matte: float32 (H, W) in 0..1.
    """
    true, found = truth > 0.5, matte > 0.5
    band = edge_band(true)
    return {
        "mean_iu_per_image": accuracies(confusion(true, found))["mean_iu"],
        "boundary_iu": accuracies(confusion(true[band], found[band]))["mean_iu"] if band.any() else 1.0,
        "mad": float(np.abs(matte - truth).mean()),
    }


def optical_flow(before: Gray, after: Gray) -> Flow:
    """Compute where each pixel of the first picture is in the second, by dense inverse search (Kroeger et al. 2016).

    Args:
        before, after: uint8 (H, W).

    Returns:
        float32 (H, W, 2), in pixels.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(before, after, None), np.float32)  # type: ignore[call-overload]


def flow_targets(flow: Flow) -> Flow:
    """Return where each pixel has moved to: float32 (H, W, 2), x and y."""
    y, x = np.indices(flow.shape[:2], np.float32)
    return flow + np.dstack([x, y])


def warp(array: Values, flow: Flow) -> Values:
    """Warp the second picture's values onto the first picture, bilinearly.

    Args:
        array: values of the second picture, float32 (H, W) or (H, W, C); flow: from the first to the second.

    Returns:
        As `array`. What comes from outside takes the border's value.
    """
    moved = cv2.remap(array, flow_targets(flow), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def visible(forward: Flow, backward: Flow) -> Mask:
    """Return the pixels of the first picture that the second shows too, and whose flow can be trusted.

    As in Lai et al. (2018), after Sundaram et al. (2010). There and back must lead to the same place: |w + v|^2 <= 0.01
    (|w|^2 + |v|^2) + 0.5. Motion boundaries do not count: |du|^2 + |dv|^2 > 0.01 |w|^2 + 0.002. Nor do pixels that
    leave the frame.

    Args:
        forward, backward: flow from the first picture to the second, and back.

    Returns:
        bool (H, W).
    """
    back = warp(backward, forward)
    length = squared_length(forward)
    returns = squared_length(forward + back) <= 0.01 * (length + squared_length(back)) + 0.5
    slopes = sum(squared_length(np.diff(forward, axis=axis, append=last_slice(forward, axis))) for axis in (0, 1))
    (height, width), (x, y) = length.shape, np.moveaxis(flow_targets(forward), 2, 0)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    return np.asarray(returns & (slopes <= 0.01 * length + 0.002) & inside, np.bool_)


def squared_length(vectors: Flow) -> Values:
    """Return the squared lengths of vectors: float32 (H, W)."""
    return np.asarray(np.square(vectors).sum(2), np.float32)


def last_slice(flow: Flow, axis: int) -> Flow:
    """Return the last row (axis 0) or column (axis 1), after which nothing changes."""
    return np.take(flow, [-1], axis)


def matte_flicker(before: Values, after: Values, forward: Flow, mask: Mask) -> float:
    """Return the mean |warp(after) - before| of two mattes over a mask of pixels that both show; 0 without any."""
    return float(np.abs(warp(after, forward) - before)[mask].mean()) if mask.any() else 0.0


def warp_error(before: Gray, after: Gray, forward: Flow, mask: Mask) -> float:
    """Return the mean squared difference of an image and the next one warped onto it (Lai et al. 2018), in 0..1.

    Args:
        before, after: uint8 (H, W); forward: flow from one to the other; mask: bool (H, W), pixels that both show.
    """
    change = (warp(after.astype(np.float32), forward) - before) / np.float32(255)
    return float(np.square(change)[mask].mean()) if mask.any() else 0.0


def dtssd(found: Sequence[Values], truth: Sequence[Values]) -> float:
    """Return how differently two sequences of mattes change: 100 times the root mean square, averaged over frames.

    After Erofeev et al. (2015). The first frame counts as 0, as in Lin et al. (2022, RobustVideoMatting).

    Args:
        found, truth: float32 (H, W) in 0..1, frame by frame.
    """
    steps = zip(found, found[1:], truth, truth[1:], strict=False)
    errors = [100 * float(np.sqrt(np.square((b - a) - (d - c)).mean())) for a, b, c, d in steps]
    return sum(errors) / (len(errors) + 1)


def ssim(image: Gray, other: Gray) -> float:
    """Return the structural similarity of two grey pictures (Wang et al. 2004): a Gaussian window of 11 pixels, sigma
    1.5.

    Args:
        image, other: uint8 (H, W).
    """
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


def mean_scores(rows: list[Scores], digits: int = 5) -> Scores:
    """Return the mean of each score, rounded."""
    return {key: round(statistics.fmean(row[key] for row in rows), digits) for key in rows[0]}
