"""How a picture is loaded whose style is read."""

from pathlib import Path

import cv2
import numpy as np

from livestyle.config.picture import WHOLE, Region
from livestyle.errors import UserError
from livestyle.image.io import load_image
from livestyle.image.pixels import crop_middle, fit_short, grayscale
from livestyle.image.types import Image, size_of

READ_SIDE_PX = 384  # the largest short side, which gives strokes of a fair size at 360p
MIN_SIDE_PX = 96  # smaller pictures show no strokes
MAX_ASPECT = 4  # of longer pictures, only the middle is used
EDGE = 2.0  # grey levels from a pixel to the next that are an edge, after a blur by one pixel
FLAT_SHARE = 0.05  # of a picture's pixels that are at an edge, below which it shows no strokes


def load_style_picture(file: Path, region: Region = WHOLE) -> Image:
    """Load a picture with a short side of at most READ_SIDE_PX; of a long scroll, the middle.

    Args:
        file: of the picture; region: x, y, width and height of the part to load, in shares of the picture.

    Raises:
        UserError: it cannot be read, or the part is too small.
    """
    x, y, width, height = region
    whole = load_image(file, round(2 * READ_SIDE_PX / max(0.1, min(width, height))))
    w, h = size_of(whole)
    part = whole[round(y * h) : round((y + height) * h), round(x * w) : round((x + width) * w)]
    image = crop_middle(np.ascontiguousarray(part), MAX_ASPECT)
    if min(size_of(image)) < MIN_SIDE_PX:
        what = f"{file}" if region == WHOLE else f"That part of {file}"
        raise UserError(f"{what} is too small to show a stroke.", f"Give {MIN_SIDE_PX} pixels to a side.")
    return fit_short(image, READ_SIDE_PX) if min(size_of(image)) > READ_SIDE_PX else image


def edge_share(picture: Image) -> float:
    """Return the share of a picture's pixels that are at an edge: of paintings and photos more than 0.18.

    Args:
        picture: uint8 (H, W, 3) RGB, as `load_style_picture` returns it.
    """
    gray = cv2.GaussianBlur(grayscale(picture).astype(np.float32), (0, 0), 1)
    across, down = np.diff(gray, axis=1)[:-1], np.diff(gray, axis=0)[:, :-1]
    return float(np.mean(np.hypot(across, down) > EDGE))
