"""Faults on purpose, for tests: a scene with a known matte, a camera that fails to show it, a segmenter that fails."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.settings import Size
from livestyle.errors import UserError
from livestyle.image.pixels import Image, Matte

TELLTALE = ((255, 0, 255), (208, 0, 255))  # the room's stripes: colours that nothing else has
STRIPE = 8  # pixels


def scene(size: Size, seconds: float) -> tuple[Image, Matte]:
    """A grey person who sways before a striped room, at a time; and the true matte, of 0 and 1."""
    width, height = size
    room = np.where((np.arange(width) // STRIPE % 2 == 0)[None, :, None], *np.array(TELLTALE, np.uint8)[:, None, None])
    image = np.ascontiguousarray(np.broadcast_to(room, (height, width, 3)), np.uint8)
    matte = np.zeros((height, width), np.uint8)
    middle = round(width / 2 + 0.15 * height * np.sin(2 * seconds))
    for y, across, down in ((0.4, 0.14, 0.2), (1.1, 0.34, 0.55)):  # head and shoulders
        cv2.ellipse(
            matte, (middle, round(y * height)), (round(across * height), round(down * height)), 0, 0, 360, 1, -1
        )
    shade = np.broadcast_to(np.linspace(200, 60, height).astype(np.uint8)[:, None, None], image.shape)
    return np.where(matte[..., None] > 0, shade, image), matte.astype(np.float32)


def is_room(image: Image) -> NDArray[np.bool_]:
    """Which pixels, (H, W), are mostly the room's."""
    red, green, blue = (image[..., channel] for channel in range(3))
    return np.asarray((red > 144) & (green < 96) & (blue > 192))


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


def seed_of(text: str) -> int:
    """The seed in "faults:SEED".

    Raises:
        UserError: it is no number.
    """
    seed = text.partition(":")[2]
    if not (seed.isascii() and seed.isdecimal()):
        raise UserError(f"'{text}' names no faults.", "Give a number, such as faults:1.")
    return int(seed)


def scaled(size: Size, scale: float) -> Size:
    """A size that a camera changes to; sides are even."""
    width, height = (max(32, 2 * round(side * scale / 2)) for side in size)
    return width, height
