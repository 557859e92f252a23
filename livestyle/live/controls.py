"""The controls: the state of a run that keys, signals and other programs change while the driver reads it.

In a call, an action that would show the room has to be confirmed. Panic never has to be.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from livestyle.config.look import BOTH, LOOK_KINDS, NONE, Look, Plane, check_person_look
from livestyle.config.names import find_name, unknown
from livestyle.config.quality import QUALITIES
from livestyle.errors import UserError
from livestyle.live.gallery import Gallery
from livestyle.live.orders import Orders
from livestyle.live.privacy import Privacy
from livestyle.types import Status, Stop

if TYPE_CHECKING:
    from livestyle.video.window.drawing import Thumbnail

PLANES = ("background", "person", BOTH)
VIEWS = ("split", "matte", "inset")
QUALITY_NAMES = ("auto", *QUALITIES)
CONFIRM_TIMEOUT_S = 5.0
MAX_UNDOS = 100


@dataclass(frozen=True, eq=False)
class Recent:
    """A picture that was painted in lately.

    Args:
        text: of the look.
        own: the picture, small; None while it is not read yet.
        painted: a frame of the camera, small, painted in it; None where there is none.
    """

    text: str
    own: "Thumbnail | None" = None
    painted: "Thumbnail | None" = None


@dataclass
class PreviewState:
    """The state of the preview. None of it reaches other sinks.

    Attributes:
        view: one of VIEWS, or "" for the picture alone.
        panels: what is open: "hud", "help", "strip", "full-screen".
        is_mirrored: left and right are swapped.
        is_shown: there is a window.
        wants_file: the action for which a dialog is to ask for a file; "" for none.
        recents: pictures to choose from, beside the styles.
        wants_words: words to search for are to be asked for.
    """

    view: str = ""
    panels: frozenset[str] = frozenset({"hud"})
    is_mirrored: bool = False
    is_shown: bool = False
    wants_file: str = ""
    wants_words: bool = False
    recents: tuple[Recent, ...] = ()


@dataclass(frozen=True)
class Choices:
    """What `undo` brings back and `reset` clears: the attributes of `Controls` and `PreviewState` of these names."""

    look: Look
    plane: str = "background"
    quality: str = "auto"
    view: str = ""


class Controls(Orders):
    """The wanted look and all other state of a run. Any thread may call any method.

    Args:
        look: the first look.
        actions: what can be pressed; see `actions.make_controls`.
        gallery: the styles to choose from.
        privacy: decides which looks have to be confirmed.
        quality: the first quality, one of QUALITY_NAMES.
        stop: set by the action that ends the run.
        default: the look that `reset` goes back to; None is the first look.

    Attributes:
        look: of both planes. Read it once a frame, since any thread may replace it.
        plane: which of PLANES the keys change.
        quality: one of QUALITY_NAMES.
        frozen: the picture stands still for everybody.
        preview: the state of the preview.
        pace: facts such as "fps", which the driver replaces after each frame.
        refused: texts of looks of planes that could not be drawn.
    """

    def __init__(
        self,
        look: Look,
        actions: "tuple[Action, ...]" = (),
        gallery: Gallery = Gallery(),
        privacy: Privacy = Privacy(),
        quality: str = "auto",
        stop: Stop | None = None,
        default: Look | None = None,
    ) -> None:
        super().__init__()
        self.look, self.actions, self.gallery, self.privacy, self.quality = look, actions, gallery, privacy, quality
        self.stop = stop or Stop()
        self.preview = PreviewState()
        self.plane = "background"
        self.frozen = False
        self.pace: Status = {}
        self.refused: set[str] = set()
        self._on_panic: Callable[[], None] = lambda: None
        self._default = Choices(default or look, quality=quality)
        self._past = deque([self._choices()], MAX_UNDOS + 1)  # the newest are the present ones
        self._asked: tuple[float, Look] | None = None  # deadline, and look to confirm
        self._last_painted: dict[str, Plane] = {}  # by plane
        self._notices: deque[str] = deque()
        self._remember(look)

    # Pressing.

    def press(self, text: str) -> str:
        """Do the action of a key or a name, and return the result in words.

        Args:
            text: a key, the digit of a style, or the name of an action, with its argument after a space.

        Raises:
            UserError: there is no such action, its argument is wrong, or it has to be confirmed.
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
            self._note_choices()
            if answer:
                self._notices.append(answer)
            return answer

    def press_key(self, text: str) -> None:
        """Press a key of the window. Ignore an unknown one, and show an error as a notice.

        Args:
            text: see `press`.
        """
        if self._action(text.partition(" ")[0]) or text.isdecimal():
            try:
                self.press(text)
            except UserError as error:
                self.notice(str(error))

    def key(self, name: str) -> str:
        """Return the key of an action."""
        return next(action.key for action in self.actions if action.name == name)

    def _action(self, name: str) -> "Action | None":
        found = next((action for action in self.actions if name and name in (action.key, action.name)), None)
        return found or self._named(name)

    def _named(self, name: str) -> "Action | None":
        actions = {action.name: action for action in self.actions}
        return actions.get(find_name(name, actions, whole=True) or "")

    # Notices and status.

    def notice(self, text: str) -> None:
        """Have a line shown in the preview for a moment."""
        self._notices.append(text)

    def notices(self) -> Iterator[str]:
        """Yield the lines to show in the preview since the last call."""
        while self._notices:
            yield self._notices.popleft()

    def status(self) -> Status:
        """Return the JSON object of `livestyle ctl status`."""
        look = self.look
        return {
            "background": look.background.text, "person": look.person.text,
            "background_strength": look.background_strength, "person_strength": look.person_strength,
            "keep_colors": look.keep_colors, "brush": look.brush, "bypass": look.bypass, "plane": self.plane,
            "quality": self.quality, "family": self.gallery.only,
            "favorite": look.background.text in self.gallery.favorites,
            "paused": self.frozen or self.panicked, "frozen": self.frozen, "panicked": self.panicked,
            "recording": self.recording, "improving": self.improving, "is_call": self.privacy.is_call, "fps": 0.0,
            "frames": 0, **self.pace,
        }  # fmt: skip

    # Looks.

    def show(self, look: Look) -> str:
        """Change the look, and return it in words.

        Raises:
            UserError: it would show the room in a call, so it has to be confirmed within CONFIRM_TIMEOUT_S.
        """
        self._asked = None
        if self.privacy.must_ask(look, self.look):
            self._asked = time.monotonic() + CONFIRM_TIMEOUT_S, look
            step = f"To show it, press {self.key('confirm')} within {CONFIRM_TIMEOUT_S:g} seconds."
            raise UserError("Others would see your room.", step)
        self._take_look(look)
        return str(look)

    def confirm(self) -> str:
        """End a panic, or else change to the look that waits for confirmation. Return the result in words."""
        asked, self._asked = self._asked, None
        if self.panicked:
            self.panicked = False
            return "Back again"
        if asked and time.monotonic() < asked[0]:
            self._take_look(asked[1])
            return f"Others see it: {self.look}"
        return "Nothing was asked"

    def adopt(self, changes: Mapping[str, object]) -> str:
        """Change fields of the look, such as those that changed in a config file. Return the look in words.

        Args:
            changes: new values by the names of fields.

        Raises:
            UserError: a style is missing, or the look has to be confirmed.
        """
        with self._lock:
            for part in changes.values():
                if isinstance(part, Plane):
                    self.gallery.find(part.text)
            answer = self.show(replace(self.look, **changes))  # type: ignore[arg-type]
            self._default = replace(self._default, look=replace(self._default.look, **changes))  # type: ignore[arg-type]
            self._note_choices()
            self._notices.append(answer)
            return answer

    def refuse(self, look: Look, good: Look, why: str) -> None:
        """Replace a look that cannot be rendered by the one before it, unless it was replaced already. Forget it.

        If that would show the room in a call where `look` would not, the placeholder is shown.

        Args:
            good: a look that could be rendered. It is taken if there is none before `look`.
            why: for people.
        """
        with self._lock:
            if self.look is look:
                while len(self._past) > 1 and self._past[-1].look is look:
                    self._past.pop()
                before = self._past[-1].look
                self.look = good if before is look else before
                self.refused |= {look.background.text, look.person.text} - {
                    self.look.background.text,
                    self.look.person.text,
                }
                self._remember(self.look)
                self.panicked |= self.privacy.must_ask(self.look, look)
            self.notice(why)

    def undo(self) -> str:
        """Bring back what was chosen before the last change, and return it in words.

        Raises:
            UserError: nothing was changed, or the look has to be confirmed.
        """
        with self._lock:
            if len(self._past) < 2:
                raise UserError("There is nothing to undo.", "Change something first.")
            answer = self._choose(self._past[-2])
            self._past.pop()
            return f"Undone: {answer}"

    def reset(self) -> str:
        """Go back to the default look, plane and quality and to the picture alone. Return the look in words.

        Raises:
            UserError: the look has to be confirmed.
        """
        return f"All back: {self._choose(self._default)}"

    def _choices(self) -> Choices:
        return Choices(self.look, self.plane, self.quality, self.preview.view)

    def _choose(self, wanted: Choices) -> str:
        answer = self.show(wanted.look)
        self.plane, self.quality, self.preview.view = wanted.plane, wanted.quality, wanted.view
        return answer

    def _note_choices(self) -> None:
        if self._choices() != self._past[-1]:
            self._past.append(self._choices())

    @property
    def planes(self) -> tuple[str, ...]:
        """The names of the planes that the keys change."""
        return PLANES[:2] if self.plane == BOTH else (self.plane,)

    def paint(self, plane: Plane) -> str:
        """Change the look of the planes that the keys change. Return the look in words.

        Raises:
            UserError: the look is for the background only, or has to be confirmed.
        """
        if "person" in self.planes:
            check_person_look(plane, "Choose the background first.")
        return self.show(self.look.with_planes(dict.fromkeys(self.planes, plane)))

    def last_painted(self, name: str) -> Plane:
        """Return the look to paint a plane with: its own, its last one, the other plane's, or the first style."""
        other = "person" if name == "background" else "background"
        plane: Plane = getattr(self.look, name)
        painted = plane if plane != NONE else self._last_painted.get(name) or self._last_painted.get(other)
        if painted is None or (name == "person" and LOOK_KINDS[painted.kind].is_background_only):
            return self.gallery.first
        return painted

    def unblurred(self) -> Plane:
        """Return the look of the background before it was blurred."""
        return self._last_painted.get("background", self.gallery.first)

    def _take_look(self, look: Look) -> None:
        self.look = look
        self._remember(look)

    def _remember(self, look: Look) -> None:
        for name, plane in (("background", look.background), ("person", look.person)):
            if LOOK_KINDS[plane.kind].is_painted:
                self._last_painted[name] = plane

    # Panic.

    def on_panic(self, callback: Callable[[], None]) -> None:
        """Have a function called at each panic, on the thread that pressed: some sinks need not wait for the driver."""
        self._on_panic = callback

    def panic(self) -> None:
        """Show a placeholder everywhere, at once. Drop the stills that were ordered."""
        self.panicked = True
        self._on_panic()
        self.drop_orders()


Do = Callable[[Controls, str], str]  # takes the argument or "", and returns the result in words


@dataclass(frozen=True)
class Action:
    """A row of ACTIONS.

    Args:
        name: for `livestyle ctl`.
        key: in the window; "" for none.
        words: what it does, for the help.
        do: does it.
        argument: a name for its argument; "" if it takes none.
    """

    name: str
    key: str
    words: str
    do: Do
    argument: str = ""


def no_action(name: str, actions: Iterable[Action]) -> UserError:
    """Return the error for an unknown action, with the nearest name."""
    return unknown("action", name, [action.name for action in actions], "All: livestyle ctl list")
