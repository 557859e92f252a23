"""Looks that are pictures, as text: names, parts, mixes, and what is no picture."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pil

from livestyle.cli.completion import looks
from livestyle.config.look import PICTURE, anchored, parse_plane
from livestyle.config.outputs import digest_of, look_word
from livestyle.config.picture import WHOLE, Ingredient, mix_text, pictures_in, read_mix
from livestyle.errors import UserError

ODD = ("a.jpg", "a+b.jpg", "a@0.3.jpg", "x#0,0,1,1", "a b.png", "ü画.jpg", "it's+@#.webp", "p+q@1", "n" * 250)
STYLES = {"starry_night": "The Starry Night", "great_wave": "The Great Wave"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files with odd names. Most are empty: a text needs no pixels."""
    made = tmp_path_factory.mktemp("pictures")
    for name in ODD:
        (made / name).touch()
    Pil.new("RGB", (4, 4)).save(made / "real.png")
    return made


share = st.integers(0, 100).map(lambda percent: percent / 100)
part = st.tuples(*[st.integers(0, 49).map(lambda n: n / 100)] * 2, *[st.integers(1, 50).map(lambda n: n / 100)] * 2)
picture = st.builds(lambda name, region: (name, region), st.sampled_from(ODD), st.just(WHOLE) | part)


@given(picture, picture | st.sampled_from([*STYLES]), share)
def test_a_mix_is_read_as_it_is_written(folder: Path, first: object, second: object, other: float) -> None:
    def ingredient(what: object, of: float) -> Ingredient:
        return (
            Ingredient(of, style=what) if isinstance(what, str) else Ingredient(of, str(folder / what[0]), what[1])  # type: ignore[index]
        )

    alone, mixed = (ingredient(first, 1.0),), (ingredient(first, 1 - other), ingredient(second, other))
    for mix in (alone, mixed):
        assert read_mix(mix_text(mix).removeprefix("picture:")) == mix
        assert parse_plane(mix_text(mix), STYLES).text == mix_text(mix)


@given(st.text(max_size=30))
def test_any_text_is_a_mix_or_a_sentence(folder: Path, text: str) -> None:
    try:
        assert read_mix(text, folder)
    except UserError as error:
        assert error.problem


@pytest.mark.parametrize("name", ODD)
def test_a_relative_name_is_anchored(folder: Path, name: str) -> None:
    assert anchored(f"picture:{name}", folder) == f"picture:{folder / name}"
    mix = anchored(f"picture:{name}#0,0,0.5,1+starry_night@0.3", folder)
    assert mix == f"picture:{folder / name}#0,0,0.5,1+starry_night@0.3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read"),
        ("gone.jpg", "no file gone"),
        ("https://example.org/a.jpg", "is not on this computer"),
        ("real.png#0.5,0,0.6,1", "is not inside"),
        ("real.png#0,0,0,1", "is not inside"),
        ("real.png+great_wave@3", "'3' is no share"),
        ("real.png+gone.jpg", "no file gone"),
        ("real.png+no_such_style", "no style 'no_such_style'"),
        ("real.png+.", "is not the file of a picture"),
        ("pipe.jpg", "is not the file of a picture"),
        ("empty", "no picture in the folder"),
    ],
)
def test_what_is_no_picture_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(folder)
    Path("empty").mkdir(exist_ok=True)
    if text == "pipe.jpg" and not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes here")
    if text == "pipe.jpg" and not Path(text).exists():
        os.mkfifo(text)
    with pytest.raises(UserError, match=said):
        parse_plane(f"picture:{text}", STYLES)


def test_a_bare_path_is_a_picture_and_a_bare_address_is_told(folder: Path) -> None:
    assert parse_plane(str(folder / "real.png")).kind == PICTURE
    assert parse_plane(f"{folder / 'real.png'}+starry_night@0.3", STYLES).kind == PICTURE
    with pytest.raises(UserError, match="no file gone"):
        parse_plane(f"{folder / 'real.png'}+gone.jpg@0.3", STYLES)
    with pytest.raises(UserError, match="is not on this computer"):
        parse_plane("https://example.org/a.jpg", STYLES)


def test_a_folder_is_its_first_picture_whatever_lies_beside(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.txt", ".hidden.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "a.jpg").symlink_to("a.jpg")  # which leads nowhere
    assert pictures_in(str(tmp_path)) == [str(tmp_path / "b.jpg")]
    plane = parse_plane(f"picture:{tmp_path}")
    assert (plane.path, plane.folder) == (str(tmp_path / "b.jpg"), str(tmp_path))


def test_a_result_is_named_after_the_stems(folder: Path) -> None:
    real = folder / "real.png"
    assert look_word(f"picture:{real}") == "real"
    assert look_word(f"picture:{real}#0,0,0.5,1+starry_night@0.3") == "real_0_0_0.5_1+starry_night_0.3"
    assert look_word(f"picture:{real}", f"picture:{folder / 'a b.png'}") == "real+a_b"


def test_a_command_is_another_one_once_a_picture_of_its_mix_has_changed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    words = ("photo", f"{tmp_path / 'a.jpg'}#0,0,1,0.5+starry_night@0.3")
    before = digest_of(*words)
    assert digest_of(*words) == before
    (tmp_path / "a.jpg").write_bytes(b"more")
    assert digest_of(*words) != before


def test_paths_of_pictures_are_completed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    Path("more").mkdir(exist_ok=True)
    assert looks("rea") == ["real.png"]
    assert looks("picture:rea") == ["picture:real.png"]
    assert looks("starry_night+rea") == ["starry_night+real.png"]
    assert looks(f"{folder}/mo") == [f"{folder}/more/"]
