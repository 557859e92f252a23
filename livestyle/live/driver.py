"""The driver: it takes frames from a source through the filter to sinks, live or for a whole clip."""

import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from livestyle.config.settings import LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Controls, PreviewState
from livestyle.live.guard import Guard
from livestyle.live.preview import scene_of
from livestyle.live.report import Pace, Report, make_report, process_age
from livestyle.live.shown import Follower, Shown, placeholder
from livestyle.live.snapshots import Snapshots
from livestyle.render.filter import Filter
from livestyle.render.meter import MAX_TIMINGS, Meter
from livestyle.types import FrameProgress, Say
from livestyle.video.sinks.open import SinkSpec, open_sinks, parse_sinks
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Sink, Stream, Tee
from livestyle.video.sound import Microphone
from livestyle.video.sources.camera import is_camera
from livestyle.video.sources.latest import Latest, Paced
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Source
from livestyle.video.window.preview import Preview

PRESENCE = {
    "on": "is back", "away": "sends nothing: a placeholder is shown", "off": "is off: nobody watches",
}  # fmt: skip
SETTLED_FRAMES = 30  # after which there is time for what may be wanted later


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself, and when its camera rests.

    Args:
        frames: number of frames after which it ends.
        seconds: after which it ends, on the source's clock.
        on_demand: the camera rests while nobody watches.
    """

    frames: float = math.inf
    seconds: float = math.inf
    on_demand: bool = False


class Session:
    """A run: each frame is read, rendered as the controls say, and sent.

    Args:
        source: of the frames.
        filter: renders them.
        sink: takes the pictures.
        controls: say what to render, and when to stop.
        limits: end the run by themselves.
        say: takes messages for people.
        watch: takes the number of frames sent, after each.
        auto: chooses the quality while that of the controls is "auto"; None leaves it as it is.
        snapshots: saves the stills that are ordered; None saves none.
        preview: shows the pictures here once the sinks have them, and takes keys; None for no window.
        followers: look at what is shown, and keep some of it.

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
        preview: Preview | None = None,
        followers: Sequence[Follower] = (),
    ) -> None:
        if sink.info.is_call and not controls.privacy.is_call:
            raise ValueError(f"{sink.info.name} reaches strangers, so the session must be private")
        self._source, self._filter, self._sink, self._controls, self._limits = source, filter, sink, controls, limits
        self._say, self._watch, self._snapshots, self._preview = say, watch, snapshots, preview or Preview()
        self._followers = followers
        self._frames, self._pace = Lookahead(source, filter.meter), Pace()
        self._render = Guard(filter, source.info.size, controls, say, auto, source.info.is_live, self._frames.after)
        self._latencies_ms: deque[float] = deque(maxlen=MAX_TIMINGS)
        self._presence = "on"
        controls.on_panic(partial(sink.hide, placeholder(source.info.size)))
        if auto:  # a live run
            filter.quality = auto.quality
            for one in followers:
                one.attach(filter)

    def run(self) -> Report:
        """Run until the source ends, a limit is reached or the controls say stop. Return the report.

        Raises:
            UserError: the source or the sink failed.
            Exception: the filter failed outside a call, or for too long in one.
        """
        stop, sent, first = self._controls.stop, 0, 0.0
        started, cpu = time.monotonic(), time.process_time()
        stop.is_driving = True
        while not stop.is_set() and sent < self._limits.frames and self._limits.seconds:
            frame = self._frames.take()
            if frame is None:
                self._tell_end()
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
            if sent == SETTLED_FRAMES and self._preview.is_watched():
                self._filter.expect_pictures()
            self._watch(sent)
        stop.is_driving = False
        spent = time.monotonic() - started, time.process_time() - cpu
        return make_report(self._source, self._filter, self._controls.look, sent, *spent, first, self._latencies_ms)

    def _send(self, frame: Frame, shown: Shown) -> None:
        with self._filter.meter.stage("write"):
            self._sink.send(replace(frame, image=shown.picture))
            about = f"{self._filter.engine.detail}, {self._filter.segmenter}"  # read each time: a GPU may have failed
            self._preview.show(shown.picture, scene_of(self._controls, shown, about, self._render.matte))
        self._latencies_ms.append((time.monotonic() - frame.captured) * 1000)

    def _report(self, sent: int) -> None:
        pace = self._pace.add(sent, self._latencies_ms[-1])
        quality = self._filter.describe(self._source.info.size)
        self._controls.pace = pace | {"dropped": self._source.dropped, "quality": quality}

    def _tell_end(self) -> None:
        if self._source.info.is_live:  # somebody looks on
            self._say(f"{self._source.info.name} has ended. To play it over and over: --loop")

    def _take_input(self) -> None:
        preview = self._controls.preview
        if action := preview.wants_file:
            preview.wants_file = ""
            self._preview.ask_file(action)
        if preview.wants_words:
            preview.wants_words = False
            self._preview.ask_words()
        for key in self._preview.events():
            self._controls.press_key(key)
        for line in self._controls.notices():
            self._preview.notice(line)

    def _tell(self, frame: Frame, shown: Shown) -> None:
        kept = (line for one in self._followers for line in one.follow(frame, shown, self._controls))
        said = (*self._filter.take_notes(), *self._sink.messages(), *self._camera_messages(frame))
        for line in (*self._save_stills(shown), *kept, *said):
            self._preview.notice(line)
            self._say(line)

    def _save_stills(self, shown: Shown) -> Iterator[str]:
        orders = self._controls.ordered_stills()
        if self._snapshots:
            yield from self._snapshots.attend(orders, shown.frame, shown.picture, shown.look, self._render.matte)

    def _camera_messages(self, frame: Frame) -> Iterator[str]:
        rests = self._limits.on_demand and not (self._sink.is_watched() or self._preview.is_watched())
        self._source.rest(rests)
        presence = "on" if not frame.is_blank else "off" if rests else "away"
        if presence != self._presence:
            self._presence = presence
            yield f"The {self._source.info.name} {PRESENCE[presence]}."


class Lookahead:
    """The frames of a source. A second thread may read the next frame before its turn.

    Args:
        source: it is read by one thread at a time.
        meter: measures the time for reading.
    """

    def __init__(self, source: Source, meter: Meter) -> None:
        self._frames, self._meter, self._turn = iter(source), meter, threading.Lock()
        self._taken: Frame | None = None  # the frame whose turn it is
        self._next: Frame | None = None
        self._error: BaseException | None = None

    def take(self) -> Frame | None:
        """Return the next frame, or None at the end.

        Raises:
            Exception: what the source raised, also if that was ahead of its turn.
        """
        with self._turn:
            self._taken, self._next = self._next or self._read(), None
            if self._error:
                raise self._error
            return self._taken

    def after(self, frame: Frame) -> Frame | None:
        """Return the frame after one that was taken, or None if the source ended or failed. This may wait for it."""
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
    snapshots: Snapshots | None = None, followers: Sequence[Follower] = (),
) -> Report:  # fmt: skip
    """Run the live filter.

    Args:
        settings: how frames are rendered.
        live: where they come from and go.
        controls: say what to render, and when to stop.
        say: takes messages for people.
        watch: takes the number of frames sent, after each.
        snapshots: saves the stills that are ordered; None saves none.
        followers: look at what is shown, and keep some of it.

    Raises:
        UserError: something cannot be opened, or the camera went away.
    """
    specs = parse_sinks(live.sinks)
    if live.on_demand and not any(spec.kind.is_call for spec in specs):
        raise UserError(
            "There is no virtual camera that somebody could watch.", "Add the sink virtual-camera.", "on_demand"
        )
    asked = live.source, live.size, live.fps, settings.backdrop_rgb
    with open_source(*asked) as source, Filter(settings) as filter:
        filter.prepare(controls.look)
        prepare_preview(controls.preview, live, specs)
        if loops(live, specs):
            source.loop()
        stream = _stream(source, settings, live, specs, controls)
        with (
            open_sinks(specs, stream, source.info.is_live) as outputs,
            Recorder(live.recordings, stream, controls) as recorder,
        ):
            sink = Tee([outputs.sink, recorder])
            say(f"{source.info.name} -> {outputs.name}; {filter.engine.detail}; segmenter {filter.segmenter}")
            if outputs.preview.note:
                say(outputs.preview.note)
            if any(spec.kind.is_window for spec in specs):
                strip, keys, panic = map(controls.key, ("strip", "help", "panic"))
                hint = f"Keys: {strip} shows the styles, {keys} all keys, {panic} hides you from everybody."
                say(hint)
                controls.notice(hint)
            frames, seconds = (math.inf if most is None else most for most in (live.frames, live.seconds))
            limits = Limits(frames, seconds, live.on_demand)
            make = partial(
                Session, filter=filter, sink=sink, controls=controls, limits=limits, say=say, watch=watch,
                snapshots=snapshots, preview=outputs.preview, followers=followers,
            )  # fmt: skip
            if not (source.info.is_live or outputs.is_live):
                result = make(source).run()
            else:
                with Latest(source if source.info.is_live else Paced(source)) as latest:
                    result = make(latest, auto=AutoQuality(1 / (stream.fps or 30), source.info.size)).run()
        for line in sink.messages():
            say(line)
        if source.warning:
            say(f"Warning: {source.warning}")
        return result


def prepare_preview(preview: PreviewState, live: LiveSettings, specs: Sequence[SinkSpec]) -> None:
    """Have the preview begin as the settings say."""
    preview.is_mirrored = is_camera(live.source) if live.mirror is None else live.mirror
    preview.is_shown = any(spec.kind.is_window for spec in specs)
    if live.hud == "off":
        preview.panels -= {"hud"}


def loops(live: LiveSettings, specs: Sequence[SinkSpec]) -> bool:
    """Return whether a clip begins again at its end: where it is asked for, or where a window shows it and no file."""
    shows = any(spec.kind.is_window for spec in specs) and all(spec.kind.is_live for spec in specs)
    return shows if live.loop is None else live.loop


def _stream(
    source: Source, settings: Settings, live: LiveSettings, specs: Sequence[SinkSpec], controls: Controls
) -> Stream:
    """Return what the sinks will get."""
    info = source.info
    stream = Stream(
        info.size, live.fps or info.fps, info.audio, info.start, info.is_bt709,
        keep_location=settings.keep_location, ending=lambda: source.ending, has_bar=live.hud == "below",
    )  # fmt: skip
    if live.microphone and (info.is_live or any(spec.kind.is_live for spec in specs)):
        return replace(stream, microphone=partial(Microphone, live.microphone, lambda: controls.panicked))
    return stream


def run_video(
    settings: Settings, path: str, out: Path, controls: Controls, say: Say, watch: FrameProgress
) -> Report:  # fmt: skip
    """Filter a whole clip. Every frame, the sound and the timing are kept.

    Args:
        path: of the clip, or its URL.
        out: path of the result.
        settings, controls, say, watch: see `run_live`.

    Raises:
        UserError: the clip cannot be read, or the result cannot be written.
    """
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
        raise UserError(f"{out} is the clip itself.", "Give another name for the result.")
    return run_live(settings, LiveSettings(path, (f"file:{out}",)), controls, say, watch)
