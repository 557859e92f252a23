"""Every example runs as a user would run it, on the demo clip."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import livestyle
from livestyle.image.io import load_image, save_image
from livestyle.image.types import Image

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
pytestmark = pytest.mark.readme


def run(folder: Path, *words: object, prefix: tuple[str, ...] = ()) -> str:
    """Run an example in a folder; what it prints."""
    command = [*prefix, sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def photo(tmp_path: Path, person: Image) -> Path:
    """A photo of a person."""
    path = tmp_path / "me.png"
    save_image(path, person)
    return path


def changed(photo: Path, painted: Path) -> float:
    """Return the share of pixels that are another colour."""
    return float((np.abs(load_image(photo).astype(int) - load_image(painted)).max(2) > 8).mean())


def test_every_example_has_a_row_and_a_test() -> None:
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    table, tests = (EXAMPLES / "README.md").read_text("utf-8"), Path(__file__).read_text("utf-8")
    for name in names:
        assert f"[{name}]({name})" in table
        assert f'"{name}"' in tests


def test_a_photo_is_painted(tmp_path: Path, photo: Path) -> None:
    said = run(tmp_path, EXAMPLES / "photo.py", photo, "painted.png", "great_wave")
    assert "the person covers 2" in said
    assert 0.4 < changed(photo, tmp_path / "painted.png") < 0.9


def test_a_segmenter_of_ones_own_cuts_people_out(tmp_path: Path, photo: Path) -> None:
    run(tmp_path, EXAMPLES / "own_segmenter.py", photo, "painted.png")
    before, after = load_image(photo), load_image(tmp_path / "painted.png")
    assert (np.abs(before[-40:, 310:330].astype(int) - after[-40:, 310:330]) <= 1).all()  # the middle stays
    assert changed(photo, tmp_path / "painted.png") > 0.4


def test_a_sink_of_ones_own_gets_every_frame(tmp_path: Path) -> None:
    assert "30 frames" in run(tmp_path, EXAMPLES / "own_sink.py", "brightness.csv")
    rows = [line.split(",") for line in (tmp_path / "brightness.csv").read_text().splitlines()]
    assert len(rows) == 30
    assert all(0 < float(mean) < 255 for _, mean in rows)


def test_a_webcam_loop_shows_painted_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hands to OpenCV's window."""
    clip, shown = Path(livestyle.__file__).parent / "demo.mp4", list[Image]()
    monkeypatch.setattr(cv2, "imshow", lambda name, bgr: shown.append(bgr.copy()))
    monkeypatch.setattr(cv2, "waitKey", lambda delay: -1)
    monkeypatch.setattr(sys, "argv", ["webcam.py", str(clip), "3"])
    runpy.run_path(str(EXAMPLES / "webcam.py"), run_name="__main__")
    capture = cv2.VideoCapture(str(clip))
    frames = [capture.read()[1] for _ in range(3)]
    assert len(shown) == 3
    for frame, image in zip(frames, shown, strict=True):
        assert np.abs(frame[:100, :150].astype(int) - image[:100, :150]).mean() > 10  # the room
        assert np.abs(frame[130:200, 305:355].astype(int) - image[130:200, 305:355]).mean() < 8  # the face


@pytest.mark.window
@pytest.mark.skipif(not shutil.which("xvfb-run"), reason="needs Xvfb")
def test_a_webcam_loop_opens_a_window(tmp_path: Path) -> None:
    clip = Path(livestyle.__file__).parent / "demo.mp4"
    run(tmp_path, EXAMPLES / "webcam.py", clip, 3, prefix=("xvfb-run", "-a"))


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads((EXAMPLES / "looks.ipynb").read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert not any(cell.get("outputs") for cell in cells)  # the file stays small
    (tmp_path / "notebook.py").write_text(code + "\nassert both.shape == frame.image.shape and matte.max() == 1\n")
    run(tmp_path, "notebook.py")
