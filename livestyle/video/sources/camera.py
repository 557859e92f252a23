"""Cameras, also those that go away and come back."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.image.types import Frame, size_of
from livestyle.types import Size
from livestyle.video.devices.devices import Device, find_again, identify, video_devices
from livestyle.video.sources.source import Source

RETRY = 0.2  # seconds between looks for it
WARM_UP = 5  # reads that a camera may take to its first frame


class Camera(Source):
    """A camera by index or device path.

    MJPG is asked for before the size: many cameras give 720p at 10 fps or less uncompressed. What was granted is
    read back into `size` and `fps`.

    Raises:
        UserError: there is none, or it is busy.
    """

    is_live = True

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._capture = cv2.VideoCapture()
        self._ended = False
        self.name = f"camera {address}"
        target: int | str = int(address) if address.isdecimal() else address
        asked = [(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))]
        if size:
            asked += [(cv2.CAP_PROP_FRAME_WIDTH, size[0]), (cv2.CAP_PROP_FRAME_HEIGHT, size[1])]
        if fps:
            asked += [(cv2.CAP_PROP_FPS, round(fps))]
        backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
        if not self._capture.open(target, backend):
            raise camera_error(address)
        for key, value in asked:
            self._capture.set(key, value)
        image = next((image for ok, image in (self._capture.read() for _ in range(WARM_UP)) if ok), None)
        if image is None:
            self.close()
            raise UserError(f"Camera {address} opens but sends no picture.", "Close other programs that use it.")
        self.size = size_of(np.asarray(image, np.uint8))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        self.format = "".join(chr(code >> shift & 255) for shift in (0, 8, 16, 24)).strip("\0 ")
        self.name = f"camera {address} ({self.size[0]}x{self.size[1]} at {self.fps:g} fps, {self.format})"

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._ended:
            ok, image = self._capture.read()
            if self._ended:
                return
            if not ok:
                raise UserError(f"The {self.name} stopped sending frames.", "Plug it in again and start anew.")
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), index, time.monotonic() - start)
            index += 1

    def close(self) -> None:
        self._ended = True
        self._capture.release()


def camera_error(address: str) -> UserError:
    """Why a camera did not open, and what to do."""
    device = f"/dev/video{address}" if address.isdecimal() else address
    demo = "try 'livestyle live --source demo'"
    if not sys.platform.startswith("linux"):
        return UserError(f"Camera {address} does not open.", f"Close other programs that use it, or {demo}.")
    if not os.path.exists(device):
        known = ", ".join(list_cameras()) or "none"
        return UserError(f"There is no camera {address} (found: {known}).", f"Plug one in, or {demo}.")
    if not os.access(device, os.R_OK | os.W_OK):
        return UserError(f"You may not open {device}.", 'Run: sudo usermod -aG video "$USER", and log in again.')
    return UserError(f"The camera {device} is busy or is no camera.", f"Close other programs that use it, or {demo}.")


class Reconnecting(Source):
    """A camera that may go away: a blank frame, then silence until it is back, known again by what it is and never by
    its number alone.

    Args:
        as for Camera.

    Raises:
        UserError: as Camera, at first; later only where the system does not tell one camera from another.
    """

    is_live = comes_back = True

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._asked = size, fps
        self._over, self._resting, self._stir = False, False, threading.Event()
        self._others: list[Device] = []
        self._device = identify(address)
        self._camera: Camera | None = Camera(address, size, fps)
        self.name, self.size, self.fps = self._camera.name, self._camera.size, self._camera.fps

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._over:
            if self._camera is None and not self._resting:
                self._camera = self._found()
            if self._camera is None:
                self._stir.wait(RETRY)
                self._stir.clear()
                continue
            try:
                for frame in self._camera:
                    if self._over or self._resting:
                        break
                    start = start if index else frame.captured
                    yield replace(frame, index=index, time=frame.captured - start)
                    index += 1
            except UserError:
                if self._device is None:
                    raise
            self._lose()
            yield Frame(np.zeros((*self.size[::-1], 3), np.uint8), index, time.monotonic() - start, is_blank=True)
            index += 1

    def _lose(self) -> None:
        """Let go of the camera, and note what is there beside it: that is not it, whatever it looks like."""
        self.close()
        if self._device:
            self._others = [device for device in video_devices() if device.port != self._device.port]

    def _found(self) -> Camera | None:
        """The camera, if it is back and nobody else has it."""
        found = find_again(self._device, self._others) if self._device else None
        with contextlib.suppress(UserError):
            if found:
                camera = Camera(found.path, *self._asked)
                self._device, self.name = found, camera.name
                return camera
        return None

    def rest(self, resting: bool) -> None:
        if resting != self._resting and self._device:
            self._resting = resting
            self._stir.set()

    def end(self) -> None:
        self._over = True
        self._stir.set()

    def close(self) -> None:
        if self._camera:
            self._camera.close()
            self._camera = None


def list_cameras() -> dict[str, str]:
    """Device path and name of the cameras that the system shows; empty where it is not Linux."""
    return {device.path: device.name for device in video_devices()}


def is_camera(text: str) -> bool:
    """Whether a source's text names a camera."""
    return text.isdecimal() or text.startswith(("/dev/video", "/dev/v4l/"))
