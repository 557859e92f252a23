"""The report of a run, and its pace while it runs."""

import os
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livestyle import IMPORTED_S
from livestyle.config.look import Look
from livestyle.render.filter import Filter
from livestyle.types import Size, Status
from livestyle.video.sources.source import Source

PACE_FRAMES = 30
PERCENTILES = (50, 95, 99)  # of the latency
REPORTED_STAGES = ("read", "segment", "stylize", "composite", "write")


@dataclass(frozen=True)
class Report:
    """The report of a run: the JSON object of `livestyle live --json`.

    Args:
        frames: number of frames sent.
        seconds: from the first frame that was no placeholder to the end.
        fps: frames per second in that time.
        size: of the frames, (width, height) in pixels.
        device, engine: that computed at the end.
        segmenter: its name.
        background, person: looks at the end.
        dropped: number of frames that the source left out.
        first_frame_s: seconds from the start of the process to the first frame that was no placeholder.
        latency_ms: percentiles p50, p95, p99 of the time from capture to sink.
        stages_ms: median time of each stage.
        cpu_ms_per_frame: CPU time of all threads.
        rss_mb: peak memory of the process.
        style_size, matte_size: at which styles and mattes were computed, (width, height) in pixels.
        segment_share, stylize_share: shares of the frames for which the nets ran.
        stylize_area: mean share of the picture that was painted when a style's net ran.
    """

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
    stylize_area: float


def process_age() -> float:
    """Return the seconds since this process started, or since this package was imported if the system cannot say."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - IMPORTED_S


class Pace:
    """The frame rate and the median latency of the newest PACE_FRAMES frames."""

    def __init__(self) -> None:
        self._newest: deque[tuple[float, float]] = deque(maxlen=PACE_FRAMES)  # when sent, in s; latency, in ms

    def add(self, frames: int, latency_ms: float) -> Status:
        """Count a frame that was sent just now, and return the facts for a status.

        Args:
            frames: number of frames sent so far.
            latency_ms: time from its capture.
        """
        self._newest.append((time.monotonic(), latency_ms))
        (first_s, _), (last_s, _) = self._newest[0], self._newest[-1]
        fps = (len(self._newest) - 1) / (last_s - first_s) if last_s > first_s else 0.0
        median_ms = sorted(ms for _, ms in self._newest)[len(self._newest) // 2]
        return {"frames": frames, "fps": round(fps, 1), "latency_ms": round(median_ms, 1)}


def make_report(
    source: Source, filter: Filter, look: Look, frames: int, seconds: float, cpu_s: float, first_frame_s: float,
    latencies_ms: Iterable[float],
) -> Report:  # fmt: skip
    """Return the report of a run.

    Args:
        look: at the end.
        frames: number of frames sent.
        seconds, cpu_s: of all frames after the first that was no placeholder.
        first_frame_s: age of the process at that first frame.
        latencies_ms: of the newest frames.
    """
    later, meter = max(0, frames - 1), filter.meter
    latency_ms = np.percentile(list(latencies_ms)[1:] or [0.0], PERCENTILES)
    return Report(
        frames=frames,
        seconds=round(seconds, 3),
        fps=round(later / seconds, 2) if seconds else 0.0,
        size=source.info.size,
        device=filter.engine.device,
        engine=filter.engine.detail,
        segmenter=filter.segmenter,
        background=look.background.text,
        person=look.person.text,
        dropped=source.dropped,
        first_frame_s=round(first_frame_s, 3),
        latency_ms={f"p{p}": round(float(ms), 2) for p, ms in zip(PERCENTILES, latency_ms, strict=True)},
        stages_ms={stage: meter.median(stage) for stage in REPORTED_STAGES},
        cpu_ms_per_frame=round(cpu_s * 1000 / later, 2) if later else 0.0,
        rss_mb=peak_memory(),
        style_size=filter.style_size(source.info.size),
        matte_size=filter.matting.size,
        segment_share=round(meter.segmented / frames, 3) if frames else 0.0,
        stylize_share=round(meter.stylized / frames, 3) if frames else 0.0,
        stylize_area=round(float(np.mean(meter.areas)), 3) if meter.areas else 0.0,
    )


def peak_memory() -> float:
    """Return the peak memory of this process in MB, or 0 if the system cannot say."""
    # On Linux, getrusage includes what the parent held when it started this process.
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024, 1)
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
