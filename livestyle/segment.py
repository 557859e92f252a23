"""The person's matte: segment, smooth over time, refine the edge."""

import math
from collections.abc import Callable

import cv2
import numpy as np

from livestyle.crf import mean_field
from livestyle.engine import Engine
from livestyle.image import Image, Matte, fit, fit_matte, size_of
from livestyle.segmenters import (
    SEGMENTERS,
    Segmenter,
    class_numbers,
    load_foreign,
    people,
    refuse_model_file,
)
from livestyle.segmenters import input_size as input_size
from livestyle.settings import Settings, Size
from livestyle.weights import Card, find_card, find_cards

Sharpen = Callable[[Matte, Image], Matte]  # between the net and the guided filter

SHARPEN: dict[str, Sharpen | None] = {"guided": None, "crf": mean_field}  # by --refine
RADIUS = 0.015  # of the guided filter's window, as a share of the matte's short side
EPSILON = 1e-3  # contrast (variance of grey in 0..1) above which the filter takes an edge for one
SURE = 0.12  # mattes this near to 0 and 1 count as exactly those


def card_segmenter(card: Card, engine: Engine) -> Segmenter:
    """A segmenter of ours, its input scaled to the card's area in the picture's own shape."""
    net = engine.load(card)

    def segment(image: Image) -> Matte:
        small = fit(image, input_size(size_of(image), card.pixels, card.multiple))
        return np.asarray(net(small[None])[0], np.float32)

    return segment


def load_segmenter(settings: Settings, engine: Engine) -> tuple[str, Segmenter]:
    """The segmenter that the settings name, or the default one, and its name. A card goes before a foreign one.

    Raises:
        UserError: there is none of that name, it lacks something, or `keep` names what it does not know.
    """
    name = settings.segmenter
    if name in SEGMENTERS and name not in find_cards("segmenter", settings.models):
        return name, load_foreign(name, engine, settings)
    card = find_card("segmenter", name, settings.models, SEGMENTERS)
    class_numbers(card.name, settings.keep, people())
    refuse_model_file(card.name, settings)
    return card.name, card_segmenter(card, engine)


class Smoother:
    """Steadies mattes over time, without lag where they move.

    An exponential average whose memory fades with the disagreement of old and new: edges that stand still settle,
    edges that move are taken at once.

    Args:
        seconds: time constant of what agrees; tolerance: disagreement at which memory counts for nothing.
    """

    def __init__(self, seconds: float = 0.12, tolerance: float = 0.4) -> None:
        self.seconds, self.tolerance = seconds, tolerance
        self._matte: Matte | None = None
        self._time = 0.0

    def reset(self) -> None:
        """Forget; for a new source."""
        self._matte = None

    def __call__(self, matte: Matte, time: float) -> Matte:
        """The matte steadied; `time` in seconds. A jump back, a gap of half a second or a new size starts anew."""
        old, passed = self._matte, time - self._time
        if old is not None and old.shape == matte.shape and 0 <= passed < 0.5:
            trust = np.maximum(1 - cv2.absdiff(matte, old) / self.tolerance, 0)
            # Per 1/30 s, so that the same motion is trusted alike at any frame rate.
            keep = math.exp(-passed / self.seconds) * cv2.pow(trust, 30 * passed)
            matte = np.asarray(matte + keep * (old - matte), np.float32)
        self._matte, self._time = matte, time
        return matte


def refine(matte: Matte, image: Image) -> Matte:
    """The matte at the image's size, its edge drawn along the image's (fast guided filter, He and Sun 2015).

    Args:
        matte: of any smaller size.
        image: the picture that it belongs to.
    """
    gray: Matte = cv2.cvtColor(fit(image, size_of(matte)), cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    radius = max(1, round(RADIUS * min(matte.shape)))

    def mean(values: Matte) -> Matte:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1)).astype(np.float32, copy=False)

    mean_gray, mean_matte = mean(gray), mean(matte)
    covariance, variance = mean(gray * matte) - mean_gray * mean_matte, mean(gray * gray) - mean_gray * mean_gray
    slope = np.asarray(covariance / (variance + EPSILON), np.float32)
    offset = np.asarray(mean_matte - slope * mean_gray, np.float32)
    size = size_of(image)
    full = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
    full *= fit_matte(mean(slope), size)
    full *= 1 / 255
    full += fit_matte(mean(offset), size)
    full -= SURE
    full *= 1 / (1 - 2 * SURE)
    return np.asarray(np.clip(full, 0, 1, out=full), np.float32)


class Matting:
    """Image and time to matte at the image's size: segment, smooth, refine. Owns the memory over time."""

    def __init__(
        self, segmenter: Segmenter, smoother: Smoother | None = None, sharpen: Sharpen | None = None
    ) -> None:  # fmt: skip
        self._segment, self._smooth, self._sharpen = segmenter, smoother, sharpen
        self.size: Size = (0, 0)  # at which the segmenter last ran

    def __call__(self, image: Image, time: float = 0.0) -> Matte:
        small = self._segment(image)
        self.size = size_of(small)
        if self._smooth:
            small = self._smooth(small, time)
        return refine(self._sharpen(small, image) if self._sharpen else small, image)
