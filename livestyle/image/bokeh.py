"""The background as a lens with a wide aperture shows it: every point of light a disc."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

Spectrum = NDArray[np.float32]

RADIUS = 1 / 16  # of the discs, as a share of the height, at full strength
SPARK = 0.9  # brightness of 0..1 from which a light is brighter than the picture can tell
SPARKLE = 6.0  # how many times as bright it may be
BROAD = 0.3  # share of bright pixels around one, from which it is no light but a sky or a wall
FAINT = 0.02  # share of the plane in a disc's reach, below which the colours around it fill in
FAR = 8  # times smaller is the picture that those colours are of

LEVELS = np.linspace(0, 1, 256, dtype=np.float32)
LINEAR = LEVELS ** np.float32(2.2)
SPARKS = np.square(np.clip((LEVELS - SPARK) / (1 - SPARK), 0, 1))


def bokeh_plane(image: Image, feed: Matte, strength: float, pixels: int) -> Image:
    """A picture blurred by a disc, in linear light, that only one plane's pixels feed.

    Points brighter than the picture can tell are taken for lights and made brighter, or their discs would be dim.

    Args:
        image, feed: 1 on the plane, of the same size.
        strength: 0..1 for discs of a radius of up to a sixteenth of the height.
        pixels: at most a quarter of so many are computed.
    """
    size = size_of(image)
    small = at_most(size, min(pixels, size[0] * size[1]) // 4)
    shrunk, near = fit(image, small), fit_matte(feed, small)
    # The matte's soft rim still holds the other plane's colour: stay away from it.
    weight = np.clip(2 * near - 1, 0.0, 1.0).astype(np.float32)
    radius = strength * RADIUS * small[1]
    channels = [np.asarray(channel, np.uint8) for channel in cv2.split(shrunk)]
    shown = [LINEAR[channel] * weight for channel in channels]
    bright = sparkle(channels, radius)
    *lights, mass = spread([*(channel * bright for channel in shown), weight], radius)
    fill = surroundings([*shown, weight])
    mass += FAINT
    blurred = [(light + FAINT * far) / mass for light, far in zip(lights, fill, strict=True)]
    result = 255 * cv2.pow(np.clip(cv2.merge(blurred), 0, 1), 1 / 2.2) + 0.5
    return np.asarray(cv2.resize(result.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR), np.uint8)


def sparkle(channels: Sequence[NDArray[np.uint8]], radius: float) -> Matte:
    """How many times as bright as it shows each pixel is taken to be."""
    sparks = SPARKS[np.maximum(np.maximum(channels[0], channels[1]), channels[2])]
    side = 2 * int(2 * radius) + 1
    broad = np.minimum(cv2.blur(sparks, (side, side)) / BROAD, 1)
    return np.asarray(1 + (SPARKLE - 1) * sparks * (1 - broad), np.float32)


def surroundings(planes: list[Matte]) -> list[Matte]:
    """Of three colours times a weight, and that weight: the weighted mean of each colour far around each pixel."""
    height, width = planes[0].shape
    far = max(1, width // FAR), max(1, height // FAR)
    tiny = [cv2.resize(plane, far, interpolation=cv2.INTER_AREA) for plane in planes]
    *colors, mass = (cv2.GaussianBlur(plane, (0, 0), max(1.0, far[1] / 6)) for plane in tiny)
    return [np.asarray(cv2.resize(color / np.maximum(mass, 1e-3), (width, height)), np.float32) for color in colors]


def spread(planes: list[Matte], radius: float) -> list[Matte]:
    """Four planes, each blurred by a disc of a radius in pixels, by way of their spectra.

    Two real planes travel as one complex one: the disc's spectrum is real.
    """
    (height, width), reach = planes[0].shape, int(np.ceil(radius))
    tall, wide = (cv2.getOptimalDFTSize(side + 2 * reach) for side in (height, width))
    rims = reach, tall - height - reach, reach, wide - width - reach
    results = list[Matte]()
    for pair in (planes[:2], planes[2:]):
        padded = cv2.copyMakeBorder(cv2.merge(pair), *rims, cv2.BORDER_REFLECT)
        waves = cv2.dft(padded, flags=cv2.DFT_COMPLEX_OUTPUT)
        cv2.multiply(waves, spectrum((tall, wide), radius), waves)
        blurred = cv2.dft(waves, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)
        inner = blurred[reach : reach + height, reach : reach + width]
        results += [np.asarray(plane, np.float32) for plane in cv2.split(inner)]
    return results


@lru_cache(4)
def spectrum(shape: tuple[int, int], radius: float) -> Spectrum:
    """Of a disc with a soft rim, whose weights sum to 1, around the corner of a picture: real, (H, W, 2) alike."""
    y, x = (np.minimum(np.arange(side), side - np.arange(side)) for side in shape)
    weights = np.clip(radius + 0.5 - np.hypot(y[:, None], x), 0, 1).astype(np.float32)
    real = cv2.dft(weights / weights.sum(), flags=cv2.DFT_COMPLEX_OUTPUT)[..., 0]
    return np.asarray(cv2.merge([real, real]), np.float32)
