"""The driver: source, filter, sinks; for live pictures and for whole clips."""

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from livestyle import IMPORTED
from livestyle.config.look import Look
from livestyle.config.settings import LiveSettings, Settings, Size
from livestyle.errors import UserError
from livestyle.image.pixels import Frame
from livestyle.live.autoquality import AutoQuality
from livestyle.live.controls import Deck, Facts
from livestyle.live.guard import Guard, placeholder
from livestyle.live.preview import scene_of
from livestyle.render.filter import Filter
from livestyle.render.meter import REMEMBERED, Meter
from livestyle.video.sinks.open import Sink, Stream, Tee, is_shown
from livestyle.video.sinks.queued import open_sinks
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sound import Microphone
from livestyle.video.sources.open import Latest, Paced, Source, is_camera, open_source

Say = Callable[[str], None]  # a line for people
Watch = Callable[[int], None]  # the frames done so far
PRESENCE = {
    "on": "is back", "away": "sends nothing: a placeholder is shown", "off": "is off: nobody watches",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """How a run went: the JSON object of the command contract, times in ms where the name says so."""

    frames: int
    seconds: float
    fps: float
    size: Size
    device: str
    engine: str
    segmenter: str
    background: str
    person: str
    dropped: int
    first_frame_s: float
    latency_ms: dict[str, float]
    stages_ms: dict[str, float]
    cpu_ms_per_frame: float
    rss_mb: float
    style_size: Size
    matte_size: Size
    segment_share: float
    stylize_share: float
    stylize_area: float  # of the picture, painted when a style's net ran


@dataclass(frozen=True)
class Limits:
    """When a run ends by itself, whether a fault must not end it, and whether the camera rests while nobody watches;
    `seconds` are those of the source's clock."""

    frames: float = math.inf
    seconds: float = math.inf
    private: bool = False
    on_demand: bool = False


def drive(
    source: Source, filter: Filter, sink: Sink, deck: Deck, limits: Limits, say: Say, watch: Watch,
    auto: AutoQuality | None = None,
) -> Report:  # fmt: skip
    """Run until the source ends, a limit is reached or the deck is over.

    Args:
        auto: chooses the quality while the deck's is "auto"; None leaves it as it is.
    """
    meter, sent, first = filter.meter, 0, 0.0
    latencies: deque[float] = deque(maxlen=REMEMBERED)
    started, cpu = time.monotonic(), time.process_time()
    deck.is_call = limits.private or sink.is_call
    deck.alarm = partial(sink.hide, placeholder(source.size))
    frames, pace = Lookahead(source, meter), Pace()
    render = Guard(filter, source.size, deck, say, auto, source.is_live, frames.after)
    if auto:
        filter.take(auto.quality)
    camera, deck.driving = "on", True
    while not deck.over.is_set() and sent < limits.frames:
        frame = frames.take()
        if frame is None or frame.time >= limits.seconds:
            break
        shown = render(frame)
        with meter.stage("write"):
            about = f"{filter.engine.detail}, {filter.segmenter}"  # a GPU that fails is left
            sink.describe(scene_of(deck, shown, about, render.matte))
            sink.send(replace(frame, image=shown.picture))
        latencies.append((time.monotonic() - frame.captured) * 1000)
        sent += 1
        deck.facts = pace.facts(sent, latencies[-1]) | {
            "dropped": getattr(source, "dropped", 0), "quality": filter.describe(source.size)
        }  # fmt: skip
        for key in sink.pressed():
            deck.strike(key)
        for line in deck.answers():
            sink.notice(line)
        news = [*deck.attend(shown.frame, shown.picture, shown.look, render.matte), *sink.news()]
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
    deck.driving = False
    spent = time.monotonic() - started, time.process_time() - cpu
    return report(source, filter, deck.look, sent, *spent, first, latencies)


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


def process_age() -> float:
    """Seconds since this process started; since this package was imported where the system does not tell."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - IMPORTED


class Pace:
    """How a run goes just now: rates and delays of the last second or so."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=30)  # when, and how late

    def facts(self, frames: int, latency: float) -> Facts:
        """Take a frame that was sent, so many ms after it was captured."""
        self._recent.append((time.monotonic(), latency))
        (first, _), (last, _) = self._recent[0], self._recent[-1]
        fps = (len(self._recent) - 1) / (last - first) if last > first else 0.0
        late = sorted(ms for _, ms in self._recent)[len(self._recent) // 2]
        return {"frames": frames, "fps": round(fps, 1), "latency_ms": round(late, 1)}


def report(
    source: Source, filter: Filter, look: Look, frames: int, seconds: float, cpu: float, first: float,
    latencies: Iterable[float],
) -> Report:  # fmt: skip
    """Sum a run up; rates are of the frames after the first."""
    later, meter = max(0, frames - 1), filter.meter
    marks = np.percentile(list(latencies)[1:] or [0.0], (50, 95, 99))
    return Report(
        frames=frames,
        seconds=round(seconds, 3),
        fps=round(later / seconds, 2) if seconds else 0.0,
        size=source.size,
        device=filter.engine.device,
        engine=filter.engine.detail,
        segmenter=filter.segmenter,
        background=look.background.text,
        person=look.person.text,
        dropped=getattr(source, "dropped", 0),
        first_frame_s=round(first, 3),
        latency_ms={f"p{p}": round(float(v), 2) for p, v in zip((50, 95, 99), marks, strict=True)},
        stages_ms={n: meter.median(n) for n in ("read", "segment", "stylize", "composite", "write")},
        cpu_ms_per_frame=round(cpu * 1000 / later, 2) if later else 0.0,
        rss_mb=peak_memory(),
        style_size=filter.style_size(source.size),
        matte_size=filter.matting.size,
        segment_share=round(meter.runs["cut out"] / frames, 3) if frames else 0.0,
        stylize_share=round(meter.runs["painted"] / frames, 3) if frames else 0.0,
        stylize_area=round(float(np.mean(meter.areas)), 3) if meter.areas else 0.0,
    )


def peak_memory() -> float:
    """The most memory that this process has held, in MB; 0 where the system does not tell."""
    # getrusage counts what the parent held when it started this process, too (Linux keeps it over exec).
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)


def run_live(settings: Settings, live: LiveSettings, deck: Deck, say: Say, watch: Watch) -> Report:
    """The live filter.

    Args:
        say: told what was opened, line by line; watch: told the frames done.

    Raises:
        UserError: something cannot be opened, or the camera went away.
    """
    if live.on_demand and not any(sink.startswith("virtual-camera") for sink in live.sinks):
        raise UserError("--on-demand waits for who watches a virtual camera.", "Add --sink virtual-camera.")
    with open_source(live.source, live.size, live.fps) as source, Filter(settings) as filter:
        filter.prepare(deck.look)
        deck.mirror = is_camera(live.source) if live.mirror is None else live.mirror
        stream = Stream(source.size, live.fps or source.fps, source.audio, source.start, source.is_bt709)
        if live.microphone and (source.is_live or is_shown(live.sinks)):
            stream = replace(stream, microphone=partial(Microphone, live.microphone, lambda: deck.panicked))
        with (
            open_sinks(live.sinks, stream, source.is_live) as opened,
            Recorder(live.recordings, stream, deck) as recorder,
        ):
            sink = Tee([opened, recorder])
            say(f"{source.name} -> {opened.name}; {filter.engine.detail}; segmenter {filter.segmenter}")
            for note in filter.notes:
                say(note)
            if any(text.startswith("window") for text in live.sinks):
                hint = f"Keys: {deck.key('help')} shows them, {deck.key('panic')} hides you from everybody."
                say(hint)
                deck.tell(hint)
            limits = Limits(live.frames or math.inf, live.seconds or math.inf, live.private, live.on_demand)
            if not (source.is_live or sink.is_live):
                result = drive(source, filter, sink, deck, limits, say, watch)
            else:
                with Latest(source if source.is_live else Paced(source)) as latest:
                    auto = AutoQuality(1 / (stream.fps or 30), source.size)
                    result = drive(latest, filter, sink, deck, limits, say, watch, auto)
                    source.warning = latest.warning
        for line in sink.news():
            say(line)
        if source.warning:
            say(f"Warning: {source.warning}")
        return result


def run_video(settings: Settings, path: str, out: Path, deck: Deck, say: Say, watch: Watch) -> Report:
    """A whole clip: every frame, sound and timing kept."""
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
        raise UserError(f"{out} is the clip itself.", "Give another name for the result.")
    return run_live(settings, LiveSettings(path, (f"file:{out}",)), deck, say, watch)
