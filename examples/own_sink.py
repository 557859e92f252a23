"""A sink of your own: the brightness of each painted frame goes to a CSV file. python own_sink.py brightness.csv"""

import sys
from pathlib import Path

import livestyle
from livestyle.video.sinks.open import SINKS, SinkKind
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream


class Brightness(Sink):
    """Write the time and the mean of each frame."""

    def __init__(self, path: Path, stream: Stream) -> None:
        self.info = SinkInfo(f"brightness of {stream.size[0]}x{stream.size[1]} in {path}")
        self._file = path.open("w")

    def send(self, frame: livestyle.Frame) -> None:
        self._file.write(f"{frame.time:.3f},{frame.image.mean():.1f}\n")

    def close(self) -> None:
        self._file.close()


# One row. From here on `brightness:FILE` is a sink, as `file:FILE` is.
SINKS["brightness"] = SinkKind(
    "brightness:FILE", "the mean of each frame", lambda rest, stream: Brightness(Path(rest), stream)
)

report = livestyle.run("demo", sinks=[f"brightness:{sys.argv[1]}"], background="blur", frames=30, say=print)
print(f"{report.frames} frames")
