"""Smooth mattes over time."""

import math

import cv2
import numpy as np

from livestyle.image.pixels import pixel_grid
from livestyle.image.types import Gray, Matte, size_of

MAX_CHANGE = 0.04  # of grey in 0..1, at which a pixel no longer shows what it did
FLOW_BEND_PX = 0.15  # by which the flow differs from its surroundings' where an edge moves
MAX_NOISE = 0.03  # of grey in 0..1, that counts as a camera's noise and not as change
MIN_FLOW_SIDE_PX = 24  # of a picture, for optical flow
MAX_GAP_S = 0.5  # after which the memory is no longer used


class Smoother:
    """Smooth mattes over time, without lag where something moves.

    The last smoothed matte is warped along the optical flow (DIS, Kroeger et al. 2016) and averaged with the new one.
    Its weight fades with the time passed. It also fades where the picture differs from the warped one, and where the
    flow bends, as it does along a moving edge. So a change of the matte that the picture does not show is flicker. One
    that it shows is taken at once, and a fast hand leaves no ghost.

    Args:
        seconds: time constant of what has not changed.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds = seconds
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._last: tuple[Matte, Gray, float] | None = None

    def reset(self) -> None:
        """Forget the frames before; for a new source."""
        self._last = None

    def __call__(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """Return a matte smoothed. A jump back in time, a gap, a new size or a cut starts anew.

        Args:
            matte: float32 (H, W).
            gray: the picture at the matte's size, uint8 (H, W).
            time: in seconds.
        """
        if self._last is not None:
            old, old_gray, old_time = self._last
            passed = time - old_time
            if old.shape == matte.shape and 0 <= passed < MAX_GAP_S:
                warped, trust = self._warp(old, old_gray, gray)
                trust *= math.exp(-passed / self.seconds)
                matte = np.asarray(matte + trust * (warped - matte), np.float32)
        self._last = matte, gray, time
        return matte

    def _warp(self, old: Matte, before: Gray, now: Gray) -> tuple[Matte, Matte]:
        """Return the old matte where its pixels are now, and how far each of them can be trusted, in 0..1."""
        if min(now.shape) < MIN_FLOW_SIDE_PX:
            return old, np.exp(-((cv2.absdiff(now, before) / np.float32(255 * MAX_CHANGE)) ** 2))
        flow = self._flow.calc(now, before, None)  # type: ignore[call-overload]
        places = flow + pixel_grid(size_of(now))
        # Cubic: warped from frame to frame, a matte would soon be blurred by linear interpolation.
        warped = cv2.remap(old, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        expected = cv2.remap(before, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = cv2.blur(cv2.absdiff(now, expected), (5, 5)).astype(np.float32) / np.float32(255)
        noise = min(float(np.median(change[::4, ::4])), MAX_NOISE)
        around = cv2.absdiff(flow, cv2.blur(flow, (9, 9)))
        bend = np.maximum(*cv2.split(around))  # NumPy's max(2) takes twenty times longer
        unexplained = np.maximum(change - noise, 0) / MAX_CHANGE
        return np.clip(warped, 0, 1), np.exp(-np.square(unexplained) - bend / FLOW_BEND_PX)
