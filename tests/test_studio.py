"""Stills painted by optimisation, with the compact loss network."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from conftest import test_card

from livestyle import image as pixels
from livestyle.errors import UserError
from livestyle.image import Frame, Image, Matte, load_image, save_image
from livestyle.settings import Settings
from livestyle.studio import Recipe, Studio, scales_of, style_pictures

COMPACT = Path("compact")


def silent(*_: object) -> None:
    """Nobody listens."""


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    save_image(path, np.ascontiguousarray(test_card(90, 60, seed=9)[::-1]))
    return path


def half(image: Image) -> Matte:
    """A person on the left, with a soft edge."""
    matte = np.zeros(image.shape[:2], np.float32)
    matte[:, :60], matte[:, 60:64] = 1, 0.5
    return matte


class HalfPerson:
    """In the place of a filter, whose segmenter has tests of its own."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def matte(self, frame: Frame) -> Matte:
        return half(frame.image)


@pytest.fixture
def paint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("livestyle.studio.Filter", HalfPerson)

    def run(styles: dict[str, Path], over: Event | None = None, **other: Any) -> tuple[Image, Image]:
        image = test_card(130, 90)
        save_image(tmp_path / "in.png", image)
        recipe = Recipe(styles, **{"iterations": 3, "long_side": 100, **other})
        studio = Studio(Settings(device="cpu"), recipe, COMPACT, silent)
        studio.paint(tmp_path / "in.png", tmp_path / "out.png", over or Event(), silent)
        return image, load_image(tmp_path / "out.png")

    return run


@pytest.mark.parametrize(("plane", "kept"), [("person", 0), ("background", 1)])
@pytest.mark.parametrize("other", [{}, {"naive": True}, {"init": "noise"}])
def test_a_plane_without_a_style_keeps_its_pixels(
    paint: Any, painting: Path, plane: str, kept: int, other: dict[str, Any]
) -> None:
    image, result = paint({plane: painting}, **other)
    stays = half(image) == kept
    assert result.shape == image.shape
    assert np.array_equal(result[stays], image[stays])
    assert np.abs(result[half(image) == 1 - kept].astype(int) - image[half(image) == 1 - kept]).mean() > 2


def test_a_run_that_is_stopped_leaves_a_whole_picture(paint: Any, painting: Path, tmp_path: Path) -> None:
    over = Event()
    over.set()
    image, result = paint({"person": painting}, over)
    assert np.array_equal(result[half(image) == 0], image[half(image) == 0])
    assert not list(tmp_path.glob(".*part*"))


def test_kept_colours_are_the_pictures(paint: Any, painting: Path) -> None:
    image, result = paint({"person": painting, "background": painting}, keep_colors=True)
    assert np.abs(pixels.keep_colors(result, image).astype(int) - result).max() <= 3


def test_scales_double_and_share_the_iterations() -> None:
    assert scales_of((1000, 500), 400, 10) == [((100, 50), 4), ((200, 100), 3), ((400, 200), 3)]
    assert scales_of((100, 80), 400, 3) == [((50, 40), 2), ((100, 80), 1)]  # never above the picture's own
    assert scales_of((1000, 500), 400, 1) == [((400, 200), 1)]
    with pytest.raises(UserError, match="640x20 is too small"):
        scales_of((640, 20), 400, 3)


def test_bad_looks_and_recipes_are_named(painting: Path, tmp_path: Path) -> None:
    assert style_pictures(f"image:{painting}", "none") == {"background": painting}
    for looks, words in (((None, "great_wave"), "great_wave"), (("gone.jpg", "none"), "gone.jpg")):
        with pytest.raises(UserError, match=words):
            style_pictures(*looks)
    for other, words in (
        ({"optimizer": "sgd"}, "sgd"),
        ({"init": "black"}, "black"),
        ({"styles": {}}, "style picture"),
    ):
        with pytest.raises(UserError, match=words):
            Recipe(**{"styles": {"person": painting}, **other}).check()
