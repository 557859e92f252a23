"""What a microphone hears in recordings and clips: in time with the picture, and never in its way."""

import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import livestyle
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video import sound
from livestyle.video.sinks.clip import ClipSink, ClipWriter
from livestyle.video.sinks.recording import Recorder
from livestyle.video.sinks.sink import Stream
from livestyle.video.sound import BLOCK_SAMPLES, SAMPLE_RATE_HZ, Microphone, Samples, open_input

SIZE, FPS = (64, 48), 25.0
START = 1000.0  # readings of the clock: of the first frame
FLASH = 1.0  # seconds after it


class Device:
    """A microphone that hears what it is told to."""

    def __init__(self, problem: Exception | None = None) -> None:
        self._problem = problem
        self.is_open = threading.Event()
        self.is_closed = False

    def open(self, name: str, hear: Callable[[float, Samples], None], lost: Callable[[], None]) -> Callable[[], None]:
        if self._problem:
            self.is_open.set()
            raise self._problem
        self.hear, self.lost = hear, lost
        self.is_open.set()
        return partial(setattr, self, "is_closed", True)

    def stream(self, is_muted: Callable[[], bool] = lambda: False) -> Stream:
        return Stream(SIZE, FPS, microphone=lambda: Microphone("default", is_muted, self.open))


def heard(begin: float, end: float, lost: Iterable[int] = (), drift: float = 0.0) -> Iterable[tuple[float, Samples]]:
    """Blocks of a microphone that hears a tone from the flash on; times relative to the first frame."""
    noise = np.random.default_rng(0)
    for number in range(round((end - begin) * SAMPLE_RATE_HZ) // BLOCK_SAMPLES):
        at = begin + number * BLOCK_SAMPLES / SAMPLE_RATE_HZ
        times = at + np.arange(BLOCK_SAMPLES) / SAMPLE_RATE_HZ
        tone = np.where(times >= FLASH, 12000 * np.sin(2 * np.pi * 440 * times), noise.normal(0, 20, BLOCK_SAMPLES))
        if number not in lost:
            yield START + at * (1 + drift), tone.astype(np.int16)


def write(clip: ClipWriter, device: Device, blocks: Iterable[tuple[float, Samples]], seconds: float = 2.0) -> None:
    """Frames, white from the flash on, with each what was heard until then."""
    assert device.is_open.wait(10)
    waiting = list(blocks)
    for index in range(round(seconds * FPS)):
        time = index / FPS
        while waiting and waiting[0][0] <= START + time:
            device.hear(*waiting.pop(0))
        picture = np.full((*SIZE[::-1], 3), 255 if time >= FLASH else 0, np.uint8)
        clip.write(Frame(picture, index, time, START + time))
    for block in waiting:
        device.hear(*block)
    assert clip.finish()


def read(path: Path) -> tuple[float, Samples, int]:
    """When the picture turns white, the sound from time 0 on, and the number of frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    white = next(float(frame.time or 0) for frame in frames if frame.to_ndarray(format="gray").mean() > 128)
    with av.open(str(path)) as container:
        track = np.zeros(0, np.float32)
        for part in container.decode(audio=0):
            start = round(float(part.time or 0) * SAMPLE_RATE_HZ)
            track = np.pad(track, (0, max(0, start - track.size)))
            track = np.concatenate([track[:start] if start >= 0 else track, part.to_ndarray()[0][max(0, -start) :]])
    return white, (track * 32768).astype(np.int16), len(frames)


def onset(track: Samples) -> float:
    """When the tone begins, in seconds."""
    return float(np.argmax(np.abs(track.astype(int)) > 6000) / SAMPLE_RATE_HZ)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize(("begin", "lost"), [(-0.3, ()), (0.2, ()), (0.0, (10, 11, 12, 13, 14)), (0.0, range(40, 49))])
def test_sound_is_where_it_was_heard(tmp_path: Path, suffix: str, begin: float, lost: Iterable[int]) -> None:
    """Also where the microphone opens early or late, and where blocks are lost."""
    device, path = Device(), tmp_path / f"clip{suffix}"
    write(ClipWriter(path, device.stream(), is_crash_safe=suffix == ".mkv"), device, heard(begin, 2.2, lost))
    white, track, frames = read(path)
    assert frames == 50
    assert white == pytest.approx(FLASH, abs=0.001)
    assert onset(track) == pytest.approx(FLASH, abs=0.01)
    assert track.size / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.15)
    assert device.is_closed


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    begin=st.floats(-1, 0.9), lost=st.sets(st.integers(0, 120), max_size=60), drift=st.floats(-0.02, 0.02),
    end=st.floats(1.2, 2.2),
)  # fmt: skip
def test_sound_is_never_late_by_more_than_nobody_sees(
    tmp_path: Path, begin: float, lost: set[int], drift: float, end: float
) -> None:
    device, path = Device(), tmp_path / "clip.mkv"
    first = round((FLASH - begin) * SAMPLE_RATE_HZ) // BLOCK_SAMPLES  # the tone's own first blocks are heard
    write(ClipWriter(path, device.stream()), device, heard(begin, end, lost - {first, first + 1}, drift))
    _, track, frames = read(path)
    assert frames == 50
    assert onset(track) == pytest.approx(FLASH * (1 + drift), abs=0.045)
    assert track.size / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("problem", [UserError("There is no microphone.", "Plug one in."), OSError("broken")])
def test_a_microphone_that_cannot_be_opened_costs_no_picture(tmp_path: Path, problem: Exception) -> None:
    device, switch = Device(problem), SimpleNamespace(take=1)
    with Recorder(tmp_path, device.stream(), switch) as recorder:
        for index in range(30):
            recorder.send(Frame(np.zeros((*SIZE[::-1], 3), np.uint8), index, index / FPS))
            assert device.is_open.wait(10)
            while recorder._takes[-1].waiting:
                pass
    (said,) = [line for line in recorder.messages() if line.startswith("No sound is recorded.")]
    assert str(problem) in said
    (path,) = tmp_path.iterdir()
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 30
    with av.open(str(path)) as container:
        assert not any(part.to_ndarray().any() for part in container.decode(audio=0))


def test_a_microphone_that_goes_leaves_silence_and_a_sentence(tmp_path: Path) -> None:
    device, path = Device(), tmp_path / "clip.mp4"
    file = ClipSink(path, device.stream())
    assert device.is_open.wait(10)
    for at, samples in heard(0, 1.2):
        device.hear(at, samples)
    device.lost()
    for index in range(75):
        file.send(Frame(np.zeros((*SIZE[::-1], 3), np.uint8), index, index / FPS, START + index / FPS))
    assert file.messages() == ["The microphone is gone: from here on there is no sound."]
    file.close()
    with av.open(str(path)) as container:
        assert float(container.streams.audio[0].duration * container.streams.audio[0].time_base) > 2.9  # type: ignore[operator]


@pytest.mark.parametrize("asked", [None, "headset"])
def test_no_microphone_is_opened_unless_it_is_asked_for(
    asked: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def opening(name: str, *_: object) -> Callable[[], None]:
        opened.append(name)
        return lambda: None

    monkeypatch.setattr(sound, "open_input", opening)
    settings = {"background": "color:#102030", "segmenter": "faults:0", "size": SIZE, "frames": 2}
    livestyle.run("faults:0", sinks=[f"file:{tmp_path / 'a.mkv'}"], microphone=asked, **settings)
    assert opened == ([asked] if asked else [])


def test_nothing_is_heard_while_hidden(tmp_path: Path) -> None:
    device, path, hidden = Device(), tmp_path / "clip.mkv", False
    clip = ClipWriter(path, device.stream(lambda: hidden))
    assert device.is_open.wait(10)
    for at, samples in heard(0, 2):
        hidden = 1.2 <= at - START < 1.6
        device.hear(at, samples)
    write(clip, device, [])
    _, track, _ = read(path)
    for begin, end, loud in ((1.05, 1.15, True), (1.25, 1.55, False), (1.7, 1.9, True)):
        part = track[round(begin * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)].astype(int)
        assert np.abs(part).max() > 5000 if loud else np.abs(part).max() < 500


class Library(SimpleNamespace):
    """PortAudio's, as far as we use it."""

    class PortAudioError(Exception):
        """What it raises."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__(problem=problem, calls=[])

    def InputStream(self, *words: object, callback: object, finished_callback: object) -> "Library":
        if self.problem:
            raise self.problem
        self.words, self.callback, self.finished = words, callback, finished_callback
        return self

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def query_devices(self) -> list[dict[str, object]]:
        names = {"speaker": 0, "headset": 1, "default": 2}
        return [{"name": name, "max_input_channels": count} for name, count in names.items()]


def test_times_of_portaudio_become_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    library, blocks = Library(), []
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    monkeypatch.setattr(sound.time, "monotonic", lambda: 50.0)
    close = open_input("headset", lambda *block: blocks.append(block), lambda: None)
    samples = np.arange(BLOCK_SAMPLES, dtype=np.int16)
    library.callback(samples[:, None], BLOCK_SAMPLES, SimpleNamespace(currentTime=7.5, inputBufferAdcTime=7.25), None)
    assert library.words == (SAMPLE_RATE_HZ, BLOCK_SAMPLES, "headset", 1, "int16")
    assert blocks[0][0] == 49.75
    assert np.array_equal(blocks[0][1], samples)
    close()
    assert library.calls == ["start", "stop", "close"]
    assert sound.microphones() == ["default", "headset"]


REFUSALS = [ValueError("No input device matching 'x'"), Library.PortAudioError("busy [-9985]")]


@pytest.mark.parametrize("problem", REFUSALS)
def test_a_device_that_is_refused_is_named(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Library(problem))
    with pytest.raises(UserError, match=r"'x' cannot be opened: (No input .*|busy)\. See: livestyle list microphones"):
        open_input("x", lambda *_: None, lambda: None)


def test_without_the_package_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(UserError, match=r"livestyle\[microphone\]"):
        sound.microphones()
