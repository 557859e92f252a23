"""Segmenters that fail on purpose, for tests."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from livestyle.image.synthetic import is_room
from livestyle.image.types import Image, Matte

MATTES: dict[str, Callable[[Matte], Matte]] = {  # what becomes of the true matte
    "works": lambda matte: matte,
    "nan": lambda matte: np.full_like(matte, np.nan),
    "a nan": lambda matte: np.where(np.arange(matte.size).reshape(matte.shape) == 0, np.float32(np.nan), matte),
    "beyond": lambda matte: matte * 3 - 1,
    "everywhere": np.ones_like,
    "nowhere": np.zeros_like,
}
ERRORS: dict[str, type[Exception]] = {"fails": RuntimeError, "no memory": MemoryError}
STALLS = "stalls"
STALL_S = 1.0
SEGMENTER_FAULTS = (*MATTES, *ERRORS, STALLS)


def segmenter_faults(seed: int) -> Iterator[str]:
    """Yield one of SEGMENTER_FAULTS per frame, without end: it works for a while, then fails for some frames."""
    rng = np.random.default_rng(seed)
    while True:
        yield from ["works"] * int(rng.integers(5, 60))
        kind = str(rng.choice(SEGMENTER_FAULTS))
        yield from [kind] * (1 if kind == STALLS else int(rng.integers(1, 12)))


class FaultySegmenter:
    """Know the true matte of a synthetic scene by its colours, and fail on purpose.

    Args:
        faults: one of SEGMENTER_FAULTS per frame. The segmenter works when they end.
        sleep: waits for so many seconds.
    """

    def __init__(self, faults: Iterator[str], sleep: Callable[[float], object] = time.sleep) -> None:
        self._faults, self._sleep = faults, sleep

    def __call__(self, image: Image) -> Matte:
        fault = next(self._faults, "works")
        if fault == STALLS:
            self._sleep(STALL_S)
        if fault in ERRORS:
            raise ERRORS[fault]("on purpose")
        truth = np.where(is_room(image), np.float32(0), np.float32(1))
        return np.asarray(MATTES.get(fault, MATTES["works"])(truth), np.float32)
