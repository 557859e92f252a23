"""The controls: actions by key and by name, from any thread; what has to be confirmed in a call."""

import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestyle.config.look import NONE, Look, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.live import controls as controls_module
from livestyle.live.actions import ACTIONS, bind, make_controls, open_controls
from livestyle.live.controls import CONFIRM_TIMEOUT_S, Controls
from livestyle.live.gallery import Gallery
from livestyle.live.privacy import Privacy

GALLERY = Gallery(("alpha", "beta", "gamma"))


def new_controls(background: str = "alpha", person: str = "none", is_call: bool = False) -> Controls:
    return make_controls(Look(parse_plane(background), parse_plane(person)), GALLERY, Privacy(is_call))


def planes(controls: Controls) -> tuple[str, str]:
    return controls.look.background.text, controls.look.person.text


def test_keys_and_names_are_unique() -> None:
    keys = [action.key for action in ACTIONS if action.key]
    assert len(set(keys)) == len(keys)
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)
    assert all(action.words for action in ACTIONS)


@given(st.lists(st.sampled_from([a.name for a in ACTIONS] + list("1234567890")), max_size=30), st.booleans())
def test_any_keys_leave_a_look_that_parses(names: list[str], is_call: bool) -> None:
    controls = new_controls(is_call=is_call)
    for name in names:
        controls.press_key(name)
        look = controls.look
        assert 0 <= look.background_strength <= 1
        assert parse_plane(look.background.text) == look.background
        assert parse_plane(look.person.text) == look.person


@given(st.lists(st.sampled_from([a.name for a in ACTIONS if a.name != "confirm"]), max_size=40))
def test_in_a_call_no_key_shows_the_room_unconfirmed(names: list[str]) -> None:
    controls = new_controls("alpha", "beta", is_call=True)
    for name in names:
        controls.press_key(name)
        assert not controls.look.bypass
        assert not controls.look.is_bare


def test_a_confirmation_counts_only_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(controls_module.time, "monotonic", lambda: now[0])
    controls = new_controls(is_call=True)
    for wait, shown in ((CONFIRM_TIMEOUT_S + 0.1, False), (CONFIRM_TIMEOUT_S - 0.1, True)):
        with pytest.raises(UserError, match=r"Others would see your room.*enter"):
            controls.press("o")
        now[0] += wait
        controls.press("enter")
        assert controls.look.bypass is shown
    controls.press("o")  # hiding the room again needs no confirmation
    assert not controls.look.bypass


def test_a_confirmation_does_not_count_after_another_change() -> None:
    controls = new_controls(is_call=True)
    controls.press_key("o")
    controls.press_key("]")
    controls.press_key("enter")
    assert (controls.look.bypass, planes(controls)[0]) == (False, "beta")


def test_only_confirm_ends_a_panic() -> None:
    controls = new_controls()
    for key in ("p", "p", "space", "o", "q"):
        controls.press(key)
        assert controls.panicked
    with pytest.raises(UserError, match="hidden"):
        controls.press("still")
    controls.press("enter")
    assert not controls.panicked


def test_styles_are_chosen_in_turn_by_number_and_by_name() -> None:
    controls, seen = new_controls(), []
    for _ in range(4):
        controls.press("]")
        seen.append(planes(controls)[0])
    assert seen == ["beta", "gamma", "alpha", "beta"]
    controls.press("3")
    assert planes(controls) == ("gamma", "none")
    controls.press("style alpha")
    assert planes(controls) == ("alpha", "none")
    controls.press("person beta+gamma@0.3")
    assert planes(controls) == ("alpha", "beta+gamma@0.3")
    controls.press("previous-person-style")
    assert controls.look.person.text == "gamma"
    controls.press("next-person-style")
    assert controls.look.person == NONE


def test_keys_go_through_the_sizes_of_the_brush() -> None:
    controls = new_controls()
    for key, brush in ((".", 1.2), (".", 1.4), (";", 1.2), (";", 1.0), (";", 0.85)):
        controls.press(key)
        assert controls.look.brush == brush
    for _ in range(9):
        answer = controls.press("larger-brush")
    assert (controls.look.brush, controls.status()["brush"]) == (2.0, 2.0)
    assert answer.endswith("brush 2")
    controls.press("background green")
    with pytest.raises(UserError, match="Only styles have a brush"):
        controls.press(".")


def test_a_file_that_is_no_picture_is_refused_before_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "fake.jpg").write_text("hello")
    controls = new_controls()
    for action in (f"background {tmp_path / 'fake.jpg'}", f"person picture:{tmp_path / 'fake.jpg'}"):
        with pytest.raises(UserError, match="not a picture"):
            controls.press(action)
    assert planes(controls) == ("alpha", "none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("style gama", "no style .gama.*gamma"),
        ("4", "There are 3"), ("0", "There are 3"), ("nxt-style", "next-style"),
        ("quality great", "balanced"), ("plane sky", "person"), ("swap now", "no argument"), ("background", "look ''"),
        ("person image:x.png", "no file"), ("style color:reed", "names no colour"), ("", "no action"),
    ],
)  # fmt: skip
def test_invalid_actions_and_arguments_are_refused(text: str, words: str) -> None:
    controls = new_controls()
    with pytest.raises(UserError, match=words):
        controls.press(text)
    assert planes(controls) == ("alpha", "none")


def test_the_keys_change_the_chosen_plane() -> None:
    controls = new_controls()
    controls.press("tab")
    controls.press("2")
    controls.press("-")
    assert planes(controls) == ("alpha", "beta")
    assert (controls.look.background_strength, controls.look.person_strength) == (1.0, 0.9)
    controls.press("tab")
    controls.press("]")
    assert planes(controls) == ("beta", "beta")
    assert controls.look.is_whole is False  # the strengths differ
    controls.press("plane background")
    controls.press("=")
    assert controls.look.background_strength == 1.0


def test_paint_goes_through_the_planes_and_remembers_their_looks() -> None:
    controls = new_controls("alpha", "beta")
    seen = []
    for _ in range(3):
        controls.press("w")
        seen.append(planes(controls))
    assert seen == [("alpha", "none"), ("none", "beta"), ("alpha", "beta")]
    alone = new_controls("color:#804020")
    alone.press("paint person")
    assert planes(alone) == ("none", "color:#804020")


def test_blur_toggles_back_to_the_look_before_it() -> None:
    controls = new_controls("beta")
    controls.press("b")
    assert controls.look.background.kind == "blur"
    controls.press("b")
    assert planes(controls)[0] == "beta"


def test_pictures_are_for_the_background_only(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "room.png").touch()
    controls = new_controls(f"image:{tmp_path / 'room.png'}")
    for text in ("x", f"person image:{tmp_path / 'room.png'}"):
        with pytest.raises(UserError, match="background only"):
            controls.press(text)
    controls.press("paint both")
    assert controls.look.person.text == "alpha"


def test_esc_closes_panels_before_it_ends_the_run() -> None:
    controls = new_controls()
    for key in ("?", "f", "esc", "esc"):
        controls.press(key)
        assert not controls.stop.is_set()
    assert controls.preview.panels == {"hud"}
    controls.press("esc")
    assert controls.stop.is_set()


CHANGES = ["]", "[", "3", "}", "x", "b", "w", "tab", "y", "=", "-", "c", "o", "d", "m", "n"]


@given(st.lists(st.sampled_from(CHANGES), max_size=12))
def test_undo_goes_back_through_every_change_and_reset_to_the_start(names: list[str]) -> None:
    controls = new_controls("alpha", "beta")

    def state() -> tuple[object, ...]:
        return controls.look, controls.plane, controls.quality, controls.preview.view

    past = [state()]
    for name in names:
        controls.press_key(name)
        past += [state()] if state() != past[-1] else []
    controls.press("reset")
    assert state() == past[0]
    if past[-1] != past[0]:
        controls.press("undo")
    for before in reversed(past):
        assert state() == before
        controls.press_key("undo")
    with pytest.raises(UserError, match="nothing to undo"):
        controls.press("undo")


def test_reset_goes_back_to_the_default_and_not_to_the_look_of_the_last_run() -> None:
    default = Look(parse_plane("gamma"))
    controls = make_controls(Look(parse_plane("alpha")), GALLERY, default=default)
    assert controls.press("reset") == "All back: background gamma, person none"
    controls.adopt({"background": parse_plane("beta")})  # a config file was changed
    controls.press("[")
    controls.press("reset")
    assert planes(controls) == ("beta", "none")


def test_a_look_that_could_not_be_rendered_is_not_undone() -> None:
    controls = new_controls()
    for name in "23":
        controls.press(name)
    controls.refuse(controls.look, controls.look, "damaged")
    assert planes(controls)[0] == "beta"
    controls.press("undo")
    assert planes(controls)[0] == "alpha"


def test_in_a_call_undo_and_reset_ask_before_they_show_the_room() -> None:
    controls = new_controls("none", is_call=True)
    controls.press("1")
    for name in ("undo", "reset"):
        with pytest.raises(UserError, match="see your room"):
            controls.press(name)
        assert planes(controls)[0] == "alpha"


def test_what_has_no_effect_is_refused_and_not_told() -> None:
    controls = make_controls(Look(parse_plane("color:#102030"), background_strength=0.5, keep_colors=True), GALLERY)
    assert str(controls.look) == "background color:#102030, person none"
    for name, words in (("stronger", "No strength can be changed: color:#102030"), ("keep-colors", "Only styles")):
        with pytest.raises(UserError, match=words):
            controls.press(name)
    assert controls.press("1") == "background alpha 50%, person none, colours kept"


@pytest.mark.parametrize("action", ["open-picture", "backdrop"])
def test_a_picture_is_painted_in_or_shown_and_a_clip_is_shown(tmp_path: Path, action: str) -> None:
    controls = new_controls()
    for name in ("b.jfif", "a.PNG", "clip.mp4", "moving.gif"):
        (tmp_path / name).touch()
    kind = "picture" if action == "open-picture" else "image"
    for names, look in (
        (["b.jfif"], f"{kind}:b.jfif"), (["clip.mp4"], "video:clip.mp4"), (["moving.gif"], "video:moving.gif"),
        (["clip.mp4", "b.jfif", "a.PNG"], f"{kind}:b.jfif"), (["clip.mp4", ""], f"{kind}:a.PNG"),
    ):  # fmt: skip
        paths = "\n".join(str(tmp_path / name) for name in names)
        assert controls.press(f"{action} {paths}") == f"background {look}, person none"
    for name, words in (("gone.jpg", "no file"), ("https://a.b/c.jpg", "not on this computer"), ("", "no window")):
        with pytest.raises(UserError, match=words):
            controls.press(f"{action} {name}")
    assert planes(controls)[0] == f"{kind}:{tmp_path}/a.PNG"
    controls.preview.is_shown = True
    controls.press(action)
    assert controls.preview.wants_file == action


def test_a_picture_goes_to_the_planes_that_the_keys_change_and_the_keys_step_through_its_folder(
    tmp_path: Path,
) -> None:
    controls = new_controls()
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (tmp_path / name).touch()
    paths = [f"picture:{tmp_path}/{name}.png" for name in "abcd"]
    controls.press("plane person")
    controls.press(f"open-picture {tmp_path}/a.png")
    assert planes(controls) == ("alpha", paths[0])
    controls.press("]")
    assert planes(controls) == ("alpha", "none")  # what is before the styles: only a picture was named
    controls.press(f"open-picture {tmp_path}")
    for key, look in (("]", paths[1]), ("[", paths[0]), ("[", paths[3]), ("]", paths[0])):
        controls.press(key)
        assert planes(controls) == ("alpha", look)
    controls.press("plane background")
    controls.press(f"open-picture {tmp_path}/c.png\n{tmp_path}/a.png")
    controls.press("]")
    controls.refuse(controls.look, Look(NONE), "It is no picture.")
    assert planes(controls)[0] == paths[2]
    controls.press("]")
    assert planes(controls)[0] == paths[0]  # not the one that was refused


def test_views_are_one_at_a_time() -> None:
    controls, seen = new_controls(), []
    for key in ("m", "d", "n", "n"):
        controls.press(key)
        seen.append(controls.preview.view)
    assert seen == ["matte", "split", "inset", ""]


def test_keys_can_be_changed() -> None:
    controls = make_controls(Look(NONE), GALLERY, keys={"next-style": "n", "inset": "tab", "plane": "]"})
    controls.press("n")
    assert planes(controls)[0] == "alpha"
    controls.press("tab")
    assert controls.preview.view == "inset"
    controls.press_key("[")
    assert planes(controls)[0] == "gamma"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"next-style": "q"}, "'next-style' and 'quit'"), ({"next-stile": "n"}, "next-style"), ({"quit": "5"}, "digit"),
        ({"quit": ""}, "cannot be"), ({"quit": "ctrl-q"}, "space, tab"), ({"style": "z"}, "cannot be"),
    ],
)  # fmt: skip
def test_invalid_keys_are_refused(keys: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        bind(keys)


def test_many_threads_may_press() -> None:
    """No press is lost: 8 threads step 75 times through 3 styles."""
    controls = new_controls()
    threads = [threading.Thread(target=lambda: [controls.press("]") for _ in range(75)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert planes(controls)[0] == "alpha"
    assert len(list(controls.notices())) == 600
    controls.press_key("]")
    assert planes(controls)[0] == "beta"


def test_the_end_of_an_older_recording_does_not_stop_a_newer_one() -> None:
    controls = new_controls()
    controls.recording = True
    first = controls.take
    assert first is not None
    controls.recording = False
    controls.recording = True
    second = controls.take
    assert second is not None
    assert second > first
    controls.end_take(first)
    assert controls.take == second
    controls.end_take(second)
    assert not controls.recording
    controls.end_take(second)
    assert not controls.recording


def test_recordings_that_fail_while_others_start_never_stop_the_newest() -> None:
    """One thread starts recordings, and another ends each when it is over, as one that fails late does."""
    controls, over = new_controls(), deque[int]()

    def end_late() -> None:
        for _ in range(2000):
            while over:
                controls.end_take(over.popleft())

    thread = threading.Thread(target=end_late)
    thread.start()
    for _ in range(500):
        assert controls.toggle_recording()
        number = controls.take
        assert number is not None
        assert controls.take == number
        assert not controls.toggle_recording()
        over.append(number)
    thread.join()
    assert not controls.recording


def test_controls_start_with_the_default_style() -> None:
    controls = open_controls(Settings())
    assert controls.look.background.text in controls.gallery.names
    with pytest.raises(UserError, match="color:nope"):
        open_controls(Settings(person="color:nope"))


def test_the_table_of_actions_imports_no_heavy_packages() -> None:
    """`livestyle ctl --help` reads it."""
    check = "import sys, livestyle.live.actions; print([m for m in ('numpy', 'cv2', 'PIL', 'av') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "[]\n"


@given(st.text(max_size=20) | st.tuples(st.sampled_from([a.name for a in ACTIONS]), st.text(max_size=20)).map(" ".join))
@settings(max_examples=200, deadline=None)
def test_any_text_is_done_or_refused_with_a_user_error(text: str) -> None:
    """Other programs may send any text."""
    controls = make_controls(Look(NONE), Gallery(("alpha", "beta")))
    try:
        controls.press(text)
    except UserError as error:
        assert error.problem


def test_digits_other_than_0_to_9_are_refused() -> None:
    for text in ("①", "²", "style ²"):
        with pytest.raises(UserError, match=f"no (action|style) '{text[-1]}'"):
            make_controls(Look(NONE), Gallery(("alpha",))).press(text)
