"""Steadies painted pictures over time, after what the camera's picture shows to have moved.

A transform net paints a still room anew in each frame: noise and compression that nobody sees move its strokes. So the
last painting is carried along the optical flow and averaged with the new one, where the camera's picture is what the
flow brought there; where it is not, the new painting shows at once. Real noise is averaged out before the net sees it.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.box import Box
from livestyle.image.pixels import fit_matte, grid
from livestyle.image.types import Flow, Image, Matte, Values, size_of
from livestyle.types import Size

SMALL = 40_000  # pixels below which flow is found at half of the size, and not a quarter: a moving head's edges need it
STILL, MOVING = 0.12, 0.055  # seconds: time constants of a painting where the picture rests, and where it moves
NOISY = 0.3  # seconds: time constant of the picture itself, where it rests and is noisy
GAP = 0.5  # seconds after which nothing is as it was
LEAST = 24  # pixels: the least side at which flow and noise mean something
WIDE, NEAR = 11, 3  # pixels: windows in which change is judged, for rest and for trust
CHANGE = 0.04  # in 0..1, beyond the noise, at which a place is no longer the one that it was
RISE = 0.004  # the same, at which a place no longer rests
KNOWN = 0.8  # of the picture that must be explained by the flow for a painting to be carried along it
CUT = 0.2  # mean trust below which it is another picture altogether
BEND = 0.9  # pixels by which the flow differs from its surroundings' where an edge moves
CALM, LOUD = 0.0025, 0.03  # the least and the most that counts as noise, in 0..1
MARGIN = 1.3  # of the noise that counts as none
HEARD = 0.0035, 0.0045  # from which noise on it is averaged out, and from which on in full


@dataclass(frozen=True)
class Motion:
    """How a picture follows from what was remembered of those before it, at the picture's size.

    Args:
        step: its number; a memory that missed the step before has nothing to add.
        feed: the picture with its noise averaged out, for a net to paint.
        flow: back to the picture before; None where nothing is remembered.
        trust: in 0..1, the share of what was there before.
        known: mean share of the picture that the flow explains.
        moves: at a third of the size, in 0..1, where it does not rest; None: nobody knows.
    """

    step: int
    feed: Image
    flow: Flow | None = None
    trust: Values | None = None
    known: float = 0.0
    moves: Values | None = None

    @property
    def is_still(self) -> bool:
        """Whether nothing but noise has changed."""
        return self.moving() == 0

    def moving(self, shows: Matte | None = None) -> float:
        """The share that does not rest, of the picture or of a plane; 1 where nobody knows.

        Args:
            shows: 1 on the plane, at a third of the size.
        """
        if self.moves is None:
            return 1.0
        if shows is None or shows.shape != self.moves.shape:
            return float(self.moves.mean())
        return float((shows * self.moves).sum() / max(1.0, float(shows.sum())))


@dataclass(frozen=True)
class MotionField:
    """The same at a third of the size.

    Args:
        flow: in its pixels; keep: in 0..1, the share of the pictures before in one without noise; None where there is
            next to none.
    """

    flow: Flow
    trust: Values
    keep: Values | None
    known: float
    moves: Values


class MotionEstimator:
    """Tells how pictures move, owning the memory of them.

    It remembers the picture at a third of the size, itself carried along and averaged, so that noise counts once and
    a slow drift adds up until it is seen. The flow is dense inverse search (Kroeger et al. 2016).
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._step, self._time = 0, 0.0
        self._seen: Image | None = None
        self._calm: Values | None = None  # the picture without its noise, (H, W, 3), where there is some

    def reset(self) -> None:
        """Forget; for a new source."""
        self._seen = self._calm = None

    def __call__(self, image: Image, time: float) -> Motion:
        """The motion up to this picture. A jump back, a gap of half a second or a new shape starts anew; at
        another size the memory is scaled.

        Args:
            time: in seconds.
        """
        self._step += 1
        seen, full = self.glimpse(third(image), time), size_of(image)
        feed = self._averaged(image, seen.keep if seen else None)
        if seen is None:
            return Motion(self._step, feed)
        return Motion(
            self._step, feed, scaled_flow(seen.flow, full), fit_matte(seen.trust, full), seen.known, seen.moves
        )

    def glimpse(self, now: Image, time: float) -> MotionField | None:
        """How a picture, at a third of the size, follows from those before it; None where nothing is remembered."""
        before, passed = self._seen, time - self._time
        self._seen, self._time = now, time
        if before is not None and before.shape != now.shape and alike(size_of(before), size_of(now)):
            before = np.asarray(cv2.resize(before, size_of(now)), np.uint8)
        if before is None or before.shape != now.shape or not 0 <= passed < GAP or min(now.shape[:2]) < LEAST:
            return None
        flow, seen, rest, trust, noise = self._compare(now, before)
        if (known := float(trust.mean())) < CUT:
            return None
        trust *= np.exp(-passed / (MOVING + (STILL - MOVING) * rest))
        self._seen = np.asarray(cv2.blendLinear(seen, now, trust, 1 - trust), np.uint8)
        loud = min(1.0, (noise - HEARD[0]) / (HEARD[1] - HEARD[0]))
        keep = rest * np.float32(loud * math.exp(-passed / NOISY)) if loud > 0 else None
        return MotionField(flow, trust, keep, known, (rest < 0.5).astype(np.float32))

    def _compare(self, now: Image, before: Image) -> tuple[Flow, Image, Values, Values, float]:
        """The flow back to the picture before, what it brings, where both rest, where that can be trusted, the noise.

        Rest is judged over a wide window, for an even area that moves changes at its edges alone. The noise is what the
        flow cannot explain in the calmest tenth of the picture.
        """
        places = grid(size_of(now))
        self._flow.setFinestScale(1 if now.size < 3 * SMALL else 2)
        gray = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (now, before))
        flow = np.asarray(self._flow.calc(*gray, None), np.float32)  # type: ignore[call-overload]
        unexplained = change(now, brought(before, flow + places), WIDE)
        noise = min(max(float(np.percentile(unexplained[::4, ::4], 10)), CALM), LOUD)
        rest = np.exp(-np.maximum(change(now, before, WIDE) - MARGIN * noise, 0) / RISE)
        flow = cv2.merge([way * (1 - rest) for way in cv2.split(flow)])  # at rest only the noise seems to flow
        seen = brought(before, flow + places)
        bend = np.maximum(*cv2.split(cv2.absdiff(flow, cv2.blur(flow, (9, 9)))))
        trust = np.exp(-np.square(np.maximum(change(now, seen, NEAR) - MARGIN * noise, 0) / CHANGE) - bend / BEND)
        return flow, seen, rest, trust, noise

    def _averaged(self, image: Image, keep: Values | None) -> Image:
        """The picture with its noise averaged out where it rests; itself where it has next to none."""
        if keep is None:
            self._calm = None
            return image
        now = image.astype(np.float32)
        if self._calm is not None and self._calm.shape == image.shape:
            keep = fit_matte(keep, size_of(image))
            now = np.asarray(cv2.blendLinear(self._calm, now, keep, 1 - keep), np.float32)
        self._calm = now
        return np.asarray(cv2.convertScaleAbs(now), np.uint8)


def alike(one: Size, other: Size) -> bool:
    """Whether two sizes have the same shape, to a few pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= 2 * max(*one, *other)


def third(image: Image) -> Image:
    """The picture at a third of its size; halved first, which takes a sixth of the time."""
    half, size = ((max(1, image.shape[1] // part), max(1, image.shape[0] // part)) for part in (2, 3))
    return np.asarray(cv2.resize(cv2.resize(image, half, interpolation=cv2.INTER_AREA), size), np.uint8)


def scaled_flow(flow: Flow, size: Size) -> Flow:
    """A flow at another size, in its pixels."""
    times = size[0] / flow.shape[1], size[1] / flow.shape[0]
    return np.asarray(cv2.resize(cv2.multiply(flow, times), size), np.float32)


def brought(array: NDArray[Any], places: Flow) -> NDArray[Any]:
    """The values that were at each pixel's place, (x, y); of the border where that is outside. Bilinear."""
    return np.asarray(cv2.remap(array, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def change(now: Image, before: Image, window: int) -> Values:
    """Mean absolute difference around each pixel, in 0..1; of colours, for a hand may be as bright as its wall."""
    apart = cv2.cvtColor(cv2.absdiff(now, before), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.boxFilter(apart, cv2.CV_32F, (window, window)) / np.float32(255), np.float32)


class PaintingHistory:
    """Owns what one style has painted, and steadies what it paints."""

    def __init__(self) -> None:
        # The step, what was painted, where that is, in a picture of which size.
        self._last: tuple[int, Values, Box, Size] | None = None
        self._carried = 0  # steps since the painting was made

    def will_do(self, motion: Motion, box: Box, most: int) -> bool:
        """Whether what was painted before can be carried along to this step in place of a new painting.

        Args:
            box: where a painting is wanted; most: steps in a row.
        """
        if self._last is None or motion.flow is None:
            return False
        step, _, place, size = self._last
        if size != size_of(motion.feed):
            return False
        return step + 1 == motion.step and place == box and motion.known > KNOWN and self._carried < most

    def carry(self, motion: Motion) -> Image:
        """The painting where the picture's parts are now; after `will_do`."""
        assert self._last is not None
        _, old, box, size = self._last
        self._last, self._carried = (motion.step, self._brought(old, motion, box), box, size), self._carried + 1
        return np.asarray(cv2.convertScaleAbs(self._last[1]), np.uint8)

    def __call__(self, painted: Image, motion: Motion, box: Box) -> Image:
        """The painting steadied; itself where nothing of the step before is remembered.

        Args:
            painted: the new painting of the box alone; box: its place in the picture of `motion`.
        """
        now = painted.astype(np.float32)
        size = size_of(motion.feed)
        step, old, place, before = self._last or (0, now, box, size)
        if motion.flow is not None and motion.trust is not None and motion.step == step + 1:
            if before != size:
                place = place.scaled(before, size)
                old = np.asarray(cv2.resize(old, (place.right - place.left, place.bottom - place.top)), np.float32)
            if place != box:
                common, base = box.common(place), now.copy()
                common.within(box).of(base)[:] = common.within(place).of(old)
                old = base
            trust = np.ascontiguousarray(box.of(motion.trust))
            now = np.asarray(cv2.blendLinear(self._brought(old, motion, box), now, trust, 1 - trust), np.float32)
        self._last, self._carried = (motion.step, now, box, size), 0
        return np.asarray(cv2.convertScaleAbs(now), np.uint8)

    def _brought(self, old: Values, motion: Motion, box: Box) -> Values:
        assert motion.flow is not None
        return brought(old, box.of(motion.flow) + grid((box.right - box.left, box.bottom - box.top)))
