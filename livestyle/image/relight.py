"""The light of a new scene on a person: exposure, contrast and white balance, gently, as one curve for each channel."""

import math
from dataclasses import astuple, dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Image, Matte

Kind = TypeVar("Kind", bound=np.generic)

PIXELS = 5_000  # that statistics are taken of
NORM = 4.0  # of the shades of grey (Finlayson and Trezzi 2004): between the mean and the brightest
SHARES = {"exposure": 0.3, "contrast": 0.35, "white": 0.5}  # of the difference that are made up for
BOUNDS = {"exposure": 0.45, "contrast": 0.18, "white": 0.12}  # at most, as logarithms
COLOURED = 0.2  # logarithm: no light is more coloured than this, but walls are
SECONDS, GAP = 0.7, 1.0  # time constant over frames; after which it starts anew
LEVELS = np.linspace(0, 1, 256)
POWERS = LEVELS ** (2.2 * NORM)  # of linear light


@dataclass(frozen=True)
class Light:
    """What is done to a person, all as natural logarithms.

    Args:
        exposure: of the gain in linear light; contrast: of the gain about `middle`, a brightness in 0..1.
        red, green, blue: gains in linear light, which leave the brightness.
    """

    exposure: float = 0.0
    contrast: float = 0.0
    middle: float = 0.5
    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0

    def __call__(self, image: Image) -> Image:
        """The image in this light."""
        return np.asarray(cv2.LUT(image, self.curves), np.uint8)

    @property
    def curves(self) -> NDArray[np.uint8]:
        """For each level, the new ones of red, green and blue, (1, 256, 3)."""
        gains = np.exp(self.exposure + np.array((self.red, self.green, self.blue)))
        light = LEVELS[:, None] ** 2.2
        # Where it becomes brighter, white stays white: a shoulder in place of a cut.
        lit = light * gains / (1 + np.maximum(gains - 1, 0) * light)
        contrast = math.exp(self.contrast)
        curves = self.middle + contrast * (lit ** (1 / 2.2) - self.middle)
        return np.asarray(np.clip(curves, 0, 1) * 255 + 0.5, np.uint8)[None]


def light_of(person: Image, matte: Matte, before: Image, scene: Image) -> Light:
    """The light that takes a person from one scene to another.

    Args:
        person: with its matte, of one size; before: the picture that it comes from; scene: where it goes to, or the
            part of it that is near.
    """
    weight = sampled(matte).astype(np.float64)
    if weight.sum() < 1e-3 * weight.size:
        return Light()
    own, old, new = sampled(person), sampled(before), sampled(scene)
    mine, theirs = spread(brightness(own), weight), spread(brightness(new), None)
    white = gentle("white", illuminant(new) - illuminant(old))
    red, green, blue = white - white @ (0.21, 0.72, 0.07)
    return Light(
        float(gentle("exposure", 2.2 * np.log((theirs[0] + 0.05) / (mine[0] + 0.05)))),
        float(gentle("contrast", np.log((theirs[1] + 0.03) / (mine[1] + 0.03)))),
        mine[0], float(red), float(green), float(blue),
    )  # fmt: skip


def gentle(kind: str, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """A share of a difference, within bounds that it nears smoothly."""
    bound = BOUNDS[kind]
    return bound * np.tanh(SHARES[kind] * difference / bound)


def sampled(image: NDArray[Kind]) -> NDArray[Kind]:
    """Every so many-th pixel: as many as statistics need."""
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // PIXELS))
    return np.ascontiguousarray(image[::step, ::step])


def brightness(image: Image) -> NDArray[np.float64]:
    """Luma in 0..1."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255


def spread(values: NDArray[np.float64], weight: NDArray[np.float64] | None) -> tuple[float, float]:
    """Weighted mean and standard deviation."""
    mean = float(np.average(values, weights=weight))
    return mean, math.sqrt(float(np.average((values - mean) ** 2, weights=weight)))


def illuminant(image: Image) -> NDArray[np.float64]:
    """The colour of the light, as logarithms of red, green and blue, by the shades of grey in linear light."""
    light = np.log(POWERS[image.reshape(-1, 3)].mean(0) + 1e-6) / NORM
    return np.asarray(COLOURED * np.tanh((light - light.mean()) / COLOURED))


class AutoLight:
    """Puts a person into the light of a scene, steadily from frame to frame.

    Args:
        seconds: time constant; 0 where each picture stands alone.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._light, self._time = seconds, Light(), -math.inf

    def __call__(self, person: Image, matte: Matte, before: Image, scene: Image, time: float) -> Image:
        """As `light_of`; a jump back or a gap starts anew."""
        wanted, passed = light_of(person, matte, before, scene), time - self._time
        keep = math.exp(-passed / self._seconds) if self._seconds and 0 <= passed < GAP else 0.0
        mixed = keep * np.array(astuple(self._light)) + (1 - keep) * np.array(astuple(wanted))
        self._light, self._time = Light(*map(float, mixed)), time
        return self._light(person)
