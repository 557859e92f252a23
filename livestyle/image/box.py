"""Boxes within a picture."""

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.types import Matte
from livestyle.types import Size

Kind = TypeVar("Kind", bound=np.generic)


SHOWS = 0.004  # of a plane's matte: less than this changes no pixel by more than one


class Box(NamedTuple):
    """A part of a picture, from `left`, `top` to just before `right`, `bottom`, in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """Of how many pixels."""
        return (self.right - self.left) * (self.bottom - self.top)

    def of(self, array: NDArray[Kind]) -> NDArray[Kind]:
        """Its part of (H, W, ...), as a view."""
        return array[self.top : self.bottom, self.left : self.right]

    def holds(self, other: "Box") -> bool:
        """Whether all of another lies in it."""
        return self.common(other) == other

    def common(self, other: "Box") -> "Box":
        """Where both are; with no pixels where they do not meet."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Box(left, top, max(left, min(self.right, other.right)), max(top, min(self.bottom, other.bottom)))

    def within(self, other: "Box") -> "Box":
        """The same place as seen from another's corner."""
        return Box(self.left - other.left, self.top - other.top, self.right - other.left, self.bottom - other.top)

    def scaled(self, size: Size, other: Size) -> "Box":
        """The same place of a picture of another size, at least a pixel wide and high."""
        left, right = (round(x * other[0] / size[0]) for x in (self.left, self.right))
        top, bottom = (round(y * other[1] / size[1]) for y in (self.top, self.bottom))
        return Box(left, top, max(right, left + 1), max(bottom, top + 1))


def bounds(matte: Matte, size: Size, *, rest: bool = False) -> Box | None:
    """The box of all that shows of a plane, or of the rest, in a picture of some size; None where nothing does."""
    low, high = (-1.0, 1 - SHOWS) if rest else (SHOWS, 2.0)
    left, top, width, height = cv2.boundingRect(cv2.inRange(matte, low, high))
    if not width:
        return None
    x, y = size[0] / matte.shape[1], size[1] / matte.shape[0]
    right, bottom = math.ceil((left + width) * x), math.ceil((top + height) * y)
    return Box(math.floor(left * x), math.floor(top * y), min(size[0], right), min(size[1], bottom))


def grown(box: Box, size: Size, share: float) -> Box:
    """With room on all sides, a share of the picture's."""
    x, y = math.ceil(share * size[0]), math.ceil(share * size[1])
    return Box(box.left - x, box.top - y, box.right + x, box.bottom + y).common(Box(0, 0, *size))
