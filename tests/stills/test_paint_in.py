"""A person painted into a painting: where they stand, how they blend, and what the command says."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cli import livestyle
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image import blending
from livestyle.image.box import Box
from livestyle.image.io import NO_NOTES, load_image, load_picture, save_image
from livestyle.image.pixels import composite
from livestyle.image.types import Image, Matte, size_of
from livestyle.nets.library import find_nets, find_painting
from livestyle.stills.paint_in import PaintIn, shipped_style
from livestyle.stills.placement import Cutout, Placement, place, trim
from livestyle.stills.style_images import painting_named


def figure(kind: str, size: tuple[int, int] = (120, 160)) -> Matte:
    """Somebody cut by no border, by the lower one, by the lower one and both sides, or by all four."""
    matte = np.zeros((size[1], size[0]), np.float32)
    middle = size[0] // 2
    if kind == "all":
        return matte + 1
    cv2.circle(matte, (middle, 60), 22, 1, -1)
    top, bottom = 80, 140 if kind == "free" else size[1]
    half = middle if kind == "sides" else 35
    cv2.rectangle(matte, (middle - half, top + (30 if kind == "sides" else 10)), (middle + half, bottom), 1, -1)
    cv2.rectangle(matte, (middle - 8, top), (middle + 8, bottom), 1, -1)
    return matte


def cut_out(kind: str) -> Cutout:
    matte = figure(kind)
    image = draw_card(matte.shape[1], matte.shape[0])
    return trim(image, matte, image)


def painting(width: int = 300, height: int = 200) -> Image:
    return draw_card(width, height, seed=3)


def test_somebody_cut_below_stands_at_the_lower_edge_and_others_on_the_ground() -> None:
    assert cut_out("bust").cut == {"bottom"}
    assert place(cut_out("bust"), painting(), Placement()).bottom == 200
    assert cut_out("free").cut == set()
    assert 180 <= place(cut_out("free"), painting(), Placement()).bottom < 200


def test_shoulders_that_the_sides_cut_go_below_the_edge() -> None:
    cutout = cut_out("sides")
    assert cutout.cut == {"bottom", "left", "right"}
    rows = np.flatnonzero(cutout.matte[:, 0] > 0.5)
    assert len(rows) < 0.25 * len(cutout.matte) < 0.9 * len(figure("sides"))


def test_somebody_who_fills_the_picture_fills_the_height() -> None:
    box = place(cut_out("all"), painting(), Placement())
    assert (box.top, box.bottom) == (0, 200)


def test_somebody_cut_at_one_side_stands_at_that_side() -> None:
    matte = np.pad(figure("free"), ((0, 0), (40, 0)))[:, :120]
    image = draw_card(120, 160)
    assert place(trim(image, matte, image), painting(), Placement()).right == 300
    assert place(trim(image, matte[:, ::-1].copy(), image), painting(), Placement()).left == 0


@given(
    st.sampled_from(["free", "bust", "sides", "all"]), st.integers(20, 400), st.integers(20, 400),
    st.one_of(st.none(), st.floats(0.1, 1)),
)  # fmt: skip
def test_left_to_itself_it_is_inside_and_keeps_its_shape(
    kind: str, width: int, height: int, tall: float | None
) -> None:
    cutout = cut_out(kind)
    box = place(cutout, painting(width, height), Placement(height=tall))
    assert box.intersection(Box(0, 0, width, height)).area
    assert box.bottom <= height + 1
    if kind in ("free", "bust") and tall is None:
        assert Box(0, 0, width, height).contains(box)
    wide, high = box.right - box.left, box.bottom - box.top
    assert wide / high == pytest.approx(cutout.matte.shape[1] / cutout.matte.shape[0], abs=1.5 / high + 1.5 / wide)


def test_a_place_in_pixels_or_shares() -> None:
    cutout = cut_out("free")
    high, wide = cutout.matte.shape
    pixels = place(cutout, painting(), Placement(30, 20, 100))
    assert pixels == Box(30, 20, 30 + round(wide * 100 / high), 120)
    assert place(cutout, painting(), Placement(0.1, 0.1, 0.5)) == pixels
    for where, words in (
        (Placement(x=400), "outside"), (Placement(y=-300, height=50), "outside"),
        (Placement(height=0.001), "height of 0.001"), (Placement(height=-5), "height of -5"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            place(cutout, painting(), where)


def test_it_hides_little_of_what_stands_out() -> None:
    calm = np.full((200, 400, 3), 120, np.uint8)
    calm[120:, 40:200] = draw_card(160, 80)
    assert place(cut_out("bust"), calm, Placement(height=0.5)).left > 190
    assert place(cut_out("bust"), calm[:, ::-1].copy(), Placement(height=0.5)).right < 210


def scene() -> tuple[Image, Matte, Image, Image]:
    """A red person that comes from a dark room, a light blue painting."""
    matte = cv2.GaussianBlur(np.pad(np.ones((60, 40), np.float32), 30), (0, 0), 1.5)
    person, before = np.full((120, 100, 3), (190, 60, 50), np.uint8), np.full((120, 100, 3), (40, 40, 40), np.uint8)
    return person, matte, draw_card(100, 120) // 8 + np.array((90, 140, 200), np.uint8), before


@pytest.mark.parametrize("name", blending.BLENDS)
def test_blends_leave_what_is_not_the_person(name: str) -> None:
    person, matte, behind, before = scene()
    ahead = blending.BLENDS[name](person, matte, behind, before)
    assert ahead.shape == person.shape
    assert np.array_equal(composite(ahead, behind, matte)[matte == 0], behind[matte == 0])
    assert np.array_equal(ahead, person) == (name == "alpha")


def test_harmony_brings_colours_nearer_but_not_all_the_way() -> None:
    person, matte, behind, before = scene()
    ahead = blending.harmonize(person, matte, behind, before)
    far, near = (np.linalg.norm(i[60, 50].astype(float) - behind.mean((0, 1))) for i in (person, ahead))
    assert 0.5 * far < near < 0.95 * far


def test_a_seam_is_changed_and_a_heart_is_not() -> None:
    person, matte, behind, before = scene()
    change = blending.poisson(person, matte, behind, before).astype(int).mean(2) - person.mean(2)
    rim, heart = change[60, 31:33].mean(), change[60, 50]
    assert rim > 20
    assert heart < 0.6 * rim
    same = blending.poisson(person, matte, behind, behind)
    assert np.abs(same.astype(int) - person).max() <= 1


def test_a_harmonic_patch_is_what_it_should_be() -> None:
    """Between two sides that are held, without fading, a straight line."""
    known = np.zeros((40, 60, 3), np.float32)
    known[:, 30:] = 60
    inside = np.zeros((40, 60), np.float32)
    inside[:, 10:50] = 1
    found = blending.harmonic(known, inside, 0.0)[20, :, 0]
    assert np.abs(found[10:50] - np.interp(np.arange(10, 50), (9.5, 49.5), (0, 60))).max() < 3
    assert np.abs(blending.harmonic(known, inside, 0.3)[20, 20:40]).max() < 12


def test_every_shipped_style_has_its_painting(tmp_path: Path) -> None:
    cards = find_nets("style")
    assert len({card.painting_sha256 for card in cards.values()}) == len(cards)
    for name, card in cards.items():
        file = card.painting_file()
        assert file is not None
        assert shipped_style(file) == name
        assert find_painting(name) == painting_named(name) == file
        assert 100_000 < file.stat().st_size < 250_000
        assert max(size_of(load_image(file))) <= 1024
        assert load_picture(file)[1] == NO_NOTES
        assert "more than 70 years ago" in card.painting["public_domain"] or card.painting["year"] == "11th century"
    (tmp_path / "other.png").write_bytes(b"no painting of theirs")
    assert shipped_style(tmp_path / "other.png") is None


def test_a_painting_may_be_a_style(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Without a style, so that the one of the painting is taken: nothing is optimised."""
    livestyle("paint-in", files[0], "bayeux_tapestry", tmp_path / "out.jpg")
    assert load_image(tmp_path / "out.jpg").shape == (521, 1024, 3)


def test_the_painted_person_is_in_the_painting_and_alone_on_request(person: Image) -> None:
    behind = painting(400, 300)
    painter = PaintIn(Settings(), lambda image: 255 - image, "alpha")
    result = painter(person, behind, Placement(height=0.6))
    alone = painter(person, behind, Placement(height=0.6), alone=True)
    changed = (result.image != behind).any(2)
    assert 0.05 < changed.mean() < 0.5
    assert alone.image.shape == (300, 400, 4)
    solid = alone.image[..., 3] == 255
    assert solid.any()
    assert not changed[alone.image[..., 3] == 0].any()
    assert np.array_equal(result.image[solid], alone.image[solid][:, :3])
    assert set(result.seconds) == {"segment", "stylize", "blend", "all"}
    with pytest.raises(UserError, match="nobody"):
        painter(np.full((90, 160, 3), 128, np.uint8), behind)


@pytest.fixture
def files(tmp_path: Path, person: Image) -> tuple[Path, Path]:
    save_image(tmp_path / "me.png", person)
    save_image(tmp_path / "painting.png", painting(160, 120))
    return tmp_path / "me.png", tmp_path / "painting.png"


def test_the_command(files: tuple[Path, Path], tmp_path: Path) -> None:
    said = livestyle("paint-in", *files, tmp_path / "out.png", "--style", "great_wave", "--auto-light").stderr
    assert "out.png" in said
    assert " s (" in said
    assert load_image(tmp_path / "out.png").shape == (120, 160, 3)


def test_without_a_style_it_is_painted_by_optimisation(files: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    short = ("--iterations", 2, "--long-side", 64, "--loss-network", "compact")
    livestyle("paint-in", *files, tmp_path / "out.png", "--rgba", *short)
    assert cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED).shape == (120, 160, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.png", "out.png", "painting.png"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("out.png", "--blend", "glue"), ("glue", "poisson")),
        (("out.png", "--style", "grate_wave"), ("grate_wave", "great_wave")),
        (("out.png", "--style", "great_wave", "--x", "9000"), ("outside", "160x120")),
        (("out.jpg", "--rgba"), ("out.jpg", ".png")),
        (("out.gif",), ("out.gif", ".png")),
        (("painting.png",), ("painting.png", "another name")),
        (("gone/out.png",), ("gone",)),
        (("out.png", "--style", "gone.jpg"), ("gone.jpg",)),
    ],
)
def test_bad_input_gets_one_sentence(
    files: tuple[Path, Path], tmp_path: Path, more: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    said = livestyle("paint-in", *files, tmp_path / more[0], *more[1:], code=2).stderr
    assert all(word in said for word in words), said
    assert sorted(tmp_path.rglob("*")) == before
