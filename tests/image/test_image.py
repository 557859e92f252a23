"""Properties of the pixel functions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pil
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.image import pixels
from livestyle.image.io import load_image, save_image
from livestyle.image.types import Matte

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@st.composite
def scenes(draw):  # type: ignore[no-untyped-def]
    """Two images and a matte of one size."""
    h, w = draw(shapes)
    images = hnp.arrays(np.uint8, (h, w, 3))
    return (
        draw(images),
        draw(images),
        draw(hnp.arrays(np.float32, (h, w), elements=st.floats(0, 1, width=32, allow_subnormal=False))),
    )


@given(scenes())
def test_composite_lies_between_and_is_exact_at_the_ends(scene) -> None:  # type: ignore[no-untyped-def]
    person, behind, matte = scene
    out = pixels.composite(person, behind, matte)
    assert (out[matte == 1] == person[matte == 1]).all()
    assert (out[matte == 0] == behind[matte == 0]).all()
    low, high = np.minimum(person, behind).astype(int), np.maximum(person, behind).astype(int)
    assert ((out >= low - 1) & (out <= high + 1)).all()
    assert (pixels.composite(person, person, matte) == person).all()
    turned = pixels.composite(behind, person, 1 - matte)
    assert np.abs(out.astype(int) - turned).max() <= 1


@given(scenes())
def test_a_person_before_a_scene_is_the_person_alone_laid_over_it(scene) -> None:  # type: ignore[no-untyped-def]
    image, behind, matte = scene
    out = pixels.composite_foreground(image, behind, matte)
    assert (out[matte == 1] == image[matte == 1]).all()
    assert (out[matte == 0] == behind[matte == 0]).all()
    apart = np.abs(out.astype(int) - pixels.composite(pixels.fast_foreground(image, matte), behind, matte)).max(2)
    assert apart[(matte > pixels.SOFT_MARGIN) & (matte < 1 - pixels.SOFT_MARGIN)].max(initial=0) <= 1
    assert apart.max() <= 255 * pixels.SOFT_MARGIN + 1


@given(scenes(), st.floats(0, 1, allow_subnormal=False))
def test_mix_is_exact_at_the_ends_and_between(scene, share: float) -> None:  # type: ignore[no-untyped-def]
    one, other, _ = scene
    assert (pixels.mix(one, other, 0) == one).all()
    assert (pixels.mix(one, other, 1) == other).all()
    wanted = one * (1 - share) + other * share
    assert np.abs(pixels.mix(one, other, share) - wanted).max() <= 1


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3))), st.integers(1, 16))
def test_padding_keeps_the_picture(image, multiple: int) -> None:  # type: ignore[no-untyped-def]
    padded = pixels.pad_to(image, multiple)
    h, w = image.shape[:2]
    assert padded.shape[0] % multiple == 0
    assert padded.shape[1] % multiple == 0
    assert padded.shape[0] - h < multiple
    assert (padded[:h, :w] == image).all()


@given(shapes, shapes)
def test_cover_fills_any_size(shape, other) -> None:  # type: ignore[no-untyped-def]
    out = pixels.cover(draw_card(shape[1], shape[0]), (other[1], other[0]))
    assert out.shape == (*other, 3)


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 10**6))
def test_at_most_keeps_the_shape_and_the_bound(width: int, height: int, bound: int) -> None:
    w, h = pixels.at_most((width, height), bound)
    assert w <= width
    assert h <= height
    assert w * h <= bound + w + h + 1
    if width * height <= bound:
        assert (w, h) == (width, height)


def test_no_colour_of_one_plane_bleeds_into_the_blur_of_the_other() -> None:
    image = np.full((120, 160, 3), (20, 120, 20), np.uint8)
    matte = np.zeros((120, 160), np.float32)
    image[30:, 50:110], matte[30:, 50:110] = (250, 0, 250), 1
    outside = pixels.blur_plane(image, 1 - matte, 1.0)[matte == 0].astype(int)
    assert np.abs(outside - (20, 120, 20)).max() <= 2
    inside = pixels.blur_plane(image, matte, 1.0)[matte == 1].astype(int)
    assert np.abs(inside - (250, 0, 250)).max() <= 2


def test_the_old_background_leaves_no_rim_at_soft_edges() -> None:
    soft = cv2.GaussianBlur(disc(320, 180).astype(np.float32), (0, 0), 1.5)
    person, room = np.array((30.0, 60.0, 90.0)), np.array((240.0, 250.0, 200.0))
    mixed = (soft[..., None] * person + (1 - soft[..., None]) * room + 0.5).astype(np.uint8)
    edge = (soft > 0.1) & (soft < 0.9)
    alone = pixels.fast_foreground(mixed, soft)
    assert np.abs(alone[edge] - person).max() < np.abs(mixed[edge] - person).max() / 4
    hard = (soft <= pixels.SOFT_MARGIN) | (soft >= 1 - pixels.SOFT_MARGIN)
    assert np.array_equal(alone[hard], mixed[hard])


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
def test_colours_at_soft_edges_exist_at_any_size(size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    matte = rng.choice(np.array([0, 0.5, 1], np.float32), size)
    alone = pixels.fast_foreground(image, matte)
    assert alone.shape == image.shape
    assert np.array_equal(alone[matte != 0.5], image[matte != 0.5])


def test_keep_colors_takes_luminance_from_one_and_chroma_from_the_other() -> None:
    grey = np.full((8, 8, 3), 90, np.uint8)
    red = np.full((8, 8, 3), (150, 60, 60), np.uint8)
    out = pixels.keep_colors(grey, red).astype(float)
    assert abs(out.mean(axis=(0, 1)) @ (0.299, 0.587, 0.114) - 90) < 2
    assert out[..., 0].mean() > out[..., 1].mean() + 50


def test_strokes_that_lost_their_colours_are_calmer_and_edges_stay() -> None:
    image = np.full((96, 160, 3), (190, 160, 120), np.uint8)
    image[:, 80:] = 40, 50, 60
    y, x = np.mgrid[:96, :160]
    rings = 20 * np.sin(np.hypot(x - 40, y - 48) / 2)
    styled = np.clip(pixels.grayscale(image) + rings, 0, 255).astype(np.uint8)[..., None].repeat(3, 2)
    before, after = (pixels.grayscale(make(styled, image)).astype(int) for make in (pixels.keep_colors, pixels.recolor))
    assert after[20:76, 10:60].std() < 0.7 * before[20:76, 10:60].std()
    assert abs(after[:, :70].mean() - before[:, :70].mean()) < 2
    assert abs((after[:, 70] - after[:, 90]).mean() - (before[:, 70] - before[:, 90]).mean()) < 12


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
def test_any_kind_of_picture_loads_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("p.jpg" if mode == "CMYK" else "p.png")
    Pil.fromarray(draw_card(31, 17)).convert(mode).save(path)
    image = load_image(path)
    assert image.shape == (17, 31, 3)
    assert image.dtype == np.uint8


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Pil.fromarray(ramp).save(tmp_path / "deep.png")
    image = load_image(tmp_path / "deep.png")
    assert np.abs(image[..., 0].astype(float) - ramp / 257).max() <= 1


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    exif = Pil.Exif()
    exif[0x0112] = 6  # the camera was turned
    Pil.fromarray(draw_card(40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "text.png", "empty.png", "missing.png"])
def test_a_bad_picture_gets_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("cut"):
        Pil.fromarray(draw_card(200, 200)).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name != "missing.png":
        path.write_text("not a picture" if name == "text.png" else "")
    with pytest.raises(UserError, match=name):
        load_image(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="on purpose"), atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError("on purpose")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


GOLDEN = Path(__file__).parents[1] / "golden"


def disc(width: int, height: int) -> Matte:
    """A soft disc."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width / 2, y - height * 0.6)
    return np.clip((height * 0.35 - distance) / 4 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("composite", lambda a, b, m: pixels.composite(a, b, m)),
        ("blur", lambda a, b, m: pixels.blur_plane(a, 1 - m, 0.6)),
        ("keep_colors", lambda a, b, m: pixels.keep_colors(b, a)),
    ],
)
def test_golden(name: str, make, request: pytest.FixtureRequest) -> None:  # type: ignore[no-untyped-def]
    ours = make(draw_card(96, 64), np.ascontiguousarray(draw_card(96, 64, 1)[::-1, ::-1, ::-1]), disc(96, 64))
    path = GOLDEN / f"{name}.png"
    if request.config.getoption("--update-golden"):
        save_image(path, ours)
    difference = np.abs(ours.astype(int) - load_image(path)).mean()
    assert difference < 0.5  # of 255: rounding differs between OpenCV's builds
