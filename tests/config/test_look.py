"""The parser of looks, and the actions."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.config.look import Plane, exact_look, look_of, parse_plane
from livestyle.config.picture import RowTitle
from livestyle.config.settings import Settings
from livestyle.errors import UserError


@pytest.mark.parametrize(
    ("text", "kind", "fact"),
    [
        ("none", "none", {}),
        ("wave", "style", {"styles": (("wave", 1.0),)}),
        ("a+b@0.3", "style", {"styles": (("a", 0.7), ("b", 0.3))}),
        ("a+b", "style", {"styles": (("a", 0.5), ("b", 0.5))}),
        ("blur", "blur", {"amount": 0.5}),
        ("blur:0.8", "blur", {"amount": 0.8}),
        ("bokeh", "bokeh", {"amount": 0.5}),
        ("bokeh:0.7", "bokeh", {"amount": 0.7}),
        ("color:#0a141e", "color", {"color": (10, 20, 30)}),
        ("color:0a141e", "color", {"color": (10, 20, 30)}),
        ("#0f0", "color", {"color": (0, 255, 0), "text": "color:#0f0"}),
        ("Dark Green", "color", {"color": (0, 100, 0)}),
        ("color:rgb(1, 2, 3)", "color", {"color": (1, 2, 3)}),
        ("None", "none", {}),
        (" BLUR:0.8 ", "blur", {"amount": 0.8, "text": "blur:0.8"}),
    ],
)
def test_looks_parse(text: str, kind: str, fact: dict[str, object]) -> None:
    plane = parse_plane(text)
    assert plane.kind == kind
    for key, value in fact.items():
        assert getattr(plane, key) == pytest.approx(value) if key == "amount" else getattr(plane, key) == value


@pytest.mark.parametrize("kind", ["image", "video"])
def test_files_must_be_there(kind: str, card: Path) -> None:
    assert parse_plane(f"{kind}:{card}").path == str(card)
    with pytest.raises(UserError, match="nothing"):
        parse_plane(f"{kind}:nothing.png")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "color:reed",
        "color:",
        "blur:x",
        "blur:2",
        "bokeh:2",
        "a+b@3",
        "a+",
        "none:1",
        "image:",
        "a/b",
        "+",
        "colour:red",
    ],
)
def test_bad_looks_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=rf"look '{re.escape(text)}'"):
        parse_plane(text)


@given(st.text(max_size=30))
def test_any_text_is_a_look_or_a_sentence(text: str) -> None:
    try:
        plane = parse_plane(text)
    except UserError as error:
        assert str(error)
    else:
        assert isinstance(plane, Plane)
        assert sum(share for _, share in plane.styles) == pytest.approx(1.0 if plane.styles else 0.0)


def test_pictures_are_for_the_background(card: Path) -> None:
    with pytest.raises(UserError, match="background only"):
        look_of(Settings(person=f"image:{card}"), "alpha")


def test_the_default_style_is_taken_and_strengths_fall_back() -> None:
    look = look_of(Settings(strength=0.4, person_strength=0.9), "alpha")
    assert (look.background.text, look.background_strength, look.person_strength) == ("alpha", 0.4, 0.9)


STYLES = {"great_wave": "The Great Wave off Kanagawa", "starry_night": "The Starry Night", "green": "Green"}


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("Starry-Night", "starry_night"),
        ("the great wave", "great_wave"),
        ("Great Wave + starry night @ 0.3", "great_wave+starry_night@0.3"),
        ("green", "green"),  # a style of this name goes before the colour
        ("red", "color:red"),
        ("blur", "blur"),
    ],
)
def test_a_look_is_known_by_its_exact_names(text: str, exact: str) -> None:
    assert parse_plane(text, STYLES) == parse_plane(exact, STYLES)
    assert exact_look(text, STYLES) == exact
    assert exact_look("painting.jpg", STYLES) == "painting.jpg"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("grate_wave", "great_wave"), ("blurr", "blur"), ("purpel", "purple"), ("colour:red", "color:red")],
)
def test_a_suggestion_is_itself_a_look(text: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"Did you mean {meant}\?"):
        parse_plane(text, STYLES)
    assert parse_plane(meant, STYLES)


@pytest.mark.parametrize("name", ["beach.jpg", "sea.heic", "clip.mp4"])
def test_a_picture_alone_is_a_style_and_a_clip_is_none(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"no file {name}"):
        parse_plane(name)
    Path(name).touch()
    if name == "clip.mp4":
        with pytest.raises(UserError, match=r"is a clip.*video:clip\.mp4"):
            parse_plane(name)
    else:
        assert parse_plane(name).text == f"picture:{name}"


def test_two_rows_are_mixed_as_one_row() -> None:
    rows = {"irises": RowTitle("Irises"), "red_fuji": RowTitle("Red Fuji"), "great_wave": "The Great Wave"}
    plane = parse_plane("irises + red fuji@0.3", rows)
    assert (plane.kind, plane.text) == ("style", "irises+red_fuji@0.3")
    assert plane.styles == (("picture:irises+red_fuji@0.3", 1.0),)
    assert parse_plane("irises+great_wave@0.3", rows).styles == (("irises", 0.7), ("great_wave", 0.3))
