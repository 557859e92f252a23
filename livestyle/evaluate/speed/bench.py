"""The speed of the whole: real frames, from JPEG decoding to an I420 sink."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed.baseline import STAGES, Baseline, Stretch, check_naive
from livestyle.evaluate.speed.cores import OtherLoad, check_cores, taken
from livestyle.evaluate.speed.flamegraph import Sampler, check_flame, costliest, draw_flame, with_layers
from livestyle.evaluate.speed.jpeg_frames import Jpeg, JpegFrames, decode, encoded
from livestyle.evaluate.speed.roofline import Work, check_peak, measure_peak, works_of
from livestyle.image.types import Frame
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.driver import Limits, Session
from livestyle.live.report import Report
from livestyle.nets.engine import choose_engine
from livestyle.render.filter import Filter
from livestyle.render.looks import look_from
from livestyle.types import Say, Size, Stop
from livestyle.video.sinks.sink import Null, SinkInfo
from livestyle.video.sources.latest import Latest
from livestyle.video.sources.source import Source

CHILD = 1.5  # seconds that a live run takes to its first frame, about
NAIVE, PEAK = 8.0, 6.0  # seconds that making the naive recipe ready takes, and measuring the peak
WARM = 5  # frames before what is measured
ROUNDS = 5  # in which ours and another recipe are measured in turn

Update = Callable[[float, str], None]  # seconds of work done, and what is at work


@dataclass(frozen=True)
class Job:
    """What is measured.

    Args:
        source: a clip; size: its frames are brought to; seconds: how long.
        pace: frames per second, as a camera gives them, what is not taken in time dropped; None: as fast as can be.
        busy: cores that other processes take meanwhile.
        naive: measure the plain recipe, too, in turn with ours; model_file: of MediaPipe, for that.
        peak: measure what a core can at most, too, and what the nets make of it.
        profile: an SVG that shows where the CPU time goes, of as many seconds again.
        children: live runs whose first frame is waited for.
    """

    source: str
    size: Size
    seconds: float
    pace: float | None = None
    busy: int = 0
    naive: bool = False
    model_file: Path | None = None
    peak: bool = False
    profile: Path | None = None
    children: int = 3

    @property
    def before(self) -> float:
        """Seconds that the children take, about."""
        return self.children * CHILD

    @property
    def total(self) -> float:
        """Seconds that it all takes, about."""
        stretches = 1 + self.naive + bool(self.profile)
        return self.before + self.seconds * stretches + NAIVE * self.naive + PEAK * (self.peak + bool(self.profile))


class I420(Null):
    """What a virtual camera asks for: each frame is converted, then forgotten."""

    info = SinkInfo("i420")

    def send(self, frame: Frame) -> None:
        cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)


def bench(settings: Settings, job: Job, stop: Stop, say: Say, update: Update) -> dict[str, Any]:
    """Measure; `first_frame_s` is the median of child processes that show a first styled frame.

    Returns:
        The JSON object of the command contract: a Report, and what else the job asked for.

    Raises:
        UserError: the clip cannot be read, an odd size, more busy cores than there are, or a package that is missing.
        KeyboardInterrupt: it was ended before anything was measured.
    """
    if job.busy:
        check_cores(job.busy)
    if job.naive:
        check_naive(job.model_file)
        if job.pace:
            raise UserError("--against tells how fast both can be.", "Leave --pace away.")
    if job.profile:
        check_flame(job.profile)
    if job.peak or job.profile:
        check_peak(choose_engine(settings.device))
    jpegs, firsts = encoded(job.source, job.size), []
    for done in range(job.children):
        update(done * CHILD, "first styled frame")
        firsts.append(first_frame(settings, job))
        if stop.is_set():
            raise KeyboardInterrupt
    controls = make_controls(look_from(settings), quality=settings.quality, stop=stop)
    with Filter(settings) as filter, taken(job.busy):
        run = Run(filter, jpegs, job, controls, say, update)
        result, more = run.against() if job.naive else (run(0, job.seconds), {})
        more |= {"others_share": run.others, "filter_ms": run.filter_ms, "cuda_graphs": run.graphs}
        if job.peak:
            run.begin(PEAK, "the peak")
            more["peak"] = measure_peak(run.works(settings), lambda _: run.tell("the peak"))
        if job.profile:
            more["profile"] = run.profile(settings, job.profile)
    return {**asdict(result), "first_frame_s": round(statistics.median(firsts or [0.0]), 3), **more}


class Run:
    """A filter at work on frames in memory, made ready."""

    def __init__(
        self, filter: Filter, jpegs: list[Jpeg], job: Job, controls: Controls, say: Say, update: Update
    ) -> None:  # fmt: skip
        self._filter, self._jpegs, self._job, self._controls, self._say = filter, jpegs, job, controls, say
        self._update, self._done, self._planned, self._since = update, job.before, 0.0, time.monotonic()
        self.others: float | None = None  # what other processes took of the cores' time, in the newest stretch
        filter.prepare(controls.look)
        self._calls: list[float] = []
        self._drive(JpegFrames(jpegs, job.size), Limits(frames=WARM))
        self.graphs = filter.wait_for_graphs()

    def __call__(self, first: int, seconds: float) -> Report:
        """Filter frames for some seconds, from the JPEG `first` on."""
        self.begin(seconds, "frames")
        self._filter.meter.reset()
        frames = JpegFrames(self._jpegs, self._job.size, first, self._job.pace, seconds)
        others = OtherLoad()
        with Latest(frames) if self._job.pace else frames as source:
            result = self._drive(source, Limits())
        self.others = others.share()
        self._calls += self._filter.meter.stages["filter"]
        return result

    @property
    def filter_ms(self) -> dict[str, float]:
        """What the filter alone took for the frames so far; on a GPU from upload to download, on the CPU the part of a
        frame that was left when its turn came."""
        marks = np.percentile(self._calls or [0.0], (50, 95))
        return {f"p{p}": round(float(v), 2) for p, v in zip((50, 95), marks, strict=True)}

    def against(self) -> tuple[Report, dict[str, Any]]:
        """Ours and the naive recipe in turn, ROUNDS times, each time from the same frame on; medians of both.

        Raises:
            KeyboardInterrupt: it was ended before the first round was.
        """
        size, seconds = self._job.size, self._job.seconds / ROUNDS
        rounds: list[tuple[Report, Stretch]] = []
        device = "cpu" if self._filter.engine.name == "openvino" else self._filter.engine.device
        self.begin(NAIVE, "the naive recipe")
        with Baseline(self._jpegs, size, device, self._job.model_file) as recipe:
            for first in (number * len(self._jpegs) // ROUNDS for number in range(ROUNDS)):
                self.begin(seconds, "the naive recipe")
                naive = recipe.run(first, seconds)
                ours = self(first, seconds)
                if self._controls.stop.is_set():  # this round is not whole
                    break
                rounds.append((ours, naive))
            if not rounds:
                raise KeyboardInterrupt
            reports, stretches = zip(*rounds, strict=True)
            return together(reports), compare(reports, stretches, recipe.facts)

    def profile(self, settings: Settings, path: Path) -> list[dict[str, Any]]:
        """Draw where the CPU time goes; the functions and layers that take most of it."""
        with Sampler() as sampler:
            frames = self(0, self._job.seconds).frames
        self.begin(PEAK, "the nets' layers")
        costs = with_layers(sampler.costs, self.works(settings))
        draw_flame(costs, frames, path)
        return costliest(costs, frames)

    def works(self, settings: Settings) -> list[Work]:
        """The nets that a frame goes through."""
        look, size = self._controls.look, self._filter.style_size(self._job.size)
        styles = dict.fromkeys(style for plane in (look.background, look.person) for style, _ in plane.styles)
        return works_of(settings, list(styles), self._filter.engine, decode(self._jpegs[0]), size)

    def begin(self, seconds: float, what: str) -> None:
        """A piece of work begins that takes some seconds, about."""
        self._done, self._planned, self._since = self._done + self._planned, seconds, time.monotonic()
        self.tell(what)

    def tell(self, what: str) -> None:
        """What is at work."""
        self._update(self._done + min(self._planned, time.monotonic() - self._since), what)

    def _drive(self, frames: Source, limits: Limits) -> Report:
        with I420() as sink:
            progress = lambda n: self.tell(f"{n} frames")  # noqa: E731
            return Session(frames, self._filter, sink, self._controls, limits, self._say, progress).run()


def together(reports: Sequence[Report]) -> Report:
    """One report of several: counts added up, of figures the medians."""
    rows = [asdict(report) for report in reports]
    counts = {name: round(sum(row[name] for row in rows), 3) for name in ("frames", "seconds", "dropped")}
    return Report(**median(rows) | counts)


def median(values: Sequence[Any]) -> Any:
    """Of numbers the median, of dicts that of each entry, of all else the last."""
    if isinstance(values[0], dict):
        return {key: median([value[key] for value in values]) for key in values[0]}
    return round(statistics.median(values), 3) if isinstance(values[0], float) else values[-1]


def compare(ours: Sequence[Report], naive: Sequence[Stretch], facts: dict[str, Any]) -> dict[str, Any]:
    """What the JSON says of the naive recipe beside ours, stretch by stretch."""
    fps = [stretch.frames / stretch.seconds for stretch in naive]
    cpu = [1000 * stretch.cpu / stretch.frames for stretch in naive]
    ratios = [round(report.fps / rate, 2) for report, rate in zip(ours, fps, strict=True)]
    cpu_ratios = [spent / report.cpu_ms_per_frame for report, spent in zip(ours, cpu, strict=True)]
    latencies = np.percentile([ms for stretch in naive for ms in stretch.latencies], (50, 95, 99))
    stages = {name: round(statistics.median(ms for part in naive for ms in part.stages[name]), 3) for name in STAGES}
    return {
        "naive_fps": round(statistics.median(fps), 3),
        "naive_cpu_ms_per_frame": round(statistics.median(cpu), 2),
        "naive_latency_ms": {f"p{p}": round(float(v), 2) for p, v in zip((50, 95, 99), latencies, strict=True)},
        "ratio": statistics.median(ratios),
        "naive": {
            **facts, "frames": sum(stretch.frames for stretch in naive), "stages_ms": stages, "ratios": ratios,
            "cpu_ratio": round(statistics.median(cpu_ratios), 2),
        },
    }  # fmt: skip


def first_frame(settings: Settings, job: Job) -> float:
    """Seconds from the start of a process to its first styled frame."""
    width, height = job.size
    command = [sys.executable, "-m", "livestyle", "live", "--source", job.source, "--sink", "null", "--frames", "2"]
    command += ["--json", "--size", f"{width}x{height}", "--device", settings.device, "--quality", settings.quality]
    command += ["--person", settings.person, "--strength", str(settings.strength)]
    command += ["--background", settings.background] if settings.background else []
    command += ["--segmenter", settings.segmenter] if settings.segmenter else []
    command += ["--model-file", str(settings.model_file)] if settings.model_file else []
    command += ["--models", str(settings.models)] if settings.models else []
    bare = os.environ | {"LIVESTYLE_CONFIG": "none"}
    # A session of its own: Ctrl-C is ours to end in good order, not the child's.
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=bare, start_new_session=True)
    if child.returncode:
        raise UserError(f"A child run failed: {child.stderr.strip()}", "Try: livestyle doctor")
    return float(json.loads(child.stdout)["first_frame_s"])
