"""Contract over every sink; clips that are whole or not there."""

import resource
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from support.pictures import draw_card
from support.sound import SIZE, beep, frames

from livestyle.errors import UserError
from livestyle.image.types import Frame, Image
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.open import SINKS, open_sink
from livestyle.video.sinks.sink import Null, Stream, Tee
from livestyle.video.sinks.window import Window
from livestyle.video.sources.open import open_source
from livestyle.video.window.overlay import Scene
from livestyle.video.window.toolkits import Canvas, Event, Pointer


@pytest.mark.parametrize("text", ["null", "file:{}/a.mp4", "file:{}/a.mkv", "file:{}/a.mov"])
def test_sinks_take_frames_and_close_twice(text: str, tmp_path: Path) -> None:
    sink = open_sink([text.format(tmp_path)], Stream(SIZE, 25))
    for frame in frames():
        sink.send(frame)
    assert sink.pressed() == []
    sink.close()
    sink.close()
    if text.startswith("file:"):
        with open_source(text.format(tmp_path).removeprefix("file:")) as source:
            assert len(list(source)) == 10


def test_several_sinks_at_once(tmp_path: Path) -> None:
    with open_sink(["null", f"file:{tmp_path}/a.mp4", f"file:{tmp_path}/b.mkv"], Stream(SIZE, 25)) as sink:
        for frame in frames():
            sink.send(frame)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "b.mkv"}


@pytest.mark.parametrize("text", ["", "bogus", "file", "file:", "file:a.xyz", "file:no/such/folder/a.mp4", "file:."])
def test_bad_sinks_get_one_sentence(text: str) -> None:
    with pytest.raises(UserError):
        open_sink(["null", text], Stream(SIZE, 25))


def test_every_kind_of_sink_is_named_in_the_error() -> None:
    with pytest.raises(UserError) as caught:
        open_sink(["bogus"], Stream(SIZE, 25))
    assert all(kind.form in str(caught.value) for kind in SINKS.values())


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink:
        for frame in frames():
            sink.send(frame)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_what_was_recorded_until_the_camera_went_away_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError), ClipSink(tmp_path / "a.mp4", Stream(SIZE, 25)) as sink:
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
        open_sink(["virtual-camera:/dev/video98"], Stream(SIZE, 25))


def test_no_screen_is_answered_with_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for sink in ("window", "window:qt", "window:opencv"):
        with pytest.raises(UserError, match="no screen"):
            open_sink([sink], Stream(SIZE, 25))
    with pytest.raises(UserError, match="no toolkit 'gtk'"):
        open_sink(["window:gtk"], Stream(SIZE, 25))


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


class Glass(Canvas):
    """A window without a screen: keeps what it is shown, and what happens to it is said beforehand."""

    def __init__(self, events: list[list[Event]]) -> None:
        self.name, self.size, self.images, self.script = "glass", (640, 360), list[Image](), events
        self.titles, self.full = list[str](), list[bool]()

    def show(self, image: Image) -> None:
        self.images.append(image)

    def events(self) -> list[Event]:
        return self.script.pop(0) if self.script else []

    def title(self, text: str) -> None:
        self.titles.append(text)

    def full_screen(self, wanted: bool) -> None:
        self.full.append(wanted)


def window_of(monkeypatch: pytest.MonkeyPatch, *events: list[Event]) -> tuple[Window, Glass]:
    glass = Glass(list(events))
    monkeypatch.setattr("livestyle.video.sinks.window.open_canvas", lambda size, toolkit: glass)
    return Window(Stream((640, 360), 25)), glass


def test_a_notice_shows_in_the_window_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    window, glass = window_of(monkeypatch)
    image = draw_card(640, 360)
    sinks = Tee([window, Null()])
    sinks.send(Frame(image, 0, 0.0))
    sinks.notice("Saved")
    sinks.describe(Scene("a look", (("background: wave", (255, 255, 255)),), showing=frozenset({"hud"})))
    sinks.send(Frame(image, 1, 0.0))
    assert (image == draw_card(640, 360)).all()  # others get it without
    assert (glass.images[0] == image).all()
    assert (glass.images[1][:40, :60] != image[:40, :60]).mean() > 0.5
    assert (glass.images[1][-30:] != image[-30:]).any()
    assert glass.titles == ["livestyle - a look"]


def test_clicks_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    window, glass = window_of(
        monkeypatch, ["x", Pointer("press", 290, 350)], [Pointer("press", 300, 100), Pointer("move", 160, 100)],
        [Pointer("press", 290, 350), Pointer("move", 500, 100)], [Pointer("double", 300, 100)], ["quit"],
    )  # fmt: skip
    image = np.zeros((360, 640, 3), np.uint8)
    styles = tuple((name, Path("none.png")) for name in ("alpha", "beta"))
    window.describe(Scene(view="split", original=image + 200, styles=styles, showing=frozenset({"strip"})))
    edges = []
    for pressed in (["x"], [], [], ["full-screen"], ["quit"]):
        window.send(Frame(image, 0, 0.0))
        edges.append(int((glass.images[-1][5, :, 0] == 200).sum()))
        clicked = window.pressed()
        assert [name for name in clicked if not name.startswith("style")] == pressed
    assert abs(edges[0] - 320) <= 1
    assert [abs(edge - 160) <= 1 for edge in edges[2:]] == [True] * 3  # not dragged by what began on a style
    for chosen, key in (("", "person alpha"), ("alpha", "person none")):
        window.describe(Scene(styles=styles, chosen=("beta", chosen), showing=frozenset({"strip"})))
        window.send(Frame(image, 0, 0.0))
        glass.script = [[Pointer("second", 290, 350), Pointer("second", 290, 100)]]
        assert window.pressed() == [key]
    window.describe(Scene(showing=frozenset({"full-screen"})))
    window.describe(Scene())
    assert glass.full == [True, False]
