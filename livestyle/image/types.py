"""Array types, frames, and the segmenter protocol."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from livestyle.types import Size

Values = NDArray[np.float32]  # (H, W) or (H, W, C)
Flow = NDArray[np.float32]  # (H, W, 2): by how many pixels (x, y) each pixel has moved


Image = NDArray[np.uint8]  # (H, W, 3) RGB
Matte = NDArray[np.float32]  # (H, W), 0 is background and 1 is person
Colors = NDArray[np.float32]  # (H, W, 3) in 0..255


@dataclass(frozen=True)
class Frame:
    """A picture of a source; gaps in `index` are frames that were dropped.

    Args:
        image: the pixels.
        index: number of the frame since the start.
        time: seconds since the first frame.
        captured: reading of `time.monotonic` when it was taken, for the latency.
        is_blank: nothing was captured, the image is black: the source is away for a while.
    """

    image: Image
    index: int
    time: float
    captured: float = field(default_factory=monotonic)
    is_blank: bool = False


def size_of(image: Image | Matte) -> Size:
    """Width and height."""
    return image.shape[1], image.shape[0]


Gray = NDArray[np.uint8]  # (H, W)


Segmenter = Callable[[Image], Matte]  # any size in, the same or a smaller one out
