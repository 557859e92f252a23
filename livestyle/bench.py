"""The speed of the whole: real frames, from JPEG decoding to an I420 sink."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2

from livestyle.cores import taken
from livestyle.deck import Deck
from livestyle.encoded import Encoded, Jpeg, encoded
from livestyle.errors import UserError
from livestyle.filter import Filter, Meter
from livestyle.image import Frame
from livestyle.live import Limits, Report, Say, drive
from livestyle.settings import Settings, Size
from livestyle.sinks import Null
from livestyle.sources import Latest

CHILDREN = 3  # live runs whose first frame is waited for
CHILD = 1.5  # seconds that one takes, about
WARM = 5  # frames before what is measured

Update = Callable[[float, str], None]  # seconds of work done, and what is at work


@dataclass(frozen=True)
class Job:
    """What is measured.

    Args:
        source: a clip; size: its frames are brought to; seconds: how long.
        pace: frames per second, as a camera gives them, what is not taken in time dropped; None: as fast as can be.
        busy: cores that other processes take meanwhile.
    """

    source: str
    size: Size
    seconds: float
    pace: float | None = None
    busy: int = 0

    @property
    def total(self) -> float:
        """Seconds that it all takes, about."""
        return CHILDREN * CHILD + self.seconds


class I420(Null):
    """What a virtual camera asks for: each frame is converted, then forgotten."""

    name = "i420"

    def send(self, frame: Frame) -> None:
        cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)


def bench(settings: Settings, job: Job, deck: Deck, say: Say, update: Update) -> Report:
    """Measure; `first_frame_s` is the median of three child processes that show a first styled frame.

    Raises:
        UserError: the clip cannot be read, an odd size, or more busy cores than there are.
    """
    jpegs, firsts = encoded(job.source, job.size), []
    for done in range(CHILDREN):
        update(done * CHILD, "first styled frame")
        firsts.append(first_frame(settings, job))
    with Filter(settings) as filter, taken(job.busy):
        warm(filter, jpegs, job.size, deck, say)
        result = stretch(filter, jpegs, job, 0, job.seconds, deck, say, progress(update, CHILDREN * CHILD))
    return replace(result, first_frame_s=round(statistics.median(firsts), 3))


def warm(filter: Filter, jpegs: list[Jpeg], size: Size, deck: Deck, say: Say) -> None:
    """Make all ready, and forget how long that took."""
    filter.prepare(deck.look)
    with I420() as sink:
        drive(Encoded(jpegs, size), filter, sink, deck, Limits(frames=WARM), say, lambda _: None)
    filter.meter = Meter()


def stretch(
    filter: Filter, jpegs: list[Jpeg], job: Job, first: int, seconds: float, deck: Deck, say: Say,
    watch: Callable[[int], None],
) -> Report:  # fmt: skip
    """Filter frames for some seconds, from the JPEG `first` on."""
    frames, limits = Encoded(jpegs, job.size, first, job.pace), Limits(seconds=seconds)
    with I420() as sink:
        if not job.pace:
            return drive(frames, filter, sink, deck, limits, say, watch)
        with Latest(frames) as latest:
            return drive(latest, filter, sink, deck, limits, say, watch)


def progress(update: Update, before: float) -> Callable[[int], None]:
    """Tells of frames as they are done, after so many seconds of other work."""
    start = time.monotonic()
    return lambda frames: update(before + time.monotonic() - start, f"{frames} frames")


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
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=bare)
    if child.returncode:
        raise UserError(f"A child run failed: {child.stderr.strip()}", "Try: livestyle doctor")
    return float(json.loads(child.stdout)["first_frame_s"])
