"""The box that a plane is painted in: it never cuts, and seldom changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.image.box import Box, bounding_box
from livestyle.image.types import Matte
from livestyle.render.region import SHRINK_DELAY_S, Region, snapped

sides = st.integers(1, 700)


@st.composite
def parts(draw: st.DrawFn) -> tuple[Box, tuple[int, int]]:
    """A box of at least a pixel in a picture, and the picture's size."""
    width, height = draw(sides), draw(sides)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return Box(left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))), (width, height)


def plane(box: Box | None, size: tuple[int, int], value: float = 1.0) -> Matte:
    matte = np.zeros(size[::-1], np.float32)
    if box:
        box.crop(matte)[:] = value
    return matte


@given(parts())
def test_a_box_holds_all_of_the_plane_and_lies_in_the_picture(part: tuple[Box, tuple[int, int]]) -> None:
    box, size = part
    outer = snapped(box, size)
    assert outer.contains(box)
    assert Box(0, 0, *size).contains(outer)
    assert outer.left % 8 == outer.top % 8 == 0


@given(parts())
def test_bounds_are_those_of_what_shows(part: tuple[Box, tuple[int, int]]) -> None:
    box, size = part
    assert bounding_box(plane(box, size), size) == box
    assert bounding_box(1 - plane(box, size), size, rest=True) == box
    assert (
        bounding_box(plane(box, size, 0.003), size)
        is bounding_box(1 - plane(box, size, 0.003), size, rest=True)
        is None
    )


def test_bounds_at_another_size_lose_nothing() -> None:
    assert bounding_box(plane(Box(1, 2, 3, 4), (7, 5)), (10, 10)) == Box(1, 4, 5, 8)


def test_boxes_have_few_sizes() -> None:
    draw, size = np.random.default_rng(0), (640, 360)
    corners = np.sort(draw.integers(1, (640, 360), (500, 2, 2)), 1)
    found = [snapped(Box(left - 1, top - 1, right, bottom), size) for (left, top), (right, bottom) in corners.tolist()]
    assert len({(box.right - box.left, (box.bottom - box.top + 7) // 8) for box in found}) <= 64


def test_all_is_painted_before_anything_is_known() -> None:
    assert Region().box((640, 360)) == Box(0, 0, 640, 360)


def test_a_box_stays_while_somebody_sways() -> None:
    region, boxes = Region(), set()
    for n in range(60):
        at = 240 + round(12 * np.sin(n))
        region.update(plane(Box(at, 60, at + 160, 360), (640, 360)), (640, 360), n / 30)
        boxes.add(region.box((640, 360)))
    assert len(boxes) == 1
    assert boxes.pop().area < 0.7 * 640 * 360  # type: ignore[union-attr]


def test_a_box_grows_at_once_and_shrinks_after_a_while() -> None:
    region, size = Region(), (640, 360)
    small, large = Box(280, 150, 360, 360), Box(80, 60, 560, 360)
    region.update(plane(small, size), size, 0.0)
    first = region.box(size)
    region.update(plane(large, size), size, 0.1)
    assert region.box(size).contains(large)  # type: ignore[union-attr]
    region.update(plane(small, size), size, 0.2)
    region.update(plane(small, size), size, 0.2 + SHRINK_DELAY_S / 2)
    assert region.box(size).contains(large)  # type: ignore[union-attr]
    region.update(plane(small, size), size, 0.4 + SHRINK_DELAY_S)
    assert region.box(size) == first


def test_nobody_needs_no_box_and_a_new_size_starts_anew() -> None:
    region, size = Region(), (64, 48)
    assert region.update(plane(None, size), size, 0.0) is None
    assert region.box(size) is None
    assert region.update(plane(Box(8, 8, 16, 16), size), size, 0.1) == Box(8, 8, 16, 16)
    assert region.box(size).contains(Box(8, 8, 16, 16))  # type: ignore[union-attr]
    assert region.box((48, 64)) == Box(0, 0, 48, 64)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (17, 17)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    region = Region()
    need = region.update(np.ones(size[::-1], np.float32), size, 0.0)
    assert need == region.box(size) == Box(0, 0, *size)
