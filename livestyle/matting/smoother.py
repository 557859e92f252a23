"""Smooth mattes over time."""

import math

import cv2
import numpy as np

from livestyle.image.pixels import grid
from livestyle.image.types import Gray, Matte, size_of

CHANGE = 0.04  # of grey in 0..1 between frames, at which a pixel is no longer the one that it was
BEND = 0.15  # pixels by which the flow differs from its surroundings' where an edge moves
NOISE = 0.03  # the most of a camera's noise that does not count as change
FLOW_LEAST = 24  # pixels: flow needs a picture of some size


class Smoother:
    """Steadies mattes over time, without lag where something moves.

    The last steadied matte is carried along the optical flow (DIS, Kroeger et al. 2016) and averaged with the new one.
    How much it counts fades with the time passed, with how far the picture itself differs from what the flow brought
    there, and where the flow bends, as it does along an edge that moves: a change that the picture does not show is
    flicker, one that it shows is taken at once, so that a fast hand leaves no ghost.

    Args:
        seconds: time constant of what has not changed.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds = seconds
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._last: tuple[Matte, Gray, float] | None = None

    def reset(self) -> None:
        """Forget; for a new source."""
        self._last = None

    def __call__(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """The matte steadied. A jump back, a gap of half a second, a new size or a cut starts anew.

        Args:
            gray: the picture, of the matte's size; time: in seconds.
        """
        if self._last is not None:
            old, old_gray, old_time = self._last
            passed = time - old_time
            if old.shape == matte.shape and 0 <= passed < 0.5:
                carried, trust = self._carry(old, old_gray, gray)
                trust *= math.exp(-passed / self.seconds)
                matte = np.asarray(matte + trust * (carried - matte), np.float32)
        self._last = matte, gray, time
        return matte

    def _carry(self, old: Matte, before: Gray, now: Gray) -> tuple[Matte, Matte]:
        """The old matte where its pixels are now, and how far each of them can be trusted, in 0..1."""
        if min(now.shape) < FLOW_LEAST:
            return old, np.exp(-((cv2.absdiff(now, before) / np.float32(255 * CHANGE)) ** 2))
        flow = self._flow.calc(now, before, None)  # type: ignore[call-overload]
        places = flow + grid(size_of(now))
        # Cubic: carried from frame to frame, a matte would soon be blurred by linear interpolation.
        carried = cv2.remap(old, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(before, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = cv2.blur(cv2.absdiff(now, seen), (5, 5)).astype(np.float32) / np.float32(255)
        noise = min(float(np.median(change[::4, ::4])), NOISE)
        bend = np.maximum(
            *cv2.split(cv2.absdiff(flow, cv2.blur(flow, (9, 9))))
        )  # NumPy's max(2) takes twenty times longer
        return np.clip(carried, 0, 1), np.exp(-np.square(np.maximum(change - noise, 0) / CHANGE) - bend / BEND)
