"""The source protocol."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from livestyle.image.types import Frame
from livestyle.types import Size

Self = TypeVar("Self", bound="Source")


class Source:
    """Yields frames with strictly rising indices; closed by `with` or `close`, twice if need be.

    Attributes:
        name: what a person calls it; size: of its frames; fps: nominal rate; total: frames, where known.
        is_live: its frames come at their own pace, wanted or not; comes_back: it may be silent and go on later.
        audio: a file whose sound belongs to the frames; start: seconds of the first frame on that file's clock.
        is_bt709: the colour space that a clip names; None where it names none, or is no clip.
        warning: what went wrong without ending it, for the user.
    """

    name: str
    size: Size
    fps: float
    total: int | None = None
    is_live = comes_back = False
    audio: Path | None = None
    start = 0.0
    is_bt709: bool | None = None
    warning = ""

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def end(self) -> None:
        """Give no more frames; unlike `close`, at any time and from any thread."""

    def rest(self, resting: bool) -> None:
        """Let go of the device while nobody wants frames, where that can be; from any thread."""

    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
