"""The background as a lens with a wide aperture shows it: every point of light becomes a disc."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

Spectrum = NDArray[np.float32]

MAX_RADIUS_SHARE = 1 / 16  # radius of the discs at full strength, as a share of the height
HIGHLIGHT_LEVEL = 0.9  # in 0..1: from which a light is taken to be brighter than the picture can tell
HIGHLIGHT_GAIN = 6.0  # how many times as bright it may be
MAX_BRIGHT_SHARE = 0.3  # of bright pixels around one, from which it is no light but a sky or a wall
FILL_WEIGHT = 0.02  # share of the plane under a disc, below which the colours far around fill in
FILL_FACTOR = 8  # by how much the picture of those colours is smaller

LEVELS = np.linspace(0, 1, 256, dtype=np.float32)
LINEAR = LEVELS ** np.float32(2.2)  # linear light of each level
HIGHLIGHTS = np.square(np.clip((LEVELS - HIGHLIGHT_LEVEL) / (1 - HIGHLIGHT_LEVEL), 0, 1))


def bokeh_plane(image: Image, plane: Matte, strength: float, pixels: int) -> Image:
    """Blur a picture by a disc, in linear light, with the pixels of one plane alone.

    Points at the top of the picture's range are taken for lights and made brighter, or their discs would be dim.

    Args:
        image: uint8 (H, W, 3).
        plane: float32 (H, W), 1 on the plane.
        strength: 0..1, for discs with a radius of up to a sixteenth of the height.
        pixels: at most a quarter of so many are computed.
    """
    size = size_of(image)
    small = at_most(size, min(pixels, size[0] * size[1]) // 4)
    shrunk, near = fit(image, small), fit_matte(plane, small)
    # The matte's soft rim still holds the other plane's colour: stay away from it.
    weight = np.clip(2 * near - 1, 0.0, 1.0).astype(np.float32)
    radius = strength * MAX_RADIUS_SHARE * small[1]
    channels = [np.asarray(channel, np.uint8) for channel in cv2.split(shrunk)]
    shown = [LINEAR[channel] * weight for channel in channels]
    bright = highlight_gains(channels, radius)
    *lights, mass = disc_blur([*(channel * bright for channel in shown), weight], radius)
    fill = surroundings([*shown, weight])
    mass += FILL_WEIGHT
    blurred = [(light + FILL_WEIGHT * far) / mass for light, far in zip(lights, fill, strict=True)]
    result = 255 * cv2.pow(np.clip(cv2.merge(blurred), 0, 1), 1 / 2.2) + 0.5
    return np.asarray(cv2.resize(result.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR), np.uint8)


def highlight_gains(channels: Sequence[NDArray[np.uint8]], radius: float) -> Matte:
    """Return how many times as bright as shown each pixel is taken to be, float32 (H, W) from 1.

    Args:
        channels: red, green and blue, uint8 (H, W) each.
        radius: of the discs, in pixels.
    """
    bright = HIGHLIGHTS[np.maximum(np.maximum(channels[0], channels[1]), channels[2])]
    side = 2 * int(2 * radius) + 1
    broad = np.minimum(cv2.blur(bright, (side, side)) / MAX_BRIGHT_SHARE, 1)
    return np.asarray(1 + (HIGHLIGHT_GAIN - 1) * bright * (1 - broad), np.float32)


def surroundings(planes: list[Matte]) -> list[Matte]:
    """Return the weighted mean of each colour far around each pixel.

    Args:
        planes: three colours times a weight, and that weight, float32 (H, W) each.
    """
    height, width = planes[0].shape
    far = max(1, width // FILL_FACTOR), max(1, height // FILL_FACTOR)
    tiny = [cv2.resize(plane, far, interpolation=cv2.INTER_AREA) for plane in planes]
    *colors, mass = (cv2.GaussianBlur(plane, (0, 0), max(1.0, far[1] / 6)) for plane in tiny)
    return [np.asarray(cv2.resize(color / np.maximum(mass, 1e-3), (width, height)), np.float32) for color in colors]


def disc_blur(planes: list[Matte], radius: float) -> list[Matte]:
    """Blur four planes by a disc, by way of their spectra.

    Two real planes are transformed as one complex one, since the disc's spectrum is real.

    Args:
        planes: float32 (H, W) each.
        radius: in pixels.
    """
    (height, width), reach = planes[0].shape, int(np.ceil(radius))
    tall, wide = (cv2.getOptimalDFTSize(side + 2 * reach) for side in (height, width))
    rims = reach, tall - height - reach, reach, wide - width - reach
    results = list[Matte]()
    for pair in (planes[:2], planes[2:]):
        padded = cv2.copyMakeBorder(cv2.merge(pair), *rims, cv2.BORDER_REFLECT)
        waves = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
        cv2.multiply(waves, disc_spectrum((tall, wide), radius), waves)
        blurred = cv2.dft(waves, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
        inner = blurred[reach : reach + height, reach : reach + width]
        results += [np.asarray(plane, np.float32) for plane in cv2.split(inner)]
    return results


@lru_cache(4)
def disc_spectrum(shape: tuple[int, int], radius: float) -> Spectrum:
    """Return the spectrum of a disc with a soft rim around the corner of a picture.

    Its weights sum to 1. The spectrum is real, and stands in both channels of float32 (H, W, 2).
    """
    y, x = (np.minimum(np.arange(side), side - np.arange(side)) for side in shape)
    weights = np.clip(radius + 0.5 - np.hypot(y[:, None], x), 0, 1).astype(np.float32)
    real = cv2.dft(weights / weights.sum(), flags=cv2.DFT_COMPLEX_OUTPUT)[..., 0]
    return np.asarray(cv2.merge([real, real]), np.float32)
