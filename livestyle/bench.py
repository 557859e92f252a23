"""The speed of the whole: real frames, from JPEG decoding to an I420 sink."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.filter import Filter, Meter
from livestyle.image import Frame, Image, cover
from livestyle.live import Deck, Limits, Report, Say, Watch, drive
from livestyle.settings import Settings, Size
from livestyle.sinks import Null
from livestyle.sources import Source, open_source

FRAMES = 120  # of the clip, held in memory
CHILDREN = 3


class Encoded(Source):
    """Frames of a clip at a size, JPEG-encoded in memory as a camera sends them, over and over; drops none."""

    def __init__(self, text: str, size: Size) -> None:
        with open_source(text) as source:
            frames = (cover(frame.image, size) for frame, _ in zip(source, range(FRAMES), strict=False))
            self._jpegs = [encode(image) for image in frames]
        if not self._jpegs:
            raise UserError(f"{text} holds no frame.", "Give a clip.")
        self.name, self.size, self.fps = text, size, 30.0

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for index in count():
            # There and back again, so that no cut stands between the last frame and the first.
            at = index % (2 * len(self._jpegs))
            jpeg = self._jpegs[min(at, 2 * len(self._jpegs) - 1 - at)]
            image = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
            yield Frame(image, index, time.monotonic() - start)


def encode(image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """RGB to JPEG at a webcam's quality."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], np.uint8)


class I420(Null):
    """What a virtual camera asks for: each frame is converted, then forgotten."""

    name = "i420"

    def send(self, frame: Frame) -> None:
        cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)


def bench(settings: Settings, source: str, size: Size, seconds: float, deck: Deck, say: Say, watch: Watch) -> Report:
    """Measure; `first_frame_s` is the median of three child processes that show a first styled frame.

    Raises:
        UserError: the clip cannot be read, or an odd size.
    """
    if size[0] % 2 or size[1] % 2:
        raise UserError(f"The size {size[0]}x{size[1]} is odd, and I420 is not.", "Give an even size.")
    quality = "balanced" if settings.quality == "auto" else settings.quality
    settings = replace(settings, quality=quality)
    frames = Encoded(source, size)
    firsts = [first_frame(settings, source, size) for _ in range(CHILDREN)]
    say(f"first styled frame after {statistics.median(firsts):.2f} s; now {seconds:g} s of {size[0]}x{size[1]}")
    with Filter(settings) as filter, I420() as sink:
        filter.prepare(deck.look)
        drive(frames, filter, sink, deck, Limits(frames=5), say, lambda _: None)
        filter.meter = Meter()
        result = drive(frames, filter, sink, deck, Limits(seconds=seconds), say, watch)
    return replace(result, first_frame_s=round(statistics.median(firsts), 3))


def first_frame(settings: Settings, source: str, size: Size) -> float:
    """Seconds from the start of a process to its first styled frame."""
    command = [
        sys.executable,
        "-m",
        "livestyle",
        "live",
        "--source",
        source,
        "--sink",
        "null",
        "--frames",
        "2",
        "--json",
    ]
    command += ["--size", f"{size[0]}x{size[1]}", "--device", settings.device, "--quality", settings.quality]
    command += ["--person", settings.person, "--strength", str(settings.strength)]
    command += ["--background", settings.background] if settings.background else []
    command += ["--segmenter", settings.segmenter] if settings.segmenter else []
    command += ["--models", str(settings.models)] if settings.models else []
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    if child.returncode:
        raise UserError(f"A child run failed: {child.stderr.strip()}", "Try: livestyle doctor")
    return float(json.loads(child.stdout)["first_frame_s"])
