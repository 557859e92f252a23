"""The gallery: its facts, its rows, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from support.gallery import STYLES, make_gallery

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.nets.card import ROW
from livestyle.nets.gallery_rows import FILE, NUMBERS, ROWS_FILE, load_gallery, read_row
from livestyle.nets.library import find_card, find_cards, find_nets, find_painting, find_rows

SHIPPED = Path(__file__).parents[2] / "models/predictors/any_picture/gallery"


def test_styles_of_a_gallery_come_after_those_with_nets(tmp_path: Path) -> None:
    make_gallery(tmp_path)
    cards = find_cards("style", tmp_path)
    assert list(cards)[: len(find_nets("style"))] == list(find_nets("style"))
    assert list(find_rows(tmp_path))[:3] == list(STYLES)
    card = find_card("style", "Colline a l'ete", tmp_path)
    assert (card.name, card.net, card.families) == ("red_hill", ROW, ["prints", "bold"])
    assert Image.open(card.thumbnail).size == (16, 12)
    with pytest.raises(UserError, match="painting"):  # a thumbnail is none
        find_painting("red_hill", tmp_path)


def test_a_net_of_ones_own_hides_a_style_of_a_gallery(tmp_path: Path) -> None:
    make_gallery(tmp_path)
    wave = find_nets("style")["great_wave"]
    assert wave.folder is not None
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles/red_hill").symlink_to(wave.folder)
    cards = find_cards("style", tmp_path)
    assert cards["red_hill"].net == wave.net
    assert list(cards).count("red_hill") == 1


def test_each_style_has_its_row(tmp_path: Path) -> None:
    cards = load_gallery(make_gallery(tmp_path))
    for number, card in enumerate(cards.values()):
        row = read_row(card)
        assert (row.dtype, row.shape) == (np.float32, (NUMBERS,))
        assert (row == number).all()


def test_a_gallery_without_rows_has_no_styles(tmp_path: Path) -> None:
    file = make_gallery(tmp_path)
    change(file, lambda facts: facts.update(rows={}))
    assert load_gallery(file) == {}


def change(file: Path, how: Callable[[Any], object]) -> None:
    """Change a gallery.json."""
    facts = json.loads(file.read_text("utf-8"))
    how(facts)
    file.write_text(json.dumps(facts), "utf-8")


def of_first(**changes: object) -> Callable[[Any], object]:
    """Change facts of the first style."""
    return lambda facts: facts["styles"][0].update(changes)


@pytest.mark.parametrize(
    "how",
    [
        of_first(name="../x"), of_first(name="grey_sea"), of_first(name="_"), of_first(title="a\nb"),
        of_first(died="1901"), of_first(died=12345), of_first(died=True), of_first(families=[]), of_first(families=[1]),
        of_first(families="prints"), of_first(picture_sha256="0"), of_first(thumbnail_sha256="x" * 64),
        of_first(more=1), lambda facts: facts["styles"][0].pop("source"), lambda facts: facts["styles"].append(1),
        lambda facts: facts.update(rows={"other.safetensors": "0" * 64}), lambda facts: facts.update(styles={}),
        lambda facts: facts.update(rows={ROWS_FILE: 1}), lambda facts: facts.update(more=1),
        lambda facts: facts["styles"].extend(facts["styles"] * 400),
    ],
)  # fmt: skip
def test_a_wrong_gallery_is_refused(how: Callable[[Any], object], tmp_path: Path) -> None:
    file = make_gallery(tmp_path)
    change(file, how)
    with pytest.raises(UserError, match="is not a gallery"):
        load_gallery(file)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, " " * (1 << 21)])
def test_what_is_no_gallery_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(UserError, match="is not a gallery"):
        load_gallery(tmp_path / FILE)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((3, NUMBERS), np.float32), np.zeros((2, NUMBERS), np.float16), np.zeros((3, 8), np.float16),
        np.full((3, NUMBERS), np.nan, np.float16),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(rows: np.ndarray[Any, Any], tmp_path: Path) -> None:
    file = make_gallery(tmp_path)
    save_file({"rows": rows}, file.with_name(ROWS_FILE))
    first = next(iter(load_gallery(file).values()))
    with pytest.raises(UserError, match="damaged"):
        read_row(first)
    change(file, lambda facts: facts.update(rows={ROWS_FILE: sha256(file.with_name(ROWS_FILE))}))
    with pytest.raises(UserError, match="does not hold the rows"):
        read_row(next(iter(load_gallery(file).values())))
    file.with_name(ROWS_FILE).unlink()
    with pytest.raises(UserError, match="missing"):
        read_row(first)


def test_the_shipped_gallery_is_complete() -> None:
    """Each picture is proven to be in the public domain, and has a thumbnail that loads at once."""
    facts = json.loads((SHIPPED / FILE).read_text("utf-8"))
    styles, families = facts["styles"], [family for style in facts["styles"] for family in style["families"]]
    assert len(styles) >= 60
    assert len({style["picture_sha256"] for style in styles}) == len(styles)
    assert min(families.count(name) for name in ("prints", "line", "dots", "light", "dark", "calm")) >= 6
    for style in styles:
        assert style["public_domain"].startswith("CC0 (") or style["died"] is None or style["died"] < 1956
        thumbnail = SHIPPED / f"{style['name']}.jpg"
        assert sha256(thumbnail) == style["thumbnail_sha256"]
        assert Image.open(thumbnail).height == 96
        assert thumbnail.stat().st_size <= 4096
    for card in load_gallery(SHIPPED / FILE).values():
        assert read_row(card).any()
