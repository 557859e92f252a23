"""Automatic quality: what the machine has time for, so that a frame is done before the camera's next one."""

from collections.abc import Sequence

from livestyle.config.quality import LADDER, START, Quality
from livestyle.types import Size

FULL = 0.95  # of the time between two frames: with more, frames are dropped
AIM = 0.85  # the most that a step down should leave
ROOM = 0.7  # the most that a step up may take
LATE = 0.4  # seconds of being late, for a step down
EASY = 4.0  # seconds of having room, for a step up; twice as many after each that had to be taken back
LONGEST = 64.0  # seconds of the same at most
HELD = 20.0  # seconds after which a step up has proved itself
SETTLE = 3  # frames after a step that tell nothing: nets and caches warm up
NEWEST = 0.25  # of a mean that is the newest frame's


class AutoQuality:
    """Goes up and down a ladder of qualities by the time that frames took. Has no clock but the frames' own.

    Args:
        interval: seconds between two frames of the camera; size: of the frames.
        ladder: qualities from the cheapest; start: where on it.
    """

    def __init__(self, interval: float, size: Size, ladder: Sequence[Quality] = LADDER, start: int = START) -> None:
        self._interval, self._ladder, self._level = interval, ladder, start
        self._pixels = [quality.pixels(size) for quality in ladder]
        self._painted = self._carried = self._share = 0.0  # means of seconds, and of the styles' share of them
        self._settling, self._wait = SETTLE, EASY
        self._late_since: float | None = None
        self._easy_since: float | None = None
        self._raised: float | None = None  # when, while that may have to be taken back

    @property
    def quality(self) -> Quality:
        """What to compute at."""
        return self._ladder[self._level]

    @property
    def is_settled(self) -> bool:
        """Whether it runs as it will: nothing is warming up."""
        return not self._settling

    @property
    def below(self) -> Quality:
        """What to step down to, to be made ready before that is needed."""
        return self._ladder[max(0, self._level - 1)]

    def feed(self, time: float, busy: float, styles: float) -> None:
        """Take what a frame took.

        Args:
            time: of the frame; busy: seconds that the longest of its stages took; styles: that styles were painted
            in, 0 where a painting was carried along.
        """
        if self._settling:
            self._settling -= 1
            return
        if styles:
            self._painted = mean(self._painted, busy)
            self._share = mean(self._share, min(1.0, styles / busy))
        else:
            self._carried = mean(self._carried, busy)
        if not self._painted:
            return
        late, easy = self._load(self._level) > FULL, self._has_room()
        self._late_since = (time if self._late_since is None else self._late_since) if late else None
        self._easy_since = (time if self._easy_since is None else self._easy_since) if easy else None
        if self._late_since is not None and time - self._late_since >= LATE:
            self._lower(time)
        elif self._easy_since is not None and time - self._easy_since >= self._wait:
            self._raised = time
            self._go(self._level + 1)
        elif self._raised is not None and time - self._raised > HELD:
            self._raised, self._wait = None, EASY

    def _load(self, level: int) -> float:
        """The share of the time between two frames that one will take at a level."""
        ratio = self._pixels[level] / self._pixels[self._level]
        painted = self._painted * (1 + self._share * (ratio - 1))
        carried = self._carried or painted * (1 - self._share)
        carry = self._ladder[level].carry
        return (painted + carry * carried) / (1 + carry) / self._interval

    def _has_room(self) -> bool:
        return self._level + 1 < len(self._ladder) and self._load(self._level + 1) < ROOM

    def _lower(self, time: float) -> None:
        if self._raised is not None:
            self._raised, self._wait = None, min(LONGEST, 2 * self._wait)
        lower = [level for level in range(self._level) if self._load(level) <= AIM]
        self._go(lower[-1] if lower else self._level // 2)

    def _go(self, level: int) -> None:
        if level == self._level:
            return
        self._level, self._settling = level, SETTLE
        self._painted = self._carried = self._share = 0.0
        self._late_since = self._easy_since = None


def mean(old: float, new: float) -> float:
    """A running mean; the first value as it is."""
    return old + NEWEST * (new - old) if old else new
