"""The sound of a clip, in time with the picture, and what the microphone hears."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError, pip_install

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

Samples = NDArray[np.int16]  # (N,), mono, at SAMPLE_RATE_HZ
Hear = Callable[[float, Samples], None]  # takes when a block begins, by `time.monotonic`, and the block
Close = Callable[[], None]

AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
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
        """Write the rest, up to a time of the clip in seconds, and close. `math.inf` is all of it."""

    def close(self) -> None:
        """Release where it comes from. Nothing more is written."""


class AacTrack:
    """Sound as AAC. Samples are counted from time 0 of the clip, each is put where it belongs, and gaps are silence.

    Args:
        output: the clip.
        rate_hz: of the samples; one of AAC_RATES_HZ.
        layout: of the channels, as FFmpeg names it.
        max_drift: by how many samples sound may be early or late before it is moved.

    Attributes:
        written: the number of samples so far.
        end: the number of the sample before which the sound ends.
    """

    def __init__(self, output: "OutputContainer", rate_hz: int, layout: str, max_drift: int) -> None:
        self.stream: AudioStream = output.add_stream("aac", rate=rate_hz, layout=layout)
        self.written, self.end = 0, sys.maxsize
        self._output, self._rate_hz, self._layout, self._max_drift = output, rate_hz, layout, max_drift
        self._flows = False  # the next block follows the last

    def place(self, start: int, samples: NDArray[np.float32]) -> None:
        """Write a block at a sample's number. Clocks that differ are made up for where it could be noticed.

        Args:
            start: the number of its first sample; below 0 it begins before the clip.
            samples: float32 (channels, N) in -1..1.
        """
        if not self._flows or abs(start - self.written) > self._max_drift:
            self.fill(start)
            samples = samples[:, max(0, self.written - start) :]
        samples = samples[:, : max(0, self.end - self.written)]
        if samples.size:
            self._write(samples)
            self._flows = True

    def fill(self, end: int) -> None:
        """Write silence up to a sample's number."""
        channels = self.stream.codec_context.channels
        while (lack := min(end, self.end) - self.written) > 0:
            self._write(np.zeros((channels, min(lack, self._rate_hz)), np.float32))
            self._flows = False

    def _write(self, samples: NDArray[np.float32]) -> None:
        import av

        heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        heard.sample_rate, heard.pts = self._rate_hz, self.written
        self.written += samples.shape[1]
        self._output.mux(self.stream.encode(heard))

    def flush(self) -> None:
        """Write what the encoder still holds. Nothing may follow."""
        self._output.mux(self.stream.encode(None))


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
        self._microphone, self._zero = microphone, 0.0
        self._track = AacTrack(output, SAMPLE_RATE_HZ, "mono", MAX_DRIFT_SAMPLES)

    def begin(self, zero: float) -> None:
        self._zero = zero

    def write_until(self, seconds: float) -> None:
        for at, samples in self._microphone.take():
            self._track.place(round((at - self._zero) * SAMPLE_RATE_HZ), (samples[None] / 32768).astype(np.float32))
        self._track.fill(round((seconds - MAX_LAG_S) * SAMPLE_RATE_HZ))

    def finish(self, seconds: float) -> None:
        self.close()
        self._track.end = round(seconds * SAMPLE_RATE_HZ)
        self.write_until(seconds)
        self._track.fill(self._track.end)
        self._track.flush()

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
        raise UserError("A microphone needs the package sounddevice.", f"Run: {pip_install('microphone')}") from None
    except OSError:  # on Linux its library is the system's
        raise UserError("A microphone needs PortAudio.", "Run: sudo apt install libportaudio2") from None
    return sounddevice
