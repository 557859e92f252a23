"""A camera that comes and goes a hundred times, in seconds; and the first and the last that strangers see of a run."""

import gc
import os
import sys
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent import futures
from itertools import chain, cycle, repeat
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.faults import LOOKS, SIZE, Audience, session_of, shows_room
from support.threads import Held
from support.virtual_camera import FakeCamera

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.synthetic import scene
from livestyle.image.types import Frame, Image, size_of
from livestyle.live import guard
from livestyle.live.actions import make_controls
from livestyle.live.driver import Limits
from livestyle.live.privacy import Privacy
from livestyle.live.renderer import MAX_FAILED_FRAMES
from livestyle.live.shown import placeholder
from livestyle.matting.faults import FaultySegmenter
from livestyle.matting.matte import Matting
from livestyle.matting.smoother import Smoother
from livestyle.render.filter import Filter
from livestyle.video.devices.devices import Device
from livestyle.video.sinks import virtual_camera
from livestyle.video.sinks.sink import Sink, Stream
from livestyle.video.sinks.virtual_camera import VirtualCamera
from livestyle.video.sources import camera
from livestyle.video.sources.camera import Reconnecting
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Source, SourceInfo

AWAY = (0.05, 0.7, 3.0, 3600.0)  # seconds; the last is a laptop asleep
BACK = (SIZE, (64, 64), (128, 72), (80, 96))  # sizes that it comes back with
PLUGGED, BUSY = 0.25, 0.5  # seconds for which it is there, and for which another program has it first
ROOM = scene(SIZE, 0.0)[0]
ENDLESS, IN_CALL = Limits(), Privacy(is_call=True)


class Desk:
    """A camera on a clock that moves where somebody waits: pulled out again and again, back busy, under another number
    and of another size, beside one that is not it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, losses: int) -> None:
        self.now, self.most, self.back, self.until = 100.0, losses, 0.0, 0.0
        self.gone, self.held = list[float](), 0
        self.camera: Reconnecting | None = None
        monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(camera, "Frame", self.frame)
        monkeypatch.setattr(cv2, "VideoCapture", lambda: Capture(self))
        monkeypatch.setattr(camera, "identify", lambda _: self.device())
        monkeypatch.setattr(camera, "video_devices", lambda: [self.twin()])
        monkeypatch.setattr(camera, "find_again", self.find)

    def plugged(self) -> Reconnecting:
        camera = open_source("2", SIZE)
        assert isinstance(camera, Reconnecting)
        camera._stir = SimpleNamespace(wait=self.wait, clear=lambda: None, set=lambda: None)  # type: ignore[assignment]
        self.camera = camera
        return camera

    def frame(self, image: Image, index: int, time: float, is_blank: bool = False) -> Frame:
        return Frame(image, index, time, self.now, is_blank)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def device(self) -> Device:
        return Device(f"/dev/video{len(self.gone) + 2}", "cam", "model", "serial", "port")

    def twin(self) -> Device:
        return Device("/dev/video1", "another", "model", "", "other port")

    def find(self, lost: Device, others: list[Device]) -> Device | None:
        assert (lost.name, others) == ("cam", [self.twin()])
        return self.device() if self.now >= self.back else None

    def pull(self) -> None:
        self.gone.append(self.now)
        self.back = self.now + AWAY[len(self.gone) % len(AWAY)]
        if len(self.gone) == self.most and self.camera:
            self.camera.end()


class Capture:
    """OpenCV's, which holds a handle while it is open."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._size, self._handle = desk, BACK[len(desk.gone) % len(BACK)], -1

    def open(self, target: str | int, _: int) -> bool:
        desk = self._desk
        assert str(target) in (desk.device().path, "2")
        if desk.now < desk.back + BUSY and desk.gone:
            return False
        self._handle, desk.until = os.open(os.devnull, os.O_RDONLY), desk.now + PLUGGED
        desk.held += 1
        return True

    def set(self, *_: object) -> bool:
        return True

    def get(self, _: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, Any]:
        desk = self._desk
        desk.wait(1 / 30)
        if desk.now < desk.until:
            return True, np.ascontiguousarray(scene(self._size, desk.now)[0][..., ::-1])
        desk.pull()
        return False, None

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._desk.held -= 1
        self._handle = -1


def test_a_placeholder_within_half_a_second_and_frames_within_two_a_hundred_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch, losses=100)
    held, sizes, blanks, returns = Held(), set(), list[float](), list[float]()
    was_blank, kept = False, 0
    tracemalloc.start()
    with desk.plugged() as camera:
        for frame in camera:
            if frame.is_blank:
                blanks.append(frame.captured - desk.gone[-1])
            elif was_blank:
                returns.append(frame.captured - desk.back)
            sizes.add(size_of(frame.image))
            was_blank = frame.is_blank
            if len(desk.gone) == 20 and not kept:
                gc.collect()
                kept = tracemalloc.get_traced_memory()[0]
        del frame
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - kept
    tracemalloc.stop()
    assert (len(blanks), len(returns)) == (100, 99)  # the run ends with the last
    assert max(blanks) <= 0.5
    assert BUSY <= max(returns) <= 2.0
    assert sizes == set(BACK)
    assert (*held.more(), desk.held) == (set(), 0, 0)
    assert grown < 40_000  # bytes: two of its frames, for eighty losses


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is late."""
    monkeypatch.setattr(guard, "is_done", lambda job, _: bool(futures.wait([job], 60).done))


def run(source: Source, sink: Sink, segmenter: Iterable[str] = (), limits: Limits = ENDLESS) -> None:
    controls = sink.controls if isinstance(sink, Audience) else make_controls(LOOKS["colour"], privacy=IN_CALL)
    with Filter(Settings(segmenter="kmeans")) as filter:
        filter.matting = Matting(FaultySegmenter(iter(segmenter), lambda _: None), Smoother())
        session_of(source, filter, sink, controls, limits).run()


def test_what_comes_back_in_another_size_is_fitted_and_hides_the_room(
    monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    desk, audience = Desk(monkeypatch, losses=8), Audience(make_controls(LOOKS["colour"], privacy=IN_CALL), {})
    with desk.plugged() as camera:
        run(camera, audience)
    pictures = [picture for picture, _, _ in audience.seen]
    hidden = [bool((picture == placeholder(SIZE)).all()) for picture in pictures]
    assert {size_of(picture) for picture in pictures} == {SIZE}
    assert not any(shows_room(picture) for picture in pictures)
    assert sum(hidden) == 8
    assert hidden.count(False) >= 8 * 3


class Room(Source):
    """A person before the room, who never leaves; it may end, or fail."""

    info = SourceInfo("room", SIZE, 20.0, is_live=True)

    def __init__(self, count: int = 10**9, error: type[Exception] | None = None) -> None:
        self._count, self._error = count, error

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            yield Frame(scene(SIZE, index / self.info.fps)[0], index, index / self.info.fps)
        if self._error:
            raise self._error("gone")


ENDS: dict[str, tuple[Room, dict[int, str], Limits, type[Exception] | None]] = {
    "limit": (Room(), {}, Limits(frames=9), None),
    "time": (Room(), {}, Limits(seconds=0.4), None),
    "key": (Room(), {9: "q"}, ENDLESS, None),
    "source ends": (Room(9), {}, ENDLESS, None),
    "camera is gone": (Room(9, UserError), {}, ENDLESS, UserError),
    "source breaks": (Room(9, OSError), {}, ENDLESS, OSError),
}
FAULTS = ("works", "fails", "no memory", "nan", "everywhere")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("end", ENDS)
def test_neither_the_first_nor_the_last_that_is_seen_is_the_room(end: str, fault: str, patient: None) -> None:
    """Whichever way a run ends, with a segmenter that fails at first, and again at the end."""
    source, keys, limits, error = ENDS[end]
    audience = Audience(make_controls(LOOKS["colour"], privacy=IN_CALL), dict(keys))
    held = Held()
    segmenter = chain([fault] * 3, ["works"] * 3, repeat(fault))
    if error:
        with pytest.raises(error):
            run(source, audience, segmenter, limits)
    else:
        run(source, audience, segmenter, limits)
    pictures = [picture for picture, _, _ in audience.seen]
    assert len(pictures) >= 8
    assert not any(shows_room(picture) for picture in pictures)
    for at in (0, -1):
        assert bool((pictures[at] == placeholder(SIZE)).all()) == (fault != "works")
    assert not (pictures[4] == placeholder(SIZE)).all()
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "render":
            thread.join(10)
    assert not held.more()[0]


def test_a_fault_that_stays_ends_the_call_with_nothing_of_the_room_seen(patient: None) -> None:
    audience = Audience(make_controls(LOOKS["colour"], privacy=IN_CALL), {})
    with pytest.raises(RuntimeError):
        run(Room(), audience, chain(["works"] * 3, cycle(["fails"])))
    assert len(audience.seen) == 3 + MAX_FAILED_FRAMES
    assert not any(shows_room(picture) for picture, _, _ in audience.seen)


def test_a_driver_that_fails_ends_the_call_with_nothing_of_the_room_handed_on(
    monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    handed = list[Image]()

    class Failing(FakeCamera):
        def send(self, image: Image) -> None:
            if len(handed) == 4:
                raise OSError("the driver is gone")
            handed.append(image.copy())

    driver = SimpleNamespace(Camera=Failing, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", driver)
    monkeypatch.setattr(virtual_camera, "IS_LINUX", False)  # no module is asked what the device is
    sink = VirtualCamera("", Stream(SIZE, 240))
    with pytest.raises(OSError, match="driver is gone"), sink:
        run(Room(), sink)
    assert len(handed) == 4
    assert not any(shows_room(image) for image in handed)
    assert not sink._pacer._thread.is_alive()


def test_the_room_would_be_seen() -> None:
    """So that the tests above can fail."""
    assert shows_room(ROOM)
