"""The table of actions: names, keys, arguments, and what each does to the controls."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.config.look import BLURS, BOTH, NONE, Look, look_of, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.live.controls import PLANES, STEPS, Action, Deck, Do, no_action
from livestyle.nets.library import find_card, find_cards

if TYPE_CHECKING:
    from livestyle.live.snapshots import Album


def bind(keys: Mapping[str, str]) -> "tuple[Action, ...]":
    """ACTIONS with some keys changed.

    Args:
        keys: a key for the name of an action: one character, or space, tab, enter, esc.

    Raises:
        UserError: a name or key that is none, or a key that stands for two actions.
    """
    for name, key in keys.items():
        if name not in {action.name for action in ACTIONS}:
            raise no_action(name, ACTIONS)
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


def make_controls(
    look: Look, gallery: tuple[str, ...] = (), album: "Album | None" = None, quality: str = "auto",
    keys: Mapping[str, str] | None = None,
) -> Deck:  # fmt: skip
    """A deck with ACTIONS, some keys changed.

    Raises:
        UserError: a key that cannot be bound.
    """
    return Deck(look, gallery, album, quality, bind(keys or {}))


def open_deck(settings: Settings, album: "Album | None" = None, keys: Mapping[str, str] | None = None) -> Deck:
    """A deck with the look that the flags ask for.

    Raises:
        UserError: a look that cannot be parsed, a key that cannot be bound.
    """
    default = "" if settings.background is not None else find_card("style", None, settings.models).name
    cards = find_cards("style", settings.models)
    deck = make_controls(look_of(settings, default), tuple(cards), album, settings.quality, keys)
    deck.thumbnails = {name: (card.folder or Path()) / "thumbnail.png" for name, card in cards.items()}
    return deck
