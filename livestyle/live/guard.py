"""What others may see. It fails closed: for what cannot be shown a placeholder stands in, or the last safe picture."""

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

import cv2
import numpy as np

from livestyle.config.look import Look
from livestyle.config.quality import LIVE_QUALITY, QUALITIES
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls
from livestyle.matting.jumps import Jumps, UnsafeMatteError
from livestyle.render.filter import Filter, NextFrame, nothing
from livestyle.types import Size

Tasks = SimpleQueue[Callable[[], None] | None]
T = TypeVar("T")
PATIENCE = 90  # frames in a row that may fail in a call before the run ends
STUCK = 0.3  # seconds for a picture after which, in a call, something safe is shown in its place


@dataclass(frozen=True)
class Shown:
    """What everybody sees: the picture, the frame that it was made of, and how; or a placeholder that hides it.

    Args:
        is_old: the picture, with a sign, stands in for one that is late.
    """

    frame: Frame
    picture: Image
    look: Look
    hidden: bool = False
    is_old: bool = False


class Guard:
    """Calls the filter as the controls says. Panic, and a camera that is away, show a placeholder anywhere. In a call

    - a fault shows the placeholder, never the raw picture; so does a matte that jumps to the whole picture;
    - the filter runs on a thread of its own. Where it is stuck for STUCK seconds, the last safe picture is shown with a
      sign on it, or the placeholder if that was of another look. A picture that comes late is shown when it is there,
      before any of a later frame; one whose look is no longer wanted never is.

    Args:
        size: of the pictures, as agreed with the sinks; is_live: frames come whether the filter is done or not.
        following: gives the frame after a frame before its turn, so that the filter can begin it.
    """

    def __init__(
        self,
        filter: Filter,
        size: Size,
        controls: Controls,
        say: Callable[[str], None],
        auto: AutoQuality | None = None,
        is_live: bool = False,
        following: NextFrame = nothing,
    ) -> None:
        self._filter, self._size, self._controls, self._say, self._auto = filter, size, controls, say, auto
        self._failures, self._following = 0, following
        self._followed = controls.quality  # the name that the filter's quality was last set for
        self._is_even = True  # nothing is being made ready, which would make frames late
        self._good = controls.look  # rendered last, or to begin with
        self._placeholder = placeholder(size)  # made now: later, memory may have run out
        self._worker = Worker() if controls.privacy.is_call and is_live else None
        if controls.privacy.is_call:
            filter.matting.jumps = Jumps()
        # The thread that renders owns what is above; the one that calls, what is below.
        self._held: Shown | None = None
        self._safe: Shown | None = None  # the last picture that was one
        self._signed: Shown | None = None  # the same with a sign, made when it is first needed
        self._job: Future[Shown] | None = None

    def __call__(self, frame: Frame) -> Shown:
        """What to send, of the size agreed with the sinks."""
        controls = self._controls
        held = self._held if controls.frozen else None
        if not controls.panicked and (held is None or held.look.uncovers(controls.look)):
            look = controls.look  # read once: a key press may replace it meanwhile
            self._held = self._in_time(frame, look, self._worker) if self._worker else self._render(frame, look)
        if controls.panicked or self._held is None:  # asked last: it may have come while the picture was made
            return self._hidden(frame, controls.look)
        return self._held

    def matte(self, frame: Frame) -> Matte:
        """The matte of a frame that is shown.

        Raises:
            TimeoutError: the filter is stuck; others: what it raises.
        """
        if self._worker is None:
            return self._filter.matte(frame)
        job = self._worker.start(partial(self._filter.matte, frame)) if self._job is None else None
        if job is None or not is_done(job, STUCK):
            raise TimeoutError("the filter is stuck")
        return job.result()

    def _hidden(self, frame: Frame, look: Look) -> Shown:
        return Shown(frame, self._placeholder, look, hidden=True)

    def _in_time(self, frame: Frame, look: Look, worker: "Worker") -> Shown:
        """What the filter makes of a frame, or of the one before that it was late with; or what is safe."""
        if frame.is_blank:
            return self._hidden(frame, look)
        if self._job is None:
            self._job = worker.start(partial(self._render, frame, look))
        if not is_done(self._job, STUCK):
            return self._stand_in(frame, look)
        shown, self._job = self._job.result(), None
        if shown.look not in (look, self._controls.look):  # which may have been pressed, or refused, meanwhile
            return self._stand_in(frame, look)
        if not shown.hidden:
            self._safe, self._signed = shown, None
        return shown

    def _stand_in(self, frame: Frame, look: Look) -> Shown:
        """The last safe picture with a sign, if it was of this look; else a placeholder."""
        safe = self._safe
        with suppress(MemoryError, cv2.error):
            if safe and safe.look == look:
                if self._signed is None:
                    self._signed = Shown(safe.frame, signed(safe.picture), look, is_old=True)
                    self._say("The filter is late: the last picture stands in for it.")
                return self._signed
        return self._hidden(frame, look)

    def _render(self, frame: Frame, look: Look) -> Shown:
        if frame.is_blank:
            return self._hidden(frame, look)
        try:
            self._choose_quality(look)
            picture = self._timed(frame, look)
            picture = picture if size_of(picture) == self._size else cover(picture, self._size)
        except Exception as error:
            if is_of_device(error) and self._falls_back(error):
                return self._render(frame, look)
            if look is not self._good:  # a style that is damaged, a file that is gone: the old look stays
                self._controls.refuse(look, self._good, str(error))
                return self._render(frame, self._controls.look)
            self._failures += 1
            if not self._controls.privacy.is_call or self._failures > PATIENCE:
                raise
            if self._failures == 1:
                self._say(f"Hidden behind a placeholder: {str(error) or type(error).__name__}")
            return self._hidden(frame, look)
        self._failures, self._good = 0, look
        return Shown(frame, picture, look)

    def _falls_back(self, error: Exception) -> bool:
        """Whether it was a GPU's, such as that of one that was reset: the CPU goes on."""
        device = self._filter.engine.detail
        if not self._filter.fall_back():
            return False
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        words = f"{device} failed ({reason}): {self._filter.engine.detail} goes on, slower."
        self._say(words)
        self._controls.tell(words)
        return True

    def _choose_quality(self, look: Look) -> None:
        wanted, filter, auto = self._controls.quality, self._filter, self._auto
        if wanted == "auto" and auto:
            if auto.quality != filter.quality and filter.make_ready(auto.quality, look, self._size):
                filter.quality = auto.quality
                self._is_even = True
            elif auto.is_settled:
                self._is_even = filter.make_ready(auto.below, look, self._size)
        elif wanted != self._followed:
            filter.quality = QUALITIES[LIVE_QUALITY if wanted == "auto" else wanted]
        self._followed = wanted

    def _timed(self, frame: Frame, look: Look) -> Image:
        """The filter's picture; automatic quality is told what it took.

        Frames overlap, so what counts is the stage that takes longest, not how long a frame was on its way.
        """
        meter = self._filter.meter
        painted = meter.runs["painted"]
        picture = self._filter(frame, look, self._following)
        if self._auto and self._is_even and self._auto.quality == self._filter.quality:
            styles = meter.newest("stylize") if meter.runs["painted"] > painted else 0.0
            stages = (styles, meter.newest("segment"), meter.newest("composite"))
            self._auto.feed(frame.time, max(stages) / 1000, styles / 1000)
        return picture


def is_of_device(error: Exception) -> bool:
    """Whether an error may be that of what computes."""
    return isinstance(error, RuntimeError) and not isinstance(error, UnsafeMatteError)


class Worker:
    """Does jobs in turn, on a thread that ends when nobody holds this; the process does not wait for it."""

    def __init__(self) -> None:
        self._jobs: Tasks = SimpleQueue()
        threading.Thread(target=work, args=(self._jobs,), name="render", daemon=True).start()
        weakref.finalize(self, self._jobs.put, None)

    def start(self, job: Callable[[], T]) -> "Future[T]":
        """Do this next; what comes of it."""
        future: Future[T] = Future()

        def fulfil() -> None:
            try:
                future.set_result(job())
            except BaseException as error:  # raised again where the result is taken
                future.set_exception(error)

        self._jobs.put(fulfil)
        return future


def work(jobs: Tasks) -> None:
    """Do jobs up to None."""
    while (job := jobs.get()) is not None:
        job()
        del job  # and with it the frame, while the next one is waited for


def is_done(job: "Future[T]", seconds: float) -> bool:
    """Whether a job was done within so many seconds."""
    return bool(wait_for([job], seconds).done)


def placeholder(size: Size) -> Image:
    """What is shown instead of a picture that must not be."""
    width, height = size
    image = np.full((height, width, 3), 32, np.uint8)
    text, scale = "paused", height / 300
    (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    where = (width - w) // 2, (height + h) // 2
    return np.asarray(
        cv2.putText(image, text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, (200, 200, 200), 2, cv2.LINE_AA), np.uint8
    )


def signed(picture: Image) -> Image:
    """The picture with two bars in a corner: it stands still."""
    image = picture.copy()
    unit = max(1, image.shape[0] // 60)
    image[unit : 7 * unit, unit : 7 * unit] = 32
    for left in (2, 5):
        image[2 * unit : 6 * unit, left * unit : (left + 1) * unit] = 200
    return image
