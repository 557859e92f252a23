"""Colour profiles (ICC): pictures are of sRGB inside, and may hold other values in files. littleCMS converts."""

from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Image

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

MODES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB"}  # Pillow's words for the spaces of profiles
NEAR_LEVELS = 2  # a profile that changes no colour by more is as good as sRGB
SAMPLES = np.linspace(0, 255, 9, dtype=np.uint8)  # of each channel


def to_srgb(picture: "PilImage", profile: bytes) -> Image:
    """Convert a picture to sRGB.

    Args:
        picture: opaque: of mode L, RGB, CMYK, LAB or one that Pillow converts to RGB.
        profile: what its values mean. One that is damaged, or of another kind of values, does not count.

    Returns:
        uint8 (H, W, 3).
    """
    from PIL import ImageCms

    if picture.mode == "LAB" and not profile:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    mode = MODES.get(profile[16:20])
    if mode == "RGB" and not differs(profile):
        profile = b""
    own = picture.convert("RGB") if mode == "RGB" else picture
    try:
        if profile and mode == own.mode:
            source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            own = ImageCms.profileToProfile(own, source, target, outputMode="RGB") or own
    except (ImageCms.PyCMSError, OSError):
        pass
    return np.array(own.convert("RGB"), np.uint8)


def from_srgb(image: Image, profile: bytes) -> Image:
    """Convert a picture from sRGB to a profile of RGB values.

    Args:
        image: uint8 (H, W, 3).

    Raises:
        ValueError: the profile is damaged, or can only be read.
    """
    from PIL import Image as Pil
    from PIL import ImageCms

    try:
        target = ImageCms.ImageCmsProfile(BytesIO(profile))
        return np.array(ImageCms.profileToProfile(Pil.fromarray(image), ImageCms.createProfile("sRGB"), target))
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(str(error)) from None


@lru_cache(64)
def differs(profile: bytes) -> bool:
    """Return whether a profile is one of RGB values that shows them in other colours than sRGB does."""
    from PIL import Image as Pil
    from PIL import ImageCms

    colors = np.stack(np.meshgrid(SAMPLES, SAMPLES, SAMPLES), -1).reshape(-1, len(SAMPLES), 3)
    try:
        own = ImageCms.ImageCmsProfile(BytesIO(profile))
        shown = ImageCms.profileToProfile(Pil.fromarray(colors), own, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):
        return False
    return bool(np.abs(np.asarray(shown, np.int16) - colors).max() > NEAR_LEVELS)


def in_profile(image: NDArray[np.uint8], own: Image, profile: bytes) -> NDArray[np.uint8]:
    """Return a picture in the values of a profile. Pixels that were left alone keep their own values exactly.

    Args:
        image: uint8 (H, W, 3) or (H, W, 4) in sRGB, made from the picture that `own` is.
        own: uint8 (H, W, 3) in the profile.

    Raises:
        ValueError: as of `from_srgb`.
    """
    from PIL import Image as Pil

    result = image.copy()
    result[..., :3] = from_srgb(np.ascontiguousarray(image[..., :3]), profile)
    if own.shape[:2] == image.shape[:2]:
        same = (image[..., :3] == to_srgb(Pil.fromarray(own), profile)).all(-1)
        result[same, :3] = own[same]
    return result
