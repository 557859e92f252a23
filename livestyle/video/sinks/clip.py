"""Video files."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from livestyle.errors import UserError
from livestyle.files import PartialFile, write_error
from livestyle.image.pixels import pad_to
from livestyle.image.types import Frame
from livestyle.video.carried import Carried
from livestyle.video.sinks.animation import ANIMATIONS, AnimationWriter
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream
from livestyle.video.sound import Microphone, MicrophoneSound, Sound
from livestyle.video.sources.pictures import HD_HEIGHT_PX

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

CLIPS = (".mp4", ".mkv", ".mov", ".m4v")
BT709, BT601 = 1, 6  # among FFmpeg's colour spaces
SOUND_TAIL_S = 0.1  # by which the sound may outlast a picture that is not held for it
MAX_HOLD_S = 12 * 3600.0  # for which the last picture is held for sound; MP4 can say little more
CODECS = {  # the first that FFmpeg was built with
    # No B-frames: with frames at uneven times they make the container's duration wrong.
    "libx264": {"crf": "18", "preset": "veryfast", "bf": "0"},
    "libvpx-vp9": {"crf": "24", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
}
LOW_LATENCY = {
    "libx264": {"tune": "zerolatency", "preset": "superfast", "g": "60"},
    "libvpx-vp9": {"lag-in-frames": "0"},
}
CRASH_SAFE = {"cluster_time_limit": "1000", "flush_packets": "1"}  # a second's frames reach the file together
CLOCK_HZ = 90_000  # ticks per second of written clips: fine enough for any camera


class ClipSink(Sink):
    """A clip: H.264 with the source's sound, subtitles and notes, each frame at its own time; or an animation.

    It is written beside its path, and renamed when it is whole.

    Args:
        path: of the clip. Its ending says the kind, one of CLIPS or ANIMATIONS.
        stream: what it is about to get.

    Raises:
        UserError: here and later: an unknown kind of file, a missing folder, no permission, or a full disk.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        self.info, self._path = SinkInfo(str(path), folder=path.absolute().parent), path
        self._writer: ClipWriter | AnimationWriter | None = None
        self._said: list[str] = []
        if path.suffix.lower() not in (*CLIPS, *ANIMATIONS):
            kinds = ", ".join((*CLIPS, *ANIMATIONS))
            raise UserError(f"{path} does not say what kind of clip to write.", f"End it in {kinds}.")
        self._partial = PartialFile(path)
        with self._discarding():
            kind = AnimationWriter if path.suffix.lower() in ANIMATIONS else ClipWriter
            self._writer = kind(self._partial.part, stream)

    @contextmanager
    def _discarding(self) -> Iterator[None]:
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.discard()
            raise write_error(self._path, error) from None
        except BaseException:
            self.discard()
            raise

    def send(self, frame: Frame) -> None:
        with self._discarding():
            if self._writer:
                self._writer.write(frame)

    def messages(self) -> list[str]:
        said, self._said = self._said + (self._writer.messages() if self._writer else []), []
        return said

    def close(self) -> None:
        with self._discarding():
            if self._writer and self._writer.finish():
                self._partial.keep()
        self.discard()

    def discard(self) -> None:
        writer, self._writer = self._writer, None
        if writer:
            writer.abandon()
            self._said += writer.messages()
        self._partial.close()


class ClipWriter:
    """A clip in the making. Sizes are made even by repeating the last row or column, which 4:2:0 needs.

    Args:
        path: of the clip. Its ending says the kind, one of CLIPS.
        stream: what it is about to get.
        is_crash_safe: it can be played up to the last second, even if it is never finished. For Matroska.

    Raises:
        OSError, av.FFmpegError: here, and from every method but `abandon`.
    """

    def __init__(self, path: Path, stream: Stream, is_crash_safe: bool = False) -> None:
        import av

        av.logging.set_level(None)
        self._path, self._stream, self._is_crash_safe = path, stream, is_crash_safe
        self._last = -1  # ticks
        self._held: Packet[VideoStream] | None = None  # the last picture, as long as it is not known when it ends
        self._sounds: list[Sound] = []
        self._carried: Carried | None = None
        self._microphone: Microphone | None = None
        self._messages: list[str] = []
        self._open()
        if stream.audio:
            self._carry(stream.audio)
        if stream.microphone and not (self._carried and self._carried.has_sound):
            self._microphone = stream.microphone()
            self._sounds.append(MicrophoneSound(self._microphone, self._container))

    def _open(self) -> None:
        """Open the file, with the track of the picture alone."""
        import av
        from av.video.reformatter import ColorRange, Colorspace

        stream, full = self._stream, self._stream.is_matte
        begins_with_index = {"movflags": "+faststart"} if self._path.suffix.lower() != ".mkv" else {}
        more = CRASH_SAFE if self._is_crash_safe else begins_with_index
        self._container = av.open(str(self._path), "w", options=more)
        codec = next(name for name in CODECS if name in av.codecs_available)
        options = CODECS[codec] | ({"crf": "4"} if full else {}) | (LOW_LATENCY[codec] if self._is_crash_safe else {})
        rate = Fraction(stream.fps).limit_denominator(1001)
        self._video = cast("VideoStream", self._container.add_stream(codec, rate, options=options))
        self._video.width, self._video.height = (side + side % 2 for side in stream.size)
        self._video.pix_fmt = "yuvj420p" if full else "yuv420p"
        context = self._video.codec_context
        context.time_base = Fraction(1, CLOCK_HZ)
        context.color_range = 2 if full else 1
        # The source's own, so that no reader sees a shift; else as players assume: BT.709 for HD, BT.601 below.
        is_bt709 = self._video.height >= HD_HEIGHT_PX if stream.is_bt709 is None else stream.is_bt709
        context.colorspace = context.color_primaries = context.color_trc = BT709 if is_bt709 else BT601
        self._colours: dict[str, Any] = {
            "format": self._video.pix_fmt, "dst_colorspace": Colorspace.ITU709 if is_bt709 else Colorspace.ITU601,
            "dst_color_range": ColorRange.JPEG if full else ColorRange.MPEG,
        }  # fmt: skip
        try:
            context.open()
        except (av.error.ExternalError, ValueError):
            size = f"{self._video.width}x{self._video.height}"
            raise UserError(f"{codec} cannot encode pictures of {size}.", "Give a smaller clip or size.") from None

    def _carry(self, file: Path) -> None:
        """Add what the source's file holds beside its picture. It never costs the picture."""
        import av

        try:
            self._carried = Carried(file, self._stream.audio_start, self._container, self._stream.keep_location)
            self._container.start_encoding()
            self._sounds.append(self._carried)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._messages.append(f"The sound of {file} cannot be carried over: {error}. The picture is written alone.")
            self._carried = None
            self._open()

    def write(self, frame: Frame) -> None:
        """Encode a frame, and the sound up to its time."""
        import av

        picture = av.VideoFrame.from_ndarray(pad_to(frame.image, 2), format="rgb24").reformat(**self._colours)
        if self._last < 0:
            for sound in self._sounds:
                sound.begin(frame.captured - frame.time)
        self._last = max(self._last + 1, round(frame.time * CLOCK_HZ))
        picture.pts, picture.time_base = self._last, Fraction(1, CLOCK_HZ)
        self._mux(self._video.encode(picture))
        for sound in self._sounds:
            sound.write_until(frame.time)

    def _mux(self, packets: "list[Packet[VideoStream]]") -> None:
        """Write pictures, all but the last one."""
        for packet in packets:
            if self._held:
                self._container.mux(self._held)
            self._held = packet

    def finish(self) -> bool:
        """Flush and close. Return False where no frame was written.

        A picture is held for as long as its source held it, and as long as there is sound.
        """
        if self._last < 0:
            return False
        last, ending = self._last / CLOCK_HZ, self._stream.ending()
        end = ending if ending and ending > last else last + 1 / self._stream.fps
        heard = min(self._carried.end, end + MAX_HOLD_S) if self._carried and ending else 0.0
        self._mux(self._video.encode(None))
        if self._held:
            self._held.duration = round(((heard if heard > end + SOUND_TAIL_S else end) - last) * CLOCK_HZ)
            self._container.mux(self._held)
        for sound in self._sounds:
            is_whole = sound is self._carried and ending is not None
            sound.finish(math.inf if is_whole else end + SOUND_TAIL_S)
        self._container.close()
        return True

    def messages(self) -> list[str]:
        """Return what people should read of the sound since the last call."""
        said, self._messages = self._messages, []
        for talker in (self._carried, self._microphone):
            said += talker.messages() if talker else []
        return said

    def abandon(self) -> None:
        """Close, whatever becomes of the file."""
        for sound in self._sounds:
            with suppress(Exception):
                sound.close()
        with suppress(Exception):
            self._container.close()
