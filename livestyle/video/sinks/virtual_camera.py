"""A virtual camera, at a steady rate."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from livestyle.errors import UserError, pip
from livestyle.image.types import Frame, Image
from livestyle.video.devices import loopback
from livestyle.video.devices.devices import IS_LINUX, Openings
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream

FIRST_GREY = 32  # of 255, of what is shown before the first picture
MIN_WATCH_S = 0.3  # after which a program that opened a virtual camera counts as watching
MIN_ABSENCE_S = 3.0  # after which one that left it counts as gone


class VirtualCamera(Sink):
    """A camera that other programs see (pyvirtualcam: v4l2loopback, OBS, UnityCapture).

    Watchers see a steady rate whatever the source does. A thread of its own sends pictures as they come, and the last
    one again where none comes in time.

    Args:
        device: its path or name, or "" for the first that is free.
        stream: what it is about to get. An odd last row or column is cut off.

    Raises:
        UserError: there is no device. The message is the command that makes one.
    """

    def __init__(self, device: str, stream: Stream) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise UserError("The package pyvirtualcam is missing.", f"Run: {pip('install pyvirtualcam')}") from None
        self._size = stream.size[0] & ~1, stream.size[1] & ~1  # 4:2:0 formats, which apps ask for, are even
        fps = max(1.0, stream.fps)
        path = loopback.find(device) if IS_LINUX else device
        try:
            self._camera = pyvirtualcam.Camera(
                *self._size, fps=fps, fmt=pyvirtualcam.PixelFormat.RGB, device=path or None
            )
        except RuntimeError as error:
            raise virtual_camera_error(device, str(error)) from None
        self._device: str = self._camera.device
        self.info = SinkInfo(f"virtual camera {self._device}", is_live=True, is_call=True)
        self._openings: Openings | None = None
        self._watched = False
        self._changed: float | None = None  # since when it is otherwise
        self._pacer = Pacer(self._camera.send, 1 / fps)
        # The device is there for others from the first picture on, and the first real one may take seconds.
        self._pacer.send(np.full((*self._size[::-1], 3), FIRST_GREY, np.uint8))

    def send(self, frame: Frame) -> None:
        w, h = self._size
        self._pacer.send(frame.image[:h, :w].copy())  # it may be sent again when the sender has written over it

    def hide(self, image: Image) -> None:
        w, h = self._size
        with suppress(Exception):  # raised where frames come from
            self._pacer.send(image[:h, :w].copy())

    def is_watched(self) -> bool:
        """Return whether another program has the camera open.

        One that opens it for a moment, to see what cameras there are, does not count.

        Raises:
            UserError: this system does not tell.
        """
        if self._openings is None:
            try:
                self._openings = Openings(self._device)
            except OSError:
                raise UserError(
                    "Only v4l2loopback on Linux tells who watches.", "Leave the camera on.", "on_demand"
                ) from None
        now, opened = time.monotonic(), self._openings.any()
        if opened is self._watched:
            self._changed = None
        elif self._changed is None:
            self._changed = now
        elif now - self._changed >= (MIN_WATCH_S if opened else MIN_ABSENCE_S):
            self._watched, self._changed = opened, None
        return self._watched

    def close(self) -> None:
        self._pacer.close()
        self._camera.close()
        if self._openings:
            self._openings.close()
        if IS_LINUX:
            loopback.free(self._device)


class Pacer:
    """Send pictures from a thread of its own, at a steady rate. Who gives them never waits.

    A picture is sent at once, but not sooner than MIN_INTERVALS after the one before. Where none has come for
    MAX_INTERVALS, the last one is sent again, and then after each interval. This is no `Worker`, since it goes by the
    clock: it keeps one picture in place of a queue, and sends it as often as the clock says.

    Args:
        send_on: takes each picture.
        interval: between two pictures, in seconds.
    """

    MIN_INTERVALS, MAX_INTERVALS = 0.6, 1.25

    def __init__(self, send_on: Callable[[Image], None], interval: float) -> None:
        self._send_on, self._interval = send_on, interval
        self._image: Image | None = None
        self._is_new = self._is_steady = self._over = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="virtual camera", daemon=True)
        self._thread.start()

    def send(self, image: Image) -> None:
        """Have a picture sent. What failed meanwhile is raised here."""
        with self._changed:
            if self._error:
                raise self._error
            self._image, self._is_new = image, True
            self._changed.notify()

    def close(self) -> None:
        """Send nothing more, and wait for the thread."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (image := self._next()) is not None:
                self._send_on(image)
        except Exception as error:  # raised again where pictures come from
            self._error = error

    def _next(self) -> Image | None:
        """Return what to send now, None at the end."""
        with self._changed:
            wait = (self.MAX_INTERVALS if self._is_steady else 1.0) - self.MIN_INTERVALS
            self._changed.wait_for(lambda: self._over, self.MIN_INTERVALS * self._interval)
            self._changed.wait_for(
                lambda: self._over or self._is_new, None if self._image is None else wait * self._interval
            )
            self._is_steady, self._is_new = self._is_new, False
            return None if self._over else self._image


def virtual_camera_error(device: str, reason: str) -> UserError:
    """Return why no virtual camera opened, and the command that makes one."""
    if IS_LINUX:
        return UserError(*loopback.trouble(device))
    start = "Install OBS Studio (https://obsproject.com), start its virtual camera once, and close it."
    return UserError(f"There is no virtual camera: {reason.splitlines()[0]}.", start)
