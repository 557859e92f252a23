"""A camera that fails on purpose, for tests and rehearsals."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from livestyle.image.synthetic import scene
from livestyle.image.types import Frame
from livestyle.types import Size
from livestyle.video.sources.source import Source, SourceInfo


@dataclass(frozen=True)
class Fault:
    """What a camera does for some seconds.

    Args:
        kind: one of CAMERA_FAULTS.
        seconds: how long.
        scale: of the size of the frames from then on, for "resizes".
    """

    kind: str
    seconds: float
    scale: float = 1.0


CAMERA_FAULTS = {  # the least and the most seconds of each
    "works": (0.3, 3.0),
    "stalls": (0.35, 1.5),
    "drops": (0.05, 0.3),
    "errs": (0.2, 0.8),
    "resizes": (0.3, 2.0),
    "vanishes": (1.0, 4.0),
}
AWAY = ("errs", "vanishes")
RUNS = ("works", "resizes")


def camera_faults(seed: int) -> Iterator[Fault]:
    """Yield faults without end: the camera works for a while, then fails in one of the other ways."""
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in CAMERA_FAULTS if kind != "works"]
    while True:
        for kind in ("works", str(rng.choice(kinds))):
            yield Fault(kind, float(rng.uniform(*CAMERA_FAULTS[kind])), float(rng.uniform(0.4, 1.5)))


def scaled(size: Size, scale: float) -> Size:
    """Return a size that a camera changes to, in pixels. Both sides are even."""
    width, height = (max(32, 2 * round(side * scale / 2)) for side in size)
    return width, height


class Faults(Source):
    """A synthetic person before a camera that fails as it is told, for tests.

    Args:
        faults: what the camera does, in turn. The frames end with them.
        size: of the frames in pixels; None for 640x360.
        fps: rate in frames per second; None for 30.
        clock: returns the time in seconds.
        nap: waits for so many seconds; None for real time.
    """

    def __init__(
        self, faults: Iterable[Fault], size: Size | None = None, fps: float | None = None,
        clock: Callable[[], float] = time.monotonic, nap: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self.info = SourceInfo("camera with faults", size or (640, 360), fps or 30.0, is_live=True, comes_back=True)
        self._faults, self._clock, self._over = faults, clock, threading.Event()
        self._nap = nap or self._over.wait

    def __iter__(self) -> Iterator[Frame]:
        start, index, size = self._clock(), 0, self.info.size
        for fault in self._faults:
            if self._over.is_set():
                return
            until = self._clock() + fault.seconds
            if fault.kind == "resizes":
                size = scaled(self.info.size, fault.scale)
            if fault.kind in AWAY:  # as Reconnecting tells it; then it is silent
                yield Frame(np.zeros((*self.info.size[::-1], 3), np.uint8), index, self._clock() - start, is_blank=True)
                index, size = index + 1, self.info.size
            while (now := self._clock()) < until and not self._over.is_set():
                start = start if index else now
                if fault.kind in RUNS:
                    yield Frame(scene(size, now - start)[0], index, now - start, now)
                index += fault.kind in (*RUNS, "drops")
                self._nap(1 / self.info.fps)

    def end(self) -> None:
        self._over.set()
