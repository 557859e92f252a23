"""What a preview draws, without a window."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.config.look import NONE, Look, parse_plane
from livestyle.image.pixels import fit
from livestyle.image.types import Frame
from livestyle.live.actions import ACTIONS, make_controls
from livestyle.live.controls import VIEWS
from livestyle.live.gallery import Gallery
from livestyle.live.preview import scene_of
from livestyle.live.shown import Shown
from livestyle.nets.library import find_nets
from livestyle.video.window import overlay
from livestyle.video.window.drawing import broken, font
from livestyle.video.window.layout import MIN_BAR_PT, MIN_WIDTH_PT, TITLE_BAR_PT, bar_height, first_size, letters_of
from livestyle.video.window.overlay import FADE_S, MAX_NOTICE_S, PACE_HOLD_S, Overlay, Scene

SIZE = 320, 180
PICTURE, ORIGINAL = draw_card(*SIZE), draw_card(*SIZE, seed=1)[::-1].copy()
MATTE = np.zeros(SIZE[::-1], np.float32)
MATTE[:, 160:] = 1
KEYS = tuple((action.key, action.words) for action in ACTIONS if action.key)
STYLES = tuple((name, card.thumbnail) for name, card in find_nets("style").items())
FULL = Scene(
    "title", (("background: starry_night", (255, 205, 90)),), "a device", "36 fps", (("HIDDEN", "alert"),),
    (("strip", "t", "styles"),), "", frozenset({"hud", "strip"}), ORIGINAL, MATTE, False, KEYS, STYLES,
    ("starry_night", "the_scream"),
)  # fmt: skip
BARE = Scene(original=ORIGINAL, matte=MATTE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(overlay.time, "monotonic", lambda: now[0])
    return now


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["", *VIEWS]), st.sets(st.sampled_from(["hud", "help", "strip"])), st.booleans(), st.booleans(),
    st.tuples(st.integers(1, 900), st.integers(1, 700)), st.sampled_from([1.0, 1.5, 2.0]),
    st.floats(0, 1, allow_subnormal=False),
    st.booleans(),
)  # fmt: skip
def test_any_scene_fits_any_window_and_leaves_what_others_see(
    view: str, showing: set[str], mirror: bool, hidden: bool, size: tuple[int, int], scale: float, divide: float,
    is_below: bool,
) -> None:  # fmt: skip
    drawn = Overlay(is_below)
    drawn.hover(size[0] // 2, size[1] - 4)
    drawn.divide = divide
    drawn.notice("Saved ~/pictures/2026-11-21_12-00-00-original.png, with -matte and -styled beside it.")
    scene = replace(
        FULL, view=view, showing=frozenset(showing), mirror=mirror, original=None if hidden else ORIGINAL
    )  # fmt: skip
    before = PICTURE.copy(), ORIGINAL.copy(), MATTE.copy()
    image = drawn.draw(PICTURE, scene, size, scale)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert not np.shares_memory(image, PICTURE)
    assert all((then == now).all() for then, now in zip(before, (PICTURE, ORIGINAL, MATTE), strict=True))


def test_with_nothing_to_say_the_picture_is_shown_as_it_is() -> None:
    assert (Overlay().draw(PICTURE, BARE, SIZE) == PICTURE).all()
    assert (Overlay().draw(PICTURE, replace(BARE, mirror=True), SIZE) == PICTURE[:, ::-1]).all()
    tall = Overlay().draw(PICTURE, BARE, (320, 400))
    assert (tall[110:290] == PICTURE).all()
    assert not tall[:110].any()
    assert not tall[290:].any()


@pytest.mark.parametrize("mirror", [False, True])
def test_before_is_left_and_after_right_of_a_line_that_is_dragged(mirror: bool) -> None:
    drawn, scene = Overlay(), replace(BARE, view="split", mirror=mirror)
    flip = slice(None, None, -1 if mirror else 1)
    drawn.draw(PICTURE, scene, SIZE)
    for x in (160, 40, 319, -50):
        drawn.drag(x)
        image, edge = drawn.draw(PICTURE, scene, SIZE), min(max(x, 0), 320)
        assert (image[:60, : max(0, edge - 1)] == ORIGINAL[:60, flip][:, : max(0, edge - 1)]).all()
        assert (image[:60, edge + 1 :] == PICTURE[:60, flip][:, edge + 1 :]).all()
        assert drawn.at(10, 10) == "split"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", [(960, 597), (960, 700), (546, 1030)])
def test_all_that_is_written_stays_below_the_picture(view: str, size: tuple[int, int]) -> None:
    """The strip and a long notice, too. What compares with the original is no writing."""
    drawn, scene = Overlay(is_below=True), replace(FULL, view=view)
    drawn.notice("There is no style 'pointillism_of_the_south'. Choose from: great_wave, starry_night, the_scream.")
    written = drawn.draw(PICTURE, scene, size)
    silent = Overlay(is_below=True).draw(PICTURE, replace(scene, badges=(), lines=(), chosen=("", "")), size)
    _, top, width, height = drawn._frame
    assert width >= 0.85 * min(size[0], 1.5 * size[1])
    assert (written[: top + height] == silent[: top + height]).all()
    assert (written[top + height :] != silent[top + height :]).any()


def test_over_the_picture_the_upper_two_thirds_stay_free() -> None:
    drawn = Overlay()
    for n in range(3):
        drawn.notice(f"There is no style number {n}. Choose from: great_wave, starry_night, the_scream and others.")
    image = drawn.draw(PICTURE, replace(FULL, badges=FULL.badges * 3), (960, 540))
    assert (image[:360] == fit(PICTURE, (960, 540))[:360]).all()
    assert (image[400:] != fit(PICTURE, (960, 540))[400:]).any()


def test_buttons_and_names_below_the_mouse_stand_out() -> None:
    drawn, size = Overlay(is_below=True), (960, 597)
    plain = drawn.draw(PICTURE, FULL, size)
    found = {drawn.at(x, y): (x, y) for y in range(0, 597, 9) for x in range(0, 960, 9)}
    assert found.keys() == {"", "strip", *(f"style {name}" for name, _ in STYLES)}
    for name, (x, y) in found.items():
        drawn.hover(x, y)
        changed = (drawn.draw(PICTURE, FULL, size) != plain).any(axis=2)
        assert changed.any() == (name.startswith("style"))  # the strip is open, so its button is lit already
        assert not changed[: drawn._frame[3]].any()
    closed = replace(FULL, showing=frozenset({"hud"}))
    drawn.hover(-1, -1)
    plain = drawn.draw(PICTURE, closed, size)
    drawn.hover(*found["strip"])
    assert (drawn.draw(PICTURE, closed, size) != plain).any()


@given(
    st.tuples(st.integers(16, 4096), st.integers(16, 4096)), st.booleans(),
    st.tuples(st.integers(320, 5120), st.integers(320, 2880)),
)  # fmt: skip
@settings(max_examples=100)
def test_a_window_suits_the_screen(picture: tuple[int, int], is_below: bool, screen: tuple[int, int]) -> None:
    width, height = first_size(picture, is_below, screen)
    assert width <= screen[0]
    assert height <= screen[1]
    room = height - (bar_height(letters_of(width)) if is_below else 0)
    wide = room * picture[0] / picture[1]  # of the picture, if it is as high as the room
    rounding = 1 + picture[0] / picture[1]
    assert abs(width - wide) <= rounding or (is_below and wide <= width + rounding and width <= MIN_BAR_PT)
    is_full = height + TITLE_BAR_PT + 60 > screen[1] or width == screen[0]
    assert is_full or width >= max(MIN_WIDTH_PT, picture[0])


def test_the_matte_and_the_original_in_a_corner() -> None:
    assert (Overlay().draw(PICTURE, replace(BARE, view="matte"), SIZE) == (MATTE * 255)[..., None]).all()
    image = Overlay().draw(PICTURE, replace(BARE, view="inset"), SIZE)
    corner = fit(ORIGINAL, (80, 45))
    places = [
        (image[y : y + 45, x : x + 80] == corner).all() for y in range(110, 136) for x in range(220, 241)
    ]  # fmt: skip
    assert any(places)
    assert (image[:, :200] == PICTURE[:, :200]).all()


@pytest.mark.parametrize("view", ["", *VIEWS])
def test_while_hidden_no_view_shows_anything(view: str) -> None:
    scene = replace(BARE, view=view, original=None)
    assert (Overlay().draw(PICTURE, scene, SIZE) == PICTURE).all()


@pytest.mark.parametrize("count", [1, 10, 60])
def test_styles_are_clicked_on_where_they_are_seen(count: int) -> None:
    styles = tuple((f"style{n}", Path("none.png")) for n in range(count))
    drawn, size = Overlay(), (640, 360)
    for chosen in (0, count // 2, count - 1):
        image = drawn.draw(
            PICTURE, replace(BARE, showing=frozenset({"strip"}), styles=styles, chosen=("", f"style{chosen}")), size
        )
        found = [drawn.at(x, y) for y in range(200, 360, 5) for x in range(0, 640, 5)]
        names = list(dict.fromkeys(name for name in found if name))
        assert f"style style{chosen}" in names
        assert len(names) >= min(count, 10)
        assert names == [f"style {name}" for name, _ in styles][int(names[0][11:]) :][: len(names)]
        assert drawn.at(320, 100) == ""
        free = 250 if count > 10 else 300
        assert (image[:free] == fit(PICTURE, size)[:free]).all()


def test_a_thumbnail_is_what_the_strip_shows() -> None:
    drawn = Overlay()
    scene = replace(FULL, showing=frozenset({"strip"}), badges=(), chosen=("", ""))
    image = drawn.draw(PICTURE, scene, (1280, 720))
    seen = {drawn.at(x, 700) for x in range(1280)} - {""}
    assert seen == {f"style {name}" for name, _ in STYLES[:10]}
    first = image[:, [x for x in range(1280) if drawn.at(x, 700) == f"style {STYLES[0][0]}"]]
    rows = [y for y in range(720) if drawn.at(int(1280 * 0.05), y)]
    other = Overlay().draw(PICTURE, replace(scene, styles=STYLES[1:]), (1280, 720))
    assert (first[rows] != other[:, : first.shape[1]][rows]).mean() > 0.5


def test_a_notice_stands_in_place_of_the_facts(clock: list[float]) -> None:
    drawn, silent, size = Overlay(is_below=True), Overlay(is_below=True), (960, 597)
    drawn.notice("Saved")
    assert (drawn.draw(PICTURE, FULL, size) != silent.draw(PICTURE, FULL, size)).any()
    clock[0] += MAX_NOTICE_S
    assert (drawn.draw(PICTURE, FULL, size) == silent.draw(PICTURE, FULL, size)).all()


def test_notices_fade_and_go(clock: list[float]) -> None:
    drawn = Overlay()
    drawn.notice("x" * 40)
    change = []
    for later in (0.0, 3.0, 0.3, 0.3, MAX_NOTICE_S):
        clock[0] += later
        change.append(int(np.abs(drawn.draw(PICTURE, BARE, SIZE).astype(int) - PICTURE).sum()))
    until = 1.6 + 40 / 20
    assert until - FADE_S == 3.0
    assert change[0] == change[1] > change[2] > change[3] == change[4] == 0


def test_many_notices_do_not_pile_up(clock: list[float]) -> None:
    one, many = Overlay(), Overlay()
    for n in range(30):
        many.notice(f"number {n}")
    for n in range(27, 30):
        one.notice(f"number {n}")
    assert (one.draw(PICTURE, BARE, SIZE) == many.draw(PICTURE, BARE, SIZE)).all()


def test_numbers_stand_long_enough_to_be_read(clock: list[float]) -> None:
    drawn, scene = Overlay(), replace(BARE, showing=frozenset({"hud"}))
    first = drawn.draw(PICTURE, replace(scene, pace="30 fps"), SIZE)
    clock[0] += PACE_HOLD_S * 0.9
    assert (drawn.draw(PICTURE, replace(scene, pace="99 fps"), SIZE) == first).all()
    clock[0] += PACE_HOLD_S * 0.2
    assert (drawn.draw(PICTURE, replace(scene, pace="99 fps"), SIZE) != first).any()


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1080, 1920)])
def test_the_help_has_room_for_every_key(size: tuple[int, int]) -> None:
    """Nothing is written up to the edges, and the last row is there."""
    scene = replace(BARE, showing=frozenset({"help"}), keys=KEYS)
    black = np.zeros((size[1], size[0], 3), np.uint8)
    image = Overlay().draw(black, scene, size)
    assert not image[:, -4:].any()
    assert not image[-4:].any()
    fewer = Overlay().draw(black, replace(scene, keys=(*KEYS[:-1], ("q", ""))), size)
    assert (fewer != image).any()


def test_long_lines_are_broken() -> None:
    face = font(13)
    words = "Saved ~/Pictures/livestyle/2026-11-21_12-00-00-original.png, with -matte and -styled beside it."
    rows = broken(words, face, 300)
    assert "".join(rows).replace(" ", "") == words.replace(" ", "")
    assert "with -matte and -styled" in rows[-1]
    assert max(face.getlength(row) for row in rows) <= 300


def test_a_scene_says_what_must_not_be_missed() -> None:
    look = Look(parse_plane("color:#804020"), background_strength=0.3, person_strength=0.5, person=parse_plane("blur"))
    controls = make_controls(look, Gallery(("wave",)))
    frame = Frame(PICTURE, 0, 0.0)

    def scene(hidden: bool = False) -> Scene:
        return scene_of(controls, Shown(frame, PICTURE, controls.look, hidden), "a device", lambda _: MATTE)

    assert scene().badges == ()
    assert [line for line, _ in scene().lines] == ["> background: color:#804020", "person: blur 50%"]
    assert scene().facts == "a device"  # no style, so no quality that it is painted in
    assert {"strip", "open-picture"} <= {name for name, _, _ in scene().buttons}
    controls.press("background wave")
    for name, words in (("mirror", "mirrored in this window only"), ("keep-colors", "original colours")):
        controls.press(name)
        assert words in scene().facts
    assert "quality auto" in scene().facts
    for name, words in (("freeze", "FROZEN"), ("record", "REC"), ("bypass", "NOT PAINTED"), ("panic", "HIDDEN")):
        controls.press(name)
        assert any(words in badge for badge, _ in scene(hidden=name == "panic").badges)
    assert scene(hidden=True).original is None
    assert not scene(hidden=True).mirror


def test_the_matte_is_computed_only_where_it_is_seen_and_may_fail() -> None:
    controls, asked = make_controls(Look(NONE)), []
    shown = Shown(Frame(PICTURE, 0, 0.0), PICTURE, controls.look)

    def matte(frame: Frame):  # type: ignore[no-untyped-def]
        asked.append(frame)
        raise RuntimeError("broken")

    assert scene_of(controls, shown, "", matte).matte is None
    assert not asked
    controls.press("matte")
    assert scene_of(controls, shown, "", matte).matte is None
    assert len(asked) == 1


def test_the_same_notice_is_shown_once(clock: list[float]) -> None:
    once, thrice = Overlay(), Overlay()
    for _ in range(3):
        thrice.notice("the same")
    once.notice("the same")
    assert (once.draw(PICTURE, BARE, SIZE) == thrice.draw(PICTURE, BARE, SIZE)).all()
