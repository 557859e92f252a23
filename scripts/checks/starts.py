"""Start and stop every source and sink a thousand times, and see that nothing is left: python scripts/starts.py

Each start goes on to its first frames, on the threads that a live run has. Cameras and the virtual camera are made up
(`scripts/guest_check.py` has real ones); a window needs a screen: `xvfb-run` lends one. Handles, threads and memory of
this process are read from /proc before and after, when a tenth as many starts have made ready what stays. Prints JSON;
exits with 1, and a sentence for each, where something is left.
"""

import argparse
import contextlib
import gc
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np

from livestyle.cli.process import keep_memory
from livestyle.errors import UserError
from livestyle.image.io import save_image
from livestyle.image.types import Frame
from livestyle.video.devices.devices import Device
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.open import open_sink
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources import camera
from livestyle.video.sources.latest import Latest, Paced
from livestyle.video.sources.open import open_source
from livestyle.video.window.toolkits import TOOLKITS

SIZE, FPS = (64, 48), 30.0
FRAMES = 3  # of each start
LEFT_MB = 0.02  # a start: 20 MB in a thousand, above what the allocator's own state moves
ENOUGH = 500  # starts that tell something of memory
IMAGE = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8)


@dataclass(frozen=True)
class State:
    """What this process holds."""

    handles: int
    threads: int
    rss_mb: float


def state() -> State:
    """Now, when what nobody holds is let go of."""
    gc.collect()
    kept = Path("/proc/self/status").read_text().split("VmRSS:")[1]
    handles, threads = (sum(1 for _ in Path("/proc/self", name).iterdir()) for name in ("fd", "task"))
    return State(handles, threads, round(int(kept.split()[0]) / 1024, 1))


class MadeUpCamera:
    """In place of OpenCV's capture, or of pyvirtualcam's camera."""

    device = "made up"

    def __init__(self, *_: object, **__: object) -> None:
        self._handle = os.open(os.devnull, os.O_RDONLY)  # what one that is not let go of leaves

    def open(self, *_: object) -> bool:
        """It opens."""
        return True

    def set(self, *_: object) -> bool:
        """It grants nothing."""
        return False

    def get(self, _: int) -> float:
        """Its rate, or any other of its facts."""
        return FPS

    def read(self) -> tuple[bool, Any]:
        """A picture."""
        return True, IMAGE.copy()

    def send(self, _: object) -> None:
        """Nobody watches."""

    def close(self) -> None:
        """Let go."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    release = close


@contextlib.contextmanager
def made_up() -> Iterator[None]:
    """A desk with one camera, and a driver of virtual ones."""
    driver = ModuleType("pyvirtualcam")
    driver.Camera, driver.PixelFormat = MadeUpCamera, SimpleNamespace(RGB="rgb")  # type: ignore[attr-defined]
    with (
        patch.object(cv2, "VideoCapture", MadeUpCamera),
        patch.object(camera, "identify", lambda _: Device("/dev/video0", "cam", "model", "serial", "port")),
        patch.dict(sys.modules, {"pyvirtualcam": driver}),
        patch("livestyle.video.sinks.virtual_camera.IS_LINUX", False),  # no module to be asked for a free device
    ):
        yield


def start_source(text: str) -> None:
    """Open, take the first frames from the thread that captures, close."""
    with open_source(text, SIZE) as source, Latest(source if source.info.is_live else Paced(source)) as latest:
        for _ in islice(latest, FRAMES):
            pass


def start_sink(text: str) -> None:
    """Open, show some frames, close."""
    with open_sink(text, Stream(SIZE, FPS)) as sink:
        for index in range(FRAMES):
            sink.send(Frame(IMAGE, index, index / FPS))


def start_recording(folder: Path) -> None:
    """Record some frames."""
    switch = SimpleNamespace(take=1, end_take=lambda number: None)
    with Recorder(folder, Stream(SIZE, FPS), switch) as recorder:
        for index in range(FRAMES):
            recorder.send(Frame(IMAGE, index, index / FPS))
    for path in folder.iterdir():
        path.unlink()


def cases(folder: Path) -> dict[str, Callable[[], None]]:
    """All that can be started here, by what a person calls it."""
    still, clip = folder / "still.png", folder / "clip.mp4"
    save_image(still, IMAGE)
    with ClipSink(clip, Stream(SIZE, FPS)) as sink:
        for index in range(2 * FRAMES):
            sink.send(Frame(IMAGE, index, index / FPS))
    found: dict[str, Callable[[], None]] = {
        f"source {name}": lambda text=text: start_source(text)  # type: ignore[misc]
        for name, text in {
            "demo": "demo",
            "file": str(clip),
            "still": str(still),
            "faults": "faults:1",
            "camera": "0",
        }.items()
    }
    sinks = {"null": "null", "file": f"file:{folder / 'out.mp4'}", "virtual camera": "virtual-camera"}
    sinks |= {f"window ({name})": f"window:{name}" for name, (why_not, _) in TOOLKITS.items() if not why_not()}
    found |= {f"sink {name}": lambda text=text: start_sink(text) for name, text in sinks.items()}  # type: ignore[misc]
    return found | {"recording": lambda: start_recording(folder / "recordings")}


def repeat(start: Callable[[], None], count: int) -> tuple[State, State]:
    """What is held before and after so many starts."""
    for _ in range(max(3, count // 10)):
        start()
    before = state()
    for _ in range(count):
        start()
    return before, state()


def left(name: str, before: State, after: State, count: int) -> list[str]:
    """A sentence for each kind of thing that is left."""
    problems = [
        f"{name}: {getattr(after, what) - getattr(before, what)} {what} are left after {count} starts."
        for what in ("handles", "threads")
        if getattr(after, what) > getattr(before, what)
    ]
    grown = after.rss_mb - before.rss_mb
    if count >= ENOUGH and grown > LEFT_MB * count:
        problems.append(f"{name}: {grown:.1f} MB are left after {count} starts.")
    return problems


def check(count: int, only: Sequence[str] = (), say: Callable[[str], None] = print) -> list[str]:
    """Start everything so many times; what is left, a sentence each."""
    problems = []
    with tempfile.TemporaryDirectory() as folder, made_up():
        for name, start in cases(Path(folder)).items():
            if only and not any(part in name for part in only):
                continue
            before, after = repeat(start, count)
            say(json.dumps({"what": name, "starts": count, "before": vars(before), "after": vars(after)}))
            problems += left(name, before, after, count)
    return problems


def main() -> None:
    """All, then what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[], help="those whose name has one of these in it")
    options = parser.parse_args()
    keep_memory()  # as the program does
    try:
        problems = check(options.count, options.only, lambda line: print(line, flush=True))
    except UserError as error:
        sys.exit(str(error))
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
