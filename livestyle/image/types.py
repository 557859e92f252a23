"""Array types, frames, and what a segmenter is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from livestyle.types import Color, Size

Image = NDArray[np.uint8]  # (H, W, 3) RGB
Gray = NDArray[np.uint8]  # (H, W)
Matte = NDArray[np.float32]  # (H, W) in 0..1, 0 is background and 1 is person
Colors = NDArray[np.float32]  # (H, W, 3) RGB in 0..255
Values = NDArray[np.float32]  # (H, W) or (H, W, C)
Flow = NDArray[np.float32]  # (H, W, 2), by how many pixels (x, y) each pixel has moved
WHITE: Color = (255, 255, 255)
Segmenter = Callable[[Image], Matte]  # takes any size, returns a matte of the same or a smaller size


@dataclass(frozen=True)
class Frame:
    """A picture of a source. Gaps in `index` are frames that were dropped.

    Args:
        image: uint8 (H, W, 3) RGB.
        index: number of the frame since the start.
        time: seconds since the first frame.
        captured: reading of `time.monotonic` at the capture, to compute the latency.
        is_blank: whether nothing was captured because the source is away. The image is black then.
    """

    image: Image
    index: int
    time: float
    captured: float = field(default_factory=monotonic)
    is_blank: bool = False


def size_of(image: Image | Matte) -> Size:
    """Return the width and height of an array (H, W, ...)."""
    return image.shape[1], image.shape[0]
