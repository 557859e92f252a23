"""Colour profiles and deep values: what a picture shows is what its file means."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil
from support.pictures import draw_card
from support.profiles import P3, SRGB, gray_profile, ink_profile, rgb_profile

from livestyle.errors import UserError
from livestyle.image.io import load_image, load_picture, save_image
from livestyle.image.profiles import differs
from livestyle.render.backgrounds import Backgrounds

SWAPPED = rgb_profile({"r": SRGB["b"], "g": SRGB["g"], "b": SRGB["r"]})  # its red is blue


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_every_kind_of_file_is_shown_by_its_profile(tmp_path: Path, name: str) -> None:
    Pil.fromarray(draw_card(64, 36)).save(tmp_path / name, icc_profile=SWAPPED, quality=95)
    wanted = draw_card(64, 36)[..., ::-1].astype(int)
    assert np.abs(load_image(tmp_path / name) - wanted).mean() < 8
    assert np.abs(Backgrounds().picture(str(tmp_path / name), (64, 36)) - wanted).mean() < 8


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_colours_of_any_mode_have_the_profile(tmp_path: Path, mode: str) -> None:
    flat = Pil.new("RGB", (8, 8), (200, 40, 90)).convert("RGBA")
    flat.putpixel((0, 0), (0, 0, 0, 0))
    (flat.quantize() if mode == "P" else flat).save(tmp_path / "a.png", icc_profile=SWAPPED)
    image = load_image(tmp_path / "a.png").astype(int)
    assert np.abs(image[4, 4] - (90, 40, 200)).max() <= 6
    assert image[0, 0].min() > 250  # on white


def test_display_p3_is_more_colourful_than_its_numbers(tmp_path: Path) -> None:
    values = np.full((4, 4, 3), (187, 57, 48), np.uint8)
    Pil.fromarray(values).save(tmp_path / "a.png", icc_profile=rgb_profile(P3))
    light = np.linalg.solve(np.transpose([*SRGB.values()]), np.transpose([*P3.values()]) @ (values[0, 0] / 255) ** 2.2)
    wanted = 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    assert np.abs(load_image(tmp_path / "a.png")[0, 0] - wanted).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_shown_by_its_profile(tmp_path: Path, mode: str) -> None:
    Pil.new("L", (4, 4), 55).convert(mode).save(tmp_path / "a.png", icc_profile=gray_profile(1.0))
    image, facts = load_picture(tmp_path / "a.png")
    assert np.abs(image.astype(int) - 128).max() <= 2  # linear light
    assert facts.icc == b""


def test_inks_are_shown_by_their_profile(tmp_path: Path) -> None:
    labs = [(255, 128, 128)] * 16
    labs[8] = (136, 128 + 80, 128 + 67)  # cyan alone, printed in red
    Pil.new("CMYK", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.tif", icc_profile=ink_profile(labs))
    assert np.abs(load_image(tmp_path / "a.tif")[0, 0].astype(int) - (254, 0, 0)).max() <= 12


def test_pixels_left_alone_keep_their_values_and_the_others_are_of_the_profile(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Pil.fromarray(values).save(tmp_path / "a.png", icc_profile=rgb_profile(P3))
    image, facts = load_picture(tmp_path / "a.png")
    image[:8] = 200, 40, 40
    save_image(tmp_path / "b.png", image, facts)
    with Pil.open(tmp_path / "b.png") as written:
        assert np.array_equal(np.asarray(written)[8:], values[8:])
        assert written.info["icc_profile"] == facts.icc
    assert np.abs(load_image(tmp_path / "b.png")[:8].astype(int) - (200, 40, 40)).max() <= 2


def test_a_profile_that_can_only_be_read_is_left_out(tmp_path: Path) -> None:
    scanner = bytearray(SWAPPED.replace(b"bTRC", b"xTRC"))
    Pil.fromarray(draw_card(16, 9)).save(tmp_path / "a.png", icc_profile=bytes(scanner))
    image, facts = load_picture(tmp_path / "a.png")
    save_image(tmp_path / "b.png", image, facts)
    assert np.abs(load_image(tmp_path / "b.png").astype(int) - image).max() <= 1


def test_srgb_itself_is_not_touched() -> None:
    from PIL import ImageCms

    assert not differs(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert not differs(b"\0" * 16 + b"RGB " + b"\0" * 200)  # damaged
    assert differs(rgb_profile(P3))


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
@pytest.mark.parametrize("shape", ["grey", "colour", "alpha"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_of_any_range_are_a_picture(tmp_path: Path, white: float, shape: str, kind: type) -> None:
    card = draw_card(60, 40)
    values = card.astype(kind) * kind(white / 255)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, 9 * white, -white
    opaque = np.full((40, 60, 1), 1, kind)
    colors = values[..., ::-1]
    saved = {"grey": values[..., 1], "colour": colors, "alpha": np.dstack([colors, opaque])}[shape]
    cv2.imwrite(str(tmp_path / "deep.tif"), saved)
    image = load_image(tmp_path / "deep.tif").astype(int)
    wanted = card[..., [1]] if shape == "grey" else card
    assert np.abs(image - wanted)[1:].max() <= 1
    assert [*image[0, :3, 0]] == [0, 255, 0]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_floats_that_are_cut_short_get_one_sentence(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.tif"), np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 4, 3))
    whole = (tmp_path / "deep.tif").read_bytes()
    for size in (2, 9, 20, len(whole) // 2):
        (tmp_path / "cut.tif").write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.tif"):
            load_image(tmp_path / "cut.tif")
