"""Segmenters and refinements: tables to which a plug-in adds one row."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.pictures import draw_card

import livestyle
from livestyle.cli.lists import LISTS
from livestyle.config.load import load_config
from livestyle.config.look import look_of
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.segmenters import evaluate_segmenters
from livestyle.image.io import save_image
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.refine import REFINEMENTS, Refinement
from livestyle.matting.segmenter import register_segmenter, unregister_segmenter
from livestyle.render.filter import Filter

FRAME = Frame(draw_card(64, 48), 0, 0.0)


def left_half(image: Image) -> Matte:
    """The person is on the left."""
    matte = np.zeros(image.shape[:2], np.float32)
    matte[:, : image.shape[1] // 2] = 1
    return matte


@pytest.fixture
def mine() -> Iterator[None]:
    register_segmenter("mine", left_half, "the left half", source="this test")
    yield
    unregister_segmenter("mine")


def names() -> set[str]:
    return {row["name"] for row in LISTS["segmenters"](None)}


def test_a_segmenter_from_outside_is_used_and_listed(
    mine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Filter(Settings(segmenter="mine", background="color:#102030"), live=False) as filter:
        assert filter.segmenter == "mine"
        matte = filter.matte(FRAME)
        assert (matte[:, :30] == 1).all()
        assert (matte[:, 34:] == 0).all()
        out = filter(FRAME, look_of(Settings(background="color:#102030"), ""))
        assert (out[:, 34:] == (16, 32, 48)).all()
    row = next(row for row in LISTS["segmenters"](None) if row["name"] == "mine")
    assert (row["title"], row["source"]) == ("the left half (ready)", "this test")
    assert "mine" in livestyle.segmenters()
    (tmp_path / "config.toml").write_text('segmenter = "mine"\n')
    monkeypatch.setenv("LIVESTYLE_CONFIG", str(tmp_path / "config.toml"))
    assert load_config().values["segmenter"].value == "mine"


def test_a_segmenter_from_outside_is_evaluated(mine: None, tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg", FRAME.image)
    save_image(tmp_path / "a.png", (255 * left_half(FRAME.image)).astype(np.uint8))
    _, table = evaluate_segmenters(Settings(), tmp_path, ["mine"], lambda name, done: None)
    assert table["mine"]["mean_iu"] > 0.99  # type: ignore[index, operator]


def test_a_segmenter_from_outside_is_taken_away() -> None:
    before = names()
    register_segmenter("mine", left_half)
    assert names() == before | {"mine"}
    for taken in ("mine", "kmeans", "fcn8s"):
        with pytest.raises(ValueError, match=taken):
            register_segmenter(taken, left_half)
    unregister_segmenter("mine")
    assert names() == before
    with pytest.raises(UserError, match="mine"):
        Filter(Settings(segmenter="mine"))


def test_a_refinement_from_outside_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REFINEMENTS, "hard", Refinement(after=lambda matte, image: (matte > 0.5).astype(np.float32)))
    with Filter(Settings(segmenter="kmeans", refine="hard"), live=False) as filter:
        assert set(np.unique(filter.matte(FRAME))) <= {0, 1}
    with pytest.raises(UserError, match="stills only"):
        Filter(Settings(refine="hard"))
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"no refinement 'hard'.*Choose from: guided, crf, matting"):
        Filter(Settings(refine="hard"), live=False)
