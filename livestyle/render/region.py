"""The region of a frame that a style has to be computed for."""

import math

from livestyle.image.box import Box, bounds, grown
from livestyle.image.types import Matte
from livestyle.types import Size

STEPS = 8  # lengths that each side of a box has
ROOM = 1 / 16  # of the picture's sides: left around what a box holds
LARGE = 2.0  # seconds for which a box may be larger than it need be


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
