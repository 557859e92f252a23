"""Synthetic scenes that tests and benchmarks draw."""

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.image.types import Image, Matte
from livestyle.types import Size

TELLTALE = ((255, 0, 255), (208, 0, 255))  # the room's stripes: colours that nothing else has
STRIPE = 8  # pixels


def scene(size: Size, seconds: float) -> tuple[Image, Matte]:
    """Return a grey person who sways before a striped room at a time, and the true matte of 0 and 1."""
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
    """Return a bool mask (H, W) of the pixels that are mostly the room's."""
    red, green, blue = (image[..., channel] for channel in range(3))
    return np.asarray((red > 144) & (green < 96) & (blue > 192))


def seed_of(text: str) -> int:
    """Return the seed in "faults:SEED".

    Raises:
        UserError: it is no number.
    """
    seed = text.partition(":")[2]
    if not (seed.isascii() and seed.isdecimal()):
        raise UserError(f"'{text}' names no faults.", "Give a number, such as faults:1.")
    return int(seed)
