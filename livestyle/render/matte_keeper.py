"""The mattes of the newest frames, each computed once."""

import threading
from collections import deque
from concurrent.futures import Future

from livestyle.image.types import Frame, Matte
from livestyle.matting.matte import Matting
from livestyle.render.meter import Meter
from livestyle.render.planes import MAX_REUSED_FRAMES
from livestyle.render.temporal import Motion


class MatteKeeper:
    """Own the mattes of the newest two frames, from any thread.

    Args:
        matting: computes a matte. It may be replaced between frames.
        meter: takes the time of the stage "segment".
    """

    def __init__(self, matting: Matting, meter: Meter) -> None:
        self.matting, self._meter = matting, meter
        self._newest: deque[tuple[Frame, Matte]] = deque(maxlen=2)  # of the frame to return, and of the next one
        self._reused = 0  # frames for which the newest matte was reused
        self._lock = threading.Lock()

    def matte(self, frame: Frame, motion: Future[Motion] | None = None) -> tuple[Matte, bool]:
        """Return the matte of a frame, and whether it was computed now.

        Args:
            frame: the camera's frame.
            motion: how the picture moved, where the matte before may be reused while nothing moves. Else None.

        Returns:
            The matte, float32 (H, W), 1 is person.

        Raises:
            UnsafeMatteError: the matte is invalid, or jumps to the whole frame; others: of the segmenter.
        """
        with self._lock:
            for known, matte in self._newest:
                if known is frame:
                    return matte, False
            reused = self._reusable(frame, motion)
            if reused is None:
                with self._meter.stage("segment"):
                    matte, self._reused = self._computed(frame), 0
            else:
                matte, self._reused = reused, self._reused + 1
            self._newest.append((frame, matte))
            return matte, reused is None

    def _reusable(self, frame: Frame, motion: Future[Motion] | None) -> Matte | None:
        """Return the newest matte while nothing but noise changes, for a few frames."""
        if not (self._newest and motion and self._reused < MAX_REUSED_FRAMES and motion.result().is_still):
            return None
        newest = self._newest[-1][1]
        return newest if newest.shape == frame.image.shape[:2] else None

    def _computed(self, frame: Frame) -> Matte:
        try:
            return self.matting(frame.image, frame.time)
        except Exception:
            self._newest.clear()  # a matte from before a failure must not be reused after it
            raise
