"""Frames in memory as a webcam sends them, for measurements: JPEGs, decoded when they are asked for."""

import time
from collections.abc import Iterator, Sequence
from itertools import count

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, Image
from livestyle.types import Size
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Source, SourceInfo

FRAMES = 120  # of a clip
LEAST = 3  # frames from which rates can be told
QUALITY = 90  # a webcam's

Jpeg = NDArray[np.uint8]  # the bytes of a file


class JpegFrames(Source):
    """JPEGs in memory, there and back again, over and over; drops none.

    Args:
        first: the number of the JPEG to begin with; pace: frames per second, as of a camera, or None: at once.
        seconds: after which it ends, but for LEAST frames; None: never.
    """

    def __init__(
        self, jpegs: Sequence[Jpeg], size: Size, first: int = 0, pace: float | None = None,
        seconds: float | None = None,
    ) -> None:  # fmt: skip
        self.info = SourceInfo("frames in memory", size, pace or 30.0)
        self._jpegs, self._first, self._pace, self._seconds = jpegs, first, pace, seconds

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            if self._pace:
                time.sleep(max(0.0, start + index / self._pace - time.monotonic()))
            captured = time.monotonic()  # when a camera's JPEG is here
            if self._seconds is not None and index >= LEAST and captured - start >= self._seconds:
                return
            image = decode(self._jpegs[there_and_back(self._first + index, len(self._jpegs))])
            yield Frame(image, index, captured - start, captured)


def there_and_back(index: int, length: int) -> int:
    """Which of `length` frames stands at a place, so that no cut is between the last and the first."""
    at = index % (2 * length)
    return min(at, 2 * length - 1 - at)


def encoded(text: str, size: Size) -> list[Jpeg]:
    """The first frames of a clip, brought to a size.

    Raises:
        UserError: the clip cannot be read or holds no frame; or an odd size, which I420 cannot have.
    """
    if size[0] % 2 or size[1] % 2:
        raise UserError(f"The size {size[0]}x{size[1]} is odd, and I420 is not.", "Give an even size.")
    with open_source(text) as source:
        jpegs = [encode(cover(frame.image, size)) for frame, _ in zip(source, range(FRAMES), strict=False)]
    if not jpegs:
        raise UserError(f"{text} holds no frame.", "Give a clip.")
    return jpegs


def encode(image: Image) -> Jpeg:
    """RGB to JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1], np.uint8)


def decode(jpeg: Jpeg) -> Image:
    """JPEG to RGB."""
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
