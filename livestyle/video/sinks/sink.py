"""The sink protocol, and sinks made of others."""

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
from livestyle.video.window.overlay import Scene

Self = TypeVar("Self", bound="Sink")


@dataclass(frozen=True)
class Stream:
    """What a sink is about to get.

    Args:
        size: of the frames; fps: nominal rate; audio: a file whose sound is copied, from `audio_start` on;
        is_bt709: the colour space of a clip; None leaves it to the size.
        is_matte: the frames are grey mattes, kept visually lossless and full range.
        microphone: opens the one that is heard in a clip without another sound.
    """

    size: Size
    fps: float
    audio: Path | None = None
    audio_start: float = 0.0
    is_bt709: bool | None = None
    is_matte: bool = False
    microphone: Callable[[], Microphone] | None = None


class Sink:
    """Takes frames; closed by `with` or `close`, twice if need be. A fault in `with` discards what was being made.

    Attributes:
        name: what a person calls it; is_live: it shows frames at their own pace; is_call: strangers may watch.
    """

    name: str
    is_live = False
    is_call = False

    def send(self, frame: Frame) -> None:
        """Take a frame."""
        raise NotImplementedError

    def hide(self, image: Image) -> None:
        """Show a picture in place of the last one, without waiting for the next frame; any thread may ask."""

    def pressed(self) -> list[str]:
        """Keys pressed since the last call; "quit" where the window was closed."""
        return []

    def describe(self, scene: Scene) -> None:
        """Take what who watches here sees beside the next picture; what others see has none of it."""

    def notice(self, text: str) -> None:
        """Show a line for a moment, to who watches here."""

    def messages(self) -> list[str]:
        """Return what people should read since the last call."""
        return []

    def is_watched(self) -> bool:
        """Whether anybody looks."""
        return True

    def close(self) -> None:
        """Finish, and let go of what is held."""

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
    """Takes frames and forgets them."""

    name = "null"

    def send(self, frame: Frame) -> None:
        """Nothing."""


class Tee(Sink):
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)
        self.name = ", ".join(sink.name for sink in sinks)
        self.is_live = any(sink.is_live for sink in sinks)
        self.is_call = any(sink.is_call for sink in sinks)

    def send(self, frame: Frame) -> None:
        for sink in self.sinks:
            sink.send(frame)

    def hide(self, image: Image) -> None:
        for sink in self.sinks:
            sink.hide(image)

    def describe(self, scene: Scene) -> None:
        for sink in self.sinks:
            sink.describe(scene)

    def notice(self, text: str) -> None:
        for sink in self.sinks:
            sink.notice(text)

    def pressed(self) -> list[str]:
        return [key for sink in self.sinks for key in sink.pressed()]

    def messages(self) -> list[str]:
        return [line for sink in self.sinks for line in sink.messages()]

    def is_watched(self) -> bool:
        return any([sink.is_watched() for sink in self.sinks])

    def close(self) -> None:
        with ExitStack() as stack:  # closes all, even if one fails
            for sink in self.sinks:
                stack.callback(sink.close)

    def discard(self) -> None:
        with ExitStack() as stack:
            for sink in self.sinks:
                stack.callback(sink.discard)
