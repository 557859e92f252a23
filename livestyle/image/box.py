"""Where a plane is painted: the box of what shows of it, steady from frame to frame."""

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.settings import Size
from livestyle.image.pixels import Matte

Kind = TypeVar("Kind", bound=np.generic)

SHOWS = 0.004  # of a plane's matte: less than this changes no pixel by more than one
STEPS = 8  # lengths that each side of a box has
ROOM = 1 / 16  # of the picture's sides: left around what a box holds
LARGE = 2.0  # seconds for which a box may be larger than it need be


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


class Region:
    """Owns where a plane is painted: a box that holds all of it that shows.

    Nets even out the contrast of what they are given, so that a new box changes their look a little, and a new size has
    to be made ready first. So a box has few sizes, strokes keep their places in it, and it shrinks only after a while.
    """

    def __init__(self) -> None:
        self._size: Size = (0, 0)
        self._box: Box | None = None
        self._fitted = 0.0  # when the box was last no larger than need be

    def box(self, size: Size) -> Box | None:
        """What to paint of a picture of this size before its matte is known: all at first, None where none showed."""
        if size != self._size:
            self._size, self._box, self._fitted = size, Box(0, 0, *size), -math.inf
        return self._box

    def shown(self, matte: Matte, size: Size, time: float, *, rest: bool = False) -> Box | None:
        """The bounds of a plane now, None where it is nowhere. After it `box` is one that holds them.

        Args:
            matte: 1 on the plane, of any size; size: of the picture that is painted; time: in seconds.
            rest: the plane is what the matte leaves.
        """
        held, need = self.box(size), bounds(matte, size, rest=rest)
        if need is None:
            self._box = None
            return None
        wanted = snapped(need, size)
        if held is None or not held.holds(grown(need, size, ROOM / 2)):
            self._box, self._fitted = wanted, time
        elif wanted.area > 0.8 * held.area or time < self._fitted:
            self._fitted = time
        elif time - self._fitted > LARGE:
            self._box, self._fitted = wanted, time
        return need


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


def snapped(box: Box, size: Size) -> Box:
    """With room, its sides lengthened to steps, its corner at multiples of 8."""
    room = grown(box, size, ROOM)
    left, right = span(room.left, room.right, size[0])
    top, bottom = span(room.top, room.bottom, size[1])
    return Box(left, top, right, bottom)


def span(start: int, end: int, full: int) -> tuple[int, int]:
    """The same for one side of a picture of `full` pixels, what is added spread over both ends."""
    start, step = start // 8 * 8, 8 * math.ceil(full / STEPS / 8)
    length = min(full, math.ceil((end - start) / step) * step)
    start = max(0, min(start - (length - end + start) // 16 * 8, math.ceil((full - length) / 8) * 8))
    return start, min(full, start + length)
