"""A segmenter of your own: whoever stands in the middle is the person. python own_segmenter.py photo.jpg painted.png"""

import sys

import cv2
import numpy as np

import livestyle
from livestyle.matting.segmenter import register_segmenter


def middle(image: np.ndarray) -> np.ndarray:
    """Return an ellipse as the matte: float32 (H, W) in 0..1, where 1 is person."""
    height, width = image.shape[:2]
    matte = np.zeros((height, width), np.float32)
    cv2.ellipse(matte, (width // 2, height), (width // 4, 4 * height // 5), 0, 180, 360, 1.0, -1)
    return matte


# One row. From here on `middle` is a segmenter, as `unet` is.
register_segmenter("middle", middle, title="an ellipse in the middle")

image = cv2.cvtColor(cv2.imread(sys.argv[1]), cv2.COLOR_BGR2RGB)
with livestyle.Filter(background="starry_night", segmenter="middle") as filter:
    painted = filter.paint(image)
cv2.imwrite(sys.argv[2], cv2.cvtColor(painted, cv2.COLOR_RGB2BGR))
