"""Detect mattes that jump to the whole frame."""

import math

import cv2

from livestyle.image.types import Matte

FULL, NEARLY = 0.98, 0.8  # shares of the picture from which the person fills it, or soon may
RISE = 0.3  # seconds from nearly to full, below which that was no person who came nearer


class UnsafeMatteError(RuntimeError):
    """A matte that might uncover what must be hidden; whatever computed it did not fail."""


class Jumps:
    """Tells a matte that jumps to the whole picture from a person who comes so near: that one fills it step by step.

    A whole matte without such steps, the first one too, is refused for as long as it lasts.
    """

    def __init__(self) -> None:
        self._since: float | None = None  # when it became nearly full
        self._last = -math.inf

    def check(self, matte: Matte, time: float) -> None:
        """Raises UnsafeMatteError for a jump; time: in seconds."""
        share = float(cv2.mean(matte)[0])
        if not 0 <= time - self._last < RISE or share <= NEARLY:
            self._since = None  # what happened in a gap nobody knows
        self._last = time
        if share >= FULL and (self._since is None or time - self._since < RISE):
            self._since = None
            raise UnsafeMatteError("the matte covers the whole picture at once")
        if self._since is None and share > NEARLY:
            self._since = time
