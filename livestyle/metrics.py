"""Metrics of segmentation, pure functions on arrays. Masks are boolean (H, W), mattes float32 (H, W) in 0..1."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]  # (2, 2): n[i, j] pixels of class i said to be j; background 0, person 1

BAND = 0.02  # of the picture's diagonal: how far from the true edge the boundary reaches


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
