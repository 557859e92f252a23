"""Detect mattes that jump to the whole frame."""

import math

import cv2

from livestyle.image.types import Matte

FULL_SHARE = 0.98  # of the frame, from which the person fills it
NEARLY_FULL_SHARE = 0.8  # of the frame, from which the person may soon fill it
MIN_APPROACH_S = 0.3  # from nearly full to full; faster than this is no person who comes nearer


class UnsafeMatteError(RuntimeError):
    """A matte that might uncover what must be hidden. The device that computed it did not fail."""


class Jumps:
    """Tell a matte that jumps to the whole frame from a person who comes that near.

    A person fills the frame step by step. A full matte without such steps, the first one too, is refused for as long as
    it lasts.
    """

    def __init__(self) -> None:
        self._nearly_full_since: float | None = None
        self._last = -math.inf

    def check(self, matte: Matte, time: float) -> None:
        """Check the next matte.

        Args:
            matte: float32 (H, W) in 0..1.
            time: of the frame, in seconds.

        Raises:
            UnsafeMatteError: the matte jumped.
        """
        share = float(cv2.mean(matte)[0])
        if not 0 <= time - self._last < MIN_APPROACH_S or share <= NEARLY_FULL_SHARE:
            self._nearly_full_since = None  # what happened in a gap is unknown
        self._last, since = time, self._nearly_full_since
        if share >= FULL_SHARE and (since is None or time - since < MIN_APPROACH_S):
            self._nearly_full_since = None
            raise UnsafeMatteError("the matte covers the whole picture at once")
        if since is None and share > NEARLY_FULL_SHARE:
            self._nearly_full_since = time
