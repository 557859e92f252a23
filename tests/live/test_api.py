"""The public API, as `import livestyle` gives it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import livestyle
from livestyle.image.types import Image


def test_every_public_name_is_there_and_documented() -> None:
    assert set(livestyle.__all__) == set(dir(livestyle))
    for name in set(livestyle.__all__) - {"__version__"}:
        assert getattr(livestyle, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing_such"):
        livestyle.nothing_such  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import livestyle"], capture_output=True, text=True
    )
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert not {"numpy", "cv2", "av", "typer", "platformdirs", "dataclasses"} & set(imported)


def test_a_single_picture_and_the_frames_of_a_clip_are_painted(person: Image) -> None:
    with livestyle.Filter(background="color:#102030") as filter:
        before = person.copy()
        painted, matte = filter.paint(person), filter.matte(person)
        assert (painted.shape, painted.dtype, matte.shape, matte.dtype) == (
            person.shape,
            np.uint8,
            person.shape[:2],
            np.float32,
        )
        assert 0.1 < matte.mean() < 0.6
        assert (painted[matte == 0] == (0x10, 0x20, 0x30)).all()
        assert (person == before).all()
        assert (filter.paint(person) == painted).all()  # a single picture does not depend on the one before
        frames = [filter.paint(person, time=index / 30) for index in range(3)]
        assert all(frame.shape == person.shape for frame in frames)
        filter.look = "color:#ff0000"
        assert (filter.paint(person)[matte == 0] == (255, 0, 0)).all()
        assert filter.look.person.text == "none"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backgroundd": "blur"}, "background"),
        ({"background": "stary_night"}, "starry_night"),
        ({"segmenter": "unett"}, "unet"),
        ({"quality": "bests"}, "best"),
    ],
)
def test_wrong_settings_are_refused_with_the_next_step(person: Image, settings: dict[str, str], words: str) -> None:
    with pytest.raises(livestyle.UserError, match=words), livestyle.Filter(**settings) as filter:
        filter.paint(person)


def test_a_run_without_the_command_line(tmp_path: Path) -> None:
    said: list[str] = []
    sink = f"file:{tmp_path / 'a.mp4'}"
    report = livestyle.run("demo", sinks=[sink], background="blur", frames=3, say=said.append)
    assert report.frames == 3
    assert any("demo" in line for line in said)
    with livestyle.open_source(str(tmp_path / "a.mp4")) as source:
        assert len(list(source)) == 3
    with pytest.raises(livestyle.UserError, match="frames"):
        livestyle.run("demo", sinks=["null"], framess=3)


def test_frames_go_from_a_source_to_a_sink(tmp_path: Path) -> None:
    with livestyle.open_source("demo", (320, 180)) as source:
        size, frames = source.info.size, [frame for frame, _ in zip(source, range(4), strict=False)]
    with livestyle.open_sink(f"file:{tmp_path / 'b.mp4'}", size, 25.0) as sink:
        for frame in frames:
            sink.send(frame)
    with livestyle.open_source(str(tmp_path / "b.mp4")) as source:
        assert source.info.size == size == (320, 180)
        assert len(list(source)) == 4


def test_what_there_is() -> None:
    assert "starry_night" in livestyle.styles()
    assert {"unet", "kmeans"} <= set(livestyle.segmenters())
