"""The deck: what keys, signals and other programs change while the driver reads it; the table of actions.

Every action goes by a name and a key. What would uncover the room in a call is asked about first; panic is not.
"""

import difflib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.config.look import BLURS, BOTH, NONE, Look, Plane, look_of, parse_plane
from livestyle.config.settings import QUALITIES, Settings
from livestyle.errors import UserError
from livestyle.nets.library import find_card, find_cards

if TYPE_CHECKING:
    from livestyle.image.pixels import Frame, Image, Matte
    from livestyle.live.snapshots import Album

PLANES = ("background", "person", BOTH)
VIEWS = ("split", "matte", "inset")
STEPS = ("auto", *QUALITIES)  # of quality
ASKED = 5.0  # seconds for which a question stands
Facts = dict[str, object]


class Deck:
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
        self, look: Look, gallery: tuple[str, ...] = (), album: "Album | None" = None, quality: str = "auto",
        keys: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.look, self.gallery, self.quality, self._album = look, gallery, quality, album
        self.actions = bind(keys or {})
        self.plane, self.view, self.showing, self.mirror = "background", "", frozenset({"hud"}), False
        self.frozen = self.panicked = self.recording = self.is_call = False
        self.facts: Facts = {}
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
            raise no_action(name)
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

        if self._album is None:
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
                self._album.take(shot, paint)
        yield from self._album.news()

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

    def status(self) -> Facts:
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


Do = Callable[[Deck, str], str]  # the deck and the argument, "" where there is none; answers what people read


@dataclass(frozen=True)
class Action:
    """A row of ACTIONS: `name` for `livestyle ctl`, `key` in the window ("" for none), `words` in the help; `argument`
    is what may stand behind the name."""

    name: str
    key: str
    words: str
    do: Do
    argument: str = ""


def bind(keys: Mapping[str, str]) -> "tuple[Action, ...]":
    """ACTIONS with some keys changed.

    Args:
        keys: a key for the name of an action: one character, or space, tab, enter, esc.

    Raises:
        UserError: a name or key that is none, or a key that stands for two actions.
    """
    for name, key in keys.items():
        if name not in {action.name for action in ACTIONS}:
            raise no_action(name)
        if name == "style" or key.isdecimal() or not (len(key) == 1 or key in WORDS):
            raise UserError(
                f"'{key}' cannot be the key of '{name}'.", f"Choose one character but a digit, or {', '.join(WORDS)}."
            )
    bound = tuple(replace(action, key=keys.get(action.name, action.key)) for action in ACTIONS)
    owners: dict[str, str] = {}
    for action in bound:
        if action.key in owners:
            raise UserError(
                f"The key '{action.key}' stands for '{owners[action.key]}' and '{action.name}'.",
                f"Give '{action.name}' another one.",
            )
        owners[action.key or action.name] = action.name
    return bound


def no_action(name: str) -> UserError:
    """There is none of that name; here is the nearest."""
    names = [action.name for action in ACTIONS]
    near = difflib.get_close_matches(name, names, 1) or names
    return UserError(f"There is no action '{name}'.", f"Choose from: {', '.join(near)}.")


def _step(by: int, planes: tuple[str, ...] = ()) -> Do:
    def do(deck: Deck, _: str) -> str:
        chosen = planes or deck.planes
        names = deck.gallery if "background" in chosen else ("none", *deck.gallery)
        if not names:
            raise UserError("There are no styles.", "Install livestyle again, or train one.")
        now = getattr(deck.look, chosen[0]).text
        at = names.index(now) + by if now in names else 0 if by > 0 else -1
        plane = parse_plane(names[at % len(names)])
        return deck.show(deck.look.with_planes(dict.fromkeys(chosen, plane)))

    return do


def _strength(by: float) -> Do:
    def do(deck: Deck, _: str) -> str:
        names = [f"{plane}_strength" for plane in deck.planes]
        changed = {name: min(1.0, max(0.0, round(getattr(deck.look, name) + by, 2))) for name in names}
        return deck.show(replace(deck.look, **changed))

    return do


def _toggle(name: str) -> Do:
    """Switch an attribute of the deck that is true or false."""

    def do(deck: Deck, _: str) -> str:
        setattr(deck, name, not getattr(deck, name))
        return f"{name} {'on' if getattr(deck, name) else 'off'}"

    return do


def _toggle_view(name: str) -> Do:
    def do(deck: Deck, _: str) -> str:
        deck.view = "" if deck.view == name else name
        return {"split": "before | after", "matte": "the matte", "inset": "the original in a corner"}.get(
            deck.view, "the picture"
        )

    return do


def _toggle_showing(name: str) -> Do:
    def do(deck: Deck, _: str) -> str:
        deck.showing = deck.showing ^ {name}
        return ""

    return do


def _quit(deck: Deck, _: str) -> str:
    deck.over.set()
    return "The end"


def _back(deck: Deck, _: str) -> str:
    for name in ("help", "full-screen"):
        if name in deck.showing:
            deck.showing = deck.showing - {name}
            return ""
    return _quit(deck, "")


def _panic(deck: Deck, _: str) -> str:
    deck.panicked = True
    deck.alarm()
    deck._stills.clear()
    return f"Hidden from everybody. To come back, press {deck.key('confirm')}."


def _confirm(deck: Deck, _: str) -> str:
    asked, deck._asked = deck._asked, None
    if deck.panicked:
        deck.panicked = False
        return "Back again"
    if asked and time.monotonic() < asked[0]:
        deck._take(asked[1])
        return f"Others see it: {deck.look}"
    return "Nothing was asked"


def _still(paint: bool) -> Do:
    def do(deck: Deck, _: str) -> str:
        if deck.panicked:
            raise UserError("Nothing is saved while you are hidden.", "Come back first.")
        deck._stills.append(paint)
        return ""

    return do


def _style(deck: Deck, argument: str) -> str:
    return deck.paint(deck.find(argument))


def _look_of(name: str) -> Do:
    def do(deck: Deck, argument: str) -> str:
        plane = deck.find(argument)
        if name == "person" and plane.kind in {"image", "video"}:
            raise UserError(f"'{argument}' is a look for the background only.", "Use background for it.")
        return deck.show(deck.look.with_planes({name: plane}))

    return do


def _choose(deck: Deck, argument: str) -> str:
    deck.plane = _next("plane", deck.plane, PLANES, argument)
    return f"keys change: {deck.plane}"


def _paint(deck: Deck, argument: str) -> str:
    """Who is painted."""
    painted = [name for name in PLANES[:2] if getattr(deck.look, name) != NONE]
    who = _next("plane", BOTH if len(painted) == 2 else (painted or ["person"])[0], PLANES, argument)
    planes = {name: deck.own(name) if who in (name, BOTH) else NONE for name in PLANES[:2]}
    answer = deck.show(deck.look.with_planes(planes))
    deck.plane = who
    return answer


def _quality(deck: Deck, argument: str) -> str:
    deck.quality = _next("quality", deck.quality, STEPS, argument)
    return f"quality {deck.quality}"


def _next(kind: str, now: str, choices: tuple[str, ...], argument: str) -> str:
    """What was asked for, else what comes after the present one."""
    if argument and argument not in choices:
        raise UserError(f"There is no {kind} '{argument}'.", f"Choose from: {', '.join(choices)}.")
    return argument or choices[(choices.index(now) + 1) % len(choices)]


def _swap(deck: Deck, _: str) -> str:
    look = deck.look
    if look.background.kind in {"image", "video"}:
        raise UserError(f"'{look.background.text}' is a look for the background only.", "Choose a style for it first.")
    return deck.show(
        replace(
            look, background=look.person, person=look.background,
            background_strength=look.person_strength, person_strength=look.background_strength,
        )
    )  # fmt: skip


def _blur(deck: Deck, _: str) -> str:
    is_blurred = deck.look.background.kind in BLURS
    first = parse_plane((*deck.gallery, "none")[0])
    plane = deck._kept.get("background", first) if is_blurred else parse_plane("blur")
    return deck.show(deck.look.with_planes({"background": plane}))


def _keep_colors(deck: Deck, _: str) -> str:
    return deck.show(replace(deck.look, keep_colors=not deck.look.keep_colors))


def _bypass(deck: Deck, _: str) -> str:
    return deck.show(replace(deck.look, bypass=not deck.look.bypass))


ACTIONS = (
    Action("panic", "p", "hide: a placeholder everywhere, at once", _panic),
    Action("confirm", "enter", "come back; show what was asked about", _confirm),
    Action("freeze", "space", "the picture stands still, for others too", _toggle("frozen")),
    Action("bypass", "o", "the camera's own picture, for others too (asks first in a call)", _bypass),
    Action("next-style", "]", "next style", _step(1)),
    Action("previous-style", "[", "previous style", _step(-1)),
    Action("style", "1-9", "style by its number (0 is the tenth)", _style, "NAME|NUMBER"),
    Action("plane", "tab", "which plane these change: background, person, both", _choose, "background|person|both"),
    Action("paint", "w", "who is painted: the background, the person, both", _paint, "background|person|both"),
    Action("next-person-style", "}", "next style of the person", _step(1, ("person",))),
    Action("previous-person-style", "{", "previous style of the person", _step(-1, ("person",))),
    Action("swap", "x", "swap the looks of person and background", _swap),
    Action("blur", "b", "blur the background, or style it again", _blur),
    Action("stronger", "=", "more style", _strength(0.1)),
    Action("weaker", "-", "less style", _strength(-0.1)),
    Action("keep-colors", "c", "keep the original colours", _keep_colors),
    Action("quality", "y", "quality: auto, fast, balanced, best", _quality, "|".join(STEPS)),
    Action("still", "s", "save a still: the original, its matte and the styled picture", _still(paint=False)),
    Action("paint-still", "g", "save a still, and paint it by optimisation in the background", _still(paint=True)),
    Action("record", "r", "start or stop recording", _toggle("recording")),
    Action("split", "d", "before and after, divided: drag the line", _toggle_view("split")),
    Action("matte", "m", "the matte", _toggle_view("matte")),
    Action("inset", "n", "the original in a corner", _toggle_view("inset")),
    Action("mirror", "h", "mirror this window, not what others see", _toggle("mirror")),
    Action("strip", "t", "the styles, to click on (right button: the person)", _toggle_showing("strip")),
    Action("hud", "i", "how it runs", _toggle_showing("hud")),
    Action("full-screen", "f", "full screen", _toggle_showing("full-screen")),
    Action("help", "?", "these keys", _toggle_showing("help")),
    Action("back", "esc", "close the help, leave full screen; else end", _back),
    Action("quit", "q", "end", _quit),
    Action("background", "", "the look of the background", _look_of("background"), "LOOK"),
    Action("person", "", "the look of the person", _look_of("person"), "LOOK"),
)
WORDS = ("space", "tab", "enter", "esc")  # keys that are no character


def open_deck(settings: Settings, album: "Album | None" = None, keys: Mapping[str, str] | None = None) -> Deck:
    """A deck with the look that the flags ask for.

    Raises:
        UserError: a look that cannot be parsed, a key that cannot be bound.
    """
    default = "" if settings.background is not None else find_card("style", None, settings.models).name
    cards = find_cards("style", settings.models)
    deck = Deck(look_of(settings, default), tuple(cards), album, settings.quality, keys)
    deck.thumbnails = {name: (card.folder or Path()) / "thumbnail.png" for name, card in cards.items()}
    return deck
