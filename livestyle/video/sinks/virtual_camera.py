"""A virtual camera, at a steady rate."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from livestyle.errors import UserError
from livestyle.image.types import Frame, Image
from livestyle.video.devices import loopback
from livestyle.video.devices.devices import IS_LINUX, Openings
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream

GREY = 32  # of what is shown before the first picture
GLANCE, LINGER = 0.3, 3.0  # seconds after which a program that opened, or left, a virtual camera counts


class VirtualCamera(Sink):
    """A camera that other programs see (pyvirtualcam: v4l2loopback, OBS, UnityCapture).

    A thread of its own hands pictures on as they come, and the last one again where none comes in time, so that
    watchers see a steady rate whatever the source does.

    Args:
        device: its path or name; "" takes the first that is free.

    Raises:
        UserError: no device; the message is the command that makes one.
    """

    def __init__(self, device: str, stream: Stream) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise UserError("The package pyvirtualcam is missing.", "Run: pip install pyvirtualcam") from None
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
        self._pacer.send(np.full((*self._size[::-1], 3), GREY, np.uint8))

    def send(self, frame: Frame) -> None:
        w, h = self._size
        self._pacer.send(frame.image[:h, :w].copy())  # it may be repeated when the sender has written over it

    def hide(self, image: Image) -> None:
        w, h = self._size
        with suppress(Exception):  # raised where frames come from
            self._pacer.send(image[:h, :w].copy())

    def is_watched(self) -> bool:
        """Whether another program has the camera open; those that only look what cameras there are do not count.

        Raises:
            UserError: this system does not tell.
        """
        if self._openings is None:
            try:
                self._openings = Openings(self._device)
            except OSError:
                raise UserError("--on-demand needs v4l2loopback on Linux.", "Leave it out.") from None
        now, opened = time.monotonic(), self._openings.any()
        if opened is self._watched:
            self._changed = None
        elif self._changed is None:
            self._changed = now
        elif now - self._changed >= (GLANCE if opened else LINGER):
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
    """Hands pictures on in a thread of its own: at once, or `SPREAD` of an interval after the one before; the last one
    again where none has come for `LATE` intervals, then each interval. The sender never waits.

    Args:
        hand_on: takes each; interval: seconds.
    """

    SPREAD, LATE = 0.6, 1.25

    def __init__(self, hand_on: Callable[[Image], None], interval: float) -> None:
        self._hand_on, self._interval = hand_on, interval
        self._image: Image | None = None
        self._is_new = self._is_steady = self._over = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="virtual camera", daemon=True)
        self._thread.start()

    def send(self, image: Image) -> None:
        """Hand on an image; what failed meanwhile is raised here."""
        with self._changed:
            if self._error:
                raise self._error
            self._image, self._is_new = image, True
            self._changed.notify()

    def close(self) -> None:
        """Hand on nothing more."""
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        try:
            while (image := self._next()) is not None:
                self._hand_on(image)
        except Exception as error:  # raised again where pictures come from
            self._error = error

    def _next(self) -> Image | None:
        """What to hand on now; None at the end."""
        with self._changed:
            wait = (self.LATE if self._is_steady else 1.0) - self.SPREAD
            self._changed.wait_for(lambda: self._over, self.SPREAD * self._interval)
            self._changed.wait_for(
                lambda: self._over or self._is_new, None if self._image is None else wait * self._interval
            )
            self._is_steady, self._is_new = self._is_new, False
            return None if self._over else self._image


def virtual_camera_error(device: str, reason: str) -> UserError:
    """Why no virtual camera opened, and the command that makes one."""
    if IS_LINUX:
        return UserError(*loopback.trouble(device))
    start = "Install OBS Studio (https://obsproject.com), start its virtual camera once, and close it."
    return UserError(f"There is no virtual camera: {reason.splitlines()[0]}.", start)
