"""A picture as a source."""

from collections.abc import Iterator
from pathlib import Path

from livestyle.image.io import load_picture
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, size_of
from livestyle.video.sources.source import Asked, Source, SourceInfo


class StillSource(Source):
    """A picture, over and over.

    Args:
        path: of the picture.
        asked: the size to which it is scaled and cut, None for its own; the rate, None for 30; the backdrop.

    Raises:
        UserError: the picture cannot be read.
    """

    def __init__(self, path: str, asked: Asked) -> None:
        image, _ = load_picture(Path(path), backdrop=asked.backdrop)
        self._image = cover(image, asked.size) if asked.size else image
        self.info = SourceInfo(path, size_of(self._image), asked.fps or 30.0)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield Frame(self._image.copy(), index, index / self.info.fps)
            index += 1
