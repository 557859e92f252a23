"""Pictures and clips that are shown behind the person."""

from collections import OrderedDict
from pathlib import Path

from livestyle.image.io import load_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.types import Size
from livestyle.video.sources.clip import ClipSource
from livestyle.video.sources.source import Source

MAX_CACHED_PICTURES = 6


class Backgrounds:
    """Own the pictures and the clip of backgrounds; for one thread."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[str, Size], Image] = OrderedDict()
        self._clip: LoopingClip | None = None

    def picture(self, path: str, size: Size) -> Image:
        """Return a picture, uint8 (H, W, 3), scaled and cropped to fill a size (width, height).

        Raises:
            UserError: the picture cannot be read.
        """
        key = path, size
        if key not in self._pictures:
            self._pictures[key] = cover(load_image(Path(path)), size)
            if len(self._pictures) > MAX_CACHED_PICTURES:
                self._pictures.popitem(last=False)
        return self._pictures[key]

    def clip_frame(self, path: str, time: float, size: Size) -> Image:
        """Return the frame of a looping clip at a time in seconds, scaled and cropped to fill a size.

        Raises:
            UserError: the clip cannot be read.
        """
        if self._clip is None or self._clip.path != path:
            clip = LoopingClip(path)  # if that fails, the one before goes on
            self.close()
            self._clip = clip
        return cover(self._clip.image_at(time), size)

    def close(self) -> None:
        """Close the clip, if one is open."""
        if self._clip:
            self._clip.close()


class LoopingClip:
    """A clip that starts again at its end, and is read as the time of the frames goes on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._source: Source = ClipSource(path, loop=True)
        self._frames = iter(self._source)
        self._now = self._next = next(self._frames)

    def image_at(self, seconds: float) -> Image:
        """Return the newest frame whose time has come, uint8 (H, W, 3)."""
        while self._next.time <= seconds:
            self._now, self._next = self._next, next(self._frames)
        return self._now.image

    def close(self) -> None:
        """Close the file."""
        self._source.close()
