"""The source protocol: what gives frames, what is known of it, and sources that wrap others."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from livestyle.image.types import WHITE, Frame
from livestyle.types import Color, Size

Self = TypeVar("Self", bound="Source")


@dataclass(frozen=True)
class Asked:
    """What a source is asked for.

    Args:
        size: what frames should have, in pixels; None for the source's own. Cameras may send others.
        fps: rate asked of a camera, in frames per second; None for its own.
        backdrop: what shows through where pictures and clips are transparent, RGB in 0..255.
    """

    size: Size | None = None
    fps: float | None = None
    backdrop: Color = WHITE


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source once it is open. It never changes.

    Args:
        name: what a person calls it.
        size: width and height of its frames in pixels. A camera that comes back may send others.
        fps: nominal rate in frames per second.
        total: number of frames, or None where it has no end or does not tell.
        is_live: frames come at their own pace, whether they are taken or not.
        comes_back: it may be silent for a while and go on later.
        audio: a file whose sound, subtitles and notes belong to the frames, or None.
        start: time of the first frame on the clock of that file, in seconds.
        is_bt709: whether a clip names BT.709 as its colour space, or None where it names none.
    """

    name: str
    size: Size
    fps: float
    total: int | None = None
    is_live: bool = False
    comes_back: bool = False
    audio: Path | None = None
    start: float = 0.0
    is_bt709: bool | None = None


class Source:
    """Yield frames with strictly rising indices. Close it by `with` or by `close`, which may be called twice.

    Attributes:
        info: what is known of it.
    """

    info: SourceInfo
    _warning = ""
    _dropped = 0
    _ending: float | None = None

    @property
    def warning(self) -> str:
        """What went wrong without ending the frames, as a sentence for people. It is empty if nothing did."""
        return self._warning

    @property
    def dropped(self) -> int:
        """The number of frames that came and were not taken, so far."""
        return self._dropped

    @property
    def ending(self) -> float | None:
        """When the last picture ends, in seconds. None as long as frames may follow, and where that is not known."""
        return self._ending

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def end(self) -> None:
        """Give no more frames. Unlike `close`, this may be called at any time and from any thread."""

    def loop(self) -> None:
        """Begin again at each end, where there is one. Call this before the first frame is taken."""

    def rest(self, resting: bool) -> None:
        """Let go of the device while nobody wants frames, where that is possible. Any thread may call this."""

    def close(self) -> None:
        """Release the device or the file."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class Wrapper(Source):
    """Another source, whose frames come in another way. All else is that of the other source.

    Args:
        info: the other's, but for what the wrapper changes.
    """

    def __init__(self, source: Source, info: SourceInfo) -> None:
        self._source, self.info = source, info

    @property
    def warning(self) -> str:
        return self._source.warning

    @property
    def dropped(self) -> int:
        return self._dropped + self._source.dropped

    @property
    def ending(self) -> float | None:
        return self._source.ending

    def end(self) -> None:
        self._source.end()

    def rest(self, resting: bool) -> None:
        self._source.rest(resting)

    def close(self) -> None:
        self._source.close()
