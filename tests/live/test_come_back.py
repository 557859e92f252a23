"""A run goes on when disks, devices, clocks, sleep or memory fail."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from support.cameras import Desk, FakeCapture
from support.driver import Cards, Collect, go
from support.faults import FPS, LOOKS, SIZE, perform, shows_room
from support.pictures import draw_card
from support.threads import Held
from support.virtual_camera import FakeCamera

import livestyle
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.shown import placeholder
from livestyle.matting.matte import Matting
from livestyle.nets.engine import Engine, choose_engine
from livestyle.render.filter import Filter
from livestyle.video import worker
from livestyle.video.devices import devices
from livestyle.video.devices.devices import Device
from livestyle.video.sinks import queued, virtual_camera
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.open import open_sinks, parse_sinks
from livestyle.video.sinks.queued import Queued
from livestyle.video.sinks.recording import claim
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream, Tee
from livestyle.video.sinks.virtual_camera import VirtualCamera
from livestyle.video.sources import latest as pacing
from livestyle.video.sources.faults import Fault
from livestyle.video.sources.latest import Latest, Paced
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Wrapper

STREAM = Stream((64, 48), 25)


class Slow(Sink):
    """A sink that waits until `gate` is set, and fails on one frame."""

    info = SinkInfo("slow")

    def __init__(self, bad: int = -1) -> None:
        self.taken, self.bad, self.gate, self.end = list[int](), bad, threading.Event(), ""

    def send(self, frame: Frame) -> None:
        assert self.gate.wait(30)
        if frame.index == self.bad:
            raise UserError("clip.mp4 cannot be written: No space left on device.", "Free some.")
        self.taken.append(frame.index)

    def close(self) -> None:
        self.end = "closed"

    def discard(self) -> None:
        self.end = "discarded"


def quick() -> Filter:
    """Return a fast filter that finds nobody."""
    filter = Filter(Settings(segmenter="kmeans"))
    filter.matting = Matting(lambda image: np.zeros(image.shape[:2], np.float32))
    return filter


def test_a_disk_that_blocks_does_not_slow_the_call() -> None:
    """It takes nothing until all frames are sent. A call that waited for it would not end."""
    disk, watched = Slow(), Collect(is_call=True)
    with Tee([Queued(disk), watched]) as tee:
        go(Cards(40), tee, filter=quick())
        disk.gate.set()
    assert len(watched.frames) == 40
    assert disk.taken == list(range(len(disk.taken)))
    assert queued.MAX_QUEUED_FRAMES <= len(disk.taken) <= queued.MAX_QUEUED_FRAMES + 1
    assert disk.end == "closed"
    assert tee.messages() == [f"slow: {40 - len(disk.taken)} frames were left out."]


def test_a_disk_that_never_answers_does_not_keep_the_run_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "CLOSE_TIMEOUT_S", 0.01)
    disk = Slow()
    sink = Queued(disk)
    sink.send(Frame(draw_card(64, 48), 0, 0.0))
    with pytest.raises(UserError, match="not whole"):
        sink.close()
    disk.gate.set()


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_full_disk_ends_the_file_not_the_call(is_alone: bool) -> None:
    disk = Slow(bad=3)
    disk.gate.set()
    sink, said = Queued(disk, is_alone), list[str]()
    for index in range(4):
        sink.send(Frame(draw_card(64, 48), index, index / 25))
    sink._worker.join(30)
    said += sink.messages()
    if is_alone:  # no other sink is left
        with pytest.raises(UserError, match="No space"):
            sink.send(Frame(draw_card(64, 48), 4, 0.2))
    else:
        sink.send(Frame(draw_card(64, 48), 4, 0.2))
    with pytest.raises(UserError, match="No space"):  # for the exit code
        sink.close()
    assert len(said) == 1
    assert disk.taken == [0, 1, 2]
    assert disk.end == "discarded"
    sink.close()


def test_a_clip_ends_whole_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fills, file = iter([False] * 5 + [True]), tmp_path / "a.mp4"
    monkeypatch.setattr(worker, "DISK_CHECK_S", 0.0)
    monkeypatch.setattr(worker, "is_disk_full", lambda folder: next(fills))
    sink = Queued(ClipSink(file, STREAM))
    for index in range(10):
        sink.send(Frame(draw_card(64, 48), index, index / 25))
    sink._worker.join(30)
    assert ["ends here" in words for words in sink.messages()] == [True]
    with pytest.raises(UserError, match="300 MB"):
        sink.close()
    with open_source(str(file)) as clip:
        assert len(list(clip)) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_files_are_queued_only_in_live_runs(tmp_path: Path) -> None:
    for is_live in (False, True):
        specs = parse_sinks([f"file:{tmp_path / 'a.mp4'}", "null"])
        with open_sinks(specs, STREAM, is_live) as outputs:
            assert isinstance(outputs.sink.sinks[0], Queued if is_live else ClipSink)
            for index in range(8):
                outputs.sink.send(Frame(draw_card(64, 48), index, index / 25))
        with open_source(str(tmp_path / "a.mp4")) as clip:
            assert len(list(clip)) == 8


class Reset:
    """A GPU that works for some pictures, and then fails for good."""

    def __init__(self, good: int) -> None:
        self.left = good

    def __call__(self, image: Image) -> Matte:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")
        return np.zeros(image.shape[:2], np.float32)


@pytest.mark.parametrize("is_call", [False, True])
def test_when_a_gpu_is_reset_the_cpu_goes_on(is_call: bool) -> None:
    sink = Collect(is_call=is_call)
    with Filter(Settings(segmenter="kmeans")) as filter:
        filter._planes.move(Engine("torch", "cuda:0", "PyTorch on a GPU"))
        filter.matting.segmenter = Reset(3)
        report, said = go(Cards(8), sink, filter=filter)
    assert [frame.index for frame in sink.frames] == list(range(8))  # no frame is lost
    assert not any((frame.image == placeholder((64, 48))).all() for frame in sink.frames)
    cpu = choose_engine("cpu")
    assert said == [f"PyTorch on a GPU failed (CUDA error: unspecified launch failure): {cpu.detail} goes on, slower."]
    assert (report.device, report.engine) == ("CPU", cpu.detail)


def test_styles_are_loaded_again_when_the_cpu_takes_over() -> None:
    with Filter(Settings(segmenter="kmeans")) as filter:
        before = filter._planes.style("starry_night", filter.quality)
        filter._planes.engine = Engine("torch", "cuda:0", "PyTorch on a GPU")
        assert filter.fall_back_to_cpu()
        assert filter._planes.style("starry_night", filter.quality)[0] is not before[0]
        assert not filter.fall_back_to_cpu()  # there is nothing behind it


class Counted(FakeCapture):
    """A capture of which those still alive are known."""

    alive: ClassVar["weakref.WeakSet[Counted]"] = weakref.WeakSet()

    def __init__(self, busy: bool) -> None:
        super().__init__()
        self.busy = busy
        Counted.alive.add(self)

    def open(self, *_: object) -> bool:
        return not self.busy


class BusyDesk(Desk):
    """A camera that is busy at first each time that it is back."""

    def capture(self) -> FakeCapture:
        self.captures = self.captures[-1:]  # the others may be freed
        busy = bool(self.captures) and not getattr(self.captures[-1], "busy", True)
        self.captures.append(Counted(busy))
        return self.captures[-1]

    def pull(self) -> list[Device]:
        return []

    def find(self, lost: Device, others: list[Device]) -> Device | None:
        self.number += 1
        return self.device()


def test_a_hundred_unplugs_leave_no_thread_handle_or_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the capture thread. The camera is back busy, and then under another number."""
    desk = BusyDesk(monkeypatch)
    held = Held()
    monkeypatch.setattr(pacing, "BLANK_INTERVAL_S", 0.0)

    class Bounded(Wrapper):
        """A source that ends after the hundredth loss."""

        def __iter__(self):  # type: ignore[no-untyped-def]
            yield from islice(self._source, 400)

    blank = 0
    camera = open_source("0")
    with Latest(Bounded(camera, camera.info)) as latest:
        for frame in latest:
            blank += frame.is_blank
    assert blank
    assert desk.number == 2 * 99  # a busy and a working capture for each loss but the last
    desk.captures.clear()
    gc.collect()
    assert not Counted.alive
    assert held.more() == (set(), 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says who watches")
def test_a_hundred_watchers_may_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "video10"
    device.touch()

    def camera(*size: int, device: object, **facts: Any) -> FakeCamera:
        return FakeCamera(*size, device=str(tmp_path / "video10"), **facts)

    driver = SimpleNamespace(Camera=camera, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", driver)
    monkeypatch.setattr(virtual_camera, "IS_LINUX", False)  # so that no device is examined
    monkeypatch.setattr(devices, "PROCESSES", tmp_path)
    for patience in ("MIN_WATCH_S", "MIN_ABSENCE_S"):
        monkeypatch.setattr(virtual_camera, patience, 0.0)
    with VirtualCamera("", STREAM) as sink:
        seen = set()
        assert not sink.is_watched()  # from now on watchers are looked for
        held = Held()
        for index in range(100):
            sink.send(Frame(draw_card(64, 48), index, index / 25))
            with device.open():
                seen.add((sink.is_watched(), sink.is_watched()))
            seen.add((sink.is_watched(), sink.is_watched()))
        sink._camera.wait(len(sink._camera.images) + 2)  # pictures go on
        assert held.more() == (set(), 0)
    assert seen == {(False, True), (True, False)}


def test_a_closed_clip_is_freed_at_once() -> None:
    """Garbage collection would come late: its decoder has threads and pictures."""
    gc.collect()
    gc.disable()
    try:
        source = open_source("demo")
        list(islice(source, 3))
        source.close()
        gone = weakref.ref(source)
        del source
        assert gone() is None
    finally:
        gc.enable()


def test_after_an_hour_of_sleep_the_run_goes_on_and_does_not_show_the_room() -> None:
    """Sleep is a gap in time. The camera may be gone after it."""
    for after in ([], [Fault("errs", 1.0)], [Fault("vanishes", 3.0)]):
        camera = [Fault("works", 1.0), Fault("stalls", 3600.0), *after, Fault("works", 1.0)]
        audience, _ = perform(LOOKS["colour"], camera)
        assert not any(shows_room(image) for image, _, _ in audience.seen)
        assert sum(not (image == placeholder(SIZE)).all() for image, _, _ in audience.seen) >= 2 * FPS - 2
        assert not (audience.seen[-1][0] == placeholder(SIZE)).all()


def test_a_clip_at_its_own_pace_does_not_catch_up_after_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    now, naps = [0.0], list[float]()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(pacing.time, "monotonic", lambda: now[0])
    paced = Paced(Cards(20))
    paced._ended = SimpleNamespace(wait=nap)  # type: ignore[assignment]
    for index, _ in enumerate(paced):
        now[0] += 3600.0 if index == 9 else 0.001
    assert naps[10] == 0.0  # the one after the sleep comes at once, and the rest at the clip's pace again
    assert np.allclose(naps[11:], 1 / 30 - 0.001)


def test_steps_of_the_wall_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only names of files and the records of jobs use it, and no name is used twice."""
    package = Path(livestyle.__file__).parent
    asking = {path.stem for path in package.rglob("*.py") if "time.time()" in path.read_text("utf-8")}
    assert asking == {"jobs"}
    monkeypatch.setattr(time, "time", lambda: -1e9)
    sink = Collect(is_call=True)
    go(Cards(9), sink, filter=quick())
    assert len(sink.frames) == 9
    monkeypatch.setattr(time, "strftime", lambda *_: "2026-11-27_12-00-00")  # the same second again
    names = [claim(tmp_path).name for _ in range(3)]
    assert len(set(names)) == 3


def eat(image: Image) -> None:
    """Allocate more memory than there is."""
    np.ones(1 << 46, np.float32)


def eat_in_opencv(image: Image) -> None:
    cv2.resize(image, (1 << 20, 1 << 20))


@pytest.mark.parametrize("eat", [eat, eat_in_opencv])
def test_frames_without_memory_are_hidden_and_the_run_goes_on(eat: Callable[[Image], None]) -> None:
    """Real allocations fail."""
    number, sink = count(), Collect(is_call=True)

    def segment(image: Image) -> Matte:
        if next(number) in range(3, 6):
            eat(image)
        return np.zeros(image.shape[:2], np.float32)

    with Filter(Settings(segmenter="kmeans")) as filter:
        filter.matting = Matting(segment)
        _, said = go(Cards(9), sink, filter=filter)
    hidden = [bool((frame.image == placeholder((64, 48))).all()) for frame in sink.frames]
    assert hidden == [False] * 3 + [True] * 3 + [False] * 3
    assert len(said) == 1
    assert said[0].startswith("Hidden behind a placeholder")


STUCK = """
import ctypes, sys
from unittest.mock import patch
from livestyle.cli import main
from livestyle.render import filter
def stuck(image):
    ctypes.CDLL(None).pause()  # in native code, for ever
patch.object(filter, "THREAD_END_TIMEOUT_S", 0.1).start()
patch.object(filter, "load_segmenter", lambda *_: ("stuck", stuck)).start()
sys.argv = ["livestyle", *sys.argv[1:]]
main.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs pause()")
def test_the_program_ends_though_a_network_is_stuck_for_ever(tmp_path: Path) -> None:
    flags = ["live", "--source", "faults:1", "--private", "--sink", f"file:{tmp_path / 'a.mkv'}", "--frames", "3"]
    looks = ["--size", "64x48", "--background", "color:#204020"]
    done = subprocess.run(
        [sys.executable, "-c", STUCK, *flags, *looks], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    with open_source(str(tmp_path / "a.mkv")) as clip:  # the clip is whole
        frames = list(clip)
    assert len(frames) == 3
    assert all(abs(frame.image.astype(int) - placeholder((64, 48))).mean() < 4 for frame in frames)
