"""What a clip's file holds beside its picture, carried into another clip: sound, subtitles, chapters, notes."""

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livestyle.video.notes import file_notes, later, track_notes
from livestyle.video.sources.clip import moving_pictures, open_file
from livestyle.video.tracks import WAYS, Broken, MakeTrack, Track, seconds_of

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

TRIED_PACKETS = 4  # of a track, with which a way to write it is tried
MAX_LEAP_S = 60.0  # by which sound may leap once the picture has ended; more is a broken clock
NAMES = {"audio": "sound", "subtitle": "subtitles", "video": "another picture", "attachment": "a file"}


class Carried:
    """Carry over what a file holds beside its picture, in time with it.

    A track is copied where the clip can hold it. Else sound becomes AAC, and text takes the form that the clip has for
    subtitles. What cannot be carried over is left out, and `messages` says so: no track ever costs the picture.

    Args:
        path: of the file.
        start: time of the clip's first frame on the clock of the file, in seconds.
        output: the clip. It has the track of its picture, and nothing is written yet.
        keep_location: keep the place where it was taken.

    Attributes:
        has_sound: whether there is sound to be carried over.
        end: when the sound ends, as the file promises, in seconds of the clip; 0 where it promises nothing.

    Raises:
        OSError, av.FFmpegError: the file cannot be opened.
    """

    def __init__(self, path: Path, start: float, output: "OutputContainer", keep_location: bool = False) -> None:
        self._path, self._start, self._output = path, Fraction(start).limit_denominator(1_000_000), output
        self._input = open_file(path)
        self._written, self._broken, self._messages = 0.0, 0, list[str]()
        self._next: tuple[Packet[Any], Fraction] | None = None
        self._tracks: dict[int, Track] = {}
        left_out = [name_of(source) for source in self._sources() if not self._add(source)]
        if left_out:
            suffix = Path(output.name).suffix
            self._messages.append(f"Left out of the {suffix} clip: {', '.join(dict.fromkeys(left_out))}.")
        self._carry_notes(keep_location)
        self._packets = self._timed_packets()
        sounds = [stream for stream in self._input.streams.audio if stream.index in self._tracks]
        self.has_sound = bool(sounds)
        self.end = max((self._promised_end(stream) for stream in sounds), default=0.0)

    def _sources(self) -> "Iterator[Stream]":
        """Yield the tracks beside the picture. The chapters of MP4 and MOV look like a track of data, and are none."""
        chapters, pictures = bool(self._input.chapters()), moving_pictures(self._input)
        for stream in self._input.streams:
            if stream.type == "data" and chapters:
                chapters = False
            elif stream not in pictures[:1]:
                yield stream

    def _add(self, source: "Stream") -> bool:
        """Add a track in the first way that works, and return whether there is one."""
        for make in WAYS.get(source.type, ()):
            if self._works(make, source):
                track = self._tracks[source.index] = make(source, self._output)
                track.stream.metadata.update(track_notes(source, self._output))
                track.stream.disposition = source.disposition
                return True
        return False

    def _works(self, make: MakeTrack, source: "Stream") -> bool:
        """Return whether a track can be written. The beginning of it is, into memory."""
        import av

        tried = TRIED_PACKETS if source.type == "audio" else 0  # others are sparse
        try:
            with open_file(self._path) as file, av.open(io.BytesIO(), "w", self._output.format.name) as trial:
                own = file.streams[source.index]
                track = make(own, trial)
                trial.start_encoding()
                packets = [packet for packet in islice(file.demux(own), tried) if packet.size]
                times = [seconds_of(packet) or Fraction(0) for packet in packets]
                for packet, time in zip(packets, times, strict=True):
                    with suppress(Broken):  # others may be whole
                        track.take(packet, time - times[0], times[0])
                track.finish()
        except (av.FFmpegError, OSError, ValueError, NotImplementedError, AttributeError):
            return False
        return True

    def _carry_notes(self, keep_location: bool) -> None:
        for picture in moving_pictures(self._input)[:1]:
            self._output.streams.video[0].metadata.update(track_notes(picture, self._output))
        notes, place = file_notes(self._input.metadata)
        self._output.metadata.update(notes | (place if keep_location else {}))
        if place and not keep_location:
            self._messages.append("The place where it was taken is left out. Keep it by --keep-location.")
        shifted = [later(chapter, -self._start) for chapter in self._input.chapters()]
        self._output.set_chapters([chapter for chapter in shifted if chapter["end"] > 0])

    def _promised_end(self, stream: "Stream") -> float:
        if stream.duration and stream.time_base:
            return float(((stream.start_time or 0) + stream.duration) * stream.time_base - self._start)
        if self._input.duration:
            begins = 0 if "matroska" in self._input.format.name else self._input.start_time or 0
            return (begins + self._input.duration) / 1e6 - float(self._start)
        return 0.0

    def _timed_packets(self) -> "Iterator[tuple[Packet[Any], Fraction]]":
        """Yield the packets of all tracks with their times in the clip, in seconds."""
        import av

        expected = dict.fromkeys(self._tracks, Fraction(0))
        sources = [self._input.streams[index] for index in self._tracks]
        packets = iter(self._input.demux(sources) if sources else ())
        with suppress(av.FFmpegError):  # a file that breaks off
            for packet in packets:
                if packet.size:
                    time, index = seconds_of(packet), packet.stream_index
                    at = expected[index] if time is None else time - self._start
                    expected[index] = at + (packet.duration or 0) * (packet.time_base or 1)
                    yield packet, at

    def begin(self, zero: float) -> None:
        """Do nothing: a file has a time of its own."""

    def write_until(self, seconds: float) -> None:
        while self._upcoming() <= seconds:
            assert self._next
            (packet, at), self._next = self._next, None
            self._give(packet, at)
        self._written = seconds

    def _upcoming(self) -> float:
        """Return when the next packet belongs, in seconds of the clip; `math.nan` if there is none."""
        self._next = self._next or next(self._packets, None)
        return float(self._next[1]) if self._next else math.nan

    def _give(self, packet: "Packet[Any]", at: Fraction) -> None:
        import av

        try:
            self._tracks[packet.stream_index].take(packet, at, self._start)
        except OSError:  # of the clip's disk
            raise
        except (Broken, av.FFmpegError, ValueError, NotImplementedError):
            self._broken += 1

    def finish(self, seconds: float) -> None:
        import av

        while (at := self._upcoming()) <= min(seconds, self._written + MAX_LEAP_S):
            self.write_until(max(at, self._written))
        for track in self._tracks.values():
            with suppress(ValueError, av.error.EOFError):
                track.finish()
        if self._broken:
            self._messages.append(f"Broken pieces of the sound or subtitles were left out: {self._broken}.")
        self.close()

    def messages(self) -> list[str]:
        """Return what people should read since the last call."""
        said, self._messages = self._messages, []
        return said

    def close(self) -> None:
        self._input.close()


def name_of(stream: "Stream") -> str:
    """Return what people call a track."""
    from av.stream import Disposition

    if stream.disposition & Disposition.attached_pic:
        return "a cover picture"
    codec = stream.codec_context.codec.name if stream.codec_context else ""
    return NAMES.get(stream.type, "data") + (f" ({codec})" if codec else "")
