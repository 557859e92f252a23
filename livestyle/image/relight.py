"""The light of a new scene on a person: exposure, contrast and white balance, as one curve for each channel."""

import math
from dataclasses import astuple, dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Image, Matte

Kind = TypeVar("Kind", bound=np.generic)

SAMPLED_PIXELS = 5_000  # for statistics
MINKOWSKI_NORM = 4.0  # of the shades of grey (Finlayson and Trezzi 2004): between the mean and the brightest
MATCH_SHARES = {"exposure": 0.4, "contrast": 0.35, "white": 0.85}  # of the difference that are made up for
MAX_LOG_GAINS = {"exposure": 0.6, "contrast": 0.18, "white": 0.55}  # natural logarithms
MAX_CAST = 0.6  # natural logarithm: a stronger colour is that of walls, not of light
SMOOTHING_S = 0.7  # time constant over frames
MAX_GAP_S = 1.0  # after which smoothing starts anew
LEVELS = np.linspace(0, 1, 256)
POWERS = LEVELS ** (2.2 * MINKOWSKI_NORM)  # of linear light


@dataclass(frozen=True)
class Light:
    """A change of light. Gains are natural logarithms, in linear light except for the contrast.

    Args:
        exposure: gain of all channels.
        contrast: gain about `middle`.
        middle: a brightness in 0..1.
        red, green, blue: gains of one channel, which together leave the brightness.
    """

    exposure: float = 0.0
    contrast: float = 0.0
    middle: float = 0.5
    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0

    def __call__(self, image: Image) -> Image:
        """Return an image, uint8 (H, W, 3), in this light."""
        return np.asarray(cv2.LUT(image, self.curves), np.uint8)

    @property
    def curves(self) -> NDArray[np.uint8]:
        """For each level, the new levels of red, green and blue, uint8 (1, 256, 3)."""
        gains = np.exp(self.exposure + np.array((self.red, self.green, self.blue)))
        light = LEVELS[:, None] ** 2.2
        # Where it becomes brighter, white stays white: a shoulder in place of a cut.
        lit = light * gains / (1 + np.maximum(gains - 1, 0) * light)
        contrast = math.exp(self.contrast)
        curves = self.middle + contrast * (lit ** (1 / 2.2) - self.middle)
        return np.asarray(np.clip(curves, 0, 1) * 255 + 0.5, np.uint8)[None]


def light_of(person: Image, matte: Matte, before: Image, scene: Image) -> Light:
    """Return the change of light that takes a person from one scene to another.

    Args:
        person: uint8 (H, W, 3); matte: float32 (H, W).
        before: the picture that the person comes from.
        scene: the picture that the person goes to, or the part of it that is near.
    """
    weight = subsample(matte).astype(np.float64)
    if weight.sum() < 1e-3 * weight.size:
        return Light()
    own, old, new = subsample(person), subsample(before), subsample(scene)
    mine, theirs = mean_and_deviation(brightness(own), weight), mean_and_deviation(brightness(new), None)
    white = damped("white", illuminant(new) - illuminant(old))
    red, green, blue = white - white @ (0.21, 0.72, 0.07)
    return Light(
        float(damped("exposure", 2.2 * np.log((theirs[0] + 0.05) / (mine[0] + 0.05)))),
        float(damped("contrast", np.log((theirs[1] + 0.03) / (mine[1] + 0.03)))),
        mine[0], float(red), float(green), float(blue),
    )  # fmt: skip


def damped(kind: str, difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a share of a difference, within a bound that it approaches smoothly."""
    bound = MAX_LOG_GAINS[kind]
    return bound * np.tanh(MATCH_SHARES[kind] * difference / bound)


def subsample(image: NDArray[Kind]) -> NDArray[Kind]:
    """Return every n-th pixel in both directions: as many as statistics need."""
    step = max(1, math.isqrt(image.shape[0] * image.shape[1] // SAMPLED_PIXELS))
    return np.ascontiguousarray(image[::step, ::step])


def brightness(image: Image) -> NDArray[np.float64]:
    """Return the luma, float64 (H, W) in 0..1."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255


def mean_and_deviation(values: NDArray[np.float64], weight: NDArray[np.float64] | None) -> tuple[float, float]:
    """Return the weighted mean and standard deviation."""
    mean = float(np.average(values, weights=weight))
    return mean, math.sqrt(float(np.average((values - mean) ** 2, weights=weight)))


def illuminant(image: Image) -> NDArray[np.float64]:
    """Estimate the colour of the light by the shades of grey in linear light (Finlayson and Trezzi 2004).

    Returns:
        Natural logarithms of red, green and blue, (3,), with a mean of 0.
    """
    light = np.log(POWERS[image.reshape(-1, 3)].mean(0) + 1e-6) / MINKOWSKI_NORM
    return np.asarray(MAX_CAST * np.tanh((light - light.mean()) / MAX_CAST))


class AutoLight:
    """Put a person into the light of a scene, smoothed over frames.

    Args:
        seconds: time constant; 0 where each picture stands alone.
    """

    def __init__(self, seconds: float = SMOOTHING_S) -> None:
        self._seconds, self._light, self._time = seconds, Light(), -math.inf

    def __call__(self, person: Image, matte: Matte, before: Image, scene: Image, time: float) -> Image:
        """Return the person in the light of the scene; a jump back in time or a gap starts anew.

        Args:
            person, matte, before, scene: as of `light_of`.
            time: of the frame, in seconds.
        """
        wanted, passed = light_of(person, matte, before, scene), time - self._time
        keep = math.exp(-passed / self._seconds) if self._seconds and 0 <= passed < MAX_GAP_S else 0.0
        mixed = keep * np.array(astuple(self._light)) + (1 - keep) * np.array(astuple(wanted))
        self._light, self._time = Light(*map(float, mixed)), time
        return self._light(person)
