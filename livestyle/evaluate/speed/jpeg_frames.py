"""Frames in memory as a webcam sends them, for measurements: JPEGs that are decoded on demand."""

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

MAX_FRAMES = 120  # of a clip
MIN_FRAMES = 3  # fewer give no rate
JPEG_QUALITY = 90  # of a webcam

Jpeg = NDArray[np.uint8]  # (N,), the bytes of a file


class JpegFrames(Source):
    """A source of JPEGs in memory, forwards and backwards in turn. It drops none.

    Args:
        jpegs: the frames.
        size: of them.
        first: number of the JPEG to begin with.
        pace: fps of a simulated camera; None for as fast as possible.
        seconds: after which it ends, with at least MIN_FRAMES; None for never.
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
            captured = time.monotonic()  # as if a camera's JPEG arrived now
            if self._seconds is not None and index >= MIN_FRAMES and captured - start >= self._seconds:
                return
            image = decode(self._jpegs[there_and_back(self._first + index, len(self._jpegs))])
            yield Frame(image, index, captured - start, captured)


def there_and_back(index: int, length: int) -> int:
    """Return which of `length` frames is at a place, forwards and backwards in turn, without a cut."""
    at = index % (2 * length)
    return min(at, 2 * length - 1 - at)


def load_jpegs(text: str, size: Size) -> list[Jpeg]:
    """Return the first frames of a clip, at a size, as JPEGs.

    Args:
        text: the clip; size: even sides.

    Raises:
        UserError: the clip cannot be read or is empty, or a side is odd, which I420 does not allow.
    """
    if size[0] % 2 or size[1] % 2:
        raise UserError(f"The size {size[0]}x{size[1]} is odd, and I420 is not.", "Give an even size.")
    with open_source(text) as source:
        jpegs = [encode(cover(frame.image, size)) for frame, _ in zip(source, range(MAX_FRAMES), strict=False)]
    if not jpegs:
        raise UserError(f"{text} holds no frame.", "Give a clip.")
    return jpegs


def encode(image: Image) -> Jpeg:
    """Encode uint8 (H, W, 3) RGB as JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1], np.uint8)


def decode(jpeg: Jpeg) -> Image:
    """Decode a JPEG to uint8 (H, W, 3) RGB."""
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
