"""Contract over every source, and the ways in which clips and cameras fail."""

import threading
from collections.abc import Iterator
from dataclasses import Field, fields, replace
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from support.cameras import Desk, FakeCapture, write_clip
from support.pictures import draw_card
from support.threads import Held

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream
from livestyle.video.sources import camera as cameras
from livestyle.video.sources import latest as pacing
from livestyle.video.sources import open as sources
from livestyle.video.sources.camera import Reconnecting
from livestyle.video.sources.clip import ClipSource
from livestyle.video.sources.latest import MIN_ABSENCE_S, Latest, Paced
from livestyle.video.sources.open import open_source
from livestyle.video.sources.source import Source, SourceInfo, Wrapper


@pytest.fixture
def texts(tmp_path: Path, card: Path) -> dict[str, str]:
    """A source's text per row of SOURCES that needs no camera."""
    return {"demo": "demo", "still": str(card), "faults": "faults:0", "video": str(write_clip(tmp_path / "clip.mp4"))}


def test_every_kind_of_source_is_tested(texts: dict[str, str]) -> None:
    assert {kind.name for kind in sources.SOURCES} == {*texts, "camera"}
    for name, text in texts.items():
        assert sources.kind_of(text).name == name


@pytest.mark.parametrize("name", ["demo", "still", "faults", "video"])
@pytest.mark.parametrize("size", [None, (50, 30)])
def test_frames_are_whole_and_in_order(texts: dict[str, str], name: str, size: tuple[int, int] | None) -> None:
    with open_source(texts[name], size) as source:
        frames = list(islice(source, 10))
        assert size is None or source.info.size == size
    assert len(frames) == 10
    assert frames[0].time == 0
    for frame in frames:
        assert frame.image.shape == (*source.info.size[::-1], 3)
        assert frame.image.dtype == np.uint8
    assert all(b.index > a.index and b.time > a.time for a, b in pairwise(frames))
    source.close()


def test_the_demo_loops_without_end() -> None:
    with open_source("demo") as source:
        frames = list(islice(source, 405))
    assert [f.index for f in frames] == list(range(405))
    assert frames[200].time == pytest.approx(8.0, abs=0.01)
    assert np.abs(frames[0].image.astype(int) - frames[200].image).mean() < 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("size", [(128, 96), (1280, 720)])
def test_colours_survive_a_clip(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    image, (w, h) = draw_card(*size), size
    with ClipSink(tmp_path / name, Stream(size, 25)) as sink:
        for index in range(3):
            sink.send(Frame(image, index, index / 25))
    with open_source(str(tmp_path / name)) as source:
        back = next(iter(source)).image
    for y, x in ((h // 4, w // 4), (h // 4, 3 * w // 4), (3 * h // 4, w // 4), (3 * h // 4, 3 * w // 4)):
        patch = np.s_[y - 8 : y + 8, x - 8 : x + 8]
        assert np.abs(image[patch].mean((0, 1)) - back[patch].mean((0, 1))).max() < 6


@pytest.mark.parametrize("content", [b"", b"not a video", b"\0\0\0\x20ftypisom" + b"\0" * 300])
def test_what_is_no_clip_gets_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.mp4"):
        open_source(str(path))


def test_a_missing_file_and_a_missing_camera() -> None:
    with pytest.raises(UserError, match=r"no file gone\.mp4"):
        open_source("gone.mp4")
    with pytest.raises(UserError, match=r"Did you mean demo\?"):
        open_source("demoo")
    with pytest.raises(UserError, match="demo"):
        open_source("97")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clip_cut_in_the_middle_gives_what_it_has_and_a_warning(tmp_path: Path, suffix: str) -> None:
    whole = write_clip(tmp_path / f"whole{suffix}", frames=60, size=(320, 240))
    data = whole.read_bytes()
    data = data[: len(data) // 2]
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(data)
    with open_source(str(cut)) as source:
        frames = list(source)
    assert 0 < len(frames) < 60
    assert "cut" in source.warning


class Scripted(Source):
    """Gives frames when told to, so that threads can be stepped."""

    def __init__(self, error: Exception | None = None, comes_back: bool = False) -> None:
        self.info = SourceInfo("scripted", (8, 8), 30.0, is_live=True, comes_back=comes_back)
        self.gate, self.given, self.closed = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
        self.count, self.error = 0, error

    def __iter__(self) -> Iterator[Frame]:
        while True:
            self.gate.acquire()
            if self.count < 0:
                if self.error:
                    raise self.error
                return
            yield Frame(np.full((8, 8, 3), self.count, np.uint8), self.count, self.count / 30)
            self.count += 1
            self.given.release()

    def step(self, frames: int = 1) -> None:
        """Give so many frames and wait until they are taken."""
        for _ in range(frames):
            self.gate.release()
            assert self.given.acquire(timeout=10)

    def end(self) -> None:
        """Give no more."""
        self.count = -1
        self.gate.release()

    def close(self) -> None:
        self.closed.set()


KNOWN = SourceInfo(  # in which nothing is as it would be by itself
    "clip", (12, 34), 56.0, total=78, is_live=True, comes_back=True, audio=Path("a.mp4"), start=9.0, is_bt709=True
)


class Known(Source):
    """Ends at once, and notes what it is asked to do."""

    info, _warning, _dropped = KNOWN, "broken", 3

    def __init__(self) -> None:
        self.asked = set[str]()

    def __iter__(self) -> Iterator[Frame]:
        return iter(())

    def end(self) -> None:
        self.asked.add("end")

    def rest(self, resting: bool) -> None:
        self.asked.add("rest")

    def close(self) -> None:
        self.asked.add("close")


@pytest.mark.parametrize("kind", [Paced, Latest])
@pytest.mark.parametrize("field", fields(SourceInfo), ids=lambda field: field.name)
def test_a_wrapper_hands_on_all_that_is_known(kind: type[Paced | Latest], field: Field[object]) -> None:
    assert getattr(KNOWN, field.name) != field.default
    with kind(Known()) as wrapper:
        assert getattr(wrapper.info, field.name) == getattr(KNOWN, field.name)


@pytest.mark.parametrize("kind", [Paced, Latest])
def test_a_wrapper_asks_the_source_behind_it(kind: type[Paced | Latest]) -> None:
    source = Known()
    with kind(source) as wrapper:
        wrapper.rest(True)
        wrapper.end()
        assert (wrapper.warning, wrapper.dropped) == ("broken", 3)
    assert source.asked == {"rest", "end", "close"}


def test_every_wrapper_is_tested() -> None:
    ours = {kind for kind in Wrapper.__subclasses__() if kind.__module__.startswith("livestyle.")}
    assert ours == {Paced, Latest}


def test_a_camera_that_comes_back_is_known_as_it_was_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "Camera", lambda *_: SimpleNamespace(info=KNOWN, close=lambda: None))
    with Reconnecting("0") as camera:
        assert camera.info == KNOWN


def test_a_clip_at_its_own_pace_ends_when_it_is_told_to() -> None:
    """Though its next frame is an hour away."""
    frames = [Frame(np.zeros((2, 2, 3), np.uint8), index, 3600.0 * index) for index in range(2)]

    class Rare(Known):
        def __iter__(self) -> Iterator[Frame]:
            return iter(frames)

    paced = Paced(Rare())
    taken = iter(paced)
    assert next(taken).index == 0
    paced.end()
    assert list(taken) == []


def test_the_newest_frame_wins_and_the_rest_count_as_dropped() -> None:
    source = Scripted()
    with Latest(source) as latest:
        frames = iter(latest)
        source.step(3)
        assert next(frames).index == 2
        source.step()
        assert next(frames).index == 3
        assert latest.dropped == 2
        source.end()
    assert source.closed.is_set()
    assert not latest._thread.is_alive()


def test_an_error_in_the_capture_thread_reaches_the_reader() -> None:
    source = Scripted(UserError("The camera is gone."))
    with Latest(source) as latest:
        source.end()
        with pytest.raises(UserError, match="gone"):
            next(iter(latest))
    assert source.closed.is_set()


def test_a_silent_camera_is_an_error_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "STALL_S", 0.01)
    source = Scripted()
    latest = Latest(source)
    with pytest.raises(UserError, match="sent no frame"):
        next(iter(latest))
    source.end()
    latest.close()


def test_a_camera_that_is_away_is_stood_for_by_blank_frames_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MIN_ABSENCE_S < 0.5
    monkeypatch.setattr(pacing, "MIN_ABSENCE_S", 0.01)
    monkeypatch.setattr(pacing, "MIN_ABSENCE_FRAMES", 0.0)
    monkeypatch.setattr(pacing, "BLANK_INTERVAL_S", 0.001)
    source = Scripted(comes_back=True)
    with Latest(source) as latest:
        frames, taken = iter(latest), []
        for _ in range(3):
            source.step()
            taken += islice(frames, 4)  # the frame, and three that stand for those which do not come
        source.end()
    assert [frame.is_blank for frame in taken] == [False, True, True, True] * 3
    assert all(b.index > a.index and b.captured >= a.captured for a, b in pairwise(taken))
    for frame in taken:
        assert frame.image.shape == (8, 8, 3)
        assert not (frame.is_blank and frame.image.any())


@pytest.mark.parametrize(("fps", "patience"), [(30.0, 0.4), (60.0, 0.4), (5.0, 0.5), (2.0, 1.25)])
def test_a_slow_camera_is_not_taken_for_one_that_is_away(
    monkeypatch: pytest.MonkeyPatch, fps: float, patience: float
) -> None:
    source, waited = Scripted(comes_back=True), []
    source.info = replace(source.info, fps=fps)
    with Latest(source) as latest:
        monkeypatch.setattr(latest._changed, "wait_for", lambda _, timeout: waited.append(timeout))
        assert next(iter(latest)).is_blank
        source.end()
    assert waited == [patience]


def test_paced_frames_keep_their_order_and_end(texts: dict[str, str]) -> None:
    with Paced(open_source(texts["video"])) as paced:
        assert [frame.index for frame in paced] == list(range(12))
        assert paced.info.is_live


def test_urls_are_read(tmp_path: Path) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    write_clip(tmp_path / "clip.mp4")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with open_source(f"{url}/clip.mp4") as source:
            assert len(list(source)) == 12
            assert source.info.audio is None
        with pytest.raises(UserError, match="gone"):
            open_source(f"{url}/gone.mp4")
        server.shutdown()
    with pytest.raises(UserError, match=r"127\.0\.0\.1"):
        open_source(f"{url}/clip.mp4")


def test_a_camera_is_asked_for_mjpg_first_and_what_it_grants_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda: fake)
    with open_source("0", (1280, 720), 30) as camera:
        size_and_rate = [cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS]
        assert fake.asked == [cv2.CAP_PROP_FOURCC, *size_and_rate]
        assert (camera.info.size, camera.info.fps) == ((64, 48), 24.0)
        assert "64x48 at 24 fps, MJPG" in camera.info.name
    assert fake.released


def test_a_cameras_pictures_are_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    with open_source("/dev/video0") as camera:
        frames = list(islice(camera, 3))
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert (frames[0].image[0, 0] == (0, 0, 200)).all()


def test_a_camera_that_cannot_be_told_from_others_is_not_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(cameras, "identify", lambda _: None)
    with open_source("0") as camera, pytest.raises(UserError, match="stopped sending"):
        list(camera)


def test_a_camera_comes_back_a_hundred_times(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    held = Held()
    with open_source("0") as camera:
        frames = list(islice(camera, 403))
    assert [frame.index for frame in frames] == list(range(403))
    assert [frame.is_blank for frame in frames] == ([False] * 3 + [True]) * 100 + [False] * 3  # at once, not in time
    assert all(b.time >= a.time for a, b in pairwise(frames))
    assert len(desk.captures) == 101
    assert all(capture.released for capture in desk.captures)
    assert not held.more()[0]


def test_a_run_ends_at_once_while_the_camera_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    monkeypatch.setattr(cameras, "find_again", lambda *_: None)
    monkeypatch.setattr(cameras, "RETRY_S", 60.0)
    with Latest(open_source("0")) as latest:
        frames = iter(latest)
        while not next(frames).is_blank:
            pass
    assert not latest._thread.is_alive()
    assert desk.captures[0].released


def test_a_camera_at_rest_is_let_go_of_and_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    monkeypatch.setattr(cameras, "find_again", lambda *_: desk.device())
    with Latest(open_source("0")) as latest:
        frames = iter(latest)
        while next(frames).is_blank:
            pass
        latest.rest(True)
        while not (next(frames).is_blank and desk.captures[-1].released):
            pass
        opened = len(desk.captures)
        assert next(frames).is_blank
        assert len(desk.captures) == opened
        latest.rest(False)
        while next(frames).is_blank:
            pass
        assert len(desk.captures) > opened


def test_a_folder_is_no_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder, a device or a pipe"):
        ClipSource(str(tmp_path))
