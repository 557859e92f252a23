"""Rectangles within a picture."""

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Matte
from livestyle.types import Size

Kind = TypeVar("Kind", bound=np.generic)

MIN_VISIBLE_ALPHA = 0.004  # below 1/255, so that less changes no pixel by more than one level


class Box(NamedTuple):
    """A rectangle in pixels, from `left`, `top` to just before `right`, `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """The number of pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def crop(self, array: NDArray[Kind]) -> NDArray[Kind]:
        """Return the part of an array (H, W, ...) inside the box, as a view."""
        return array[self.top : self.bottom, self.left : self.right]

    def contains(self, other: "Box") -> bool:
        """Return whether all of another box lies in this one."""
        return self.intersection(other) == other

    def intersection(self, other: "Box") -> "Box":
        """Return the part that both boxes share, without pixels where they do not meet."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Box(left, top, max(left, min(self.right, other.right)), max(top, min(self.bottom, other.bottom)))

    def relative_to(self, other: "Box") -> "Box":
        """Return the same place, counted from the corner of another box."""
        return Box(self.left - other.left, self.top - other.top, self.right - other.left, self.bottom - other.top)

    def scaled(self, size: Size, other: Size) -> "Box":
        """Return the same place in a picture scaled from one size to another, at least one pixel wide and high."""
        left, right = (round(x * other[0] / size[0]) for x in (self.left, self.right))
        top, bottom = (round(y * other[1] / size[1]) for y in (self.top, self.bottom))
        return Box(left, top, max(right, left + 1), max(bottom, top + 1))


def bounding_box(matte: Matte, size: Size, *, rest: bool = False) -> Box | None:
    """Return the box of all that is visible of a plane.

    Args:
        matte: float32 (H, W), 1 on the plane; of any size.
        size: width and height of the picture that the box is for.
        rest: whether the plane is what the matte leaves.

    Returns:
        The box in the picture, or None where nothing of the plane is visible.
    """
    low, high = (-1.0, 1 - MIN_VISIBLE_ALPHA) if rest else (MIN_VISIBLE_ALPHA, 2.0)
    left, top, width, height = cv2.boundingRect(cv2.inRange(matte, low, high))
    if not width:
        return None
    x, y = size[0] / matte.shape[1], size[1] / matte.shape[0]
    right, bottom = math.ceil((left + width) * x), math.ceil((top + height) * y)
    return Box(math.floor(left * x), math.floor(top * y), min(size[0], right), min(size[1], bottom))


def expanded(box: Box, size: Size, share: float) -> Box:
    """Return a box with a margin on all sides, cut off at the picture's border.

    Args:
        box: the box; size: width and height of the picture.
        share: the margin, as a share of the picture's sides.
    """
    x, y = math.ceil(share * size[0]), math.ceil(share * size[1])
    return Box(box.left - x, box.top - y, box.right + x, box.bottom + y).intersection(Box(0, 0, *size))
