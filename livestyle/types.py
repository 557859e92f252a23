"""Words that all rooms use."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

Size = tuple[int, int]  # width, height, in pixels
Color = tuple[int, int, int]  # RGB in 0..255
Status = dict[str, object]  # how a run goes: the JSON object of `livestyle ctl status`
Say = Callable[[str], None]  # takes a line for people
FrameProgress = Callable[[int], None]  # takes the number of frames done so far
Progress = Callable[[float, str], None]  # takes the share that is done, in 0..1, and a note
# Opens a display of progress: a label, and the total or None.
OpenProgress = Callable[[str, float | None], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Display:
    """What shows people how work goes.

    Args:
        say: takes messages; bar: opens a display of progress.
    """

    say: Say
    bar: OpenProgress


class Stop(threading.Event):
    """Set it to end a run in good order.

    Attributes:
        is_driving: frames are being made. A run that does not end then may be abandoned, since all files are whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_driving = False
