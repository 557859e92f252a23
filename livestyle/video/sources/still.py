"""A picture as a source."""

from collections.abc import Iterator
from pathlib import Path

from livestyle.image.io import load_image
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, size_of
from livestyle.types import Size
from livestyle.video.sources.source import Source, SourceInfo


class StillSource(Source):
    """A picture, over and over.

    Args:
        path: of the picture.
        size: what it is scaled and cut to, in pixels; None for its own.
        fps: rate in frames per second; None for 30.

    Raises:
        UserError: the picture cannot be read.
    """

    def __init__(self, path: str, size: Size | None = None, fps: float | None = None) -> None:
        image = load_image(Path(path))
        self._image = cover(image, size) if size else image
        self.info = SourceInfo(path, size_of(self._image), fps or 30.0)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield Frame(self._image.copy(), index, index / self.info.fps)
            index += 1
