"""Contract over every sink; clips that are whole or not there."""

import re
import resource
from dataclasses import Field, fields
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.pictures import draw_card
from support.sound import SIZE, beep, frames

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.open import SINKS, open_sink, open_sinks, parse_sinks
from livestyle.video.sinks.queued import Queued
from livestyle.video.sinks.sink import Null, Sink, SinkInfo, Stream, Tee
from livestyle.video.sources.open import open_source


@pytest.mark.parametrize("text", ["null", "file:{}/a.mp4", "file:{}/a.mkv", "file:{}/a.mov"])
def test_sinks_take_frames_and_close_twice(text: str, tmp_path: Path) -> None:
    sink = open_sink(text.format(tmp_path), Stream(SIZE, 25))
    for frame in frames():
        sink.send(frame)
    assert sink.messages() == []
    sink.close()
    sink.close()
    if text.startswith("file:"):
        with open_source(text.format(tmp_path).removeprefix("file:")) as source:
            assert len(list(source)) == 10


def test_several_sinks_at_once(tmp_path: Path) -> None:
    specs = parse_sinks(["null", f"file:{tmp_path}/a.mp4", f"file:{tmp_path}/b.mkv"])
    with open_sinks(specs, Stream(SIZE, 25), is_live=False) as outputs:
        for frame in frames():
            outputs.sink.send(frame)
        assert outputs.name == f"null, {tmp_path}/a.mp4, {tmp_path}/b.mkv"
        assert not outputs.preview.is_watched()
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mkv"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no sink ''"), ("bogus", "no sink 'bogus'"), ("file", "no sink 'file'"), ("file:", "no sink 'file:'"),
        ("file:a.xyz", "a.xyz does not say"), ("file:no/such/folder/a.mp4", "no folder no/such/folder"),
        ("file:.", ". does not say"),
    ],
)  # fmt: skip
def test_bad_sinks_get_one_sentence(text: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        open_sinks(parse_sinks(["null", text]), Stream(SIZE, 25), is_live=False)


def test_every_kind_of_sink_is_named_in_the_error() -> None:
    with pytest.raises(UserError) as caught:
        parse_sinks(["bogus"])
    assert all(kind.form in str(caught.value) for kind in SINKS.values())


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="on purpose"), ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink:
        for frame in frames():
            sink.send(frame)
        raise RuntimeError("on purpose")
    assert not list(tmp_path.iterdir())


def test_what_was_recorded_until_the_camera_went_away_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is gone"), ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink:
        for frame in frames(5):
            sink.send(frame)
        raise UserError("The camera is gone.")
    with open_source(str(tmp_path / "a.mp4")) as source:
        assert len(list(source)) == 5


def test_a_clip_without_frames_is_no_file(tmp_path: Path) -> None:
    ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)).close()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    import signal

    old, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    noise = np.random.default_rng(0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, old[1]))
        with (
            pytest.raises(UserError, match="cannot be written"),
            ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink,
        ):
            for index in range(200):
                sink.send(Frame(noise.integers(0, 255, (48, 64, 3), dtype=np.uint8), index, index / 25))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())


def test_a_size_that_the_encoder_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot encode pictures of 70000x16") as caught:
        ClipSink(tmp_path / "a.mp4", Stream((70_000, 16), 25))
    assert "smaller" in caught.value.step
    assert not list(tmp_path.iterdir())


def test_frames_keep_their_own_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.51, 1.2]
    with ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink:
        for index, at in enumerate(times):
            sink.send(Frame(draw_card(*SIZE), index, at))
    with open_source(str(tmp_path / "a.mp4")) as source:
        assert [frame.time for frame in source] == pytest.approx(times, abs=1e-3)
    with av.open(str(tmp_path / "a.mp4")) as clip:
        assert float(clip.duration / 1e6) == pytest.approx(1.2 + 0.04, abs=0.01)


def test_odd_sizes_grow_by_one(tmp_path: Path) -> None:
    with ClipSink(tmp_path / "a.mp4", Stream((65, 47), 25)) as sink:
        for frame in frames(size=(65, 47)):
            sink.send(frame)
    with open_source(str(tmp_path / "a.mp4")) as source:
        assert source.info.size == (66, 48)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied(tmp_path: Path, suffix: str) -> None:
    first = beep(tmp_path / "first.mp4")  # from PCM, which mp4 does not hold: made AAC
    target = tmp_path / f"x{suffix}"
    with open_source(str(first)) as source, ClipSink(target, Stream(SIZE, 25, source.info.audio)) as sink:
        for frame in source:
            sink.send(frame)
    with av.open(str(first)) as one, av.open(str(tmp_path / f"x{suffix}")) as other:
        assert other.streams.audio[0].codec_context.name == one.streams.audio[0].codec_context.name == "aac"
        heard, copied = ([p for p in c.demux(c.streams.audio[0]) if p.size] for c in (one, other))
        assert [bytes(p) for p in copied] == [bytes(p) for p in heard[: len(copied)]]
        assert len(heard) == len(copied)
        assert len(heard) >= 40
    loud = [np.abs(f.to_ndarray()).max() for f in av.open(str(first)).decode(audio=0)]
    assert max(loud) > 0.2


def test_mattes_are_full_range(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, 32:] = 255
    path = tmp_path / "matte.mp4"
    with ClipSink(path, Stream(SIZE, 25, is_matte=True)) as sink:
        for index in range(5):
            sink.send(Frame(image, index, index / 25))
    capture = cv2.VideoCapture(str(path))
    theirs = capture.read()[1]
    with open_source(str(path)) as source:
        ours = list(source)[-1].image
    for back in (theirs, ours):
        assert back[:, :28].max() <= 2
        assert back[:, 36:].min() >= 253


def test_no_virtual_camera_is_answered_with_the_command_that_makes_one() -> None:
    with pytest.raises(UserError, match="modprobe v4l2loopback"):
        open_sink("virtual-camera:/dev/video98", Stream(SIZE, 25))


def test_no_screen_is_answered_with_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for sink in ("window", "window:qt", "window:opencv"):
        with pytest.raises(UserError, match="no screen"):
            open_sink(sink, Stream(SIZE, 25))
    with pytest.raises(UserError, match="no toolkit 'gtk'"):
        open_sink("window:gtk", Stream(SIZE, 25))


def test_sound_stays_with_a_picture_that_starts_late(tmp_path: Path) -> None:
    first = beep(tmp_path / "first.mp4", 2.0)
    with ClipSink(tmp_path / "late.mkv", Stream(SIZE, 25, first, audio_start=0.5)) as sink:
        for frame in frames(30):
            sink.send(frame)
    with av.open(str(first)) as one, av.open(str(tmp_path / "late.mkv")) as other:
        heard, copied = ([p for p in c.demux(c.streams.audio[0]) if p.size] for c in (one, other))
    then = {bytes(p): float(p.pts * p.time_base) for p in heard}
    shifts = [then[bytes(p)] - float(p.pts * p.time_base) for p in copied]
    assert np.abs(np.array(shifts) - 0.5).max() < 0.06
    assert then[bytes(copied[0])] > 0.4


KNOWN = SinkInfo("clip", is_live=True, is_call=True, folder=Path("/"))  # in which nothing is as it would be by itself


class Talker(Sink):
    """Has something to say of each frame."""

    info = KNOWN

    def __init__(self) -> None:
        self.said = list[str]()

    def send(self, frame: Frame) -> None:
        self.said.append(f"frame {frame.index}")

    def messages(self) -> list[str]:
        said, self.said = self.said, []
        return said


@pytest.mark.parametrize("field", fields(SinkInfo), ids=lambda field: field.name)
def test_a_sink_on_a_thread_of_its_own_is_known_as_before(field: Field[object]) -> None:
    assert getattr(KNOWN, field.name) != field.default
    with Queued(Talker()) as queued:
        assert getattr(queued.info, field.name) == getattr(KNOWN, field.name)


def test_what_a_sink_says_on_a_thread_of_its_own_is_heard() -> None:
    """Such as that there is no microphone."""
    queued = Queued(Talker())
    for frame in frames(3):
        queued.send(frame)
    queued.close()
    assert queued.messages() == ["frame 0", "frame 1", "frame 2"]


def test_several_sinks_are_what_one_of_them_is() -> None:
    assert Tee([Null(), Talker()]).info == SinkInfo("null, clip", is_live=True, is_call=True)
    assert Tee([Null()]).info == SinkInfo("null")
    assert not Tee([]).is_watched()
