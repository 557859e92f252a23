"""The sound of a clip, in time with the picture: a file's own, copied, or what the microphone hears."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

Samples = NDArray[np.int16]  # (N,), mono, at SAMPLE_RATE_HZ
Hear = Callable[[float, Samples], None]  # takes when a block begins, by `time.monotonic`, and the block
Close = Callable[[], None]

PORTABLE_CODECS = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}  # sound that players expect in MP4 and MOV
PREROLL_S = 0.05  # before the first frame, whose sound is kept: codecs warm up in packets before zero
SAMPLE_RATE_HZ = 48_000  # of the microphone
BLOCK_SAMPLES = SAMPLE_RATE_HZ // 50  # that come at once
MAX_BLOCKS = 500  # that may wait to be written: ten seconds
MAX_DRIFT_SAMPLES = SAMPLE_RATE_HZ // 25  # by which sound may be early or late before it is moved: 40 ms
MAX_LAG_S = 0.5  # for which the picture waits for sound before silence takes its place


class Sound(Protocol):
    """What is heard beside the frames of a clip, written into its container."""

    def begin(self, zero: float) -> None:
        """Take the reading of `time.monotonic` at the clip's time 0."""

    def write_until(self, seconds: float) -> None:
        """Write what is heard before a time of the clip, in seconds."""

    def finish(self, seconds: float) -> None:
        """Write the rest, up to a time of the clip in seconds, and close."""

    def close(self) -> None:
        """Release where it comes from. Nothing more is written."""


class CopiedSound:
    """Copy a file's first sound track, packet by packet. Where the clip cannot hold its codec, make it AAC.

    Args:
        path: of the file.
        start: where in the file the clip begins, in seconds.
        output: the clip.
    """

    def __init__(self, path: Path, start: float, output: "OutputContainer") -> None:
        import av

        self._input = av.open(str(path))
        source = self._source = self._input.streams.audio[0]
        self._output = output
        self._start = start
        name = source.codec_context.name
        self._copies = name in PORTABLE_CODECS or ("matroska" in output.format.name and name in output.supported_codecs)
        self._packets = self._input.demux(source)
        self._next: Packet[Any] | None = None
        self._ended = False
        self._track: AudioStream
        if self._copies:
            self._track = output.add_stream_from_template(source)
        else:
            layout = "mono" if source.codec_context.channels == 1 else "stereo"
            self._track = output.add_stream("aac", rate=source.codec_context.sample_rate, layout=layout)

    def begin(self, zero: float) -> None:
        """Do nothing: a file has a time of its own."""

    def write_until(self, seconds: float) -> None:
        import av

        while not self._ended:
            if self._next is None:
                self._next = next(self._packets, None)
                if self._next is None or self._next.dts is None:
                    self._ended = True
                    break
            at = float((self._next.pts or 0) * (self._next.time_base or 1)) - self._start
            if at > seconds:
                break
            packet, self._next = self._next, None
            if at > -PREROLL_S:
                with suppress(av.error.InvalidDataError):
                    self._write(packet)

    def _write(self, packet: "Packet[Any]") -> None:
        if self._copies:
            ticks = round(self._start / (packet.time_base or 1))
            packet.pts, packet.dts = (packet.pts or 0) - ticks, (packet.dts or 0) - ticks
            packet.stream = self._track
            self._output.mux(packet)
            return
        for heard in self._source.decode(packet):
            self._output.mux(self._track.encode(heard))

    def finish(self, seconds: float) -> None:
        self.write_until(seconds)
        if not self._copies:
            with suppress(Exception):
                self._output.mux(self._track.encode(None))
        self.close()

    def close(self) -> None:
        self._input.close()


class Microphone:
    """A microphone, opened and heard by threads of its own, so that nobody waits for it.

    If it fails, at once or later, a message says why, and it is silent from then on.

    Args:
        name: of the device, or a part of it; "default" is the system's.
        is_muted: asked for every block. If so, silence takes its place.
        open: opens it by name, None for `open_input`.
    """

    def __init__(
        self,
        name: str,
        is_muted: Callable[[], bool] = lambda: False,
        open: "Callable[[str, Hear, Close], Close] | None" = None,
    ) -> None:
        self._name, self._is_muted, self._open = name, is_muted, open or open_input
        self._blocks: deque[tuple[float, Samples]] = deque(maxlen=MAX_BLOCKS)
        self._messages: deque[str] = deque()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="microphone", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            close = self._open(self._name, self._hear, self._lose)
        except Exception as error:  # the picture goes on
            reason = str(error) if isinstance(error, UserError) else f"The microphone cannot be opened: {error}."
            self._messages.append(f"No sound is recorded. {reason}")
            return
        self._ended.wait()
        with suppress(Exception):
            close()

    def _hear(self, at: float, samples: Samples) -> None:
        self._blocks.append((at, np.zeros_like(samples) if self._is_muted() else samples))

    def _lose(self) -> None:
        if not self._ended.is_set():
            self._messages.append("The microphone is gone: from here on there is no sound.")

    def take(self) -> Iterator[tuple[float, Samples]]:
        """Yield the blocks heard since the last call: when each begins, by `time.monotonic`, and its samples."""
        while self._blocks:
            yield self._blocks.popleft()

    def messages(self) -> Iterator[str]:
        """Yield what people should read since the last call."""
        while self._messages:
            yield self._messages.popleft()

    def close(self) -> None:
        """Release it. What it heard until now can still be taken."""
        self._ended.set()
        self._thread.join(MAX_LAG_S)  # a driver that is stuck is left behind


class MicrophoneSound:
    """A microphone's sound as AAC.

    Each block is put where it was heard. Gaps are silence, and so is all where nothing comes: the picture never waits.

    Args:
        microphone: what is heard.
        output: the clip.
    """

    def __init__(self, microphone: Microphone, output: "OutputContainer") -> None:
        self._microphone, self._output = microphone, output
        self._track: AudioStream = output.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        self._zero = 0.0
        self._written = 0  # samples
        self._end = sys.maxsize  # of the picture, in samples
        self._flows = False  # the next block follows the last

    def begin(self, zero: float) -> None:
        self._zero = zero

    def write_until(self, seconds: float) -> None:
        for at, samples in self._microphone.take():
            self._place(round((at - self._zero) * SAMPLE_RATE_HZ), samples)
        self._fill(round((seconds - MAX_LAG_S) * SAMPLE_RATE_HZ))

    def _place(self, start: int, samples: Samples) -> None:
        """Write a block at a sample's number. The clocks' difference is made up for where it could be noticed."""
        if not self._flows or abs(start - self._written) > MAX_DRIFT_SAMPLES:
            self._fill(start)
            samples = samples[max(0, self._written - start) :]
        samples = samples[: max(0, self._end - self._written)]
        if samples.size:
            self._write(samples)
            self._flows = True

    def _fill(self, end: int) -> None:
        """Write silence up to a sample's number."""
        while (lack := min(end, self._end) - self._written) > 0:
            self._write(np.zeros(min(lack, SAMPLE_RATE_HZ), np.int16))
            self._flows = False

    def _write(self, samples: Samples) -> None:
        import av

        heard = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        heard.sample_rate, heard.pts = SAMPLE_RATE_HZ, self._written
        self._written += samples.size
        self._output.mux(self._track.encode(heard))

    def finish(self, seconds: float) -> None:
        self.close()
        self._end = round(seconds * SAMPLE_RATE_HZ)
        self.write_until(seconds)
        self._fill(self._end)
        self._output.mux(self._track.encode(None))

    def close(self) -> None:
        self._microphone.close()


def open_input(name: str, hear: Hear, lost: Close) -> Close:
    """Open a microphone through PortAudio, and return what closes it.

    Args:
        name: of the device, or a part of it; "default" is the system's.
        hear: called with each block, on a thread of PortAudio's.
        lost: called when there will be no more.

    Raises:
        UserError: the package, its library or the device is missing, or the device is refused.
    """
    library = import_sounddevice()

    def take(block: Any, count: int, times: Any, status: Any) -> None:
        now = time.monotonic()
        hear(now - (times.currentTime - times.inputBufferAdcTime), block[:, 0].copy())

    try:
        stream = library.InputStream(
            SAMPLE_RATE_HZ,
            BLOCK_SAMPLES,
            None if name == "default" else name,
            1,
            "int16",
            callback=take,
            finished_callback=lost,
        )
        stream.start()
    except (library.PortAudioError, ValueError) as error:
        reason = str(error).partition("\n")[0].partition(" [")[0]
        raise UserError(
            f"The microphone '{name}' cannot be opened: {reason}.", "See: livestyle list microphones"
        ) from None

    def close() -> None:
        stream.stop()  # which waits for what was heard last
        stream.close()

    return close


def microphones() -> list[str]:
    """Return the names of the microphones, the system's own choice first.

    Raises:
        UserError: the package or its library is missing.
    """
    library = import_sounddevice()
    found = [device["name"] for device in library.query_devices() if device["max_input_channels"] > 0]
    return ["default", *dict.fromkeys(name for name in found if name != "default")] if found else []


def import_sounddevice() -> Any:
    """Return the package that speaks to microphones.

    Raises:
        UserError: the package or its library is missing.
    """
    try:
        import sounddevice
    except ImportError:
        raise UserError(
            "A microphone needs the package sounddevice.", "Run: pip install 'livestyle[microphone]'"
        ) from None
    except OSError:  # on Linux its library is the system's
        raise UserError("A microphone needs PortAudio.", "Run: sudo apt install libportaudio2") from None
    return sounddevice
