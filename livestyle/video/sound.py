"""The sound of a clip: a file's own, copied, or what the microphone hears, in time with the picture."""

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

Samples = NDArray[np.int16]  # (N,), mono
Hear = Callable[[float, Samples], None]  # takes what was heard from a reading of `time.monotonic` on
Close = Callable[[], None]

PORTABLE = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}  # sound that players expect in MP4 and MOV
HEARD = 0.05  # seconds before the first frame whose sound is kept: codecs warm up in packets before zero
RATE = 48_000  # of the microphone, samples per second
BLOCK = RATE // 50  # samples that come at once
KEPT = 500  # blocks that may wait to be written: ten seconds
SLACK = RATE // 25  # samples by which sound may be early or late before it is moved: 40 ms, which nobody sees
PATIENCE = 0.5  # seconds that the picture waits for sound before silence stands in


class Sound(Protocol):
    """What is heard beside the frames of a clip, written into its container."""

    def begin(self, zero: float) -> None:
        """The reading of `time.monotonic` at the clip's time 0."""

    def write_until(self, seconds: float) -> None:
        """Write what is heard before a time of the clip."""

    def finish(self, seconds: float) -> None:
        """Write the rest, up to a time of the clip, and close."""

    def close(self) -> None:
        """Let go of where it comes from; nothing more is written."""


class Copied:
    """Copies a file's first sound track, packet by packet; turned into AAC where the clip cannot hold its codec.

    Args:
        start: seconds into the file at which the clip begins.
    """

    def __init__(self, path: Path, start: float, output: "OutputContainer") -> None:
        import av

        self._input = av.open(str(path))
        source = self._source = self._input.streams.audio[0]
        self._output = output
        self._start = start
        name = source.codec_context.name
        self._copies = name in PORTABLE or ("matroska" in output.format.name and name in output.supported_codecs)
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
        """A file has a time of its own."""

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
            if at > -HEARD:
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
    """Opened and heard by threads of its own, so that nobody waits for it. One that fails, at once or later, says why
    and is silent from then on.

    Args:
        name: of the device, or a part of it; "default" is the system's.
        is_muted: asked for every block; silence then takes its place.
        open: opens it by name; see `open_input`.
    """

    def __init__(
        self,
        name: str,
        is_muted: Callable[[], bool] = lambda: False,
        open: "Callable[[str, Hear, Close], Close] | None" = None,
    ) -> None:
        self._name, self._is_muted, self._open = name, is_muted, open or open_input
        self._blocks: deque[tuple[float, Samples]] = deque(maxlen=KEPT)
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
        """What was heard since the last call: from when on, by `time.monotonic`, and the samples."""
        while self._blocks:
            yield self._blocks.popleft()

    def messages(self) -> Iterator[str]:
        """Yield what people should read since the last call."""
        while self._messages:
            yield self._messages.popleft()

    def close(self) -> None:
        """Let go of it; what it heard until now can still be taken."""
        self._ended.set()
        self._thread.join(PATIENCE)  # a driver that is stuck is left behind


class Spoken:
    """A microphone's sound as AAC. Each block is put where it was heard; gaps are silence, and so is all where nothing
    comes, so that the picture never waits for sound."""

    def __init__(self, microphone: Microphone, output: "OutputContainer") -> None:
        self._microphone, self._output = microphone, output
        self._track: AudioStream = output.add_stream("aac", rate=RATE, layout="mono")
        self._zero = 0.0
        self._written = 0  # samples
        self._end = sys.maxsize  # of the picture, in samples
        self._flows = False  # the next block follows the last

    def begin(self, zero: float) -> None:
        self._zero = zero

    def write_until(self, seconds: float) -> None:
        for at, samples in self._microphone.take():
            self._place(round((at - self._zero) * RATE), samples)
        self._fill(round((seconds - PATIENCE) * RATE))

    def _place(self, start: int, samples: Samples) -> None:
        """Write a block at a sample's number; what clocks differ by is made up for where it could be noticed."""
        if not self._flows or abs(start - self._written) > SLACK:
            self._fill(start)
            samples = samples[max(0, self._written - start) :]
        samples = samples[: max(0, self._end - self._written)]
        if samples.size:
            self._write(samples)
            self._flows = True

    def _fill(self, end: int) -> None:
        """Silence up to a sample's number."""
        while (lack := min(end, self._end) - self._written) > 0:
            self._write(np.zeros(min(lack, RATE), np.int16))
            self._flows = False

    def _write(self, samples: Samples) -> None:
        import av

        heard = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        heard.sample_rate, heard.pts = RATE, self._written
        self._written += samples.size
        self._output.mux(self._track.encode(heard))

    def finish(self, seconds: float) -> None:
        self.close()
        self._end = round(seconds * RATE)
        self.write_until(seconds)
        self._fill(self._end)
        self._output.mux(self._track.encode(None))

    def close(self) -> None:
        self._microphone.close()


def open_input(name: str, hear: Hear, lost: Close) -> Close:
    """Open a microphone through PortAudio; what closes it.

    Args:
        hear: called with each block, on a thread of PortAudio's; lost: called when there will be no more.

    Raises:
        UserError: the package, its library or the device is missing, or the device is refused.
    """
    library = import_sounddevice()

    def take(block: Any, count: int, times: Any, status: Any) -> None:
        now = time.monotonic()
        hear(now - (times.currentTime - times.inputBufferAdcTime), block[:, 0].copy())

    try:
        stream = library.InputStream(
            RATE, BLOCK, None if name == "default" else name, 1, "int16", callback=take, finished_callback=lost
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
    """The names of what can be heard through, the system's own choice first.

    Raises:
        UserError: the package or its library is missing.
    """
    library = import_sounddevice()
    found = [device["name"] for device in library.query_devices() if device["max_input_channels"] > 0]
    return ["default", *dict.fromkeys(name for name in found if name != "default")] if found else []


def import_sounddevice() -> Any:
    """The package that speaks to microphones."""
    try:
        import sounddevice
    except ImportError:
        raise UserError(
            "A microphone needs the package sounddevice.", "Run: pip install 'livestyle[microphone]'"
        ) from None
    except OSError:  # on Linux its library is the system's
        raise UserError("A microphone needs PortAudio.", "Run: sudo apt install libportaudio2") from None
    return sounddevice
