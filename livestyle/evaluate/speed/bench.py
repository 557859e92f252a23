"""The speed of the whole filter: real frames, from JPEG decoding to an I420 sink."""

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
from livestyle.evaluate.speed.baseline import STAGES, Baseline, Timings, check_baseline
from livestyle.evaluate.speed.cores import OtherLoad, check_cores, occupied
from livestyle.evaluate.speed.flamegraph import Sampler, check_flame, costliest, draw_flame, with_layers
from livestyle.evaluate.speed.jpeg_frames import Jpeg, JpegFrames, decode, load_jpegs
from livestyle.evaluate.speed.roofline import NetRun, check_peak, measure_peak, net_runs
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

CHILD_S = 1.5  # about what a live run takes until its first frame
BASELINE_S, PEAK_S = 8.0, 6.0  # about what it takes to load the baseline, and to measure the peak
WARMUP_FRAMES = 5  # before the measurement
ROUNDS = 5  # in which the filter and the baseline take turns

Update = Callable[[float, str], None]  # takes the seconds of work done, and a label of the present work


@dataclass(frozen=True)
class BenchOptions:
    """What is measured.

    Args:
        source: a clip.
        size: its frames are scaled to.
        seconds: to measure.
        pace: fps of a simulated camera, whose late frames are dropped; None for as fast as possible.
        busy: cores that other processes occupy meanwhile.
        baseline: measure the baseline in turn with the filter.
        model_file: of MediaPipe's segmenter, for the baseline.
        peak: measure the peak of a core, and the networks' share of it.
        profile: an SVG of where the CPU time goes, measured for as many seconds again.
        children: live runs whose first frame is timed.
    """

    source: str
    size: Size
    seconds: float
    pace: float | None = None
    busy: int = 0
    baseline: bool = False
    model_file: Path | None = None
    peak: bool = False
    profile: Path | None = None
    children: int = 3

    @property
    def before(self) -> float:
        """Return about how many seconds the children take."""
        return self.children * CHILD_S

    @property
    def total(self) -> float:
        """Return about how many seconds the whole takes."""
        stretches = 1 + self.baseline + bool(self.profile)
        loading = BASELINE_S * self.baseline + PEAK_S * (self.peak + bool(self.profile))
        return self.before + self.seconds * stretches + loading


class I420(Null):
    """The sink of a virtual camera: each frame is converted, then dropped."""

    info = SinkInfo("i420")

    def send(self, frame: Frame) -> None:
        cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)


def bench(settings: Settings, job: BenchOptions, stop: Stop, say: Say, update: Update) -> dict[str, Any]:
    """Measure the speed.

    Args:
        settings: of the filter.
        job: what to measure.
        stop: ends it early.
        say: takes messages.
        update: takes the progress.

    Returns:
        The JSON object of the command: a Report, and what else was asked for. `first_frame_s` is the median over child
            processes.

    Raises:
        UserError: the clip cannot be read, a size is odd, there are too few cores, or a package is missing.
        KeyboardInterrupt: it was stopped before anything was measured.
    """
    check_options(settings, job)
    jpegs, firsts = load_jpegs(job.source, job.size), []
    for done in range(job.children):
        update(done * CHILD_S, "first styled frame")
        firsts.append(first_frame(settings, job))
        if stop.is_set():
            raise KeyboardInterrupt
    controls = make_controls(look_from(settings), quality=settings.quality, stop=stop)
    with Filter(settings) as filter, occupied(job.busy):
        run = BenchRun(filter, jpegs, job, controls, say, update)
        result, more = run.against() if job.baseline else (run(0, job.seconds), {})
        more |= {"others_share": run.others, "filter_ms": run.filter_ms, "cuda_graphs": run.graphs}
        if job.peak:
            run.begin(PEAK_S, "the peak")
            more["peak"] = measure_peak(run.works(settings), lambda _: run.report("the peak"))
        if job.profile:
            more["profile"] = run.profile(settings, job.profile)
    return {**asdict(result), "first_frame_s": round(statistics.median(firsts or [0.0]), 3), **more}


def check_options(settings: Settings, job: BenchOptions) -> None:
    """Check, before the work, that all of it can be done.

    Raises:
        UserError: it cannot.
    """
    if job.busy:
        check_cores(job.busy)
    if job.baseline:
        check_baseline(job.model_file)
        if job.pace:
            raise UserError("The comparison tells how fast both can be.", "Leave the pace away.", "pace")
    if job.profile:
        check_flame(job.profile)
    if job.peak or job.profile:
        check_peak(choose_engine(settings.device))


class BenchRun:
    """A warmed-up filter that runs on frames in memory.

    Args:
        filter: to measure; jpegs: the frames; job: what to measure; controls: of the look.
        say: takes messages; update: takes the progress.
    """

    def __init__(
        self, filter: Filter, jpegs: list[Jpeg], job: BenchOptions, controls: Controls, say: Say, update: Update
    ) -> None:  # fmt: skip
        self._filter, self._jpegs, self._job, self._controls, self._say = filter, jpegs, job, controls, say
        self._update, self._done, self._planned, self._since = update, job.before, 0.0, time.monotonic()
        self.others: float | None = None  # share of the cores' time that other processes took, in the last run
        filter.prepare(controls.look)
        self._calls: list[float] = []
        self._drive(JpegFrames(jpegs, job.size), Limits(frames=WARMUP_FRAMES))
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
        """Return the percentiles of the filter's own time for a frame.

        On a GPU that is from upload to download. On the CPU it is the part of a frame that was left when its turn came.
        """
        marks = np.percentile(self._calls or [0.0], (50, 95))
        return {f"p{p}": round(float(v), 2) for p, v in zip((50, 95), marks, strict=True)}

    def against(self) -> tuple[Report, dict[str, Any]]:
        """Measure filter and baseline in turn, ROUNDS times, each time from the same frame on.

        Returns:
            The merged report of the filter, and the comparison for the JSON object.

        Raises:
            KeyboardInterrupt: it was stopped before the first round was complete.
        """
        size, seconds = self._job.size, self._job.seconds / ROUNDS
        rounds: list[tuple[Report, Timings]] = []
        device = "cpu" if self._filter.engine.name == "openvino" else self._filter.engine.device
        self.begin(BASELINE_S, "the naive recipe")
        with Baseline(self._jpegs, size, device, self._job.model_file) as recipe:
            for first in (number * len(self._jpegs) // ROUNDS for number in range(ROUNDS)):
                self.begin(seconds, "the naive recipe")
                naive = recipe.run(first, seconds)
                report = self(first, seconds)
                if self._controls.stop.is_set():  # the round is incomplete
                    break
                rounds.append((report, naive))
            if not rounds:
                raise KeyboardInterrupt
            reports, timings = zip(*rounds, strict=True)
            return merge(reports), compare(reports, timings, recipe.facts)

    def profile(self, settings: Settings, path: Path) -> list[dict[str, Any]]:
        """Draw where the CPU time goes; return the functions and layers that take most of it."""
        with Sampler() as sampler:
            frames = self(0, self._job.seconds).frames
        self.begin(PEAK_S, "the nets' layers")
        costs = with_layers(sampler.costs, self.works(settings))
        draw_flame(costs, frames, path)
        return costliest(costs, frames)

    def works(self, settings: Settings) -> list[NetRun]:
        """Return the networks that a frame passes through."""
        look, size = self._controls.look, self._filter.style_size(self._job.size)
        styles = dict.fromkeys(style for plane in (look.background, look.person) for style, _ in plane.styles)
        return net_runs(settings, list(styles), self._filter.engine, decode(self._jpegs[0]), size)

    def begin(self, seconds: float, what: str) -> None:
        """Note that work of about some seconds begins."""
        self._done, self._planned, self._since = self._done + self._planned, seconds, time.monotonic()
        self.report(what)

    def report(self, what: str) -> None:
        """Report the present work."""
        self._update(self._done + min(self._planned, time.monotonic() - self._since), what)

    def _drive(self, frames: Source, limits: Limits) -> Report:
        with I420() as sink:
            progress = lambda n: self.report(f"{n} frames")  # noqa: E731
            return Session(frames, self._filter, sink, self._controls, limits, self._say, progress).run()


def merge(reports: Sequence[Report]) -> Report:
    """Return one report of several: the sum of counts, the median of other figures."""
    rows = [asdict(report) for report in reports]
    counts = {name: round(sum(row[name] for row in rows), 3) for name in ("frames", "seconds", "dropped")}
    return Report(**median_of(rows) | counts)


def median_of(values: Sequence[Any]) -> Any:
    """Return the median of numbers, for dicts the median of each entry, for other values the last one."""
    if isinstance(values[0], dict):
        return {key: median_of([value[key] for value in values]) for key in values[0]}
    return round(statistics.median(values), 3) if isinstance(values[0], float) else values[-1]


def compare(reports: Sequence[Report], timings: Sequence[Timings], facts: dict[str, Any]) -> dict[str, Any]:
    """Return what the JSON object says of the baseline beside the filter.

    Args:
        reports: of the filter; timings: of the baseline, round by round; facts: what it is made of.
    """
    fps = [run.frames / run.seconds for run in timings]
    cpu = [1000 * run.cpu / run.frames for run in timings]
    ratios = [round(report.fps / rate, 2) for report, rate in zip(reports, fps, strict=True)]
    cpu_ratios = [spent / report.cpu_ms_per_frame for report, spent in zip(reports, cpu, strict=True)]
    latencies = np.percentile([ms for run in timings for ms in run.latencies], (50, 95, 99))
    stages = {name: round(statistics.median(ms for part in timings for ms in part.stages[name]), 3) for name in STAGES}
    return {
        "naive_fps": round(statistics.median(fps), 3),
        "naive_cpu_ms_per_frame": round(statistics.median(cpu), 2),
        "naive_latency_ms": {f"p{p}": round(float(v), 2) for p, v in zip((50, 95, 99), latencies, strict=True)},
        "ratio": statistics.median(ratios),
        "naive": {
            **facts, "frames": sum(run.frames for run in timings), "stages_ms": stages, "ratios": ratios,
            "cpu_ratio": round(statistics.median(cpu_ratios), 2),
        },
    }  # fmt: skip


def first_frame(settings: Settings, job: BenchOptions) -> float:
    """Return the seconds from the start of a process to its first styled frame.

    Raises:
        UserError: the process failed.
    """
    width, height = job.size
    command = [sys.executable, "-m", "livestyle", "live", "--source", job.source, "--sink", "null", "--frames", "2"]
    command += ["--json", "--size", f"{width}x{height}", "--device", settings.device, "--quality", settings.quality]
    command += ["--person", settings.person, "--strength", str(settings.strength)]
    command += ["--brush", str(settings.brush)]
    command += ["--background", settings.background] if settings.background else []
    command += ["--segmenter", settings.segmenter] if settings.segmenter else []
    command += ["--model-file", str(settings.model_file)] if settings.model_file else []
    command += ["--models", str(settings.models)] if settings.models else []
    bare = os.environ | {"LIVESTYLE_CONFIG": "none"}
    # In a session of its own, so that Ctrl-C reaches this process alone.
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=bare, start_new_session=True)
    if child.returncode:
        raise UserError(f"A child run failed: {child.stderr.strip()}", "Try: livestyle doctor")
    return float(json.loads(child.stdout)["first_frame_s"])
