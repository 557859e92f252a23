"""The sink protocol: what takes pictures, what is known of it, and sinks made of others."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from livestyle.errors import Stuck, UserError
from livestyle.image.types import Frame, Image
from livestyle.types import Size
from livestyle.video.sound import Microphone

Self = TypeVar("Self", bound="Sink")


@dataclass(frozen=True)
class Stream:
    """What a sink is about to get.

    Args:
        size: width and height of the frames, in pixels.
        fps: nominal rate in frames per second.
        audio: a file whose sound, subtitles and notes are carried over, or None.
        audio_start: time of the first frame on the clock of that file, in seconds.
        is_bt709: whether the colour space is BT.709; None leaves it to the size.
        is_matte: whether frames are grey mattes. They are kept visually lossless and full range.
        has_bar: whether a window has a bar for words below the picture.
        microphone: opens the microphone that is heard in a clip without another sound; None for silence.
        keep_location: carry over the place where the file was taken, too.
        ending: says when the last picture ends, in seconds; None where the frames were cut short, or do not tell.
    """

    size: Size
    fps: float
    audio: Path | None = None
    audio_start: float = 0.0
    is_bt709: bool | None = None
    is_matte: bool = False
    has_bar: bool = False
    microphone: Callable[[], Microphone] | None = None
    keep_location: bool = False
    ending: Callable[[], float | None] = lambda: None


@dataclass(frozen=True)
class SinkInfo:
    """What is known of a sink once it is open. It never changes.

    Args:
        name: what a person calls it.
        is_live: it shows frames at their own pace, so that they cannot wait.
        is_call: strangers may watch.
        folder: where it writes a file that grows; None where it writes none.
    """

    name: str
    is_live: bool = False
    is_call: bool = False
    folder: Path | None = None


class Sink:
    """Take frames. Close it by `with` or by `close`, which may be called twice.

    A fault in `with` discards what was being made.

    Attributes:
        info: what is known of it.
    """

    info: SinkInfo

    def send(self, frame: Frame) -> None:
        """Take a frame."""
        raise NotImplementedError

    def hide(self, image: Image) -> None:
        """Show a picture in place of the last one, without waiting for the next frame. Any thread may call this.

        Args:
            image: uint8 (H, W, 3) RGB, of the size of the frames.
        """

    def messages(self) -> list[str]:
        """Return what people should read since the last call."""
        return []

    def is_watched(self) -> bool:
        """Return whether anybody looks."""
        return True

    def close(self) -> None:
        """Finish what is being made, and release it."""

    def discard(self) -> None:
        """Close, and leave nothing behind that is not whole."""
        self.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        # What was recorded until the camera went away, or a net was stuck, is kept.
        if kind is None or issubclass(kind, (UserError, Stuck)):
            self.close()
        else:
            self.discard()


class Null(Sink):
    """Take frames and forget them."""

    info = SinkInfo("null")

    def send(self, frame: Frame) -> None:
        """Do nothing."""


class Tee(Sink):
    """Several sinks as one.

    Args:
        sinks: none, one or several.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)
        self.info = SinkInfo(
            name=", ".join(sink.info.name for sink in sinks if sink.info.name),
            is_live=any(sink.info.is_live for sink in sinks),
            is_call=any(sink.info.is_call for sink in sinks),
        )

    def send(self, frame: Frame) -> None:
        for sink in self.sinks:
            sink.send(frame)

    def hide(self, image: Image) -> None:
        for sink in self.sinks:
            sink.hide(image)

    def messages(self) -> list[str]:
        return [line for sink in self.sinks for line in sink.messages()]

    def is_watched(self) -> bool:
        return any([sink.is_watched() for sink in self.sinks])  # each is asked, since some count

    def close(self) -> None:
        with ExitStack() as stack:  # closes all, even if one fails
            for sink in self.sinks:
                stack.callback(sink.close)

    def discard(self) -> None:
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.callback(sink.discard)
