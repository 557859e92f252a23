"""How a picture is loaded whose style is read."""

from pathlib import Path

from livestyle.errors import UserError
from livestyle.image.io import load_image
from livestyle.image.pixels import crop_middle, fit_short
from livestyle.image.types import Image, size_of

READ_SIDE_PX = 384  # the largest short side, which gives strokes of a fair size at 360p
MIN_SIDE_PX = 96  # smaller pictures show no strokes
MAX_ASPECT = 4  # of longer pictures, only the middle is used


def load_style_picture(file: Path) -> Image:
    """Load a picture with a short side of at most READ_SIDE_PX; of a long scroll, the middle.

    Raises:
        UserError: it cannot be read, or is too small.
    """
    image = crop_middle(load_image(file, 2 * READ_SIDE_PX), MAX_ASPECT)
    if min(size_of(image)) < MIN_SIDE_PX:
        raise UserError(f"{file} is too small to show a stroke.", f"Give {MIN_SIDE_PX} pixels to a side.")
    return fit_short(image, READ_SIDE_PX) if min(size_of(image)) > READ_SIDE_PX else image
