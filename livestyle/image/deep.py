"""Pictures with more than 8 bits a value, whose ranges differ, in 0..255."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

WHITES = (1.0, 255.0, 65535.0, 2.0**32 - 1)  # what white may be; 1 in floats alone
SPARKLE_PERCENT = 0.5  # of floats: those above white
MAX_SPARKLE = 1.5  # times white, in the rest: sharpening leaves that
SAMPLED = 1_000_000  # values, to find white
WIDTH, HEIGHT, ORIENTATION, PROFILE = 256, 257, 274, 34675  # tags of TIFF


def to_levels(values: NDArray[Any], white: float | None = None) -> NDArray[np.uint8]:
    """Convert values to 0..255, rounded. What is no number becomes black.

    Args:
        values: of any shape and type.
        white: the value of white; None finds it among WHITES.
    """
    white = find_white(values) if white is None else white
    scaled = np.nan_to_num(values * np.float32(255 / white), nan=0.0, posinf=255.0, neginf=0.0)
    return np.asarray(np.clip(scaled, 0, 255) + 0.5, np.uint8)


def find_white(values: NDArray[Any]) -> float:
    """Return the least of WHITES that the values fit in."""
    if values.dtype.kind != "f":
        return next(white for white in WHITES[1:] if values.max(initial=0) <= white)
    some = values.reshape(-1)[:: max(1, values.size // SAMPLED)]
    some = some[np.isfinite(some)]
    bright = np.percentile(some, 100 - SPARKLE_PERCENT) if some.size else 0.0
    return next((white for white in WHITES if bright <= MAX_SPARKLE * white), float(bright))


def to_grey(picture: "PilImage") -> "PilImage":
    """Convert a picture of Pillow's modes I and F, whose own `convert` clips, to mode L."""
    from PIL import Image as Pil

    return Pil.fromarray(to_levels(np.asarray(picture), 65535.0 if picture.mode.startswith("I;16") else None))


def open_tiff(path: Path, max_pixels: int) -> "PilImage":
    """Open a TIFF of a kind that Pillow lacks by OpenCV: colours in floats, or one channel after the other.

    Returns:
        A picture of mode L, RGB or RGBA, with its profile and orientation.

    Raises:
        SyntaxError, ValueError, LookupError, OSError: it is no TIFF, damaged, too large, or OpenCV lacks it, too.
    """
    from PIL import Image as Pil
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with path.open("rb") as file:
        header = file.read(16)
        tags = ImageFileDirectory_v2(header[: 16 if 43 in header[2:4] else 8])
        file.seek(tags.next)
        tags.load(file)
    if tags[WIDTH] * tags[HEIGHT] > max_pixels:
        raise ValueError(f"over {max_pixels} pixels")
    try:
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from None
    if values is None:
        raise ValueError("OpenCV does not read it")
    picture, exif = Pil.fromarray(opaque_and_alpha(values)), Pil.Exif()
    exif[ORIENTATION] = tags.get(ORIENTATION, 1)
    picture.info.update(icc_profile=tags.get(PROFILE, b""), exif=exif.tobytes())
    return picture


def opaque_and_alpha(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert what OpenCV read, (H, W), BGR or BGRA, to uint8 grey, RGB or RGBA. Alpha has a range of its own."""
    if values.ndim == 2:
        return to_levels(values)
    rgb = to_levels(np.ascontiguousarray(values[..., 2::-1]))
    return np.dstack([rgb, to_levels(values[..., 3])]) if values.shape[2] == 4 else rgb
