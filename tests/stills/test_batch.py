"""Batches of stills: pictures of every kind in and out, what their files say kept, broken ones named and left out."""

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, ImageCms
from PIL import Image as Pil
from support.cli import livestyle
from support.pictures import draw_card

from livestyle.config.outputs import Target
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.io import PICTURE_SUFFIXES, READABLE_SUFFIXES, load_image, load_picture, save_image
from livestyle.image.types import Image
from livestyle.stills.batch import pairs, render_stills

PLAIN = ("--background", "color:#204060", "--person", "none", "--segmenter", "kmeans")
ORIENTATION, MAKE, EXPOSURE, TAKEN = 0x0112, 0x010F, 0x829A, 0x9003


@cache
def profile() -> bytes:
    """A colour profile of RGB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif() -> Pil.Exif:
    """As of a camera held upright: the picture lies on its side."""
    made = Pil.Exif()
    made[ORIENTATION], made[MAKE] = 6, "A camera"
    made[ExifTags.IFD.Exif] = {TAKEN: "2026:11:21 10:00:00", EXPOSURE: 0.02, 0xA002: 60, 0xA003: 40}
    made[ExifTags.IFD.GPSInfo] = {1: "N", 2: (52.0, 31.0, 0.0)}
    return made


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("result", [".jpg", ".png", ".webp", ".tiff"])
def test_what_a_file_says_is_kept_from_any_kind_to_any(tmp_path: Path, kind: str, result: str) -> None:
    source, target = tmp_path / f"in{kind}", tmp_path / f"out{result}"
    Pil.fromarray(draw_card(60, 40)).save(source, exif=exif().tobytes(), icc_profile=profile())
    image, facts = load_picture(source)
    save_image(target, image, facts)
    with Pil.open(target) as written:
        found = written.getexif()
        assert written.size == (40, 60)  # upright
        assert found.get(ORIENTATION, 1) == 1
        assert found[MAKE] == "A camera"
        assert found.get_ifd(ExifTags.IFD.Exif)[TAKEN] == "2026:11:21 10:00:00"
        assert 0xA002 not in found.get_ifd(ExifTags.IFD.Exif)
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        assert written.info["icc_profile"] == profile()
    assert np.abs(load_image(target).astype(int) - np.rot90(draw_card(60, 40), -1)).mean() < 9


@pytest.mark.parametrize("kept", [False, True])
def test_the_place_is_kept_only_where_it_is_asked_for(tmp_path: Path, kept: bool) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    Pil.fromarray(draw_card(60, 40)).save(source, exif=exif().tobytes())
    list(render_stills([(source, target)], lambda frame: frame.image, Settings(keep_location=kept)))
    with Pil.open(target) as written:
        found = written.getexif()
        assert bool(found.get_ifd(ExifTags.IFD.GPSInfo)) == kept
        assert found[MAKE] == "A camera"
        assert found.get_ifd(ExifTags.IFD.Exif)[TAKEN] == "2026:11:21 10:00:00"


def test_damaged_exif_does_not_stop_a_picture(tmp_path: Path) -> None:
    noise = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff" + bytes(range(200))
    Pil.fromarray(draw_card(60, 40)).save(tmp_path / "odd.jpg", exif=noise)
    assert load_picture(tmp_path / "odd.jpg")[0].shape == (40, 60, 3)


def deep(image: Image) -> Any:
    """The same in 16 bits, the low ones set at random."""
    low = np.random.default_rng(0).integers(0, 200, image.shape).astype(np.uint16)
    return image.astype(np.uint16) * 256 + low


@pytest.mark.parametrize("kind", [".png", ".tif"])
def test_sixteen_bits_of_colour_and_of_grey(tmp_path: Path, kind: str) -> None:
    card = draw_card(60, 40)
    cv2.imwrite(str(tmp_path / f"deep{kind}"), deep(card)[..., ::-1])
    cv2.imwrite(str(tmp_path / f"gray{kind}"), deep(card[..., 0] // 2))
    assert np.abs(load_image(tmp_path / f"deep{kind}").astype(int) - card).max() <= 1
    assert np.abs(load_image(tmp_path / f"gray{kind}")[..., 1].astype(int) - card[..., 0] // 2).max() <= 1


def test_a_dark_picture_of_sixteen_bits_stays_dark(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dark.png"), np.full((20, 30), 250, np.uint16))
    assert load_image(tmp_path / "dark.png").max() == 1


def test_cmyk_as_it_is_printed(tmp_path: Path) -> None:
    flat = Pil.fromarray(np.full((40, 60, 3), (200, 60, 30), np.uint8))
    flat.convert("CMYK").save(tmp_path / "press.jpg", icc_profile=b"\x00" * 16 + b"CMYK" + b"\x00" * 108)
    image, facts = load_picture(tmp_path / "press.jpg")  # a profile that is broken
    assert np.abs(image.astype(int) - (200, 60, 30)).max() < 8
    assert facts.icc == b""  # that of the inks is none of these values


def test_heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    card = draw_card(64, 48)
    said = exif()
    del said[ORIENTATION]
    Pil.fromarray(card).save(tmp_path / "phone.heic", quality=95, exif=said.tobytes(), icc_profile=profile())
    image, facts = load_picture(tmp_path / "phone.heic")
    assert np.abs(image.astype(int) - card).mean() < 9
    assert facts.icc == profile()
    save_image(tmp_path / "phone.png", image, facts)
    with Pil.open(tmp_path / "phone.png") as written:
        assert written.getexif()[MAKE] == "A camera"
    (tmp_path / "phone.png").unlink()
    plan = pairs(tmp_path, Target(str(tmp_path / "out")))
    assert plan.jobs == [(tmp_path / "phone.heic", tmp_path / "out/phone.jpg")]
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"pip install 'livestyle\[heif\]'"):
        load_picture(tmp_path / "phone.heic")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of many kinds, and three that are broken."""
    place = tmp_path / "in"
    place.mkdir()
    card = Pil.fromarray(draw_card(60, 40))
    card.save(place / "a.jpg", exif=exif(), icc_profile=profile())
    card.convert("CMYK").save(place / "b.tif")
    card.convert("LA").save(place / "c.webp")
    cv2.imwrite(str(place / "d.png"), deep(draw_card(60, 40)))
    (place / "e.jpg").write_bytes((place / "a.jpg").read_bytes()[:900])
    (place / "f.png").write_text("no picture")
    (place / "g.png").write_bytes(b"")
    (place / "notes.txt").write_text("not a picture, and not meant to be one")
    return place


@pytest.mark.parametrize("command", [("photo", *PLAIN), ("matte", "--segmenter", "kmeans")])
def test_broken_pictures_are_named_and_the_rest_is_done(folder: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    said = livestyle(command[0], folder, tmp_path / "out", *command[1:]).stderr
    assert all(said.count(f"Warning: {folder / name}") == 1 for name in ("e.jpg", "f.png", "g.png"))
    assert "4 pictures" in said
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    kept = ["a.jpg", "b.tif", "c.webp", "d.png"]
    assert made == (kept if command[0] == "photo" else [f"{name[0]}.png" for name in kept])
    with Pil.open(tmp_path / "out" / made[0]) as upright:
        assert upright.size == (40, 60)
        assert upright.getexif()[MAKE] == "A camera"
        assert not upright.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert ("icc_profile" in upright.info) == (command[0] == "photo")  # a grey matte has no RGB profile


def test_a_folder_of_nothing_but_broken_pictures(folder: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.tif", "c.webp", "d.png"):
        (folder / name).unlink()
    said = livestyle("photo", folder, tmp_path / "out", *PLAIN, code=2).stderr
    assert "None of 3 pictures" in said
    assert "e.jpg" in said


def test_a_cutout_keeps_its_colours_profile(tmp_path: Path) -> None:
    Pil.fromarray(draw_card(60, 40)).save(tmp_path / "a.jpg", icc_profile=profile())
    livestyle("matte", tmp_path / "a.jpg", tmp_path / "a.png", "--cutout", "--segmenter", "kmeans")
    with Pil.open(tmp_path / "a.png") as cutout:
        assert cutout.mode == "RGBA"
        assert cutout.info["icc_profile"] == profile()


def test_only_pictures_that_can_be_written_are_promised() -> None:
    assert set(PICTURE_SUFFIXES) < set(READABLE_SUFFIXES)


def test_a_result_that_cannot_be_written_stops_no_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        save_image(tmp_path / name, draw_card(8, 8))
    (tmp_path / "out/b.png").mkdir(parents=True)
    done = list(
        render_stills(pairs(tmp_path, Target(str(tmp_path / "out"))).jobs, lambda frame: frame.image, Settings())
    )
    assert [still.picture.name for still in done if still.problem] == ["b.png"]
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_file()} == {"a.png", "c.png"}
