"""Ways to write a file's track into a clip: copied, sound turned into AAC, subtitles in the clip's own form."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from livestyle.video.sound import AAC_RATES_HZ, AacTrack

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

# Sound that players expect. FFmpeg writes more into MP4 and MOV, which they do not play.
PORTABLE = {"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "opus", "libopus"}
PREROLL_S = 0.05  # before the first frame, whose sound is kept: codecs warm up in packets before zero
MAX_DRIFT_S = 0.01  # by which sound may be early or late before it is moved
SUBTITLE_TICK = Fraction(1, 1000)


class Broken(Exception):
    """A packet that cannot be decoded."""


class Track(Protocol):
    """A track of a clip in the making.

    Attributes:
        stream: of the clip.
    """

    stream: "Stream"

    def take(self, packet: "Packet[Any]", at: Fraction, start: Fraction) -> None:
        """Write a packet.

        Args:
            packet: of the file.
            at: its time in the clip, in seconds.
            start: time of the clip's first frame on the clock of the file, in seconds.

        Raises:
            Broken: it cannot be decoded.
            av.FFmpegError, ValueError: it cannot be written.
        """

    def finish(self) -> None:
        """Write what is left."""


MakeTrack = Callable[[Any, "OutputContainer"], Track]  # raises an error where the clip cannot hold such a track


class Copied:
    """A track as it is, packet by packet."""

    def __init__(self, source: Any, output: "OutputContainer") -> None:
        is_sound = source.type == "audio"
        if is_sound and not is_portable(source.codec_context.codec.name, output.format.name):
            raise ValueError("players do not expect it")
        self.stream, self._output = output.add_stream_from_template(source), output
        # File formats count in ticks of a packet or a millisecond; here samples are counted.
        self._tick = Fraction(1, source.codec_context.sample_rate or 90_000) if is_sound else SUBTITLE_TICK
        self._last: int | None = None
        # MP4 fills gaps between subtitles with empty ones, and does so again.
        self._empty_bytes = 2 if getattr(source.codec_context, "name", "") == "mov_text" else 0

    def take(self, packet: "Packet[Any]", at: Fraction, start: Fraction) -> None:
        lasts = (packet.duration or 0) * (packet.time_base or 1)
        if (at < -PREROLL_S and at + lasts <= 0) or packet.size <= self._empty_bytes:
            return
        number = round(at / self._tick)
        self._last = number if self._last is None else max(number, self._last + 1)
        packet.time_base, packet.stream = self._tick, self.stream
        packet.pts = packet.dts = self._last
        packet.duration = round(lasts / self._tick)
        self._output.mux(packet)

    def finish(self) -> None:
        """Do nothing: all is written."""


class Turned:
    """Sound as AAC, at the next rate that AAC knows.

    Args:
        layout: of the channels; None keeps the file's own.
    """

    def __init__(self, source: Any, output: "OutputContainer", layout: str | None = None) -> None:
        context = source.codec_context
        self._source = source
        self._form: tuple[str, str, int] | None = None  # of the samples that come
        self._rate_hz = next((rate for rate in AAC_RATES_HZ if rate >= context.sample_rate), AAC_RATES_HZ[-1])
        known = {1: "mono", 2: "stereo"}  # files may say no more than how many channels there are
        self._layout = layout or known.get(context.channels, context.layout.name)
        # A format's tick may be as long as a packet.
        drift = MAX_DRIFT_S + float(source.time_base or 0)
        self._track = AacTrack(output, self._rate_hz, self._layout, round(drift * self._rate_hz))
        self.stream: Stream = self._track.stream
        self._resampler: AudioResampler | None = None

    def take(self, packet: "Packet[Any]", at: Fraction, start: Fraction) -> None:
        import av

        try:
            parts = self._source.decode(packet)
        except av.FFmpegError as error:
            raise Broken(str(error)) from None
        for heard in parts:
            self._place(heard, start)

    def _place(self, heard: "AudioFrame", start: Fraction) -> None:
        import av

        form = heard.format.name, heard.layout.name, heard.sample_rate
        if form != self._form:  # broadcasts change it on the way
            self._flush()
            self._form = form
            self._resampler = av.AudioResampler("fltp", self._layout, self._rate_hz)
        time = seconds_of(heard)
        tick = Fraction(1, heard.sample_rate)
        heard.pts = None if time is None else round((time - start) / tick)
        heard.time_base = tick
        assert self._resampler
        for part in self._resampler.resample(heard):
            self._write(part)

    def _write(self, part: "AudioFrame") -> None:
        time = seconds_of(part)
        start = self._track.written if time is None else round(time * self._rate_hz)
        self._track.place(start, np.asarray(part.to_ndarray(), np.float32))

    def _flush(self) -> None:
        for part in self._resampler.resample(None) if self._resampler else ():
            if part is not None:
                self._write(part)
        self._resampler = None

    def finish(self) -> None:
        self._flush()
        self._track.flush()


class Retold:
    """Subtitles of text, in the form that the clip has for them."""

    def __init__(self, source: Any, output: "OutputContainer") -> None:
        context = source.codec_context
        if not context.codec.text_sub:
            raise ValueError("they are pictures")
        context.open(strict=False)
        self._source, self._output = context, output
        self.stream: Any = output.add_stream("subrip" if "matroska" in output.format.name else "mov_text")
        self.stream.codec_context.subtitle_header = context.subtitle_header
        self.stream.codec_context.time_base = SUBTITLE_TICK

    def take(self, packet: "Packet[Any]", at: Fraction, start: Fraction) -> None:
        ends = at + (packet.duration or 0) * (packet.time_base or 1)
        shown = self._source.decode2(packet)
        if shown is None or not len(shown) or ends <= 0:
            return
        told = self.stream.codec_context.encode_subtitle(shown)
        told.time_base, told.stream = SUBTITLE_TICK, self.stream
        told.pts = told.dts = round(max(at, Fraction(0)) / SUBTITLE_TICK)
        told.duration = round(ends / SUBTITLE_TICK) - told.pts
        self._output.mux(told)

    def finish(self) -> None:
        """Do nothing: all is written."""


WAYS: dict[str, tuple[MakeTrack, ...]] = {  # the first that works; of other kinds of tracks there is none
    "audio": (Copied, Turned, partial(Turned, layout="stereo")),
    "subtitle": (Copied, Retold),
    "attachment": (Copied,),
}


def is_portable(codec: str, kind: str) -> bool:
    """Return whether players expect sound of a codec in a kind of file, by FFmpeg's names."""
    return "matroska" in kind or codec in PORTABLE or (kind == "mov" and codec.startswith("pcm_"))


def seconds_of(piece: Any) -> Fraction | None:
    """Return the time of a packet or frame on its own clock, None where it has none."""
    ticks = piece.pts if piece.pts is not None else piece.dts
    return None if ticks is None or not piece.time_base else ticks * piece.time_base
