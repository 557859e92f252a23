"""Segmenters that fail on purpose, for tests."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from livestyle.image.synthetic import is_room
from livestyle.image.types import Image, Matte

MATTES: dict[str, Callable[[Matte], Matte]] = {  # of the true one
    "works": lambda matte: matte,
    "nan": lambda matte: np.full_like(matte, np.nan),
    "a nan": lambda matte: np.where(np.arange(matte.size).reshape(matte.shape) == 0, np.float32(np.nan), matte),
    "beyond": lambda matte: matte * 3 - 1,
    "everywhere": np.ones_like,
    "nowhere": np.zeros_like,
}
ERRORS: dict[str, type[Exception]] = {"fails": RuntimeError, "no memory": MemoryError}
STALLS = "stalls"
SEGMENTER_FAULTS = (*MATTES, *ERRORS, STALLS)


def segmenter_faults(seed: int) -> Iterator[str]:
    """One of SEGMENTER_FAULTS per frame, without end: it works for a while, then another for some frames."""
    rng = np.random.default_rng(seed)
    while True:
        yield from ["works"] * int(rng.integers(5, 60))
        kind = str(rng.choice(SEGMENTER_FAULTS))
        yield from [kind] * (1 if kind == STALLS else int(rng.integers(1, 12)))


class FaultySegmenter:
    """Knows the true matte of `scene`, by its colours, and fails as it is told.

    Args:
        faults: of SEGMENTER_FAULTS, one per frame; it works when they end. nap: waits for so many seconds.
    """

    def __init__(self, faults: Iterator[str], nap: Callable[[float], object] = time.sleep) -> None:
        self._faults, self._nap = faults, nap

    def __call__(self, image: Image) -> Matte:
        fault = next(self._faults, "works")
        if fault == STALLS:
            self._nap(1.0)
        if fault in ERRORS:
            raise ERRORS[fault]("on purpose")
        truth = np.where(is_room(image), np.float32(0), np.float32(1))
        return np.asarray(MATTES.get(fault, MATTES["works"])(truth), np.float32)
