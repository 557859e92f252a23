"""Words that all rooms use."""

from collections.abc import Callable

Size = tuple[int, int]  # width, height


Say = Callable[[str], None]  # a line for people
FrameProgress = Callable[[int], None]  # the frames done so far


Progress = Callable[[float, str], None]  # the share that is done, in 0..1, and a note
