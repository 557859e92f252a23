"""Discs of light behind, and nobody's colours in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.image.bokeh import MAX_RADIUS_SHARE, bokeh_plane, disc_blur
from livestyle.image.pixels import blur_plane
from livestyle.image.types import Image, Matte

PIXELS = 640 * 360


def night() -> Image:
    """A dark room with one small light."""
    image = np.full((180, 320, 3), (10, 12, 20), np.uint8)
    image[60:64, 100:104] = (255, 240, 200)
    return image


def everywhere(image: Image) -> Matte:
    return np.ones(image.shape[:2], np.float32)


def test_a_light_becomes_a_disc_that_is_even_and_of_the_right_size() -> None:
    blurred = bokeh_plane(night(), everywhere(night()), 1.0, PIXELS).astype(int)
    y, x = np.mgrid[:180, :320]
    away = np.hypot(y - 61.5, x - 101.5)
    radius = MAX_RADIUS_SHARE * 180
    inside, outside = blurred[away < radius - 4], blurred[away > radius + 5]
    assert inside.std(0).max() < 4
    assert inside.mean() > outside.mean() + 40
    assert np.abs(outside - (10, 12, 20)).max() <= 2
    soft = blur_plane(night(), everywhere(night()), 0.7)[away < radius - 4].astype(int)
    assert inside.mean() > soft.mean() + 20  # a Gaussian of numbers, not of light, loses it


def test_strength_is_the_size_of_the_discs() -> None:
    areas = []
    for strength in (0.3, 0.6, 1.0):
        blurred = bokeh_plane(night(), everywhere(night()), strength, PIXELS).astype(int)
        areas.append(int((blurred.sum(2) > 60).sum()))
    assert areas[0] < 0.5 * areas[1] < areas[1] < 0.7 * areas[2]


def test_no_colour_of_the_person_bleeds_into_it_and_no_hole_is_left_behind_them() -> None:
    image, matte = np.full((120, 160, 3), (20, 120, 20), np.uint8), np.zeros((120, 160), np.float32)
    image[30:, 50:110], matte[30:, 50:110] = (250, 0, 250), 1
    for strength in (0.0, 0.1, 1.0):
        blurred = bokeh_plane(image, 1 - matte, strength, PIXELS).astype(int)
        assert np.abs(blurred[matte == 0] - (20, 120, 20)).max() <= 3
        assert np.abs(blurred[:, 48:52] - (20, 120, 20)).max() <= 6  # where a matte is soft, too


def test_a_white_wall_does_not_glow() -> None:
    image = draw_card(160, 120)
    image[:, 80:] = 250
    glowing = bokeh_plane(image, everywhere(image), 0.5, PIXELS)[20:100, 60:74].astype(int).mean()
    dull = bokeh_plane(np.minimum(image, 220), everywhere(image), 0.5, PIXELS)[20:100, 60:74].astype(int).mean()
    assert glowing < dull + 25


@given(st.floats(0.0, 12.0, allow_subnormal=False))
def test_spreading_keeps_the_sum_of_what_is_away_from_the_rim(radius: float) -> None:
    planes = [np.zeros((64, 70), np.float32) for _ in range(4)]
    for number, plane in enumerate(planes):
        plane[30 + number, 32] = number + 1
    for plane, result in zip(planes, disc_blur(planes, round(radius, 1)), strict=True):
        assert result.sum() == pytest.approx(plane.sum(), rel=1e-3)
        assert np.unravel_index(result.argmax(), result.shape)[0] == pytest.approx(30 + plane.max() - 1, abs=radius + 1)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (641, 359)])
def test_any_size(size: tuple[int, int]) -> None:
    image = draw_card(*size)
    assert bokeh_plane(image, everywhere(image), 1.0, PIXELS).shape == image.shape
