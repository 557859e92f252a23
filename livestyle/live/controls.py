"""The controls: what keys, signals and other programs change while the driver reads it.

Every action has a name and a key. What would uncover the room in a call is asked about first. Panic is not.
"""

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

from livestyle.config.look import BOTH, LOOK_KINDS, NONE, Look, Plane, check_person_look
from livestyle.config.quality import QUALITIES
from livestyle.errors import UserError
from livestyle.live.gallery import Gallery
from livestyle.live.privacy import Privacy
from livestyle.types import Status, Stop

PLANES = ("background", "person", BOTH)
VIEWS = ("split", "matte", "inset")
QUALITY_NAMES = ("auto", *QUALITIES)
ANSWER_TIME_S = 5.0  # for which a question stands


@dataclass
class PreviewState:
    """What the preview alone shows. None of it reaches other sinks.

    Attributes:
        view: what stands in place of the picture, one of VIEWS, or "".
        panels: what lies over the picture: "hud", "help", "strip"; and "full-screen".
        is_mirrored: left and right are swapped.
    """

    view: str = ""
    panels: frozenset[str] = frozenset({"hud"})
    is_mirrored: bool = False


class Controls:
    """Owns what the picture should be now. Any thread may press; the driver reads.

    Args:
        look: of both planes, to begin with.
        actions: what can be pressed; see `actions.make_controls`.
        stop: set by the action that ends the run.

    Attributes:
        look: of both planes; read it once a frame, since any thread may replace it.
        plane: which of PLANES the keys change.
        quality: one of QUALITY_NAMES.
        frozen: the picture stands still for everybody.
        panicked: a placeholder is shown everywhere.
        preview: what the preview alone shows.
    """

    def __init__(
        self,
        look: Look,
        actions: "tuple[Action, ...]" = (),
        gallery: Gallery = Gallery(),  # noqa: B008  (frozen)
        privacy: Privacy = Privacy(),  # noqa: B008  (frozen)
        quality: str = "auto",
        stop: Stop | None = None,
    ) -> None:
        self.look, self.actions, self.gallery, self.privacy, self.quality = look, actions, gallery, privacy, quality
        self.stop = stop or Stop()
        self.preview = PreviewState()
        self.plane = "background"
        self.frozen = self.panicked = False
        self._lock = threading.RLock()
        self._status: Status = {}
        self._alarm: Callable[[], None] = lambda: None
        self._previous = look  # to go back to
        self._asked: tuple[float, Look] | None = None  # until when, and what would be shown
        self._last_painted: dict[str, Plane] = {}  # by plane
        self._stills: deque[bool] = deque()  # whether each is to be painted too
        self._takes, self._take = count(1), None  # type: tuple[count[int], int | None]
        self._answers: deque[str] = deque()
        self._remember(look)

    # Pressing.

    def press(self, text: str) -> str:
        """Do what a key or an action's name stands for, and return what came of it.

        Args:
            text: a key, a digit for a style, or a name with an argument behind it.

        Raises:
            UserError: there is no such action, or its argument is wrong.
        """
        name, _, argument = text.strip().partition(" ")
        if len(name) == 1 and name.isdecimal():
            name, argument = "style", name
        action = self._action(name)
        if action is None:
            raise no_action(name, self.actions)
        if argument and not action.argument:
            raise UserError(f"'{action.name}' takes no argument.", f"Write: {action.name}")
        with self._lock:
            answer = action.do(self, argument.strip())
            if answer:
                self._answers.append(answer)
            return answer

    def strike(self, key: str) -> None:
        """Press a key of the window. An unknown key does nothing, and a refusal becomes an answer."""
        if self._action(key.partition(" ")[0]) or key.isdecimal():
            try:
                self.press(key)
            except UserError as error:
                self._answers.append(str(error))

    def key(self, name: str) -> str:
        """Return the key of an action."""
        return next(action.key for action in self.actions if action.name == name)

    def _action(self, name: str) -> "Action | None":
        return next((action for action in self.actions if name and name in (action.key, action.name)), None)

    # Answers and status.

    def tell(self, answer: str) -> None:
        """Have a line shown in the preview for a moment."""
        self._answers.append(answer)

    def answers(self) -> Iterator[str]:
        """Yield the lines since the last call."""
        while self._answers:
            yield self._answers.popleft()

    def report(self, status: Status) -> None:
        """Take how the run goes, for `status`; for the driver."""
        self._status = status

    @property
    def pace(self) -> Status:
        """How the run goes, as the driver reported it last."""
        return self._status

    def status(self) -> Status:
        """Return how things are, for other programs: the JSON object of `livestyle ctl status`."""
        look = self.look
        return {
            "background": look.background.text, "person": look.person.text,
            "background_strength": look.background_strength, "person_strength": look.person_strength,
            "keep_colors": look.keep_colors, "bypass": look.bypass, "plane": self.plane, "quality": self.quality,
            "paused": self.frozen or self.panicked, "frozen": self.frozen, "panicked": self.panicked,
            "recording": self.recording, "is_call": self.privacy.is_call, "fps": 0.0, "frames": 0, **self._status,
        }  # fmt: skip

    # Looks.

    def show(self, look: Look) -> str:
        """Take a look, but ask first where that would uncover the room in a call. Return the look in words.

        Raises:
            UserError: the question.
        """
        self._asked = None
        if self.privacy.must_ask(look, self.look):
            self._asked = time.monotonic() + ANSWER_TIME_S, look
            raise UserError("Others would see your room.", f"To show it, press {self.key('confirm')} within 5 seconds.")
        self._take_look(look)
        return str(look)

    def confirm(self) -> str:
        """Come back from a panic, or show what was asked about in time."""
        asked, self._asked = self._asked, None
        if self.panicked:
            self.panicked = False
            return "Back again"
        if asked and time.monotonic() < asked[0]:
            self._take_look(asked[1])
            return f"Others see it: {self.look}"
        return "Nothing was asked"

    def adopt(self, changes: Mapping[str, object]) -> str:
        """Change fields of the look by name, as a config file now has them.

        Raises:
            UserError: a style is not there, or the question.
        """
        with self._lock:
            for part in changes.values():
                if isinstance(part, Plane):
                    self.gallery.find(part.text)
            answer = self.show(replace(self.look, **changes))  # type: ignore[arg-type]
            self._answers.append(answer)
            return answer

    def refuse(self, look: Look, good: Look, why: str) -> None:
        """Go back from a look that cannot be rendered, unless another was chosen meanwhile.

        The one before is taken, or `good`, which could be rendered. In a call, where that would show a room that was to
        be hidden, the placeholder is shown.
        """
        with self._lock:
            if self.look is look:
                self.look = good if self._previous is look else self._previous
                self.panicked |= self.privacy.must_ask(self.look, look)
            self.tell(why)

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes that the keys change, by their names in a look."""
        return PLANES[:2] if self.plane == BOTH else (self.plane,)

    def paint(self, plane: Plane) -> str:
        """Give the chosen planes a look.

        Raises:
            UserError: the look is for the background only, or the question.
        """
        if "person" in self.planes:
            check_person_look(plane, "Choose the background first.")
        return self.show(self.look.with_planes(dict.fromkeys(self.planes, plane)))

    def last_painted(self, name: str) -> Plane:
        """Return what to paint a plane with: its own look, its last one, the other plane's, or the first style."""
        other = "person" if name == "background" else "background"
        plane: Plane = getattr(self.look, name)
        painted = plane if plane != NONE else self._last_painted.get(name) or self._last_painted.get(other)
        if painted is None or (name == "person" and LOOK_KINDS[painted.kind].is_background_only):
            return self.gallery.first
        return painted

    def unblurred(self) -> Plane:
        """Return what the background was painted with before it was blurred."""
        return self._last_painted.get("background", self.gallery.first)

    def _take_look(self, look: Look) -> None:
        self._previous, self.look = self.look, look
        self._remember(look)

    def _remember(self, look: Look) -> None:
        for name, plane in (("background", look.background), ("person", look.person)):
            if LOOK_KINDS[plane.kind].is_painted:
                self._last_painted[name] = plane

    # Panic.

    def on_panic(self, alarm: Callable[[], None]) -> None:
        """Have a function called at a panic by whoever pressed, for sinks that need not wait for the driver."""
        self._alarm = alarm

    def panic(self) -> None:
        """Show a placeholder everywhere, at once. Forget stills that were asked for."""
        self.panicked = True
        self._alarm()
        self._stills.clear()

    # Stills and recordings.

    def order_still(self, paint: bool) -> None:
        """Have the next frame saved, and painted by optimization if asked.

        Raises:
            UserError: everybody sees the placeholder.
        """
        if self.panicked:
            raise UserError("Nothing is saved while you are hidden.", "Come back first.")
        self._stills.append(paint)

    def ordered_stills(self) -> Iterator[bool]:
        """Yield the stills ordered since the last call: whether each is to be painted too."""
        while self._stills:
            yield self._stills.popleft()

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
        """The number of the recording that is wanted, or None. Each start has a new one."""
        return self._take

    def toggle_recording(self) -> bool:
        """Start a new recording, or stop the present one. Return whether one is wanted now."""
        with self._lock:
            self._take = next(self._takes) if self._take is None else None
            return self.recording

    def end_take(self, number: int) -> None:
        """Stop one recording, such as one that failed. A newer one goes on."""
        with self._lock:
            if self._take == number:
                self._take = None


Do = Callable[[Controls, str], str]  # takes the argument, "" where there is none; returns what people read


@dataclass(frozen=True)
class Action:
    """A row of ACTIONS.

    Args:
        name: for `livestyle ctl`.
        key: in the window; "" for none.
        words: for the help.
        do: what it does.
        argument: what may stand behind the name; "" for nothing.
    """

    name: str
    key: str
    words: str
    do: Do
    argument: str = ""


def no_action(name: str, actions: Iterable[Action]) -> UserError:
    """Return the error for an unknown action, with the nearest name."""
    names = [action.name for action in actions]
    near = difflib.get_close_matches(name, names, 1) or names
    return UserError(f"There is no action '{name}'.", f"Choose from: {', '.join(near)}.")
