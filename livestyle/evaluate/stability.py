"""How stable a look is over time: warping error, SSIM, change of stills."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import cv2
import numpy as np

from livestyle.config.look import Look
from livestyle.config.quality import LIVE_QUALITY
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.metrics import (
    STEADY_LEAST,
    Row,
    matte_flicker,
    mean_row,
    optical_flow,
    ssim,
    visible,
    warp_error,
)
from livestyle.image.pixels import at_most, fit, fit_matte, grayscale
from livestyle.image.types import Frame, Image, Matte
from livestyle.render.filter import Filter
from livestyle.render.looks import look_from
from livestyle.types import Say, Size
from livestyle.video.sources.clip import DEMO, ClipSource
from livestyle.video.sources.open import kind_of

FLOW_PIXELS = 640 * 360  # the most at which flow is computed
STILL_NOISE, STILL_FRAMES, STILL_FPS = 6.0, 8, 30.0  # of 255; counted, after as many to settle


@dataclass(frozen=True)
class StyledClip:
    """What stability compares from frame to frame, all of one size, images and styled ones as RGB.

    Args:
        image: the input; styled, matte: as live; unsmoothed, unsmoothed_matte: as if each frame stood alone.
    """

    image: Image
    styled: Image
    unsmoothed: Image
    matte: Matte
    unsmoothed_matte: Matte


def evaluate_stability(
    settings: Settings, clip: str, frames: int, say: Say, watch: Callable[[int], None]
) -> dict[str, float]:
    """How steady the styled clip and its mattes are, over its first frames; the JSON object of the command contract.

    The whole frame is painted in the background's style. *Unsmoothed* is the same without memory. Flow and figures are
    at the clip's size, or at the largest of its shape with no more than FLOW_PIXELS. The change of a still is that of
    its last frame with a camera's noise, in 0..255.

    Raises:
        UserError: no clip, one too small or of fewer than two frames, or a look that is no style.
    """
    if settings.quality == "auto":
        settings = replace(settings, quality=LIVE_QUALITY)
    look = whole_look(settings)
    rows, last = list[Row](), None
    with open_clip(clip) as source, Filter(settings) as live, Filter(settings, live=False) as alone:
        size = at_most(source.info.size, FLOW_PIXELS)
        if min(size) < STEADY_LEAST:
            raise UserError(f"{clip} is too small for optical flow.", f"Give one of {STEADY_LEAST} pixels and more.")
        live.prepare(look)
        for done, frame in enumerate(islice(source, frames), start=1):
            shot = shoot(frame, look, live, alone, size)
            if last is not None:
                rows.append(steadiness(last, shot))
            last = shot
            watch(done)
        if source.warning:
            say(source.warning)
        if not rows or last is None:
            raise UserError(f"{clip} holds fewer than two frames.", "Give a longer clip.")
        still = still_changes(last.image, look, {"still_change": live, "unsmoothed_still_change": alone})
    return {"frames": len(rows) + 1, **mean_row(rows, digits=7), **still}


def still_changes(image: Image, look: Look, filters: dict[str, Filter]) -> Row:
    """How much each filter's picture of a still scene with noise changes from frame to frame, per value in 0..255."""
    rng, pictures = np.random.default_rng(0), defaultdict[str, list[Image]](list)
    for index in range(2 * STILL_FRAMES):
        noise = np.rint(image + STILL_NOISE * rng.standard_normal(image.shape, np.float32))
        frame = Frame(np.clip(noise, 0, 255).astype(np.uint8), index, index / STILL_FPS)
        for name, filter in filters.items():
            pictures[name].append(filter(frame, look))
    return {
        name: round(statistics.fmean(float(cv2.absdiff(a, b).mean()) for a, b in pairwise(of[STILL_FRAMES:])), 4)
        for name, of in pictures.items()
    }


def open_clip(clip: str) -> ClipSource:
    """A clip, once through.

    Raises:
        UserError: it is none.
    """
    if kind_of(clip).name not in {"video", "demo"}:
        raise UserError(f"'{clip}' is not a clip.", "Give a video file, or demo.")
    return ClipSource(str(DEMO) if clip == "demo" else clip)


def whole_look(settings: Settings) -> Look:
    """The style of the background, over the whole frame.

    Raises:
        UserError: it is no style.
    """
    look = look_from(settings)
    if not look.background.styles:
        raise UserError(f"'{look.background.text}' is no style.", "Name one with --background: livestyle list styles.")
    return replace(look, person=look.background, person_strength=look.background_strength)


def shoot(frame: Frame, look: Look, live: Filter, alone: Filter, size: Size) -> StyledClip:
    """A frame rendered with memory and without, at a size."""
    image, styled, unsmoothed = (fit(image, size) for image in (frame.image, live(frame, look), alone(frame, look)))
    matte, unsmoothed_matte = (fit_matte(filter.matte(frame), size) for filter in (live, alone))
    return StyledClip(image, styled, unsmoothed, matte, unsmoothed_matte)


def steadiness(before: StyledClip, after: StyledClip) -> Row:
    """One row: of a frame and the next."""
    gray = grayscale(before.image), grayscale(after.image)
    forward, backward = optical_flow(*gray), optical_flow(*gray[::-1])
    seen = visible(forward, backward)
    return {
        "warp_error": warp_error(before.styled, after.styled, forward, seen),
        "input_warp_error": warp_error(before.image, after.image, forward, seen),
        "unsmoothed_warp_error": warp_error(before.unsmoothed, after.unsmoothed, forward, seen),
        "fidelity_ssim": ssim(grayscale(after.styled), grayscale(after.unsmoothed)),
        "matte_flicker": matte_flicker(before.matte, after.matte, forward, seen),
        "unsmoothed_matte_flicker": matte_flicker(before.unsmoothed_matte, after.unsmoothed_matte, forward, seen),
    }
