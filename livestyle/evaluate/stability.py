"""How stable a look is over time: warping error, SSIM, change of stills."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import islice, pairwise

import cv2
import numpy as np

from livestyle.config.look import Look
from livestyle.config.quality import LIVE_QUALITY
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.metrics import (
    MIN_FLOW_SIDE_PX,
    Scores,
    matte_flicker,
    mean_scores,
    optical_flow,
    ssim,
    visible,
    warp_error,
)
from livestyle.image.pixels import at_most, fit, fit_matte, grayscale
from livestyle.image.types import Frame, Image, Matte
from livestyle.render.filter import Filter
from livestyle.render.looks import look_from
from livestyle.types import FrameProgress, Say, Size
from livestyle.video.sources.clip import DEMO, ClipSource
from livestyle.video.sources.open import kind_of

MAX_FLOW_PX = 640 * 360  # of the frames that flow is computed on
STILL_NOISE_DEVIATION, STILL_FPS = 6.0, 30.0  # noise in 0..255
STILL_FRAMES = 8  # that are measured, after as many for the smoothing to settle


@dataclass(frozen=True)
class StyledFrame:
    """A frame as it is compared with the next one, all pictures at one size.

    Args:
        image: the input; styled: with temporal smoothing; unsmoothed: without, all uint8 (H, W, 3) RGB.
        matte, unsmoothed_matte: the same of the matte, float32 (H, W) in 0..1.
    """

    image: Image
    styled: Image
    unsmoothed: Image
    matte: Matte
    unsmoothed_matte: Matte


def evaluate_stability(settings: Settings, clip: str, frames: int, say: Say, watch: FrameProgress) -> dict[str, float]:
    """Measure how stable a styled clip and its mattes are.

    The whole frame is painted in the background's style. Flow and scores are computed at the clip's size, or at the
    largest of its shape with at most MAX_FLOW_PX. The change of a still is that of the last frame with a camera's
    noise, in 0..255.

    Args:
        settings: look, device, models, segmenter.
        clip: a file, or "demo"; frames: how many at most.
        say: takes messages; watch: takes the number of frames done.

    Returns:
        Scores by name. Those of "unsmoothed" are without temporal smoothing.

    Raises:
        UserError: the clip is missing, too small or too short, or the look is no style.
    """
    if settings.quality == "auto":
        settings = replace(settings, quality=LIVE_QUALITY)
    look = whole_look(settings)
    with open_clip(clip) as source, Filter(settings) as live, Filter(settings, live=False) as alone:
        size = at_most(source.info.size, MAX_FLOW_PX)
        if min(size) < MIN_FLOW_SIDE_PX:
            step = f"Give one of {MIN_FLOW_SIDE_PX} pixels and more."
            raise UserError(f"{clip} is too small for optical flow.", step)
        live.prepare(look)
        rendered, rows = list[StyledFrame](), list[Scores]()  # the last two frames, and the scores of all pairs
        for done, frame in enumerate(islice(source, frames), start=1):
            rendered = [*rendered[-1:], render_frame(frame, look, live, alone, size)]
            rows += [stability_scores(*rendered)] if len(rendered) == 2 else []
            watch(done)
        if source.warning:
            say(source.warning)
        if not rows:
            raise UserError(f"{clip} holds fewer than two frames.", "Give a longer clip.")
        still = still_changes(rendered[-1].image, look, {"still_change": live, "unsmoothed_still_change": alone})
    return {"frames": len(rows) + 1, **mean_scores(rows, digits=7), **still}


def still_changes(image: Image, look: Look, filters: dict[str, Filter]) -> Scores:
    """Return how much each filter's picture of a noisy still changes from frame to frame, per value in 0..255.

    Args:
        image: uint8 (H, W, 3) RGB; look: to render; filters: by the name of the score.
    """
    rng, pictures = np.random.default_rng(0), defaultdict[str, list[Image]](list)
    for index in range(2 * STILL_FRAMES):
        noise = np.rint(image + STILL_NOISE_DEVIATION * rng.standard_normal(image.shape, np.float32))
        frame = Frame(np.clip(noise, 0, 255).astype(np.uint8), index, index / STILL_FPS)
        for name, filter in filters.items():
            pictures[name].append(filter(frame, look))
    return {
        name: round(statistics.fmean(float(cv2.absdiff(a, b).mean()) for a, b in pairwise(of[STILL_FRAMES:])), 4)
        for name, of in pictures.items()
    }


def open_clip(clip: str) -> ClipSource:
    """Open a clip that is read once.

    Raises:
        UserError: it is no clip.
    """
    if kind_of(clip).name not in {"video", "demo"}:
        raise UserError(f"'{clip}' is not a clip.", "Give a video file, or demo.")
    return ClipSource(str(DEMO) if clip == "demo" else clip)


def whole_look(settings: Settings) -> Look:
    """Return the background's style over the whole frame.

    Raises:
        UserError: it is no style.
    """
    look = look_from(settings)
    if not look.background.styles:
        raise UserError(f"'{look.background.text}' is no style.", "See: livestyle list styles", "background")
    return replace(look, person=look.background, person_strength=look.background_strength)


def render_frame(frame: Frame, look: Look, live: Filter, alone: Filter, size: Size) -> StyledFrame:
    """Render a frame with temporal smoothing and without, at a size."""
    image, styled, unsmoothed = (fit(image, size) for image in (frame.image, live(frame, look), alone(frame, look)))
    matte, unsmoothed_matte = (fit_matte(filter.matte(frame), size) for filter in (live, alone))
    return StyledFrame(image, styled, unsmoothed, matte, unsmoothed_matte)


def stability_scores(before: StyledFrame, after: StyledFrame) -> Scores:
    """Return the scores of a frame and the next one."""
    gray = grayscale(before.image), grayscale(after.image)
    forward, backward = optical_flow(*gray), optical_flow(*gray[::-1])
    mask = visible(forward, backward)
    return {
        "warp_error": warp_error(before.styled, after.styled, forward, mask),
        "input_warp_error": warp_error(before.image, after.image, forward, mask),
        "unsmoothed_warp_error": warp_error(before.unsmoothed, after.unsmoothed, forward, mask),
        "fidelity_ssim": ssim(grayscale(after.styled), grayscale(after.unsmoothed)),
        "matte_flicker": matte_flicker(before.matte, after.matte, forward, mask),
        "unsmoothed_matte_flicker": matte_flicker(before.unsmoothed_matte, after.unsmoothed_matte, forward, mask),
    }
