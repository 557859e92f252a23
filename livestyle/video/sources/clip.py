"""Video files, URLs, the demo clip."""

import errno
import math
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from livestyle.config.names import did_you_mean
from livestyle.errors import UserError
from livestyle.image.pixels import cover
from livestyle.image.types import WHITE, Frame, Image, size_of
from livestyle.types import Color, Size
from livestyle.video.sources.clock import Clock
from livestyle.video.sources.hdr import HLG_PEAK, brightest
from livestyle.video.sources.pictures import MAX_CLIP_PX, Pictures
from livestyle.video.sources.source import Source, SourceInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

PLAYLISTS = {
    "concat", "dash", "hls", "applehttp", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest", "lavfi",
    "image2", "image2pipe", "tty", "txd",
}  # fmt: skip
MAX_BROKEN_PACKETS = 100  # after which a clip ends
MIN_INDEXED = 0.9  # of the frames that a header promises, from which an index counts as whole
CLEAR = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # by codec: the decoder that knows its transparency
DEMO = Path(__file__).parents[2] / "demo.mp4"


class ClipSource(Source):
    """A video file, or a URL that FFmpeg reads: every frame, with the time at which it is shown.

    Frames are as players show them, see `Pictures`. Broken ones are left out. Where one ends the clip early, `warning`
    says so.

    Args:
        path: of the file, or a URL.
        size: what frames are scaled and cut to, in pixels; None for the clip's own.
        loop: begin again at the end.
        backdrop: what shows through where the clip is transparent, RGB in 0..255.

    Raises:
        UserError: it does not open or holds no picture.
    """

    def __init__(self, path: str, size: Size | None = None, loop: bool = False, backdrop: Color = WHITE) -> None:
        self._path, self._loop, self._backdrop = path, loop, backdrop
        self._is_url = "://" in path and not os.path.isfile(path)
        self._peak: float | None = None
        self._until = 0.0  # when the last picture that was read ends, on the clock of the file
        self._container: InputContainer | None = None
        self._images: Iterator[tuple[Image, float]] = iter(())
        container, video, pictures = self._begin()
        first = next(self._images, None)
        if first is None:
            self.close()
            raise UserError(f"{path} holds no frame that can be read.", "Give a whole clip.")
        self._images = chain([first], self._images)
        fps = float(video.average_rate or video.guessed_rate or 30)
        self.info = SourceInfo(
            name=path,
            size=size or size_of(first[0]),
            fps=fps,
            total=None if loop else promised_frames(container, video, fps),
            audio=None if self._is_url else Path(path).absolute(),
            start=first[1],
            is_bt709=pictures.is_bt709,
        )
        # Rates are averages, so a number of frames from the duration is a guess.
        self._least = (self.info.total or 0) * (1.0 if video.frames else 0.9)

    def _begin(self) -> "tuple[InputContainer, VideoStream, Pictures]":
        """Open the clip, and be ready to decode it from its first frame on. Return what decodes it."""
        self._container = container = self._open()
        video = moving_pictures(container)[0]
        pictures = Pictures(video, self._brightest, self._backdrop)  # not kept: each would hold the other
        self._images = self._decode(container, video, pictures)
        return container, video, pictures

    def _open(self) -> "InputContainer":
        import av

        is_url = self._is_url
        if not is_url and not os.path.isfile(self._path):
            if os.path.exists(self._path):
                raise UserError(f"{self._path} is a folder, a device or a pipe.", "Give a file.")
            raise UserError(f"There is no file {self._path}.{did_you_mean(self._path, ['demo'])}", "Check the name.")
        try:
            container = open_url(self._path) if is_url else open_file(Path(self._path))
        except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM:
                raise UserError(f"{self._path} needs more memory than there is.", "Give a smaller clip.") from None
            is_list = getattr(error, "errno", 0) == errno.EINVAL and not is_url
            reason = "it lists other files" if is_list else getattr(error, "strerror", None) or str(error)
            raise UserError(f"{self._path} is not a video that can be read: {reason}.", "Give another file.") from None
        try:
            self._check_pictures(container)
        except UserError:
            container.close()
            raise
        return container

    def _check_pictures(self, container: "InputContainer") -> None:
        if not moving_pictures(container):
            raise UserError(f"{self._path} holds no moving picture.", "Give a clip, not sound with a cover.")
        video = moving_pictures(container)[0]
        if video.codec_context is None:
            raise UserError(f"{self._path} is encoded in a way that FFmpeg does not know.", "Give another file.")
        if video.width * video.height > MAX_CLIP_PX:
            raise UserError(f"{self._path} has {video.width}x{video.height} pixels.", "Scale it down first.")
        video.thread_type = "AUTO"
        video.codec_context.options = {"max_pixels": str(MAX_CLIP_PX)}

    def _brightest(self) -> float:
        """Return the light of the clip's brightest parts in cd/m2. An address is read once, and taken for bright."""
        if self._peak is None and self._is_url:
            self._peak = HLG_PEAK
        elif self._peak is None:
            with closing(self._open()) as container:
                self._peak = brightest(container, moving_pictures(container)[0])
        return self._peak or 0.0

    def _decode(
        self, container: "InputContainer", video: "VideoStream", pictures: Pictures
    ) -> Iterator[tuple[Image, float]]:
        import av

        broken = 0
        clock = Clock(video)
        decoder, packets = decoder_of(video), container.demux(video)
        while broken <= MAX_BROKEN_PACKETS:
            try:
                packet = next(packets)
                clock.see(packet)
                self._until = max(self._until, end_of(packet))
                frames = decoder.decode(packet)
                for frame in frames:
                    clock.set(frame)
                images = [done for frame in frames for done in pictures.take(frame)]
                images += pictures.flush() if packet.size == 0 else []
            except StopIteration:
                break
            except av.error.EOFError:
                break
            except (av.FFmpegError, OSError, ValueError, MemoryError):
                broken += 1
                clock.miss()
                continue
            for image, at in images:
                yield image, float(at or 0.0)
        if broken:
            self._warning = f"{self._path}: {broken} broken frames were left out."

    def __iter__(self) -> Iterator[Frame]:
        index, offset = 0, 0.0
        while True:
            first, last = None, -1.0
            for image, at in self._images:
                first = at if first is None else first
                last = max(at - first, last + 1e-4)  # broken clocks run backwards
                fitted = image if size_of(image) == self.info.size else cover(image, self.info.size)
                yield Frame(fitted, index, offset + last)
                index += 1
            if not self._loop:
                self._check_whole(index)
                self._ending = max(last, self._until - (first or 0.0))
                return
            offset += last + 1 / self.info.fps
            self.close()
            self._begin()

    def loop(self) -> None:
        self._loop, self.info = True, replace(self.info, total=None, audio=None)

    def _check_whole(self, shown: int) -> None:
        if shown < self._least and not self._warning:
            self._warning = f"{self._path} ends early: {shown} of {self.info.total} frames could be read."

    def close(self) -> None:
        self._images = iter(())  # which hold the decoder, its threads, and this
        if self._container is not None:
            self._container.close()
            self._container = None


def open_file(path: Path) -> "InputContainer":
    """Open a file by FFmpeg. Kinds whose files name others to read are refused.

    Raises:
        av.FFmpegError, OSError, ValueError, MemoryError: it does not open.
    """
    # In an absolute path a colon names no protocol.
    return _opened(str(path.absolute()), {"format_whitelist": single_files()})


def open_url(address: str) -> "InputContainer":
    """Open an address by FFmpeg.

    Raises:
        av.FFmpegError, OSError, ValueError, MemoryError: it does not open, or does not answer in time.
    """
    return _opened(address, {}, timeout=(10, 10))


def _opened(name: str, options: dict[str, str], **more: Any) -> "InputContainer":
    import av

    av.logging.set_level(None)
    if int(av.__version__.split(".")[0]) < 19:  # from then on texts that are no UTF-8 are no error
        more["metadata_errors"] = "replace"
    container: InputContainer = av.open(name, options={"max_pixels": str(MAX_CLIP_PX)} | options, **more)
    return container


def moving_pictures(container: "InputContainer") -> "list[VideoStream]":
    """Return the pictures of a file that move. The cover of a song does not."""
    from av.stream import Disposition

    return [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]


def end_of(packet: "Packet[Any]") -> float:
    """Return when what a packet holds ends, in seconds on its own clock; 0 where it does not tell or is not shown."""
    if packet.pts is None or packet.is_discard:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * (packet.time_base or 0))


def promised_frames(container: "InputContainer", video: "VideoStream", fps: float) -> int | None:
    """Return how many frames the header of a clip promises for its pictures, or None.

    The index or the header gives the number, or a duration. The duration counts only where it is that of the pictures.
    Frames that an edit list hides are not promised, nor those that AVI counts and leaves empty.
    """
    if video.frames:
        index = video.index_entries
        ends = index[-1].timestamp if len(index) else 0
        is_whole = ends >= MIN_INDEXED * (video.duration or math.inf)
        is_whole |= len(index) >= (1 if "mov" in container.format.name else video.frames * MIN_INDEXED)
        return sum(not entry.is_discard for entry in index) if is_whole else video.frames
    if video.duration and video.time_base:
        return round(float(video.duration * video.time_base) * fps)
    if container.duration and not container.streams.audio:
        return round(container.duration / 1e6 * fps)
    return None


def decoder_of(video: "VideoStream") -> "VideoCodecContext":
    """Return what decodes a stream with its transparency, if it has any."""
    import av

    context = video.codec_context
    name = CLEAR.get(context.name, "")
    if video.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return context
    decoder = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.thread_type, decoder.options = "AUTO", {"max_pixels": str(MAX_CLIP_PX)}
    return decoder


@lru_cache(1)
def single_files() -> str:
    """Return the names of FFmpeg's formats, without those whose files name other files or addresses to read."""
    import av

    return ",".join(sorted(av.formats_available - PLAYLISTS))


class Demo(ClipSource):
    """The clip inside the package, over and over. It needs no camera."""

    def __init__(self, size: Size | None = None) -> None:
        super().__init__(str(DEMO), size, loop=True)
        self.info = replace(self.info, name="demo", audio=None)
