"""What a run is asked to save: stills, animations, series of the photo booth, recordings, styles."""

import threading
from collections import deque
from collections.abc import Iterator
from itertools import count

from livestyle.errors import UserError
from livestyle.types import Status


class Orders:
    """Orders of things to save. Any thread may call any method.

    Attributes:
        panicked: a placeholder is shown everywhere, and nothing is saved.
        booth: how many pictures the photo booth is to take, 0 for its own number; None for none.
        countdown: what the preview counts before the next of them; "" for nothing.
        improving: what is told of a style that gets better: "words", "seconds_left" and more; None for none.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.panicked = False
        self.booth: int | None = None
        self.countdown = ""
        self._animations: deque[str] = deque()  # the kind of each
        self._stills: deque[bool] = deque()  # whether each is to be painted too
        self.improving: Status | None = None
        self._keeps: deque[tuple[str, str]] = deque()  # the name to keep each style by, and the style
        self._stops_improving = False
        self._takes, self._take = count(1), None  # type: tuple[count[int], int | None]

    def drop_orders(self) -> None:
        """Forget what is not begun, and end the series of the photo booth. A recording goes on."""
        self.booth, self.countdown = None, ""
        self._stills.clear()
        self._animations.clear()

    def order_still(self, paint: bool) -> None:
        """Have the next frame saved.

        Args:
            paint: also have it painted by optimisation.

        Raises:
            UserError: the placeholder is shown.
        """
        self._check_shown()
        self._stills.append(paint)

    def order_animation(self, kind: str) -> None:
        """Have the last seconds saved.

        Args:
            kind: "gif" or "webp".

        Raises:
            UserError: the placeholder is shown.
        """
        self._check_shown()
        self._animations.append(kind)

    def toggle_booth(self, pictures: int = 0) -> bool:
        """Start a series of the photo booth, or end the present one. Return whether one is wanted now.

        Args:
            pictures: how many; 0 for the booth's own number.

        Raises:
            UserError: the placeholder is shown.
        """
        self._check_shown()
        self.booth = pictures if self.booth is None else None
        return self.booth is not None

    def _check_shown(self) -> None:
        if self.panicked:
            raise UserError("Nothing is saved while you are hidden.", "Come back first.")

    def ordered_animations(self) -> Iterator[str]:
        """Yield the kind of each animation ordered since the last call."""
        while self._animations:
            yield self._animations.popleft()

    def ordered_stills(self) -> Iterator[bool]:
        """Yield, for each still ordered since the last call, whether it is to be painted."""
        while self._stills:
            yield self._stills.popleft()

    def order_keep(self, name: str, style: str) -> None:
        """Have the style of a picture kept.

        Args:
            name: for it, "" for one that is made; style: `picture:...`.
        """
        self._keeps.append((name, style))

    def ordered_keeps(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the style of each that was ordered to be kept since the last call."""
        while self._keeps:
            yield self._keeps.popleft()

    def stop_improving(self) -> None:
        """Have the style stay as it is by now.

        Raises:
            UserError: none gets better.
        """
        if not self.improving:
            raise UserError("No style gets better at the moment.", "It begins when a picture's style is shown.")
        self._stops_improving = True

    def stops_improving(self) -> bool:
        """Return whether a style is to stay as it is since the last call."""
        stops, self._stops_improving = self._stops_improving, False
        return stops

    @property
    def recording(self) -> bool:
        """Whether a recording is wanted."""
        return self._take is not None

    @recording.setter
    def recording(self, wanted: bool) -> None:
        if wanted != self.recording:
            self.toggle_recording()

    @property
    def take(self) -> int | None:
        """The number of the recording that is wanted, or None. Each recording has a new number."""
        return self._take

    def toggle_recording(self) -> bool:
        """Start a recording, or stop the present one. Return whether one is wanted now."""
        with self._lock:
            self._take = next(self._takes) if self._take is None else None
            return self.recording

    def end_take(self, number: int) -> None:
        """Stop a recording, such as one that failed. A newer one goes on."""
        with self._lock:
            if self._take == number:
                self._take = None
