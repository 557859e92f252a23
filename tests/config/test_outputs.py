"""Where results go."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.config.outputs import FINISHED, OTHER, UNFINISHED, Target, beside, digest_of, look_word
from livestyle.errors import UserError


@pytest.mark.parametrize(
    ("background", "person", "word"),
    [
        ("great_wave", "none", "great_wave"),
        ("none", "great_wave", "none+great_wave"),
        ("great_wave+starry_night@0.3", "none", "great_wave+starry_night_0.3"),
        ("color:#204060", "none", "color__204060"),
        ("blur:0.7", "the_scream", "blur_0.7+the_scream"),
        ("image:/some/where/beach.jpg", "none", "beach"),
        ("styles/my.onnx", "none", "my"),
        ("a/wave.jpg+b/night.png@0.3", "scream.jpg", "wave+night_0.3+scream"),
    ],
)
def test_a_look_in_a_name(background: str, person: str, word: str) -> None:
    assert look_word(background, person) == word


@pytest.mark.parametrize(
    ("source", "suffix", "result"),
    [
        ("a/me.jpg", ".jpg", "a/me.wave.jpg"),
        ("a/my.talk.mkv", ".mp4", "a/my.talk.wave.mp4"),
        ("holidays", "", "holidays.wave"),
        ("https://example.com/a/talk%201.webm?x=1", ".mp4", "talk 1.wave.mp4"),
        (f"{'é' * 125}.jpg", ".jpg", f"{'é' * 123}.wave.jpg"),
    ],
)
def test_a_result_lies_beside_its_input(source: str, suffix: str, result: str) -> None:
    assert beside(source, "wave", suffix) == Path(result)


@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=200))
def test_any_name_gives_one_that_can_be_written(name: str) -> None:
    assert len(os.fsencode(beside(f"x{name}.png", "wave", ".png").name)) <= 255


def test_without_out_the_next_free_name_or_the_unfinished_one(tmp_path: Path) -> None:
    me, target = tmp_path / "me.jpg", Target(None, "wave")
    assert target.file(str(me), ".jpg") == (tmp_path / "me.wave.jpg", False)
    long = Target(None, "wave").file(str(tmp_path / f"{'é' * 125}.jpg"), ".jpg")[0]
    long.touch()
    assert len(os.fsencode(Target(None, "wave").file(str(tmp_path / f"{'é' * 125}.jpg"), ".jpg")[0].name)) <= 255
    for name in ("me.wave.jpg", "me.wave-2.jpg"):
        (tmp_path / name).touch()
    assert target.file(str(me), ".jpg") == (tmp_path / "me.wave-3.jpg", False)
    second = tmp_path / "me.wave-2.jpg"
    assert target.file(str(me), ".jpg", lambda p: UNFINISHED if p == second else FINISHED) == (second, False)
    assert Target(None, "wave", is_forced=True).file(str(me), ".jpg") == (tmp_path / "me.wave.jpg", False)


@pytest.mark.parametrize(("state", "is_finished"), [(UNFINISHED, False), (FINISHED, True)])
def test_an_out_of_this_command_goes_on_or_is_finished(tmp_path: Path, state: str, is_finished: bool) -> None:
    out = tmp_path / "out.png"
    out.touch()
    assert Target(str(out)).file("me.png", ".png", lambda _: state) == (out, is_finished)


def test_any_other_out_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.touch()
    with pytest.raises(UserError, match=r"out.png is there already") as refused:
        Target(str(out)).file("me.png", ".png")
    assert refused.value.field == "force"
    assert Target(str(out), is_forced=True).file("me.png", ".png") == (out, False)


def test_a_folder_is_created_and_a_missing_parent_is_not(tmp_path: Path) -> None:
    assert Target(f"{tmp_path}/new/").file("a/me.png", ".png") == (tmp_path / "new" / "me.png", False)
    assert Target(str(tmp_path / "deep" / "er")).folder(tmp_path).is_dir()
    with pytest.raises(UserError, match="There is no folder"):
        Target(f"{tmp_path}/gone/out.png").file("me.png", ".png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        Target(str(tmp_path / "file")).folder(tmp_path)


def test_a_result_is_known_again_until_it_or_the_command_changes(tmp_path: Path) -> None:
    out, source = tmp_path / "out.png", tmp_path / "me.png"
    out.write_text("result")
    source.write_text("picture")

    def command(strength: float = 1.0) -> Target:
        return Target(str(out), digest=digest_of("photo", source, strength))

    assert command().state(out) == OTHER
    command().remember(out, {"frames": 3})
    assert command().state(out) == FINISHED
    assert command().recall(out) == {"frames": 3}
    assert command(0.5).state(out) == OTHER
    source.write_text("another picture")
    assert command().state(out) == OTHER
    command().remember(out)
    assert command().recall(out) == {}
    out.write_text("changed by others")
    assert command().state(out) == OTHER
