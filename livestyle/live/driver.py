"""The driver: frames from a source through the filter to sinks, live or as a whole clip."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from livestyle.config.settings import LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls
from livestyle.live.guard import Guard
from livestyle.live.preview import scene_of
from livestyle.live.report import Pace, Report, process_age, report
from livestyle.live.shown import Shown, placeholder
from livestyle.live.snapshots import Snapshots
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
    """When a run ends by itself.

    Args:
        frames: after so many; seconds: on the source's clock.
        on_demand: the camera rests while nobody watches the virtual one.
    """

    frames: float = math.inf
    seconds: float = math.inf
    on_demand: bool = False


class Session:
    """A run: each frame is read, rendered as the controls say, and sent.

    Args:
        auto: chooses the quality while that of the controls is "auto"; None leaves it as it is.
        snapshots: saves the stills that are ordered; None saves none.

    Raises:
        ValueError: a sink reaches strangers, and the controls do not know that this is a call.
    """

    def __init__(
        self,
        source: Source,
        filter: Filter,
        sink: Sink,
        controls: Controls,
        limits: Limits,
        say: Say,
        watch: FrameProgress,
        auto: AutoQuality | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        if sink.is_call and not controls.privacy.is_call:
            raise ValueError(f"{sink.name} reaches strangers, so the session must be private")
        self._source, self._filter, self._sink, self._controls, self._limits = source, filter, sink, controls, limits
        self._say, self._watch, self._snapshots = say, watch, snapshots
        self._frames, self._pace = Lookahead(source, filter.meter), Pace()
        self._render = Guard(filter, source.size, controls, say, auto, source.is_live, self._frames.after)
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)  # ms
        self._presence = "on"
        controls.on_panic(partial(sink.hide, placeholder(source.size)))
        if auto:
            filter.take(auto.quality)

    def run(self) -> Report:
        """Run until the source ends, a limit is reached or the controls say stop."""
        stop, sent, first = self._controls.stop, 0, 0.0
        started, cpu = time.monotonic(), time.process_time()
        stop.is_driving = True
        while not stop.is_set() and sent < self._limits.frames:
            frame = self._frames.take()
            if frame is None or frame.time >= self._limits.seconds:
                break
            shown = self._render(frame)
            self._send(frame, shown)
            sent += 1
            self._report(sent)
            self._take_input()
            self._tell(frame, shown)
            if not (first or shown.hidden):
                first, started, cpu = process_age(), time.monotonic(), time.process_time()
            self._watch(sent)
        stop.is_driving = False
        spent = time.monotonic() - started, time.process_time() - cpu
        return report(self._source, self._filter, self._controls.look, sent, *spent, first, self._latencies)

    def _send(self, frame: Frame, shown: Shown) -> None:
        with self._filter.meter.stage("write"):
            about = f"{self._filter.engine.detail}, {self._filter.segmenter}"  # a GPU that fails is left
            self._sink.describe(scene_of(self._controls, shown, about, self._render.matte))
            self._sink.send(replace(frame, image=shown.picture))
        self._latencies.append((time.monotonic() - frame.captured) * 1000)

    def _report(self, sent: int) -> None:
        pace = self._pace.facts(sent, self._latencies[-1])
        dropped = getattr(self._source, "dropped", 0)
        self._controls.report(pace | {"dropped": dropped, "quality": self._filter.describe(self._source.size)})

    def _take_input(self) -> None:
        for key in self._sink.pressed():
            self._controls.strike(key)
        for line in self._controls.answers():
            self._sink.notice(line)

    def _tell(self, frame: Frame, shown: Shown) -> None:
        for line in (*self._save_stills(shown), *self._sink.news(), *self._camera_news(frame)):
            self._sink.notice(line)
            self._say(line)

    def _save_stills(self, shown: Shown) -> Iterator[str]:
        orders = self._controls.ordered_stills()
        if self._snapshots:
            yield from self._snapshots.attend(orders, shown.frame, shown.picture, shown.look, self._render.matte)

    def _camera_news(self, frame: Frame) -> Iterator[str]:
        rests = self._limits.on_demand and not self._sink.is_watched()
        self._source.rest(rests)
        presence = "on" if not frame.is_blank else "off" if rests else "away"
        if presence != self._presence:
            self._presence = presence
            yield f"The {self._source.name} {PRESENCE[presence]}."


class Lookahead:
    """The frames of a source in turn, from two threads. The next frame can be had before its turn."""

    def __init__(self, source: Source, meter: Meter) -> None:
        self._frames, self._meter, self._turn = iter(source), meter, threading.Lock()
        self._taken: Frame | None = None  # the newest
        self._next: Frame | None = None
        self._error: BaseException | None = None

    def take(self) -> Frame | None:
        """Return the next frame, None at the end. Raise what the source does."""
        with self._turn:
            self._taken, self._next = self._next or self._read(), None
            if self._error:
                raise self._error
            return self._taken

    def after(self, frame: Frame) -> Frame | None:
        """Return the frame after one that was taken, or None where there is none for whatever reason."""
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


def run_live(
    settings: Settings, live: LiveSettings, controls: Controls, say: Say, watch: FrameProgress,
    snapshots: Snapshots | None = None,
) -> Report:  # fmt: skip
    """Run the live filter.

    Args:
        say: takes what was opened, line by line; watch: takes the number of frames done.

    Raises:
        UserError: something cannot be opened, or the camera went away.
    """
    if live.on_demand and not any(sink.startswith("virtual-camera") for sink in live.sinks):
        raise UserError("--on-demand waits for who watches a virtual camera.", "Add --sink virtual-camera.")
    with open_source(live.source, live.size, live.fps) as source, Filter(settings) as filter:
        filter.prepare(controls.look)
        controls.preview.is_mirrored = is_camera(live.source) if live.mirror is None else live.mirror
        stream = _stream(source, live, controls)
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
            limits = Limits(live.frames or math.inf, live.seconds or math.inf, live.on_demand)
            make = partial(
                Session, filter=filter, sink=sink, controls=controls, limits=limits, say=say, watch=watch,
                snapshots=snapshots,
            )  # fmt: skip
            if not (source.is_live or sink.is_live):
                result = make(source).run()
            else:
                with Latest(source if source.is_live else Paced(source)) as latest:
                    result = make(latest, auto=AutoQuality(1 / (stream.fps or 30), source.size)).run()
                    source.warning = latest.warning
        for line in sink.news():
            say(line)
        if source.warning:
            say(f"Warning: {source.warning}")
        return result


def _stream(source: Source, live: LiveSettings, controls: Controls) -> Stream:
    """Return what the sinks are about to get."""
    stream = Stream(source.size, live.fps or source.fps, source.audio, source.start, source.is_bt709)
    if live.microphone and (source.is_live or is_shown(live.sinks)):
        return replace(stream, microphone=partial(Microphone, live.microphone, lambda: controls.panicked))
    return stream


def run_video(
    settings: Settings, path: str, out: Path, controls: Controls, say: Say, watch: FrameProgress
) -> Report:  # fmt: skip
    """Filter a whole clip: every frame, sound and timing kept.

    Raises:
        UserError: the clip cannot be read, or the result not be written.
    """
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
        raise UserError(f"{out} is the clip itself.", "Give another name for the result.")
    return run_live(settings, LiveSettings(path, (f"file:{out}",)), controls, say, watch)
