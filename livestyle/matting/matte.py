"""The person's matte: segment, smooth over time, refine the edge."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.settings import TRAINABLE, Settings, Size
from livestyle.errors import UserError
from livestyle.image.pixels import Image, Matte, fit, fit_matte, grid, pad_to, person_alone, size_of
from livestyle.image.synthetic import FaultySegmenter, seed_of, segmenter_faults
from livestyle.matting.closed_form import foreground, need_pymatting, solve_matte
from livestyle.matting.crf import mean_field
from livestyle.matting.published import SEGMENTERS, Segmenter, class_numbers, load_foreign, people, refuse_model_file
from livestyle.nets.engine import Engine
from livestyle.nets.library import Card, find_card, find_cards

Gray = NDArray[np.uint8]  # (H, W)
Sharpen = Callable[[Matte, Image], Matte]

CHANGE = 0.04  # of grey in 0..1 between frames, at which a pixel is no longer the one that it was
BEND = 0.15  # pixels by which the flow differs from its surroundings' where an edge moves
NOISE = 0.03  # the most of a camera's noise that does not count as change
FLOW_LEAST = 24  # pixels: flow needs a picture of some size
RADIUS = 0.01  # of the guided filter's window, as a share of the matte's short side
EPSILON = 3e-3  # contrast (variance of grey in 0..1) above which the filter takes an edge for one
CALM = 3e-2  # the same for frames in a row: with less, noise and movement would redraw the edge in each
STRETCH = 1.04  # of a picture to the multiple that its net asks for: a webcam's 16:9 needs no margin
ROUNDING = 1e-3  # by which a matte may be beyond 0..1
FULL, NEARLY = 0.98, 0.8  # shares of the picture from which the person fills it, or soon may
RISE = 0.3  # seconds from nearly to full, below which that was no person who came nearer
SURE = 0.2  # mattes this near to 0 and 1 count as exactly those


@dataclass(frozen=True)
class Refinement:
    """What draws a matte's edge beside the guided filter.

    Args:
        before: sharpens the net's own matte; after: what the filter made of it.
        alone: gives the person's own colours where the matte is soft.
        check: raises UserError where something is missing.
    """

    before: Sharpen | None = None
    after: Sharpen | None = None
    alone: Callable[[Image, Matte], Image] = person_alone
    check: Callable[[], None] = lambda: None

    @property
    def is_slow(self) -> bool:
        """Whether it is for stills only."""
        return bool(self.before or self.after)


GUIDED = Refinement()
REFINEMENTS = {  # by --refine
    "guided": GUIDED,
    "crf": Refinement(before=mean_field),
    "matting": Refinement(after=solve_matte, alone=foreground, check=need_pymatting),
}


class CardSegmenter:
    """A segmenter of ours, its input within the card's area; what `scaled_size` leaves of it is reflected."""

    def __init__(self, card: Card, engine: Engine) -> None:
        self.card, self.net = card, engine.load(card)

    def __call__(self, image: Image) -> Matte:
        width, height = self.size(size_of(image))
        matte = self.net(pad_to(fit(image, (width, height)), self.card.multiple)[None])[0]
        return np.ascontiguousarray(matte[:height, :width], np.float32)

    def size(self, size: Size) -> Size:
        """Of the matte of a picture of some size."""
        return scaled_size(size, self.card.pixels, self.card.multiple)


def scaled_size(size: Size, pixels: int, multiple: int) -> Size:
    """The largest size in the shape of `size` (at most 3:1) that fits an area of `pixels` in sides of multiples.

    The height is a multiple; the width is one where the picture need not be stretched by more than STRETCH, else a
    margin is left beside it: stretched by 7 %, portraits came out worse (docs/measurements.md). None below: people are
    cut off there, and a mirrored one has two bodies.
    """
    shape = min(3.0, max(1 / 3, size[0] / size[1]))

    def width(height: int) -> int:
        wide = math.ceil(height * shape / multiple - 1e-6) * multiple
        return wide if wide <= height * shape * STRETCH else max(1, int(height * shape))

    def area(height: int) -> int:
        return math.ceil(width(height) / multiple) * multiple * height

    height = max(height for height in range(multiple, 4 * multiple + math.isqrt(3 * pixels), multiple)
                 if height == multiple or area(height) <= pixels)  # fmt: skip
    return width(height), height


def load_segmenter(settings: Settings, engine: Engine) -> tuple[str, Segmenter]:
    """The segmenter that the settings name, or the default one, and its name. A card goes before a foreign one.

    Raises:
        UserError: there is none of that name, it lacks something, or `keep` names what it does not know.
    """
    name = settings.segmenter
    if name and name.startswith("faults:"):  # for tests, and in no list
        return name, FaultySegmenter(segmenter_faults(seed_of(name)))
    if name is not None and name not in find_cards("segmenter", settings.models):
        if name in SEGMENTERS:
            return name, load_foreign(name, engine, settings)
        if name in TRAINABLE:
            command = f"livestyle train segmenter {name} --data PAIRS --rooms ROOMS --perceptual NETS"
            raise UserError(f"The segmenter '{name}' is not trained here.", f"Run: {command}")
    card = find_card("segmenter", name, settings.models, [*SEGMENTERS, *TRAINABLE])
    class_numbers(card.name, settings.keep, people())
    refuse_model_file(card.name, settings)
    return card.name, CardSegmenter(card, engine)


class Smoother:
    """Steadies mattes over time, without lag where something moves.

    The last steadied matte is carried along the optical flow (DIS, Kroeger et al. 2016) and averaged with the new one.
    How much it counts fades with the time passed, with how far the picture itself differs from what the flow brought
    there, and where the flow bends, as it does along an edge that moves: a change that the picture does not show is
    flicker, one that it shows is taken at once, so that a fast hand leaves no ghost.

    Args:
        seconds: time constant of what has not changed.
    """

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds = seconds
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._last: tuple[Matte, Gray, float] | None = None

    def reset(self) -> None:
        """Forget; for a new source."""
        self._last = None

    def __call__(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """The matte steadied. A jump back, a gap of half a second, a new size or a cut starts anew.

        Args:
            gray: the picture, of the matte's size; time: in seconds.
        """
        if self._last is not None:
            old, old_gray, old_time = self._last
            passed = time - old_time
            if old.shape == matte.shape and 0 <= passed < 0.5:
                carried, trust = self._carry(old, old_gray, gray)
                trust *= math.exp(-passed / self.seconds)
                matte = np.asarray(matte + trust * (carried - matte), np.float32)
        self._last = matte, gray, time
        return matte

    def _carry(self, old: Matte, before: Gray, now: Gray) -> tuple[Matte, Matte]:
        """The old matte where its pixels are now, and how far each of them can be trusted, in 0..1."""
        if min(now.shape) < FLOW_LEAST:
            return old, np.exp(-((cv2.absdiff(now, before) / np.float32(255 * CHANGE)) ** 2))
        flow = self._flow.calc(now, before, None)  # type: ignore[call-overload]
        places = flow + grid(size_of(now))
        # Cubic: carried from frame to frame, a matte would soon be blurred by linear interpolation.
        carried = cv2.remap(old, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(before, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        change = cv2.blur(cv2.absdiff(now, seen), (5, 5)).astype(np.float32) / np.float32(255)
        noise = min(float(np.median(change[::4, ::4])), NOISE)
        bend = np.maximum(
            *cv2.split(cv2.absdiff(flow, cv2.blur(flow, (9, 9))))
        )  # NumPy's max(2) takes twenty times longer
        return np.clip(carried, 0, 1), np.exp(-np.square(np.maximum(change - noise, 0) / CHANGE) - bend / BEND)


class MainPerson:
    """Leaves one person of several in the matte: the largest and nearest to the middle, and the same one as before.

    People whose mattes touch count as one.
    """

    def __init__(self) -> None:
        self._before: Matte | None = None

    def __call__(self, matte: Matte) -> Matte:
        """The matte without the others; soft pixels belong to the nearest person."""
        count, labels, boxes, centres = cv2.connectedComponentsWithStats((matte > 0.5).astype(np.uint8))
        if count > 2:
            middle = matte.shape[1] / 2
            aside = np.abs(centres[1:, 0] - middle) / middle
            score = boxes[1:, cv2.CC_STAT_AREA] * (1.5 - aside)
            if self._before is not None and self._before.shape == matte.shape:
                score = score + 3 * np.bincount(labels.ravel(), self._before.ravel(), count)[1:]
            main = labels == 1 + int(np.argmax(score))
            others = (labels > 0) & ~main
            matte = np.where(distance(main) <= distance(others), matte, np.float32(0))
        self._before = matte
        return matte


def distance(mask: NDArray[np.bool_]) -> Matte:
    """Of each pixel to the mask, in pixels."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3), np.float32)


def grayscale(image: Image) -> Gray:
    """The picture's luma."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def refine(matte: Matte, gray: Gray, small: Gray | None = None, epsilon: float = EPSILON) -> Matte:
    """The matte at the picture's size, its edge drawn along the picture's (fast guided filter, He and Sun 2015).

    Args:
        matte: of any smaller size.
        gray: the picture that it belongs to; small: the same at the matte's size, where it is at hand.
        epsilon: contrast (variance of grey in 0..1) above which an edge of the picture is one of the matte.
    """
    small = fit(gray, size_of(matte)) if small is None else small
    radius = max(1, round(RADIUS * min(matte.shape)))

    def mean(values: NDArray[Any]) -> Matte:  # integers are summed twice as fast as floats
        return np.asarray(cv2.boxFilter(values, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1)), np.float32)

    mean_gray, mean_matte = mean(small), mean(matte)
    slope: Matte = mean(small * matte) - mean_gray * mean_matte
    slope /= mean(np.multiply(small, small, dtype=np.uint16)) - mean_gray * mean_gray + np.float32(epsilon * 255**2)
    offset = mean_matte - slope * mean_gray
    # The full size is costly: what scales and shifts the result is done here, where it is small.
    gain = np.float32(1 / (1 - 2 * SURE))
    slope, offset = mean(slope) * gain, np.asarray((mean(offset) - np.float32(SURE)) * gain, np.float32)
    full = gray.astype(np.float32)
    full *= fit_matte(slope, size_of(gray))
    full += fit_matte(offset, size_of(gray))
    return np.asarray(np.clip(full, 0, 1, out=full), np.float32)


class UnsafeMatteError(RuntimeError):
    """A matte that might uncover what must be hidden; whatever computed it did not fail."""


class Jumps:
    """Tells a matte that jumps to the whole picture from a person who comes so near: that one fills it step by step.

    A whole matte without such steps, the first one too, is refused for as long as it lasts.
    """

    def __init__(self) -> None:
        self._since: float | None = None  # when it became nearly full
        self._last = -math.inf

    def check(self, matte: Matte, time: float) -> None:
        """Raises UnsafeMatteError for a jump; time: in seconds."""
        share = float(cv2.mean(matte)[0])
        if not 0 <= time - self._last < RISE or share <= NEARLY:
            self._since = None  # what happened in a gap nobody knows
        self._last = time
        if share >= FULL and (self._since is None or time - self._since < RISE):
            self._since = None
            raise UnsafeMatteError("the matte covers the whole picture at once")
        if self._since is None and share > NEARLY:
            self._since = time


class Matting:
    """Image and time to matte at the image's size: segment, smooth, refine. Owns the memory over time.

    Raises:
        UnsafeMatteError: a matte that is none, or jumps where `jumps` is set; others: what the segmenter raises.
    """

    def __init__(
        self, segmenter: Segmenter, smoother: Smoother | None = None, refinement: Refinement = GUIDED,
        choose: MainPerson | None = None,
    ) -> None:  # fmt: skip
        self.segmenter, self._smooth, self.refinement, self._choose = segmenter, smoother, refinement, choose
        self.size: Size = (0, 0)  # at which the segmenter last ran
        self.jumps: Jumps | None = None  # where a whole matte would uncover what must be hidden

    def take(self, segmenter: Segmenter) -> None:
        """Segment with another from now on; what is known of the time before stays."""
        self.segmenter = segmenter

    def __call__(self, image: Image, time: float = 0.0) -> Matte:
        matte = self._checked(self.segmenter(image), time)
        matte = self._refined(matte, image, time)
        return self.refinement.after(matte, image) if self.refinement.after else matte

    @property
    def epsilon(self) -> float:
        """Of the guided filter."""
        return CALM if self._smooth else EPSILON

    def steadied(self, matte: Matte, gray: Gray, time: float) -> Matte:
        """What a segmenter gave, checked and smoothed; to be refined where the picture is.

        Args:
            gray: the picture, of the matte's size.

        Raises:
            UnsafeMatteError: as a call.
        """
        matte = self._checked(matte, time)
        return self._smooth(matte, gray, time) if self._smooth else matte

    def _checked(self, matte: Matte, time: float) -> Matte:
        if not (matte.min() >= -ROUNDING and matte.max() <= 1 + ROUNDING):  # so is NaN
            raise UnsafeMatteError("the segmenter's matte is not in 0..1")
        if self.jumps:
            self.jumps.check(matte, time)
        self.size = size_of(matte)
        return self._choose(matte) if self._choose else matte

    def _refined(self, matte: Matte, image: Image, time: float) -> Matte:
        gray = grayscale(image)
        if self.refinement.before:
            return refine(self.refinement.before(matte, image), gray)
        if self._smooth:
            small = fit(gray, self.size)
            return refine(self._smooth(matte, small, time), gray, small, self.epsilon)
        return refine(matte, gray)
