"""Pictures and clips that are shown behind the person."""

import threading
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
    """Own the pictures and the clip of backgrounds. One thread draws them, and others may load them before."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[str, Size], Image] = OrderedDict()
        self._clip: LoopingClip | None = None  # that is drawn
        self._next: LoopingClip | None = None  # that was opened to be drawn next
        self._lock = threading.Lock()

    def picture(self, path: str, size: Size) -> Image:
        """Return a picture, uint8 (H, W, 3), scaled and cropped to fill a size (width, height).

        Raises:
            UserError: the picture cannot be read.
        """
        key = path, size
        with self._lock:
            if key in self._pictures:
                return self._pictures[key]
        picture = cover(load_image(Path(path)), size)
        with self._lock:
            self._pictures[key] = picture
            if len(self._pictures) > MAX_CACHED_PICTURES:
                self._pictures.popitem(last=False)
        return picture

    def open_clip(self, path: str) -> None:
        """Open a clip that is drawn next.

        Raises:
            UserError: the clip cannot be read.
        """
        if any(clip and clip.path == path for clip in (self._clip, self._next)):
            return
        clip = LoopingClip(path)
        with self._lock:
            unused, self._next = self._next, clip
        if unused:
            unused.close()

    def clip_frame(self, path: str, time: float, size: Size) -> Image:
        """Return the frame of a looping clip at a time in seconds, scaled and cropped to fill a size.

        Raises:
            UserError: the clip cannot be read.
        """
        if self._clip is None or self._clip.path != path:
            with self._lock:
                clip, self._next = self._next, None
            if clip is None or clip.path != path:
                clip = LoopingClip(path)  # if that fails, the one before goes on
            self.close()
            self._clip = clip
        return cover(self._clip.image_at(time), size)

    def close(self) -> None:
        """Close the clips that are open."""
        for clip in (self._clip, self._next):
            if clip:
                clip.close()


class LoopingClip:
    """A clip that starts again at its end, and is read as the time of the frames goes on from the first one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._began: float | None = None
        self._source: Source = ClipSource(path, loop=True)
        self._frames = iter(self._source)
        self._now = self._next = next(self._frames)

    def image_at(self, seconds: float) -> Image:
        """Return the newest frame whose time has come, uint8 (H, W, 3)."""
        self._began = seconds if self._began is None else self._began
        while self._next.time <= seconds - self._began:
            self._now, self._next = self._next, next(self._frames)
        return self._now.image

    def close(self) -> None:
        """Close the file."""
        self._source.close()
