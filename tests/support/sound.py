"""Clips with sound for tests."""

import math
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

from livestyle.image.types import Frame
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream
from support.pictures import draw_card

SIZE = (64, 48)


def frames(count: int = 10, size: tuple[int, int] = SIZE, fps: float = 25) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(draw_card(*size, seed=index), index, index / fps)


def beep(path: Path, seconds: float = 1.0) -> Path:
    """Write a clip whose sound is a sine, and return its path."""
    sound = path.with_suffix(".wav")
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        for n in range(int(44100 * seconds)):
            file.writeframesraw(struct.pack("<h", int(9000 * math.sin(n * 440 * 2 * math.pi / 44100))))
    with ClipSink(path, Stream(SIZE, 25, audio=sound)) as sink:
        for frame in frames(int(25 * seconds)):
            sink.send(frame)
    return path
