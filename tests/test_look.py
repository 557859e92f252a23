"""The parser of looks, and the actions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.errors import UserError
from livestyle.look import ACTIONS, NONE, Look, Plane, look_of, parse_plane
from livestyle.settings import Settings

GALLERY = ("alpha", "beta", "gamma")


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
    "text", ["", "color:red", "color:", "blur:x", "blur:2", "bokeh:2", "a+b@3", "a+", "none:1", "image:", "a b"]
)
def test_bad_looks_are_refused(text: str) -> None:
    with pytest.raises(UserError):
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


def test_keys_and_names_are_unique() -> None:
    assert len({action.key for action in ACTIONS}) == len(ACTIONS) == len({action.name for action in ACTIONS})
    assert all(action.words for action in ACTIONS)


@given(st.lists(st.sampled_from([a for a in ACTIONS if a.change]), max_size=30))
def test_any_keys_leave_a_look_that_parses(actions) -> None:  # type: ignore[no-untyped-def]
    look = Look(parse_plane("alpha"))
    for action in actions:
        look = action.change(look, GALLERY)
        assert 0 <= look.background_strength <= 1
        assert parse_plane(look.background.text) == look.background
        assert parse_plane(look.person.text) == look.person


def test_styles_go_round() -> None:
    step = {action.name: action.change for action in ACTIONS}
    look = Look(parse_plane("alpha"))
    seen = []
    for _ in range(4):
        look = step["next-style"](look, GALLERY)
        seen.append(look.background.text)
    assert seen == ["beta", "gamma", "alpha", "beta"]
    assert step["previous-person-style"](look, GALLERY).person.text == "gamma"
    assert step["next-person-style"](step["previous-person-style"](look, GALLERY), GALLERY).person == NONE
