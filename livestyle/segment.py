"""The person's matte: segment, smooth over time, refine the edge."""

import atexit
import math
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from livestyle.engine import Engine
from livestyle.errors import UserError
from livestyle.image import Image, Matte, fit, fit_matte, size_of
from livestyle.settings import Size
from livestyle.weights import Card, find_card, find_cards, model_folders

Segmenter = Callable[[Image], Matte]  # any size in, the net's own size out

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


def mediapipe_segmenter(models: Path | None) -> Segmenter:
    """MediaPipe's selfie segmentation, for comparison; it ships no model, so the user brings one.

    Raises:
        UserError: the package or the model is missing.
    """
    os.environ.setdefault("GLOG_minloglevel", "3")
    try:
        from mediapipe import Image as MpImage
        from mediapipe import ImageFormat
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import ImageSegmenter, ImageSegmenterOptions
    except ImportError:
        raise UserError(
            "The segmenter 'mediapipe' is not installed.", "Run: pip install 'livestyle[mediapipe]'"
        ) from None
    places = [folder / "segmenters" / "mediapipe" for folder in model_folders(models)]
    files = [file for place in places for file in sorted(place.glob("*.tflite"))]
    if not files:
        raise UserError(
            "The segmenter 'mediapipe' has no model.",
            "Put selfie_segmenter.tflite into MODELS/segmenters/mediapipe and name MODELS with --models.",
        )
    options = ImageSegmenterOptions(
        base_options=BaseOptions(model_asset_buffer=files[0].read_bytes()), output_confidence_masks=True
    )
    task = ImageSegmenter.create_from_options(options)
    atexit.register(task.close)  # left to the interpreter's end, it complains

    def segment(image: Image) -> Matte:
        small = fit(image, input_size(size_of(image), 256 * 256, 1))
        masks = task.segment(MpImage(ImageFormat.SRGB, np.ascontiguousarray(small))).confidence_masks
        return np.array(masks[-1].numpy_view(), np.float32).reshape(small.shape[:2])

    return segment


SEGMENTERS: dict[str, Callable[[Path | None], Segmenter]] = {"mediapipe": mediapipe_segmenter}  # beside the cards


def load_segmenter(name: str | None, engine: Engine, models: Path | None = None) -> tuple[str, Segmenter]:
    """A segmenter by name, or the default one, and its name.

    Raises:
        UserError: there is none of that name, or it lacks something.
    """
    if name in SEGMENTERS and name not in find_cards("segmenter", models):
        return name, SEGMENTERS[name](models)
    card = find_card("segmenter", name, models)
    return card.name, card_segmenter(card, engine)


def input_size(size: Size, pixels: int, multiple: int) -> Size:
    """The size of about `pixels` pixels, in the shape of `size` (at most 3:1), whose sides are multiples."""
    shape = min(3.0, max(1 / 3, size[0] / size[1]))
    width, height = (pixels * shape) ** 0.5, (pixels / shape) ** 0.5
    return max(1, round(width / multiple)) * multiple, max(1, round(height / multiple)) * multiple


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

    def __init__(self, segmenter: Segmenter, smoother: Smoother | None = None) -> None:
        self._segment, self._smooth = segmenter, smoother
        self.size: Size = (0, 0)  # at which the segmenter last ran

    def __call__(self, image: Image, time: float = 0.0) -> Matte:
        small = self._segment(image)
        self.size = size_of(small)
        return refine(self._smooth(small, time) if self._smooth else small, image)
