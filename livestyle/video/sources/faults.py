"""A camera that fails on purpose, for tests and rehearsals."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from livestyle.image.synthetic import scene
from livestyle.image.types import Frame
from livestyle.types import Size
from livestyle.video.sources.source import Source


@dataclass(frozen=True)
class Fault:
    """What a camera does for some seconds.

    Args:
        kind: one of CAMERA_FAULTS; scale: the share of its own size that frames have from then on.
    """

    kind: str
    seconds: float
    scale: float = 1.0


CAMERA_FAULTS = {  # seconds, from and to
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
    """Without end: a camera works for a while, then one of the others."""
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in CAMERA_FAULTS if kind != "works"]
    while True:
        for kind in ("works", str(rng.choice(kinds))):
            yield Fault(kind, float(rng.uniform(*CAMERA_FAULTS[kind])), float(rng.uniform(0.4, 1.5)))


def scaled(size: Size, scale: float) -> Size:
    """A size that a camera changes to; sides are even."""
    width, height = (max(32, 2 * round(side * scale / 2)) for side in size)
    return width, height


class Faults(Source):
    """A synthetic person before a camera that fails as it is told; for tests.

    Args:
        faults: what the camera does, in turn; it ends with them.
        clock: seconds; nap: waits for so many. As of a real camera, unless told otherwise.
    """

    is_live = comes_back = True

    def __init__(
        self, faults: Iterable[Fault], size: Size | None = None, fps: float | None = None,
        clock: Callable[[], float] = time.monotonic, nap: Callable[[float], object] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.size, self.fps = "camera with faults", size or (640, 360), fps or 30.0
        self._faults, self._clock, self._over = faults, clock, threading.Event()
        self._nap = nap or self._over.wait

    def __iter__(self) -> Iterator[Frame]:
        start, index, size = self._clock(), 0, self.size
        for fault in self._faults:
            if self._over.is_set():
                return
            until = self._clock() + fault.seconds
            if fault.kind == "resizes":
                size = scaled(self.size, fault.scale)
            if fault.kind in AWAY:  # as Reconnecting tells it; then it is silent
                yield Frame(np.zeros((*self.size[::-1], 3), np.uint8), index, self._clock() - start, is_blank=True)
                index, size = index + 1, self.size
            while (now := self._clock()) < until and not self._over.is_set():
                start = start if index else now
                if fault.kind in RUNS:
                    yield Frame(scene(size, now - start)[0], index, now - start, now)
                index += fault.kind in (*RUNS, "drops")
                self._nap(1 / self.fps)

    def end(self) -> None:
        self._over.set()
