"""The controls: what keys, signals and other programs change while the driver reads it; the table of actions.

Every action goes by a name and a key. What would uncover the room in a call is asked about first; panic is not.
"""

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.config.look import BLURS, BOTH, NONE, Look, Plane, parse_plane
from livestyle.config.quality import QUALITIES
from livestyle.errors import UserError

if TYPE_CHECKING:
    from livestyle.image.types import Frame, Image, Matte
    from livestyle.live.snapshots import Snapshots

PLANES = ("background", "person", BOTH)
VIEWS = ("split", "matte", "inset")
STEPS = ("auto", *QUALITIES)  # of quality
ASKED = 5.0  # seconds for which a question stands
Status = dict[str, object]


class Controls:
    """Owns what the picture should be now; any thread may press, the driver reads.

    Attributes:
        look: of both planes; plane: which of PLANES the keys change; quality: one of STEPS.
        frozen: the picture stands still; panicked: a placeholder is shown everywhere; recording: is wanted.
        view: what the preview shows in place of the picture, one of VIEWS, or ""; showing: what lies over it, of "hud",
        "help", "strip" and "full-screen"; mirror: of the preview. None of these reaches other sinks.
        gallery: styles in order; thumbnails: of those that are to be clicked on.
        alarm: called at a panic, by whoever pressed, for sinks that need not wait for the driver.
        is_call: strangers may watch; facts: how the run goes, written by the driver; over: the run ends;
            driving: frames are made, written by the driver.
    """

    def __init__(
        self, look: Look, gallery: tuple[str, ...] = (), snapshots: "Snapshots | None" = None, quality: str = "auto",
        actions: "tuple[Action, ...]" = (),
    ) -> None:  # fmt: skip
        self.look, self.gallery, self.quality, self._snapshots = look, gallery, quality, snapshots
        self.actions = actions
        self.plane, self.view, self.showing, self.mirror = "background", "", frozenset({"hud"}), False
        self.frozen = self.panicked = self.recording = self.is_call = False
        self.facts: Status = {}
        self.thumbnails: dict[str, Path] = {}
        self.over, self.driving = threading.Event(), False
        self.alarm: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._previous = look  # to go back to
        self._asked: tuple[float, Look] | None = None  # until when, and what would be shown
        self._kept: dict[str, Plane] = {}  # what a plane was painted with last
        self._stills: deque[bool] = deque()  # whether each is to be painted too
        self._answers: deque[str] = deque()
        self._keep(look)

    def press(self, text: str) -> str:
        """Do what a key or an action's name stands for, the name with an argument behind it where it takes one; answers
        what came of it.

        Raises:
            UserError: there is no such action, or its argument is none.
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

    def _action(self, name: str) -> "Action | None":
        return next((a for a in self.actions if name and name in (a.key, a.name)), None)

    def key(self, name: str) -> str:
        """The key of an action."""
        return next(action.key for action in self.actions if action.name == name)

    def strike(self, key: str) -> None:
        """Press a key of the window: one that stands for nothing does nothing, and refusals become answers."""
        if self._action(key.partition(" ")[0]) or key.isdecimal():
            try:
                self.press(key)
            except UserError as error:
                self._answers.append(str(error))

    def answers(self) -> Iterator[str]:
        """What came of the actions since the last call, for a moment's notice."""
        while self._answers:
            yield self._answers.popleft()

    def attend(self, frame: "Frame", styled: "Image", look: Look, matte: "Callable[[Frame], Matte]") -> Iterator[str]:
        """Take the stills of a frame that were asked for; yields what people should read."""
        from livestyle.live.snapshots import Shot

        if self._snapshots is None:
            return
        while self._stills:
            paint = self._stills.popleft()
            if frame.is_blank:
                yield "No still was taken: the camera sends nothing."
                continue
            try:
                shot = Shot(frame.image, matte(frame), styled, look)
            except Exception as error:  # in a call, a segmenter that fails must not end the run
                yield f"No still was taken: {error}"
            else:
                self._snapshots.take(shot, paint)
        yield from self._snapshots.news()

    def show(self, look: Look) -> str:
        """Take a look, but ask first where that would uncover the room in a call.

        Raises:
            UserError: the question.
        """
        self._asked = None
        if self.is_call and look.uncovers(self.look):
            self._asked = time.monotonic() + ASKED, look
            raise UserError("Others would see your room.", f"To show it, press {self.key('confirm')} within 5 seconds.")
        self._take(look)
        return str(look)

    def adopt(self, changes: Mapping[str, object]) -> str:
        """Change parts of the look, by the names of its fields, as a config file now has them.

        Raises:
            UserError: a style that is not there, or the question.
        """
        with self._lock:
            for part in changes.values():
                if isinstance(part, Plane):
                    self.find(part.text)
            answer = self.show(replace(self.look, **changes))  # type: ignore[arg-type]
            self._answers.append(answer)
            return answer

    def refuse(self, look: Look, good: Look, why: str) -> None:
        """Go back from a look that cannot be had, unless another was chosen meanwhile: to the one before, or to one
        that could be had. In a call, where that would show a room that was to be hidden, to the placeholder."""
        with self._lock:
            if self.look is look:
                self.look = good if self._previous is look else self._previous
                self.panicked |= self.is_call and self.look.uncovers(look)
            self.tell(why)

    def tell(self, answer: str) -> None:
        """Have something read, for a moment."""
        self._answers.append(answer)

    def status(self) -> Status:
        """How things are, for other programs."""
        look = self.look
        return {
            "background": look.background.text, "person": look.person.text,
            "background_strength": look.background_strength, "person_strength": look.person_strength,
            "keep_colors": look.keep_colors, "bypass": look.bypass, "plane": self.plane, "quality": self.quality,
            "paused": self.frozen or self.panicked, "frozen": self.frozen, "panicked": self.panicked,
            "recording": self.recording, "is_call": self.is_call, "fps": 0.0, "frames": 0, **self.facts,
        }  # fmt: skip

    def _take(self, look: Look) -> None:
        self._previous, self.look = self.look, look
        self._keep(look)

    def _keep(self, look: Look) -> None:
        for name, plane in (("background", look.background), ("person", look.person)):
            if plane.kind not in ("none", *BLURS):
                self._kept[name] = plane

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes that the keys change, by their names in a look."""
        return PLANES[:2] if self.plane == BOTH else (self.plane,)

    def paint(self, plane: Plane) -> str:
        """Give the chosen planes a look."""
        if "person" in self.planes and plane.kind in {"image", "video"}:
            raise UserError(f"'{plane.text}' is a look for the background only.", "Choose the background first.")
        return self.show(self.look.with_planes(dict.fromkeys(self.planes, plane)))

    def find(self, text: str) -> Plane:
        """A look from outside: a style goes by name, or by its number from 1 on.

        Raises:
            UserError: it is none.
        """
        if text.isdecimal():
            at = (int(text) or 10) - 1
            if at >= len(self.gallery):
                raise UserError(f"There is no style {text}.", f"There are {len(self.gallery)}.")
            text = self.gallery[at]
        plane = parse_plane(text)
        for style, _ in plane.styles:
            if style == plane.text and style.lower().endswith((".onnx", ".safetensors")):
                continue
            if style not in self.gallery:
                near = difflib.get_close_matches(style, self.gallery, 1) or self.gallery
                raise UserError(f"There is no style '{style}'.", f"Choose from: {', '.join(near)}.")
        return plane

    def own(self, name: str) -> Plane:
        """What a plane is painted with when it is to be painted: its look, its last one, the other's, or any style."""
        other = "person" if name == "background" else "background"
        plane: Plane = getattr(self.look, name)
        painted = plane if plane != NONE else self._kept.get(name) or self._kept.get(other)
        if painted is None or (name == "person" and painted.kind in {"image", "video"}):
            painted = parse_plane((*self.gallery, "none")[0])
        return painted


Do = Callable[[Controls, str], str]  # the controls and the argument, "" where there is none; answers what people read


@dataclass(frozen=True)
class Action:
    """A row of ACTIONS: `name` for `livestyle ctl`, `key` in the window ("" for none), `words` in the help; `argument`
    is what may stand behind the name."""

    name: str
    key: str
    words: str
    do: Do
    argument: str = ""


def no_action(name: str, actions: Iterable[Action]) -> UserError:
    """There is none of that name; here is the nearest."""
    names = [action.name for action in actions]
    near = difflib.get_close_matches(name, names, 1) or names
    return UserError(f"There is no action '{name}'.", f"Choose from: {', '.join(near)}.")
