"""Keep the main person among several."""

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Matte


class MainPerson:
    """Keep one person of several in the matte: large, near the middle, and the same one as before.

    People whose mattes touch count as one.
    """

    def __init__(self) -> None:
        self._before: Matte | None = None

    def __call__(self, matte: Matte) -> Matte:
        """Return a matte, float32 (H, W), without the others. Soft pixels belong to the nearest person."""
        count, labels, boxes, centres = cv2.connectedComponentsWithStats((matte > 0.5).astype(np.uint8))
        if count > 2:
            middle = matte.shape[1] / 2
            aside = np.abs(centres[1:, 0] - middle) / middle
            score = boxes[1:, cv2.CC_STAT_AREA] * (1.5 - aside)
            if self._before is not None and self._before.shape == matte.shape:
                score = score + 3 * np.bincount(labels.ravel(), self._before.ravel(), count)[1:]
            main = labels == 1 + int(np.argmax(score))
            others = (labels > 0) & ~main
            matte = np.where(distance(main) <= distance(others), matte, np.float32(0))
        self._before = matte
        return matte


def distance(mask: NDArray[np.bool_]) -> Matte:
    """Return each pixel's distance to a mask, float32 (H, W) in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
