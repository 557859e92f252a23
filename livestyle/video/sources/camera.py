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
from livestyle.video.sources.source import Source, SourceInfo

RETRY_S = 0.2  # between looks for a camera that is away
WARM_UP_READS = 5  # that a camera may take to its first frame


class Camera(Source):
    """A camera.

    It is asked for MJPG before the size, since many cameras give 720p at 10 fps or less uncompressed. What it granted
    is in its info.

    Args:
        address: an index or a device path.
        size: asked of the camera, in pixels; None for its own.
        fps: asked of the camera, in frames per second; None for its own.

    Raises:
        UserError: there is none, it is busy, or it sends no picture.
    """

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._capture = cv2.VideoCapture()
        self._ended = False
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
        image = next((image for ok, image in (self._capture.read() for _ in range(WARM_UP_READS)) if ok), None)
        if image is None:
            self.close()
            raise UserError(f"Camera {address} opens but sends no picture.", "Close other programs that use it.")
        self.info = self._describe(address, size_of(np.asarray(image, np.uint8)))

    def _describe(self, address: str, size: Size) -> SourceInfo:
        fps = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        pixels = "".join(chr(code >> shift & 255) for shift in (0, 8, 16, 24)).strip("\0 ")
        return SourceInfo(f"camera {address} ({size[0]}x{size[1]} at {fps:g} fps, {pixels})", size, fps, is_live=True)

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._ended:
            ok, image = self._capture.read()
            if self._ended:
                return
            if not ok:
                raise UserError(f"The {self.info.name} stopped sending frames.", "Plug it in again and start anew.")
            yield Frame(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), index, time.monotonic() - start)
            index += 1

    def close(self) -> None:
        self._ended = True
        self._capture.release()


def camera_error(address: str) -> UserError:
    """Return why a camera did not open, and what to do."""
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
    """A camera that may go away. Then it gives a blank frame, and none until it is back.

    It is known again by what it is, never by its number alone.

    Args:
        address, size, fps: see Camera.

    Raises:
        UserError: as Camera at first. Later only where the system does not tell one camera from another.
    """

    def __init__(self, address: str, size: Size | None = None, fps: float | None = None) -> None:
        self._asked = size, fps
        self._over, self._resting, self._stir = False, False, threading.Event()
        self._others: list[Device] = []
        self._device = identify(address)
        self._camera: Camera | None = Camera(address, size, fps)
        self.info = replace(self._camera.info, comes_back=True)

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while not self._over:
            if self._camera is None and not self._resting:
                self._camera = self._found()
            if self._camera is None:
                self._stir.wait(RETRY_S)
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
            yield Frame(np.zeros((*self.info.size[::-1], 3), np.uint8), index, time.monotonic() - start, is_blank=True)
            index += 1

    def _lose(self) -> None:
        """Release the camera, and note the devices beside it: none of them is it, whatever it looks like."""
        self.close()
        if self._device:
            self._others = [device for device in video_devices() if device.port != self._device.port]

    def _found(self) -> Camera | None:
        """Return the camera if it is back and no other program has it."""
        found = find_again(self._device, self._others) if self._device else None
        with contextlib.suppress(UserError):
            if found:
                camera = Camera(found.path, *self._asked)
                self._device = found
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
    """Return the cameras that Linux shows, names by device path; elsewhere none."""
    return {device.path: device.name for device in video_devices()}


def is_camera(text: str) -> bool:
    """Return whether the text of a source names a camera."""
    return text.isdecimal() or text.startswith(("/dev/video", "/dev/v4l/"))
