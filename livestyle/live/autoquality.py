"""Automatic quality: the finest one at which a frame is done before the camera's next."""

from collections.abc import Sequence

from livestyle.config.quality import LADDER, START, Quality
from livestyle.types import Size

# Loads are shares of the time between two frames of the camera.
MAX_LOAD = 0.95  # with more, frames are dropped
MAX_LOAD_AFTER_DOWN = 0.85  # that a step down should leave
MAX_LOAD_AFTER_UP = 0.7  # that a step up may cause
STEP_DOWN_AFTER_S = 0.4  # of too much load
STEP_UP_AFTER_S = 4.0  # of little load; twice as long after each step up that had to be taken back
MAX_STEP_UP_AFTER_S = 64.0
PROVEN_AFTER_S = 20.0  # after a step up: it is not taken back any more
SETTLE_FRAMES = 3  # after a step, which are not measured: nets and caches warm up
SMOOTHING = 0.25  # weight of the newest frame in a running mean


class AutoQuality:
    """Step through a ladder of qualities by the time that frames take. It knows no clock but the frames' own.

    Args:
        interval_s: seconds between two frames of the camera.
        size: of the frames, (width, height) in pixels.
        ladder: qualities from the cheapest to the most expensive.
        start: index in `ladder` of the first quality.
    """

    def __init__(self, interval_s: float, size: Size, ladder: Sequence[Quality] = LADDER, start: int = START) -> None:
        self._interval_s, self._ladder, self._level = interval_s, ladder, start
        self._pixels = [quality.pixels(size) for quality in ladder]
        self._painted_s = self._warped_s = self._style_share = 0.0  # running means
        self._settling, self._wait_s = SETTLE_FRAMES, STEP_UP_AFTER_S
        self._late_since: float | None = None
        self._easy_since: float | None = None
        self._raised_at: float | None = None  # when the last step up was, while it may be taken back

    @property
    def quality(self) -> Quality:
        """The quality to compute at."""
        return self._ladder[self._level]

    @property
    def is_settled(self) -> bool:
        """Whether frames are measured: nothing warms up."""
        return not self._settling

    @property
    def below(self) -> Quality:
        """The next cheaper quality, so that it can be compiled before it is needed."""
        return self._ladder[max(0, self._level - 1)]

    def feed(self, time_s: float, busy_s: float, styles_s: float) -> None:
        """Measure a frame, and step up or down if it is time.

        Args:
            time_s: time of the frame, in seconds of the source.
            busy_s: seconds that the longest of its stages took.
            styles_s: seconds of them for painting styles; 0 if the last painting was warped instead.
        """
        if self._settling:
            self._settling -= 1
            return
        if styles_s:
            self._painted_s = running_mean(self._painted_s, busy_s)
            self._style_share = running_mean(self._style_share, min(1.0, styles_s / busy_s))
        else:
            self._warped_s = running_mean(self._warped_s, busy_s)
        if self._painted_s:
            self._step(time_s)

    def _step(self, time_s: float) -> None:
        is_late, is_easy = self._load(self._level) > MAX_LOAD, self._may_step_up()
        self._late_since = (time_s if self._late_since is None else self._late_since) if is_late else None
        self._easy_since = (time_s if self._easy_since is None else self._easy_since) if is_easy else None
        if self._late_since is not None and time_s - self._late_since >= STEP_DOWN_AFTER_S:
            self._step_down()
        elif self._easy_since is not None and time_s - self._easy_since >= self._wait_s:
            self._raised_at = time_s
            self._go_to(self._level + 1)
        elif self._raised_at is not None and time_s - self._raised_at > PROVEN_AFTER_S:
            self._raised_at, self._wait_s = None, STEP_UP_AFTER_S

    def _load(self, level: int) -> float:
        """Return the mean load that is expected at a level."""
        ratio = self._pixels[level] / self._pixels[self._level]
        painted_s = self._painted_s * (1 + self._style_share * (ratio - 1))
        warped_s = self._warped_s or painted_s * (1 - self._style_share)
        warped_frames = self._ladder[level].carry  # between two that are painted
        return (painted_s + warped_frames * warped_s) / (1 + warped_frames) / self._interval_s

    def _may_step_up(self) -> bool:
        return self._level + 1 < len(self._ladder) and self._load(self._level + 1) < MAX_LOAD_AFTER_UP

    def _step_down(self) -> None:
        if self._raised_at is not None:
            self._raised_at, self._wait_s = None, min(MAX_STEP_UP_AFTER_S, 2 * self._wait_s)
        lower = [level for level in range(self._level) if self._load(level) <= MAX_LOAD_AFTER_DOWN]
        self._go_to(lower[-1] if lower else self._level // 2)

    def _go_to(self, level: int) -> None:
        if level == self._level:
            return
        self._level, self._settling = level, SETTLE_FRAMES
        self._painted_s = self._warped_s = self._style_share = 0.0
        self._late_since = self._easy_since = None


def running_mean(old: float, new: float) -> float:
    """Return a running mean after a new value. The first value is the mean itself."""
    return old + SMOOTHING * (new - old) if old else new
