"""A camera that is unplugged a hundred times, and the first and last pictures that strangers see of a run."""

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

AWAY_S = (0.05, 0.7, 3.0, 3600.0)  # for which the camera is away; the last is a laptop asleep
SIZES_BACK = (SIZE, (64, 64), (128, 72), (80, 96))  # of its frames when it is back
PLUGGED_S, BUSY_S = 0.25, 0.5  # for which it works, and for which another program uses it before
ROOM = scene(SIZE, 0.0)[0]
ENDLESS, IN_CALL = Limits(), Privacy(is_call=True)


class UnreliableCamera:
    """A camera that is unplugged again and again, on a fake clock.

    It comes back under another number and with another size, and is busy at first. Beside it is another camera.

    Args:
        losses: number of times that it is unplugged. After the last the run ends.

    Attributes:
        now: seconds of the fake clock.
        lost: times at which it was unplugged.
        back, until: when it is plugged in again, and when it is unplugged next.
        open_count: captures that are open.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, losses: int) -> None:
        self.now, self.losses, self.back, self.until = 100.0, losses, 0.0, 0.0
        self.lost, self.open_count = list[float](), 0
        self.camera: Reconnecting | None = None
        monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(camera, "Frame", self.frame)
        monkeypatch.setattr(cv2, "VideoCapture", lambda: Capture(self))
        monkeypatch.setattr(camera, "identify", lambda _: self.device())
        monkeypatch.setattr(camera, "video_devices", lambda: [self.other()])
        monkeypatch.setattr(camera, "find_again", self.find)

    def open(self) -> Reconnecting:
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
        return Device(f"/dev/video{len(self.lost) + 2}", "cam", "model", "serial", "port")

    def other(self) -> Device:
        return Device("/dev/video1", "another", "model", "", "other port")

    def find(self, lost: Device, others: list[Device]) -> Device | None:
        assert (lost.name, others) == ("cam", [self.other()])
        return self.device() if self.now >= self.back else None

    def unplug(self) -> None:
        self.lost.append(self.now)
        self.back = self.now + AWAY_S[len(self.lost) % len(AWAY_S)]
        if len(self.lost) == self.losses and self.camera:
            self.camera.end()


class Capture:
    """A fake cv2.VideoCapture, which holds a handle while it is open."""

    def __init__(self, unreliable: UnreliableCamera) -> None:
        self._camera, self._size, self._handle = unreliable, SIZES_BACK[len(unreliable.lost) % len(SIZES_BACK)], -1

    def open(self, target: str | int, _: int) -> bool:
        unreliable = self._camera
        assert str(target) in (unreliable.device().path, "2")
        if unreliable.now < unreliable.back + BUSY_S and unreliable.lost:
            return False
        self._handle, unreliable.until = os.open(os.devnull, os.O_RDONLY), unreliable.now + PLUGGED_S
        unreliable.open_count += 1
        return True

    def set(self, *_: object) -> bool:
        return True

    def get(self, _: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, Any]:
        unreliable = self._camera
        unreliable.wait(1 / 30)
        if unreliable.now < unreliable.until:
            return True, np.ascontiguousarray(scene(self._size, unreliable.now)[0][..., ::-1])
        unreliable.unplug()
        return False, None

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._camera.open_count -= 1
        self._handle = -1


def test_after_each_of_a_hundred_losses_blank_frames_come_in_half_a_second_and_frames_in_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unreliable = UnreliableCamera(monkeypatch, losses=100)
    held, sizes, blanks, returns = Held(), set(), list[float](), list[float]()
    was_blank, kept = False, 0
    tracemalloc.start()
    with unreliable.open() as camera:
        for frame in camera:
            if frame.is_blank:
                blanks.append(frame.captured - unreliable.lost[-1])
            elif was_blank:
                returns.append(frame.captured - unreliable.back)
            sizes.add(size_of(frame.image))
            was_blank = frame.is_blank
            if len(unreliable.lost) == 20 and not kept:
                gc.collect()
                kept = tracemalloc.get_traced_memory()[0]
        del frame
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - kept
    tracemalloc.stop()
    assert (len(blanks), len(returns)) == (100, 99)  # the run ends with the last
    assert max(blanks) <= 0.5
    assert BUSY_S <= max(returns) <= 2.0
    assert sizes == set(SIZES_BACK)
    assert (*held.more(), unreliable.open_count) == (set(), 0, 0)
    assert grown < 40_000  # bytes: two of its frames, for eighty losses


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for every picture, so that none is late."""
    monkeypatch.setattr(guard, "is_done", lambda job, _: bool(futures.wait([job], 60).done))


def run(source: Source, sink: Sink, segmenter: Iterable[str] = (), limits: Limits = ENDLESS) -> None:
    controls = sink.controls if isinstance(sink, Audience) else make_controls(LOOKS["colour"], privacy=IN_CALL)
    with Filter(Settings(segmenter="kmeans")) as filter:
        filter.matting = Matting(FaultySegmenter(iter(segmenter), lambda _: None), Smoother())
        session_of(source, filter, sink, controls, limits).run()


def test_a_camera_that_is_back_with_another_size_is_fitted_and_hides_the_room(
    monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    unreliable = UnreliableCamera(monkeypatch, losses=8)
    audience = Audience(make_controls(LOOKS["colour"], privacy=IN_CALL), {})
    with unreliable.open() as camera:
        run(camera, audience)
    pictures = [picture for picture, _, _ in audience.seen]
    hidden = [bool((picture == placeholder(SIZE)).all()) for picture in pictures]
    assert {size_of(picture) for picture in pictures} == {SIZE}
    assert not any(shows_room(picture) for picture in pictures)
    assert sum(hidden) == 8
    assert hidden.count(False) >= 8 * 3


class Room(Source):
    """A live source: a person in front of the room. It may end, or fail."""

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
def test_neither_the_first_nor_the_last_picture_shows_the_room(end: str, fault: str, patient: None) -> None:
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


def test_a_lasting_fault_ends_the_call_without_showing_the_room(patient: None) -> None:
    audience = Audience(make_controls(LOOKS["colour"], privacy=IN_CALL), {})
    with pytest.raises(RuntimeError):
        run(Room(), audience, chain(["works"] * 3, cycle(["fails"])))
    assert len(audience.seen) == 3 + MAX_FAILED_FRAMES
    assert not any(shows_room(picture) for picture, _, _ in audience.seen)


def test_a_failing_virtual_camera_ends_the_call_without_showing_the_room(
    monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    sent = list[Image]()

    class Failing(FakeCamera):
        def send(self, image: Image) -> None:
            if len(sent) == 4:
                raise OSError("the driver is gone")
            sent.append(image.copy())

    driver = SimpleNamespace(Camera=Failing, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", driver)
    monkeypatch.setattr(virtual_camera, "IS_LINUX", False)  # so that no device is examined
    sink = VirtualCamera("", Stream(SIZE, 240))
    with pytest.raises(OSError, match="driver is gone"), sink:
        run(Room(), sink)
    assert len(sent) == 4
    assert not any(shows_room(image) for image in sent)
    assert not sink._pacer._thread.is_alive()


def test_the_room_is_recognized() -> None:
    """Else the tests above could not fail."""
    assert shows_room(ROOM)
