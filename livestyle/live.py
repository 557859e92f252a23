"""The driver: source, filter, sinks; for live pictures and for whole clips."""

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from livestyle import IMPORTED
from livestyle.album import Album, Shot
from livestyle.errors import UserError
from livestyle.filter import REMEMBERED, Filter
from livestyle.image import Frame, Image, Matte, cover, size_of
from livestyle.look import ACTIONS, Look, look_of
from livestyle.settings import LiveSettings, Settings, Size
from livestyle.sinks import Sink, Stream, open_sink
from livestyle.sources import Latest, Paced, Source, is_camera, open_source
from livestyle.weights import find_card, find_cards

Say = Callable[[str], None]  # a line for people
Watch = Callable[[int], None]  # the frames done so far
PATIENCE = 90  # frames in a row that may fail in a call before the run ends


class Deck:
    """Owns the current look, whether the run goes on and what is to be done with a frame; keys and signals change them,
    the driver reads them."""

    def __init__(self, look: Look, gallery: tuple[str, ...] = (), album: Album | None = None) -> None:
        self.look, self.gallery, self._album = look, gallery, album
        self.over = threading.Event()
        self._wanted: list[str] = []

    def press(self, key: str) -> None:
        """Do what a key or an action's name stands for; others do nothing."""
        action = next((a for a in ACTIONS if key in (a.key, a.name)), None)
        if action is None:
            return
        if action.change:
            self.look = action.change(self.look, self.gallery)
        elif action.name == "quit":
            self.over.set()
        else:
            self._wanted.append(action.name)

    def attend(self, frame: Frame, styled: Image, look: Look, matte: Callable[[Frame], Matte]) -> Iterator[str]:
        """Take the stills of a frame that were asked for; yields what people should read."""
        wanted, self._wanted = self._wanted, []
        if self._album is None:
            return
        for name in wanted:
            try:
                shot = Shot(frame.image, matte(frame), styled, look)
            except Exception as error:  # in a call, a segmenter that fails must not end the run
                yield f"No still was taken: {error}"
            else:
                self._album.take(shot, paint=name == "paint-still")
        yield from self._album.news()


def open_deck(settings: Settings, album: Album | None = None) -> Deck:
    """A deck with the look that the flags ask for.

    Raises:
        UserError: a look that cannot be parsed.
    """
    default = "" if settings.background is not None else find_card("style", None, settings.models).name
    return Deck(look_of(settings, default), tuple(find_cards("style", settings.models)), album)


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
    """When a run ends by itself, and whether a fault must not end it; `seconds` are those of the source's clock."""

    frames: float = math.inf
    seconds: float = math.inf
    private: bool = False


def drive(
    source: Source, filter: Filter, sink: Sink, deck: Deck, limits: Limits, say: Say, watch: Watch
) -> Report:  # fmt: skip
    """Run until the source ends, a limit is reached or the deck is over."""
    meter, sent, first = filter.meter, 0, 0.0
    latencies: deque[float] = deque(maxlen=REMEMBERED)
    started, cpu = time.monotonic(), time.process_time()
    render = Guard(filter, source.size, limits.private or sink.is_call, say)
    frames, shown = iter(source), None
    while not deck.over.is_set() and sent < limits.frames:
        with meter.stage("read"):
            frame = next(frames, None)
        if frame is None or frame.time >= limits.seconds:
            break
        look = deck.look  # read once: a key press may replace it meanwhile
        picture = render(frame, look)
        with meter.stage("write"):
            sink.send(replace(frame, image=picture))
        if look is not shown:
            sink.caption(str(look))
            shown = look
        latencies.append((time.monotonic() - frame.captured) * 1000)
        for key in sink.pressed():
            deck.press(key)
        for line in deck.attend(frame, picture, look, filter.matte):
            sink.notice(line)
            say(line)
        sent += 1
        if sent == 1:
            first, started, cpu = process_age(), time.monotonic(), time.process_time()
        watch(sent)
    spent = time.monotonic() - started, time.process_time() - cpu
    return report(source, filter, deck.look, sent, *spent, first, latencies)


def process_age() -> float:
    """Seconds since this process started; since this package was imported where the system does not tell."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - IMPORTED


class Guard:
    """Calls the filter. In a call a fault shows a placeholder in place of the picture, never the raw one."""

    def __init__(self, filter: Filter, size: Size, private: bool, say: Say) -> None:
        self._filter, self._size, self._private, self._say = filter, size, private, say
        self._failures = 0

    def __call__(self, frame: Frame, look: Look) -> Image:
        """The picture to send, of the size agreed with the sinks."""
        try:
            picture = self._filter(frame, look)
        except Exception as error:
            self._failures += 1
            if not self._private or self._failures > PATIENCE:
                raise
            if self._failures == 1:
                self._say(f"Hidden behind a placeholder: {error}")
            return placeholder(self._size)
        self._failures = 0
        return picture if size_of(picture) == self._size else cover(picture, self._size)


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
        segment_share=round(meter.runs["segment"] / frames, 3) if frames else 0.0,
        stylize_share=round(meter.runs["painted"] / frames, 3) if frames else 0.0,
        stylize_area=round(float(np.mean(meter.areas)), 3) if meter.areas else 0.0,
    )


def peak_memory() -> float:
    """The most memory that this process has held, in MB; 0 where the system does not tell."""
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
    with open_source(live.source, live.size, live.fps) as source, Filter(settings) as filter:
        filter.prepare(deck.look)
        mirror = is_camera(live.source) if live.mirror is None else live.mirror
        stream = Stream(source.size, live.fps or source.fps, source.audio, source.start, source.is_bt709, mirror)
        with open_sink(live.sinks, stream) as sink:
            say(f"{source.name} -> {sink.name}; {filter.engine.detail}; segmenter {filter.segmenter}")
            for note in filter.notes:
                say(note)
            if "window" in live.sinks:
                say("\n".join(["Keys in the window:", *(f"  {action.key}  {action.words}" for action in ACTIONS)]))
            limits = Limits(live.frames or math.inf, live.seconds or math.inf, live.private)
            if not (source.is_live or sink.is_live):
                result = drive(source, filter, sink, deck, limits, say, watch)
            else:
                with Latest(source if source.is_live else Paced(source)) as latest:
                    result = drive(latest, filter, sink, deck, limits, say, watch)
                    source.warning = latest.warning
        if source.warning:
            say(f"Warning: {source.warning}")
        return result


def run_video(settings: Settings, path: str, out: Path, deck: Deck, say: Say, watch: Watch) -> Report:
    """A whole clip: every frame, sound and timing kept."""
    if os.path.exists(out) and os.path.exists(path) and os.path.samefile(out, path):
        raise UserError(f"{out} is the clip itself.", "Give another name for the result.")
    return run_live(settings, LiveSettings(path, (f"file:{out}",)), deck, say, watch)
