"""The driver: source, filter, sinks; for live pictures and for whole clips."""

import math
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from livestyle.config.settings import LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls
from livestyle.live.guard import Guard, placeholder
from livestyle.live.preview import scene_of
from livestyle.live.report import Pace, Report, process_age, report
from livestyle.render.filter import Filter
from livestyle.render.meter import REMEMBERED, Meter
from livestyle.types import FrameProgress, Say
from livestyle.video.sinks.open import is_shown, open_sinks
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Sink, Stream, Tee
from livestyle.video.sound import Microphone
from livestyle.video.sources.camera import is_camera
from livestyle.video.sources.latest import Latest, Paced
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Source

PRESENCE = {
    "on": "is back", "away": "sends nothing: a placeholder is shown", "off": "is off: nobody watches",
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself, whether a fault must not end it, and whether the camera rests while nobody watches;
    `seconds` are those of the source's clock."""

    frames: float = math.inf
    seconds: float = math.inf
    private: bool = False
    on_demand: bool = False


def drive(
    source: Source, filter: Filter, sink: Sink, controls: Controls, limits: Limits, say: Say, watch: FrameProgress,
    auto: AutoQuality | None = None,
) -> Report:  # fmt: skip
    """Run until the source ends, a limit is reached or the controls is over.

    Args:
        auto: chooses the quality while the controls's is "auto"; None leaves it as it is.
    """
    meter, sent, first = filter.meter, 0, 0.0
    latencies: deque[float] = deque(maxlen=REMEMBERED)
    started, cpu = time.monotonic(), time.process_time()
    controls.is_call = limits.private or sink.is_call
    controls.alarm = partial(sink.hide, placeholder(source.size))
    frames, pace = Lookahead(source, meter), Pace()
    render = Guard(filter, source.size, controls, say, auto, source.is_live, frames.after)
    if auto:
        filter.take(auto.quality)
    camera, controls.driving = "on", True
    while not controls.over.is_set() and sent < limits.frames:
        frame = frames.take()
        if frame is None or frame.time >= limits.seconds:
            break
        shown = render(frame)
        with meter.stage("write"):
            about = f"{filter.engine.detail}, {filter.segmenter}"  # a GPU that fails is left
            sink.describe(scene_of(controls, shown, about, render.matte))
            sink.send(replace(frame, image=shown.picture))
        latencies.append((time.monotonic() - frame.captured) * 1000)
        sent += 1
        controls.facts = pace.facts(sent, latencies[-1]) | {
            "dropped": getattr(source, "dropped", 0), "quality": filter.describe(source.size)
        }  # fmt: skip
        for key in sink.pressed():
            controls.strike(key)
        for line in controls.answers():
            sink.notice(line)
        news = [*controls.attend(shown.frame, shown.picture, shown.look, render.matte), *sink.news()]
        rests = limits.on_demand and not sink.is_watched()
        source.rest(rests)
        if (state := "on" if not frame.is_blank else "off" if rests else "away") != camera:
            news.append(f"The {source.name} {PRESENCE[state]}.")
            camera = state
        for line in news:
            sink.notice(line)
            say(line)
        if not (first or shown.hidden):
            first, started, cpu = process_age(), time.monotonic(), time.process_time()
        watch(sent)
    controls.driving = False
    spent = time.monotonic() - started, time.process_time() - cpu
    return report(source, filter, controls.look, sent, *spent, first, latencies)


class Lookahead:
    """The frames of a source in turn, the next of which can be had before its turn; from two threads."""

    def __init__(self, source: Source, meter: Meter) -> None:
        self._frames, self._meter, self._turn = iter(source), meter, threading.Lock()
        self._taken: Frame | None = None  # the newest
        self._next: Frame | None = None
        self._error: BaseException | None = None

    def take(self) -> Frame | None:
        """The next frame, None at the end. Raises what the source does."""
        with self._turn:
            self._taken, self._next = self._next or self._read(), None
            if self._error:
                raise self._error
            return self._taken

    def after(self, frame: Frame) -> Frame | None:
        """The frame after one that was taken, whether or not it was taken, too; None where there is none, for whatever
        reason."""
        with self._turn:
            if self._taken is not frame:
                return self._taken
            self._next = self._next or self._read()
            return self._next

    def _read(self) -> Frame | None:
        if self._error:
            return None
        try:
            with self._meter.stage("read"):
                return next(self._frames, None)
        except BaseException as error:  # raised again where frames are taken
            self._error = error
            return None


def run_live(settings: Settings, live: LiveSettings, controls: Controls, say: Say, watch: FrameProgress) -> Report:
    """The live filter.

    Args:
        say: told what was opened, line by line; watch: told the frames done.

    Raises:
        UserError: something cannot be opened, or the camera went away.
    """
    if live.on_demand and not any(sink.startswith("virtual-camera") for sink in live.sinks):
        raise UserError("--on-demand waits for who watches a virtual camera.", "Add --sink virtual-camera.")
    with open_source(live.source, live.size, live.fps) as source, Filter(settings) as filter:
        filter.prepare(controls.look)
        controls.mirror = is_camera(live.source) if live.mirror is None else live.mirror
        stream = Stream(source.size, live.fps or source.fps, source.audio, source.start, source.is_bt709)
        if live.microphone and (source.is_live or is_shown(live.sinks)):
            stream = replace(stream, microphone=partial(Microphone, live.microphone, lambda: controls.panicked))
        with (
            open_sinks(live.sinks, stream, source.is_live) as opened,
            Recorder(live.recordings, stream, controls) as recorder,
        ):
            sink = Tee([opened, recorder])
            say(f"{source.name} -> {opened.name}; {filter.engine.detail}; segmenter {filter.segmenter}")
            for note in filter.notes:
                say(note)
            if any(text.startswith("window") for text in live.sinks):
                hint = f"Keys: {controls.key('help')} shows them, {controls.key('panic')} hides you from everybody."
                say(hint)
                controls.tell(hint)
            limits = Limits(live.frames or math.inf, live.seconds or math.inf, live.private, live.on_demand)
            if not (source.is_live or sink.is_live):
                result = drive(source, filter, sink, controls, limits, say, watch)
            else:
                with Latest(source if source.is_live else Paced(source)) as latest:
                    auto = AutoQuality(1 / (stream.fps or 30), source.size)
                    result = drive(latest, filter, sink, controls, limits, say, watch, auto)
                    source.warning = latest.warning
        for line in sink.news():
            say(line)
        if source.warning:
            say(f"Warning: {source.warning}")
        return result


def run_video(settings: Settings, path: str, out: Path, controls: Controls, say: Say, watch: FrameProgress) -> Report:
    """A whole clip: every frame, sound and timing kept."""
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
        raise UserError(f"{out} is the clip itself.", "Give another name for the result.")
    return run_live(settings, LiveSettings(path, (f"file:{out}",)), controls, say, watch)
