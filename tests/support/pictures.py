"""Pictures for tests."""

import numpy as np

from livestyle.image.types import Image


def draw_card(width: int, height: int, seed: int = 0) -> Image:
    """Return coloured quadrants under a gradient with a little noise, so that a swap or mirroring is noticed."""
    image = np.zeros((height, width, 3), np.float64)
    for row, column, colour in (
        (0, 0, (220, 40, 30)),
        (0, 1, (30, 200, 60)),
        (1, 0, (40, 60, 210)),
        (1, 1, (230, 220, 60)),
    ):
        top, left = row * height // 2, column * width // 2
        image[top : top + (height + 1) // 2, left : left + (width + 1) // 2] = colour
    image *= np.linspace(0.6, 1.0, width)[None, :, None]
    image += np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)
