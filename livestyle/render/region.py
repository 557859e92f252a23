"""The region of a frame that a style is computed for."""

import math

from livestyle.image.box import Box, bounding_box, expanded
from livestyle.image.types import Matte
from livestyle.types import Size

BOX_STEPS = 8  # lengths that each side of a box may have
MARGIN_SHARE = 1 / 16  # of the picture's sides: left around what a box contains
SHRINK_DELAY_S = 2.0  # for which a box may be larger than it needs to be
GRID_PX = 8  # corners of boxes are at multiples of it


class Region:
    """Own where a plane is stylized: a box that contains all of it that is visible.

    Networks normalize the contrast of their input, so a new box changes their look a little. A new size has to be
    compiled first. So a box has few sizes, strokes keep their places in it, and it shrinks only after a while.
    """

    def __init__(self) -> None:
        self._size: Size = (0, 0)
        self._box: Box | None = None
        self._fitted = 0.0  # when the box was last no larger than it needs to be

    def box(self, size: Size) -> Box | None:
        """Return what to stylize of a picture of this size before its matte is known.

        At first it is all of the picture. It is None if nothing of the plane was visible in the frame before.
        """
        if size != self._size:
            self._size, self._box, self._fitted = size, Box(0, 0, *size), -math.inf
        return self._box

    def held(self, size: Size) -> Box | None:
        """Return the box of a picture of this size; None where there is none yet. This may be called on any thread."""
        return self._box if size == self._size else None

    def update(self, matte: Matte, size: Size, time: float, *, rest: bool = False) -> Box | None:
        """Take the matte of a frame. After that, `box` contains all of the plane that is visible.

        Args:
            matte: float32 (h, w), 1 on the plane, of any size.
            size: width and height of the picture that is stylized.
            time: of the frame, in seconds.
            rest: whether the plane is what the matte leaves.

        Returns:
            The bounding box of the plane, or None where nothing of it is visible.
        """
        held, needed = self.box(size), bounding_box(matte, size, rest=rest)
        if needed is None:
            self._box = None
            return None
        wanted = snapped(needed, size)
        if held is None or not held.contains(expanded(needed, size, MARGIN_SHARE / 2)):
            self._box, self._fitted = wanted, time
        elif wanted.area > 0.8 * held.area or time < self._fitted:
            self._fitted = time
        elif time - self._fitted > SHRINK_DELAY_S:
            self._box, self._fitted = wanted, time
        return needed


def snapped(box: Box, size: Size) -> Box:
    """Return a box with a margin, its sides lengthened to steps, its corner at multiples of GRID_PX."""
    room = expanded(box, size, MARGIN_SHARE)
    left, right = snapped_side(room.left, room.right, size[0])
    top, bottom = snapped_side(room.top, room.bottom, size[1])
    return Box(left, top, right, bottom)


def snapped_side(start: int, end: int, full: int) -> tuple[int, int]:
    """Return one side of a box, lengthened at both ends, in a picture of `full` pixels."""
    start, step = start // GRID_PX * GRID_PX, GRID_PX * math.ceil(full / BOX_STEPS / GRID_PX)
    length = min(full, math.ceil((end - start) / step) * step)
    before = (length - end + start) // (2 * GRID_PX) * GRID_PX
    start = max(0, min(start - before, math.ceil((full - length) / GRID_PX) * GRID_PX))
    return start, min(full, start + length)
