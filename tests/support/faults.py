"""Runs with cameras, segmenters and painters that fail on purpose."""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from livestyle.config.look import Look, look_of
from livestyle.config.quality import Quality
from livestyle.config.settings import Settings
from livestyle.image.synthetic import is_room
from livestyle.image.types import Frame, Image
from livestyle.live import guard
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.driver import Limits, Session
from livestyle.live.gallery import Gallery
from livestyle.live.privacy import Privacy
from livestyle.live.report import Report
from livestyle.matting.faults import ERRORS, STALLS, FaultySegmenter
from livestyle.matting.matte import Matting
from livestyle.matting.smoother import Smoother
from livestyle.render.filter import Filter
from livestyle.render.temporal import PaintingHistory
from livestyle.video.sinks.sink import Sink, SinkInfo
from livestyle.video.sources.faults import Fault, Faults
from livestyle.video.sources.source import Source
from livestyle.video.window.preview import Preview

SIZE = 96, 64


FPS = 20.0


LOOKS = {
    "colour": look_of(Settings(background="color:#204020"), ""),
    "style": look_of(Settings(background="starry_night"), ""),
    "bare": look_of(Settings(background="none"), ""),
    "both": look_of(Settings(background="color:#204020", person="starry_night"), ""),
    "blended": look_of(Settings(background="great_wave+starry_night@0.5"), ""),
}


class Clock:
    """A fake clock for all threads of a run. No thread really sleeps."""

    def __init__(self) -> None:
        self.now, self._sleepers, self._changed = 0.0, list[float](), threading.Condition()

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass, on the driver's thread."""
        with self._changed:
            self.now += seconds
            self._sleepers = [until for until in self._sleepers if until > self.now]
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Sleep, on any other thread, until time has passed."""
        with self._changed:
            until = self.now + seconds
            self._sleepers.append(until)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.now >= until, 60)

    def is_done(self, job: Future[Any], seconds: float) -> bool:
        """Replace guard.is_done: time passes only while all that is left to do sleeps."""
        job.add_done_callback(lambda _: self._notify())
        end = self.now + seconds
        while True:
            with self._changed:
                assert self._changed.wait_for(lambda: job.done() or self._sleepers, 60)
                if job.done():
                    return True
                wake = min(self._sleepers)
            if wake > end:
                self.pass_by(end - self.now)
                return False
            self.pass_by(max(0.0, wake - self.now))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Painted(Filter):
    """A filter whose styles are a flat colour, and whose painter has the faults that it is given."""

    def __init__(self, faults: Iterator[str], clock: Clock) -> None:
        super().__init__(Settings(segmenter="kmeans", quality="fast"))
        self._faults, self._clock = faults, clock
        self._histories: dict[str, PaintingHistory] = {}
        self._planes.style = self._style  # type: ignore[method-assign]

    def _style(self, name: str, quality: Quality) -> Any:
        return self._paint_flat, self._histories.setdefault(name, PaintingHistory())

    def _paint_flat(self, image: Image) -> Image:
        fault = next(self._faults, "works")
        if fault == STALLS:
            self._clock.sleep(1.0)
        if fault in ERRORS:
            raise ERRORS[fault]("on purpose")
        return np.full_like(image, (20, 120, 20))


@dataclass
class Audience(Sink, Preview):
    """A sink for strangers, which also presses keys.

    Args:
        keys: by the number of pictures before them.
        seen: each picture, whether the look hid the room then, and the index of its frame.
    """

    info = SinkInfo("audience", is_call=True)

    controls: Controls
    keys: dict[int, str]
    seen: list[tuple[Image, bool, int]] = field(default_factory=list)

    def send(self, frame: Frame) -> None:
        look = self.controls.look
        self.seen.append((frame.image.copy(), not (look.bypass or look.is_bare), frame.index))

    def hide(self, image: Image) -> None:
        self.seen.append((image, True, -1))

    def events(self) -> list[str]:
        key = self.keys.pop(len(self.seen), None)
        return [key] if key else []


def session_of(source: Source, filter: Filter, sink: Sink, controls: Controls, limits: Limits) -> Session:
    """Return a session without messages. If the sink is a preview, too, its keys are taken."""
    preview = sink if isinstance(sink, Preview) else None
    return Session(source, filter, sink, controls, limits, lambda _: None, lambda _: None, preview=preview)


def perform(
    look: Look,
    camera: Iterable[Fault],
    segmenter: Iterable[str] = (),
    painter: Iterable[str] = (),
    keys: Mapping[int, str] | None = None,
) -> tuple[Audience, Report]:
    """Run a call on a fake clock, and return what was seen and the report.

    Args:
        camera, segmenter, painter: their faults, in order. After them they work.
        keys: by the number of pictures before them.
    """
    clock, controls = Clock(), make_controls(look, Gallery(("starry_night", "great_wave")), Privacy(is_call=True))
    audience = Audience(controls, dict(keys or {}))
    source = Faults(list(camera), SIZE, FPS, clock, clock.pass_by)
    with patch.object(guard, "is_done", clock.is_done), Painted(iter(painter), clock) as filter:
        filter.matting = Matting(FaultySegmenter(iter(segmenter), clock.sleep), Smoother())
        try:
            report = session_of(source, filter, audience, controls, Limits(frames=150)).run()
        finally:
            clock.pass_by(math.inf)
    return audience, report


def shows_room(image: Image) -> bool:
    """Return whether a pixel and its neighbours are the room's. Single ones occur at the edge of a moving person."""
    return bool(cv2.erode(is_room(image).astype(np.uint8), np.ones((3, 3), np.uint8)).any())
