"""Ask a Linux video device what it is, by the ioctls of videodev2.h."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

QUERY_CAPABILITIES, STREAM_ON = 0x80685600, 0x40045612
FORMATS, SIZES, RATES = 0xC0405602, 0xC02C564A, 0xC034564B
CAPABILITIES = struct.Struct("16s32s32sIII12x")  # driver, card, bus, version, of the driver, of this device
FORMAT = struct.Struct("III32s4s16x")  # number, kind of buffer, flags, words, code
FRAME_SIZE = struct.Struct("I4sI6I8x")  # number, code, kind, width and height where they are discrete
FRAME_RATE = struct.Struct("I4sIII6I8x")  # number, code, width, height, kind, seconds of a frame where discrete
CAPTURE, OUTPUT = 0x1, 0x2
OUTPUT_BUFFERS = struct.pack("i", 2)
DISCRETE = 1


@dataclass(frozen=True)
class Mode:
    """A format and a size, with the highest rate of both.

    Args:
        code: of the format, four letters.
        width, height: in pixels.
        fps: in frames per second; 0 where the camera does not tell.
    """

    code: str
    width: int
    height: int
    fps: float


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a device, and yield its file descriptor.

    Raises:
        OSError: it does not open.
    """
    file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield file
    finally:
        os.close(file)


def ask(file: int, request: int, message: bytes) -> bytes:
    """Ask a device, and return its answer.

    Args:
        file: its descriptor.
        request: number of the ioctl.
        message: what the ioctl takes, packed.

    Raises:
        OSError: it refuses.
    """
    import fcntl

    return fcntl.ioctl(file, request, message)


def capabilities(path: str) -> tuple[str, int]:
    """Return the driver of a device, and the flags of what it can do now.

    Raises:
        OSError: it does not open, or is no video device.
    """
    with opened(path) as file:
        driver, _, _, _, _, now = CAPABILITIES.unpack(ask(file, QUERY_CAPABILITIES, bytes(CAPABILITIES.size)))
    return driver.rstrip(b"\0").decode(errors="replace"), now


def modes(path: str) -> list[Mode]:
    """Return what a camera offers, as far as it lists sizes one by one."""
    with suppress(OSError), opened(path) as file:
        return list(_modes(file))
    return []


def _modes(file: int) -> Iterator[Mode]:
    for *_, code in _each(file, FORMATS, FORMAT, CAPTURE, 0, b"", b""):
        for _, _, kind, width, height, *_ in _each(file, SIZES, FRAME_SIZE, code, *[0] * 7):
            if kind == DISCRETE:
                times = [answer[4:7] for answer in _each(file, RATES, FRAME_RATE, code, width, height, *[0] * 7)]
                rates = [below / above for kind, above, below in times if kind == DISCRETE and above]
                letters = bytes(byte & 0x7F for byte in code)  # the last bit means big-endian
                yield Mode(letters.decode().strip(), width, height, max(rates, default=0.0))


def _each(file: int, request: int, form: struct.Struct, *rest: int | bytes) -> Iterator[tuple[Any, ...]]:
    """Yield the answers to a numbered question, from 0 until the device refuses."""
    with suppress(OSError):
        for number in range(200):
            yield form.unpack(ask(file, request, form.pack(number, *rest)))
