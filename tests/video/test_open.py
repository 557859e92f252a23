"""What users type for sources and sinks; a kind that comes from outside is one row."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.virtual_camera import FakeCamera

from livestyle.cli.main import run
from livestyle.config.settings import LiveSettings
from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.privacy import privacy_of
from livestyle.video.sinks import virtual_camera
from livestyle.video.sinks.open import SINKS, SinkKind, open_sink, open_sinks, parse_sinks
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream
from livestyle.video.sources.open import SOURCES, SourceKind, kind_of, open_source
from livestyle.video.sources.source import Asked, Source, SourceInfo
from livestyle.video.window import preview

STREAM = Stream((64, 48), 25)


class Plain(Source):
    """Three frames of one grey."""

    def __init__(self, text: str, asked: Asked) -> None:
        self._level = int(text.partition(":")[2])
        self.info = SourceInfo(text, asked.size or (64, 48), asked.fps or 25.0, total=3)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(3):
            image = np.full((*self.info.size[::-1], 3), self._level, np.uint8)
            yield Frame(image, index, index / self.info.fps)


class Levels(Sink):
    """Keeps the mean of each frame."""

    def __init__(self, argument: str, stream: Stream) -> None:
        self.info, self.means = SinkInfo(f"levels {argument}", is_live=True, is_call=True), list[float]()

    def send(self, frame: Frame) -> None:
        self.means.append(float(frame.image.mean()))


@pytest.fixture
def plugged() -> Iterator[None]:
    """A source and a sink from outside, taken away again."""
    row = SourceKind("plain", "one grey", lambda text: text.startswith("plain:"), Plain)
    SOURCES.insert(0, row)
    SINKS["levels"] = SinkKind("levels:NAME", "means", Levels, is_live=True, is_call=True, license="MIT", source="me")
    yield
    SOURCES.remove(row)
    del SINKS["levels"]


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """What `livestyle list sinks` shows, by name."""
    assert run(["list", "sinks", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_a_source_and_a_sink_from_outside_are_one_row_each(plugged: None, capsys: pytest.CaptureFixture[str]) -> None:
    specs = parse_sinks(["levels:a", "null"])
    with open_source("plain:90") as source, open_sinks(specs, STREAM, source.info.is_live) as outputs:
        assert outputs.name == "levels a, null"
        assert outputs.is_live
        for frame in source:
            outputs.sink.send(frame)
        levels = outputs.sink.sinks[0]
        assert isinstance(levels, Levels)
        assert levels.means == [90.0] * 3
    assert kind_of("plain:90").name == "plain"
    assert listed(capsys)["levels"] == {
        "name": "levels",
        "title": "levels:NAME: means",
        "license": "MIT",
        "source": "me",
    }
    assert privacy_of(LiveSettings(sinks=("levels:a",))).is_call
    with pytest.raises(UserError, match="levels:NAME"):
        parse_sinks(["levels"])  # without its name


def test_once_they_are_taken_away_they_are_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert kind_of("plain:90").name == "video"
    assert set(listed(capsys)) == {"window", "virtual-camera", "file", "null"}
    with pytest.raises(UserError, match="There is no sink 'levels:a'"):
        parse_sinks(["levels:a"])


def test_texts_are_parsed_in_one_place() -> None:
    specs = parse_sinks(["window", "window:qt", "virtual-camera:/dev/video9", "file:a:b.mp4", "null"])
    assert [spec.argument for spec in specs] == ["", "qt", "/dev/video9", "a:b.mp4", ""]
    assert [spec.kind.is_window for spec in specs] == [True, True, False, False, False]
    assert [spec.kind.is_call for spec in specs] == [False, False, True, False, False]
    assert [spec.kind.is_live for spec in specs] == [True, True, True, False, False]
    assert specs[3].text == "file:a:b.mp4"


def test_several_windows_are_one_preview_and_no_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = list[str]()
    monkeypatch.setattr(
        preview,
        "open_canvas",
        lambda size, name, is_below: SimpleNamespace(name=name, note="", close=lambda: closed.append(name)),
    )
    with open_sinks(parse_sinks(["window:qt", "null", "window:opencv"]), STREAM, is_live=False) as outputs:
        assert outputs.name == "window (qt), window (opencv), null"
        assert outputs.is_live
        assert len(outputs.preview.previews) == 2
        assert [sink.info.name for sink in outputs.sink.sinks] == ["null"]
    assert sorted(closed) == ["opencv", "qt"]


@pytest.mark.parametrize("text", ["null", "file:{}/a.mp4", "virtual-camera"])
def test_a_row_says_of_a_sink_what_the_sink_says_of_itself(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = SimpleNamespace(Camera=FakeCamera, PixelFormat=SimpleNamespace(RGB="rgb"))
    monkeypatch.setitem(sys.modules, "pyvirtualcam", driver)
    monkeypatch.setattr(virtual_camera, "IS_LINUX", False)  # no module is asked what the device is
    (spec,) = parse_sinks([text.format(tmp_path)])
    with open_sink(spec.text, STREAM) as sink:
        assert (sink.info.is_live, sink.info.is_call) == (spec.kind.is_live, spec.kind.is_call)
        assert not spec.kind.is_window


def test_what_was_opened_is_closed_where_another_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="no screen"):
        open_sinks(parse_sinks([f"file:{tmp_path / 'a.mp4'}", "window"]), STREAM, is_live=True)
    assert not list(tmp_path.iterdir())
