"""Small moving pictures for chats and web pages: GIF and WebP. They are silent and play in a loop."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from livestyle.image.pixels import fit
from livestyle.image.types import Frame, Image, size_of
from livestyle.types import Size
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources.clip import open_file

if TYPE_CHECKING:
    import av
    from av.video.stream import VideoStream

MAX_FPS, MAX_SIDE_PX = 12.0, 480
PART_FRAMES = 36  # that share a palette: 14 MB at 480x270
CLOCK_HZ = 100  # ticks of a GIF per second
PALETTE, DITHER = "stats_mode=full", "dither=bayer:bayer_scale=4"  # an ordered dither does not flicker


@dataclass(frozen=True)
class AnimationKind:
    """A row of ANIMATIONS.

    Args:
        codec: FFmpeg's name; pixels: its pixel format.
        options: of the encoder.
        container: options of the container.
        has_palette: pictures have 256 colours.
    """

    codec: str
    pixels: str
    options: dict[str, str]
    container: dict[str, str]
    has_palette: bool = False


ANIMATIONS = {
    ".gif": AnimationKind("gif", "pal8", {}, {"loop": "0"}, has_palette=True),
    ".webp": AnimationKind("libwebp_anim", "yuv420p", {"quality": "80", "compression_level": "3"}, {"loop": "0"}),
}  # by the ending of the file; a loop of 0 is endless


def animation_size(size: Size, longest_px: int = MAX_SIDE_PX) -> Size:
    """Return the size at which pictures of a size are shown: even, its long side at most `longest_px`."""
    share = min(1.0, longest_px / max(size))
    width, height = (max(2, round(side * share / 2) * 2) for side in size)
    return width, height


class Thinned:
    """Choose from frames at uneven times, so that at most MAX_FPS a second are left."""

    def __init__(self) -> None:
        self._due = 0.0

    def takes(self, time: float) -> bool:
        """Return whether the frame at a time, in seconds, is one of them."""
        if time < self._due - 0.5 / CLOCK_HZ:
            return False
        self._due = max(self._due, time - 1 / MAX_FPS) + 1 / MAX_FPS
        return True


class AnimationWriter:
    """An animation in the making. Frames beyond MAX_FPS are left out.

    Parts of PART_FRAMES are encoded on a thread of their own, two of them in memory at most.

    Args:
        path: of the file. Its ending says the kind, one of ANIMATIONS.
        stream: what it is about to get. Its sound is left out.

    Raises:
        OSError, av.FFmpegError: here, and from every method but `abandon`.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        import av

        av.logging.set_level(None)
        self._kind, self._size = ANIMATIONS[path.suffix.lower()], animation_size(stream.size)
        last = {"final_delay": str(round(CLOCK_HZ / MAX_FPS))} if self._kind.has_palette else {}
        self._container = av.open(str(path), "w", options=self._kind.container | last)
        stream_of = self._container.add_stream(self._kind.codec, Fraction(MAX_FPS), options=self._kind.options)
        self._video = cast("VideoStream", stream_of)
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = self._kind.pixels
        self._video.codec_context.time_base = Fraction(1, CLOCK_HZ)
        self._thinned, self._first, self._ticks = Thinned(), 0.0, -1
        self._part: list[tuple[int, Image]] = []
        self._encoder = ThreadPoolExecutor(1, "animation")
        self._job: Future[None] | None = None
        self._messages = [f"{path.suffix[1:].upper()} holds no sound."] if has_sound(stream) else []

    def write(self, frame: Frame) -> None:
        """Take a frame, unless it comes too soon after the last one."""
        if self._ticks < 0:
            self._first = frame.time
        if self._thinned.takes(frame.time - self._first):
            self._ticks = max(self._ticks + 1, round((frame.time - self._first) * CLOCK_HZ))
            image = fit(frame.image, self._size)
            self._part.append((self._ticks, image.copy() if image is frame.image else image))
        if len(self._part) >= PART_FRAMES:
            self._start()

    def _start(self) -> None:
        """Begin to encode the frames that are kept, once those before them are done."""
        if self._job:
            self._job.result()
        part, self._part = self._part, []
        self._job = self._encoder.submit(self._encode, part)

    def _encode(self, part: Sequence[tuple[int, Image]]) -> None:
        for picture in (with_palette if self._kind.has_palette else as_frames)(part):
            self._container.mux(self._video.encode(picture))

    def finish(self) -> bool:
        """Flush and close. Return False where no frame was written."""
        self._start()
        if self._job:
            self._job.result()
        self._encoder.shutdown()
        if self._ticks < 0:
            return False
        self._container.mux(self._video.encode(None))
        self._container.close()
        return True

    def messages(self) -> list[str]:
        """Return what people should read since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def abandon(self) -> None:
        """Close, whatever becomes of the file."""
        self._encoder.shutdown(cancel_futures=True)
        with suppress(Exception):
            self._container.close()


def has_sound(stream: Stream) -> bool:
    """Return whether something is to be heard with the frames."""
    import av

    with suppress(OSError, av.FFmpegError):
        if stream.audio:
            with open_file(stream.audio) as source:
                return bool(source.streams.audio)
    return stream.microphone is not None


def as_frames(part: Sequence[tuple[int, Image]]) -> "Iterator[av.VideoFrame]":
    """Yield pictures with their times, in ticks, as FFmpeg's."""
    import av

    for ticks, image in part:
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture.pts, picture.time_base = ticks, Fraction(1, CLOCK_HZ)
        yield picture


def with_palette(part: Sequence[tuple[int, Image]]) -> "Iterator[av.VideoFrame]":
    """Yield pictures with their times in 256 colours, which are chosen for all of them together."""
    import av

    if not part:
        return
    graph = av.filter.Graph()
    (width, height), rgb = size_of(part[0][1]), cast(Any, av.VideoFormat("rgb24"))
    source = graph.add_buffer(width=width, height=height, format=rgb, time_base=Fraction(1, CLOCK_HZ))
    split, chosen, used = graph.add("split"), graph.add("palettegen", PALETTE), graph.add("paletteuse", DITHER)
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(chosen, 1, 0)
    chosen.link_to(used, 0, 1)
    used.link_to(graph.add("buffersink"))
    graph.configure()
    for picture in as_frames(part):
        source.push(picture)
    source.push(None)
    with suppress(av.EOFError):
        while True:
            yield cast("av.VideoFrame", graph.pull())
