"""Fake cameras, and clips for tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from livestyle.image.types import Frame
from livestyle.video.devices.devices import Device
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources import camera as cameras
from support.pictures import draw_card


def write_clip(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48), fps: float = 25) -> Path:
    """Write a clip whose frames become brighter, and return its path."""
    with ClipSink(path, Stream(size, fps)) as sink:
        for index in range(frames):
            image = np.clip(draw_card(*size).astype(int) // 2 + index * 8, 0, 255).astype(np.uint8)
            sink.send(Frame(image, index, index / fps))
    return path


class FakeCapture:
    """A fake cv2.VideoCapture: it grants less than is asked for, and is unplugged after three frames."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.left, self.released = 4, False

    def open(self, *_: object) -> bool:
        return True

    def set(self, key: int, _: float) -> bool:
        self.asked.append(key)
        return True

    def get(self, key: int) -> float:
        return cv2.VideoWriter.fourcc(*"MJPG") if key == cv2.CAP_PROP_FOURCC else 24.0

    def read(self) -> tuple[bool, np.ndarray | None]:  # type: ignore[type-arg]
        self.left -= 1
        blue_in_bgr = np.zeros((48, 64, 3), np.uint8)
        blue_in_bgr[..., 0] = 200
        return (True, blue_in_bgr) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


class Desk:
    """A computer with one camera, which is unplugged after every third frame and is back under another number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number, self.is_here, self.looks = 0, True, 0
        self.opened: list[str | int] = []
        self.captures: list[FakeCapture] = []
        monkeypatch.setattr(cv2, "VideoCapture", self.capture)
        monkeypatch.setattr(cameras, "identify", lambda _: self.device())
        monkeypatch.setattr(cameras, "video_devices", self.pull)
        monkeypatch.setattr(cameras, "find_again", self.find)
        monkeypatch.setattr(cameras, "RETRY_S", 0.0)

    def device(self) -> Device:
        return Device(f"/dev/video{self.number}", "cam", "model", "serial", "port")

    def capture(self) -> FakeCapture:
        self.captures.append(FakeCapture())
        return self.captures[-1]

    def pull(self) -> list[Device]:
        """List no device, once the lost camera is closed."""
        assert self.captures[-1].released
        self.is_here = False
        return []

    def find(self, lost: Device, others: list[Device]) -> Device | None:
        """Find the camera at every third search."""
        assert (lost, others) == (self.device(), [])
        self.looks += 1
        if self.looks % 3 == 0:
            self.number, self.is_here = self.number + 1, True
        return self.device() if self.is_here else None
