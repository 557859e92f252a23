"""How a run went, and how it goes."""

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


def process_age() -> float:
    """Seconds since this process started; since this package was imported where the system does not tell."""
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.monotonic() - IMPORTED_S


class Pace:
    """How a run goes just now: rates and delays of the last second or so."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=30)  # when, and how late

    def facts(self, frames: int, latency: float) -> Status:
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
        size=source.info.size,
        device=filter.engine.device,
        engine=filter.engine.detail,
        segmenter=filter.segmenter,
        background=look.background.text,
        person=look.person.text,
        dropped=source.dropped,
        first_frame_s=round(first, 3),
        latency_ms={f"p{p}": round(float(v), 2) for p, v in zip((50, 95, 99), marks, strict=True)},
        stages_ms={n: meter.median(n) for n in ("read", "segment", "stylize", "composite", "write")},
        cpu_ms_per_frame=round(cpu * 1000 / later, 2) if later else 0.0,
        rss_mb=peak_memory(),
        style_size=filter.style_size(source.info.size),
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
