"""Smooth paintings over time, by how the camera's picture moves.

A transform network paints a still room anew in each frame, and noise that nobody sees moves its strokes. So the last
painting is warped along the optical flow and averaged with the new one. That is done where the camera's picture equals
the warped one; elsewhere the new painting shows at once. Real noise is averaged out before the network sees it.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.box import Box
from livestyle.image.pixels import fit_matte, pixel_grid
from livestyle.image.types import Flow, Image, Matte, Values, size_of
from livestyle.types import Size

FINE_FLOW_PIXELS = 40_000  # below which flow is found at half of the size, and not a quarter, for a moving head's edges
STILL_S = 0.12  # time constant of a painting where the picture rests
MOVING_S = 0.055  # time constant of a painting where the picture moves
DENOISE_S = 0.3  # time constant of the picture itself, where it rests and is noisy
MAX_GAP_S = 0.5  # after which the memory is no longer used
MIN_FLOW_SIDE_PX = 24  # of a picture, for optical flow and noise
REST_WINDOW_PX, TRUST_WINDOW_PX = 11, 3  # sides of the windows in which change is judged
# Changes and noise are in 0..1 of the range of levels.
MAX_CHANGE = 0.04  # beyond the noise, at which a place no longer shows what it did
REST_CHANGE = 0.004  # beyond the noise, at which a place no longer rests
MIN_NOISE, MAX_NOISE = 0.0025, 0.03  # the least and the most that counts as noise
NOISE_MARGIN = 1.3  # times the noise counts as no change
DENOISE_RANGE = 0.0035, 0.0045  # noise from which it is averaged out, and from which fully
MIN_EXPLAINED = 0.8  # share of the picture that the flow must explain for a painting to be warped in place of a new one
MIN_TRUST = 0.2  # mean, below which it is another picture (a cut)
FADE_STEPS = 30  # in which a painting of another network takes over
FLOW_BEND_PX = 0.9  # by which the flow differs from its surroundings' where an edge moves


@dataclass(frozen=True)
class Motion:
    """How a picture follows from the pictures before it, at the picture's size.

    Args:
        step: its number. A history that missed the step before cannot be used.
        denoised: the picture with its noise averaged out, for a network, uint8 (H, W, 3).
        flow: back to the picture before, in pixels; None if none is remembered.
        trust: float32 (H, W) in 0..1, the weight of what was there before.
        explained: mean share of the picture that the flow explains.
        moving: float32 at a third of the size, 1 where the picture does not rest; None if that is unknown.
    """

    step: int
    denoised: Image
    flow: Flow | None = None
    trust: Values | None = None
    explained: float = 0.0
    moving: Values | None = None

    @property
    def is_still(self) -> bool:
        """Whether nothing but noise has changed."""
        return self.moving_share() == 0

    def moving_share(self, plane: Matte | None = None) -> float:
        """Return the share of the picture that does not rest, or of a plane; 1 if it is unknown.

        Args:
            plane: float32, 1 on the plane, at a third of the size.
        """
        if self.moving is None:
            return 1.0
        if plane is None or plane.shape != self.moving.shape:
            return float(self.moving.mean())
        return float((plane * self.moving).sum() / max(1.0, float(plane.sum())))


@dataclass(frozen=True)
class MotionField:
    """How a picture follows from the pictures before it, at a third of its size.

    Args:
        flow: back to the picture before, in pixels of this size.
        trust, explained, moving: as of `Motion`.
        denoise: float32 in 0..1, the weight of the pictures before in one without noise; None if there is hardly any.
    """

    flow: Flow
    trust: Values
    denoise: Values | None
    explained: float
    moving: Values


class MotionEstimator:
    """Estimate how pictures move, and own the memory of them.

    The memory is the picture at a third of the size, warped and averaged. So noise counts once, and a slow drift adds
    up until it is seen. The flow is dense inverse search (DIS, Kroeger et al. 2016).
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._step, self._time = 0, 0.0
        self._memory: Image | None = None
        self._denoised: Values | None = None  # (H, W, 3), if the picture is noisy

    def reset(self) -> None:
        """Forget the pictures before; for a new source."""
        self._memory = self._denoised = None

    def __call__(self, image: Image, time: float) -> Motion:
        """Return the motion up to a picture.

        A jump back in time, a gap or a new shape starts anew. At another size the memory is scaled.

        Args:
            image: uint8 (H, W, 3).
            time: in seconds.
        """
        self._step += 1
        field, full = self.estimate(third(image), time), size_of(image)
        denoised = self._denoise(image, field.denoise if field else None)
        if field is None:
            return Motion(self._step, denoised)
        flow, trust = scaled_flow(field.flow, full), fit_matte(field.trust, full)
        return Motion(self._step, denoised, flow, trust, field.explained, field.moving)

    def estimate(self, now: Image, time: float) -> MotionField | None:
        """Return how a picture at a third of its size follows from those before; None if none is remembered."""
        before, passed = self._memory, time - self._time
        self._memory, self._time = now, time
        if before is not None and before.shape != now.shape and same_shape(size_of(before), size_of(now)):
            before = np.asarray(cv2.resize(before, size_of(now)), np.uint8)
        if before is None or before.shape != now.shape or not 0 <= passed < MAX_GAP_S:
            return None
        if min(now.shape[:2]) < MIN_FLOW_SIDE_PX:
            return None
        flow, warped, rest, trust, noise = self._compare(now, before)
        if (explained := float(trust.mean())) < MIN_TRUST:
            return None
        trust *= np.exp(-passed / (MOVING_S + (STILL_S - MOVING_S) * rest))
        self._memory = np.asarray(cv2.blendLinear(warped, now, trust, 1 - trust), np.uint8)
        noisy = min(1.0, (noise - DENOISE_RANGE[0]) / (DENOISE_RANGE[1] - DENOISE_RANGE[0]))
        denoise = rest * np.float32(noisy * math.exp(-passed / DENOISE_S)) if noisy > 0 else None
        return MotionField(flow, trust, denoise, explained, (rest < 0.5).astype(np.float32))

    def _compare(self, now: Image, before: Image) -> tuple[Flow, Image, Values, Values, float]:
        """Compare a picture with the memory.

        Rest is judged in a wide window, because an even area that moves changes only at its edges. The noise is what
        the flow cannot explain in the calmest tenth of the picture.

        Returns:
            The flow back to the memory, and the warped memory. How much each place rests, and the trust in the warped
            memory there, both in 0..1. The noise.
        """
        places = pixel_grid(size_of(now))
        self._flow.setFinestScale(1 if now.size < 3 * FINE_FLOW_PIXELS else 2)
        gray = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (now, before))
        flow = np.asarray(self._flow.calc(*gray, None), np.float32)  # type: ignore[call-overload]
        unexplained = change(now, warp(before, flow + places), REST_WINDOW_PX)
        noise = min(max(float(np.percentile(unexplained[::4, ::4], 10)), MIN_NOISE), MAX_NOISE)
        rest = np.exp(-np.maximum(change(now, before, REST_WINDOW_PX) - NOISE_MARGIN * noise, 0) / REST_CHANGE)
        flow = cv2.merge([way * (1 - rest) for way in cv2.split(flow)])  # at rest only the noise seems to flow
        warped = warp(before, flow + places)
        bend = np.maximum(*cv2.split(cv2.absdiff(flow, cv2.blur(flow, (9, 9)))))
        beyond = np.maximum(change(now, warped, TRUST_WINDOW_PX) - NOISE_MARGIN * noise, 0)
        trust = np.exp(-np.square(beyond / MAX_CHANGE) - bend / FLOW_BEND_PX)
        return flow, warped, rest, trust, noise

    def _denoise(self, image: Image, weight: Values | None) -> Image:
        """Return a picture with its noise averaged out where it rests, or itself if there is hardly any."""
        if weight is None:
            self._denoised = None
            return image
        now = image.astype(np.float32)
        if self._denoised is not None and self._denoised.shape == image.shape:
            weight = fit_matte(weight, size_of(image))
            now = np.asarray(cv2.blendLinear(self._denoised, now, weight, 1 - weight), np.float32)
        self._denoised = now
        return np.asarray(cv2.convertScaleAbs(now), np.uint8)


def same_shape(one: Size, other: Size) -> bool:
    """Return whether two sizes have the same shape, to a few pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= 2 * max(*one, *other)


def third(image: Image) -> Image:
    """Return a picture at a third of its size. It is halved first, which takes a sixth of the time."""
    half, size = ((max(1, image.shape[1] // part), max(1, image.shape[0] // part)) for part in (2, 3))
    return np.asarray(cv2.resize(cv2.resize(image, half, interpolation=cv2.INTER_AREA), size), np.uint8)


def scaled_flow(flow: Flow, size: Size) -> Flow:
    """Return a flow at another size, in pixels of that size."""
    times = size[0] / flow.shape[1], size[1] / flow.shape[0]
    return np.asarray(cv2.resize(cv2.multiply(flow, times), size), np.float32)


def warp(array: NDArray[Any], places: Flow) -> NDArray[Any]:
    """Return the values of an array at places (x, y), bilinear; outside of it, those of its border."""
    return np.asarray(cv2.remap(array, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def change(now: Image, before: Image, window: int) -> Values:
    """Return the mean absolute difference around each pixel, float32 (H, W) in 0..1.

    It is that of colours, because a hand may be as bright as its wall.

    Args:
        now, before: uint8 (H, W, 3).
        window: side in pixels.
    """
    apart = cv2.cvtColor(cv2.absdiff(now, before), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.boxFilter(apart, cv2.CV_32F, (window, window)) / np.float32(255), np.float32)


class PaintingHistory:
    """Own the last painting of one style, and smooth the next one with it."""

    def __init__(self) -> None:
        # The step, the painting, its box, and the size of the picture that the box is in.
        self._last: tuple[int, Values, Box, Size] | None = None
        self._warped = 0  # steps since a network made the painting
        self._fading = 0  # steps until another network has taken over

    def fade(self) -> None:
        """Have the next paintings, of another network, take over within FADE_STEPS; from any thread."""
        self._fading = FADE_STEPS

    def can_warp(self, motion: Motion, box: Box, most: int) -> bool:
        """Return whether the last painting can be warped to this step in place of a new one.

        Args:
            motion: up to this step.
            box: where a painting is wanted.
            most: steps in a row that a painting may be warped.
        """
        if self._last is None or motion.flow is None:
            return False
        step, _, place, size = self._last
        if size != size_of(motion.denoised):
            return False
        return step + 1 == motion.step and place == box and motion.explained > MIN_EXPLAINED and self._warped < most

    def warp(self, motion: Motion) -> Image:
        """Return the last painting, uint8 (h, w, 3), warped to where the picture's parts are now; after `can_warp`."""
        assert self._last is not None
        _, old, box, size = self._last
        self._last, self._warped = (motion.step, self._warp(old, motion, box), box, size), self._warped + 1
        return np.asarray(cv2.convertScaleAbs(self._last[1]), np.uint8)

    def __call__(self, painted: Image, motion: Motion, box: Box) -> Image:
        """Return a new painting smoothed, or itself if nothing of the step before is remembered.

        Args:
            painted: the new painting of the box, uint8 (h, w, 3).
            motion: up to this step.
            box: its place in the picture.
        """
        now = painted.astype(np.float32)
        size = size_of(motion.denoised)
        step, old, place, before = self._last or (0, now, box, size)
        if motion.flow is not None and motion.trust is not None and motion.step == step + 1:
            if before != size:
                place = place.scaled(before, size)
                old = np.asarray(cv2.resize(old, (place.right - place.left, place.bottom - place.top)), np.float32)
            if place != box:
                common, base = box.intersection(place), now.copy()
                common.relative_to(box).crop(base)[:] = common.relative_to(place).crop(old)
                old = base
            trust = self._held(np.ascontiguousarray(box.crop(motion.trust)))
            now = np.asarray(cv2.blendLinear(self._warp(old, motion, box), now, trust, 1 - trust), np.float32)
        self._last, self._warped = (motion.step, now, box, size), 0
        return np.asarray(cv2.convertScaleAbs(now), np.uint8)

    def _held(self, trust: Values) -> Values:
        """Return the weight of the last painting: more of it while another network takes over, where it still fits."""
        if self._fading <= 0:
            return trust
        share = min(1.0, (self._warped + 1) / self._fading)
        self._fading -= self._warped + 1
        return np.maximum(trust, np.float32(1 - share) * np.minimum(1, 2 * trust))

    def _warp(self, old: Values, motion: Motion, box: Box) -> Values:
        assert motion.flow is not None
        return warp(old, box.crop(motion.flow) + pixel_grid((box.right - box.left, box.bottom - box.top)))
