"""Decide what others may see. Fail closed: show a placeholder, or the last safe picture, in place of a fault."""

from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from functools import partial
from typing import TypeVar

import cv2

from livestyle.config.look import Look
from livestyle.image.types import Frame, Matte
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls
from livestyle.live.renderer import Renderer
from livestyle.live.shown import Shown, placeholder, with_pause_sign
from livestyle.matting.jumps import Jumps
from livestyle.render.filter import Filter, NextFrame, no_next_frame
from livestyle.types import Say, Size
from livestyle.video.worker import Caller

T = TypeVar("T")
STUCK_TIMEOUT_S = 0.3  # for a picture in a call, before something safe is shown instead


class Guard:
    """Decide what is shown for each frame. Panic, and a camera that is away, show a placeholder anywhere.

    In a call that is live, the renderer runs on a thread of its own:

    - A fault shows the placeholder, never the raw picture. So does a matte that suddenly covers the whole frame.
    - If the renderer takes longer than STUCK_TIMEOUT_S, the last safe picture is shown with a pause sign. If that
      picture has another look, the placeholder is shown.
    - A late picture is shown once it is done, before those of later frames. If the look has changed since, it is
      dropped.

    Args:
        filter: renders the pictures.
        size: of the pictures, (width, height) in pixels, as the sinks expect it.
        controls: say what to render.
        say: takes messages for people.
        auto: chooses the quality while that of the controls is "auto"; None leaves it as it is.
        is_live: frames come whether the filter is done or not.
        next_frame: returns the frame after a frame, so that the filter can start on it early.
    """

    def __init__(
        self,
        filter: Filter,
        size: Size,
        controls: Controls,
        say: Say,
        auto: AutoQuality | None = None,
        is_live: bool = False,
        next_frame: NextFrame = no_next_frame,
    ) -> None:
        self._filter, self._controls, self._say = filter, controls, say
        self._placeholder = placeholder(size)  # made now: later, memory may have run out
        self._render = Renderer(filter, self._placeholder, controls, say, auto, next_frame, is_live)
        self._worker = Caller("render") if controls.privacy.is_call and is_live else None
        self._job: Future[Shown] | None = None  # the picture that is being rendered
        self._held: Shown | None = None  # shown last, to be shown again while the picture is frozen
        self._safe: Shown | None = None  # the last picture that is no placeholder
        self._signed: Shown | None = None  # the same with a pause sign, made when it is first needed
        if controls.privacy.is_call:
            filter.matting.jumps = Jumps()

    def __call__(self, frame: Frame) -> Shown:
        """Return what to send for a frame, in the size that the sinks expect."""
        controls = self._controls
        held = self._held if controls.frozen else None
        if not controls.panicked and (held is None or held.look.uncovers(controls.look)):
            self._held = self._show(frame, controls.look)
        if controls.panicked or self._held is None:  # asked again: it may have come while the picture was made
            return self._hidden(frame, controls.look)
        return self._held

    def matte(self, frame: Frame) -> Matte:
        """Return the matte of a frame that is shown: float32 (H, W), 1 is person.

        Raises:
            TimeoutError: the filter is stuck.
            Exception: what the filter raises.
        """
        if self._worker is None:
            return self._filter.matte(frame)
        job = self._worker.start(partial(self._filter.matte, frame)) if self._job is None else None
        if job is None or not is_done(job, STUCK_TIMEOUT_S):
            raise TimeoutError("the filter is stuck")
        return job.result()

    def _show(self, frame: Frame, look: Look) -> Shown:
        if frame.is_blank:
            return self._hidden(frame, look)
        if self._worker is None:
            return self._render(frame, look)
        if self._job is None:
            self._job = self._worker.start(partial(self._render, frame, look))
        if not is_done(self._job, STUCK_TIMEOUT_S):
            return self._stand_in(frame, look)
        shown, self._job = self._job.result(), None
        # The controls' look is right, too: they replace one that cannot be rendered.
        if shown.answers not in (look, self._controls.look):
            return self._stand_in(frame, look)
        if not shown.hidden:
            self._safe, self._signed = shown, None
        return shown

    def _stand_in(self, frame: Frame, look: Look) -> Shown:
        """Return the last safe picture with a pause sign if it was made for this look, else the placeholder."""
        safe = self._safe
        with suppress(MemoryError, cv2.error):
            if safe and safe.answers == look:
                if self._signed is None:
                    self._signed = Shown(safe.frame, with_pause_sign(safe.picture), safe.look, is_old=True)
                    self._say("The filter is late: the last picture stands in for it.")
                return self._signed
        return self._hidden(frame, look)

    def _hidden(self, frame: Frame, look: Look) -> Shown:
        return Shown(frame, self._placeholder, look, hidden=True)


def is_done(job: "Future[T]", timeout_s: float) -> bool:
    """Wait for a job, and return whether it was done within `timeout_s` seconds."""
    return bool(wait_for([job], timeout_s).done)
