"""Kinds of look: one table, to which one call adds a row, and from which one call takes it away."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from livestyle.cli.completion import looks
from livestyle.config.load import load_config
from livestyle.config.look import LOOK_KINDS, LookKind, Plane, forms, look_of, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.actions import make_controls
from livestyle.matting.matte import Matting
from livestyle.render.filter import Filter
from livestyle.render.kinds import DRAWINGS, Scene, register, unregister


def parse_checks(text: str, side: str) -> Plane:
    """Read `checks:SIDE`."""
    if not side.isdecimal():
        raise UserError(f"'{text}' does not say how large the squares are.", "Write: checks:8")
    return Plane("checks", text, amount=int(side))


def draw_checks(plane: Plane, scene: Scene) -> Image:
    """Black and white squares."""
    width, height = scene.size
    rows, columns = (np.arange(length) // int(plane.amount) for length in (height, width))
    levels = (255 * ((rows[:, None] + columns) % 2)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, 2)


CHECKS = LookKind("checks", "checks:SIDE", parse_checks, shows_room=False)


@pytest.fixture
def checks() -> Iterator[None]:
    register(CHECKS, draw_checks)
    yield
    unregister("checks")


@pytest.fixture
def frame(person: Image) -> Frame:
    return Frame(cv2.resize(person, (64, 48)), 0, 0.0)


def left_half(image: Image) -> Matte:
    """The person is on the left."""
    matte = np.zeros(image.shape[:2], np.float32)
    matte[:, : image.shape[1] // 2] = 1
    return matte


def test_each_kind_is_parsed_and_drawn() -> None:
    assert list(LOOK_KINDS) == list(DRAWINGS)
    assert all(name == kind.name for name, kind in LOOK_KINDS.items())
    assert forms() == (
        "none, a style, A+B@0.3, PATH.onnx, PATH.safetensors, picture:PATH[#x,y,w,h], blur[:0..1], bokeh[:0..1], "
        "color:#rrggbb, image:PATH, video:PATH"
    )


def test_a_kind_from_outside_is_drawn(checks: None, frame: Frame) -> None:
    look = look_of(Settings(background="checks:8"), "")
    with Filter(Settings()) as live:
        live.prepare(look)
        live.matting = Matting(left_half)
        out = live(frame, look)
        whole = live(frame, look_of(Settings(background="checks:8", person="checks:8", strength=0.3), ""))
    assert (out[:, :24] == frame.image[:, :24]).all()
    assert (out[0, 40:56, 0] == [255] * 8 + [0] * 8).all()
    assert set(np.unique(whole)) == {0, 255}  # its row says nothing of a strength


def test_a_kind_from_outside_is_an_action_and_a_setting(
    checks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls = make_controls(look_of(Settings(background="none"), ""))
    assert controls.press("background checks:8") == "background checks:8, person none"
    assert controls.look.background == Plane("checks", "checks:8", amount=8)
    assert not controls.look.is_bare
    assert controls.press("person checks:3") == "background checks:8, person checks:3"
    with pytest.raises(UserError, match="how large"):
        controls.press("background checks:")
    file = tmp_path / "config.toml"
    file.write_text('background = "checks:8"\n')
    monkeypatch.setenv("LIVESTYLE_CONFIG", str(file))
    monkeypatch.chdir(tmp_path)
    assert load_config().values["background"].value == "checks:8"


def test_a_kind_from_outside_is_completed_where_its_name_is_a_look() -> None:
    assert looks("bl") == ["blur"]
    register(LookKind("bars", "bars[:SIDE]", parse_checks, shows_room=False), draw_checks)
    register(CHECKS, draw_checks)
    try:
        assert looks("bar") == ["bars"]
        assert looks("checks") == []
    finally:
        unregister("bars")
        unregister("checks")


def test_a_kind_from_outside_is_named_in_messages_and_taken_away() -> None:
    register(CHECKS, draw_checks)
    with pytest.raises(UserError, match="checks:SIDE"):
        parse_plane("a/b")
    with pytest.raises(ValueError, match="checks"):
        register(CHECKS, draw_checks)
    unregister("checks")
    with pytest.raises(UserError, match=r"image:PATH, video:PATH\.$"):
        parse_plane("checks:8")
    assert "checks" not in DRAWINGS
    with pytest.raises(ValueError, match="blur"):
        register(LOOK_KINDS["blur"], draw_checks)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_what_holds_for_a_kind_from_outside_stands_in_its_row(strength: float, frame: Frame) -> None:
    """One that is mixed by its strength shows the room below half of that, and is for the background alone."""
    row = LookKind("checks", "checks:SIDE", parse_checks, shows_room=False, is_mixed=True, is_background_only=True)
    register(row, draw_checks)
    try:
        look = look_of(Settings(background="checks:8", strength=strength), "")
        assert look.is_bare == (strength < 0.5)
        with Filter(Settings()) as live:
            live.matting = Matting(left_half)
            out = live(frame, look)
        wanted = strength * 255 + (1 - strength) * frame.image[0, 40:48]
        assert np.abs(out[0, 40:48] - wanted).max() <= 1
        with pytest.raises(UserError, match="for the background only"):
            look_of(Settings(person="checks:8"), "")
        controls = make_controls(look_of(Settings(background="checks:8"), ""))
        for action in ("person checks:8", "swap"):
            with pytest.raises(UserError, match="for the background only"):
                controls.press(action)
        assert controls.press("blur") == "background blur, person none"
        assert controls.press("blur") == "background checks:8, person none"
    finally:
        unregister("checks")
