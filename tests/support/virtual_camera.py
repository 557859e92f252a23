"""A virtual camera without a device."""

import threading

import numpy as np


class Taker:
    """Take pictures once `gate` is set, and count them."""

    def __init__(self, free: bool = True) -> None:
        self.images: list[np.ndarray] = []  # type: ignore[type-arg]
        self.changed, self.gate = threading.Condition(), threading.Event()
        if free:
            self.gate.set()

    def __call__(self, image: np.ndarray) -> None:  # type: ignore[type-arg]
        assert self.gate.wait(10)
        with self.changed:
            self.images.append(image)
            self.changed.notify()

    def wait(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.images) >= count, 10)


class FakeCamera(Taker):
    """A fake pyvirtualcam.Camera."""

    def __init__(self, width: int, height: int, *, fps: float, fmt: object, device: str | None) -> None:
        super().__init__()
        if device == "/dev/video4":
            raise RuntimeError("'v4l2loopback' backend: device is busy")
        self.size, self.fps, self._device, self.closed = (width, height), fps, device or "found", False

    @property
    def device(self) -> str:
        assert not self.closed
        return self._device

    def send(self, image: np.ndarray) -> None:  # type: ignore[type-arg]
        assert image.shape == (self.size[1], self.size[0], 3)
        self(image)

    def close(self) -> None:
        self.closed = True
