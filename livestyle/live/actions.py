"""The table of actions: names, keys, arguments, and what each does to the controls."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.config.look import BLURS, BOTH, NONE, Look, look_of, parse_plane
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.live.controls import PLANES, STEPS, Action, Controls, Do, no_action
from livestyle.nets.library import find_card, find_cards

if TYPE_CHECKING:
    from livestyle.live.snapshots import Snapshots


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
    def do(controls: Controls, _: str) -> str:
        chosen = planes or controls.planes
        names = controls.gallery if "background" in chosen else ("none", *controls.gallery)
        if not names:
            raise UserError("There are no styles.", "Install livestyle again, or train one.")
        now = getattr(controls.look, chosen[0]).text
        at = names.index(now) + by if now in names else 0 if by > 0 else -1
        plane = parse_plane(names[at % len(names)])
        return controls.show(controls.look.with_planes(dict.fromkeys(chosen, plane)))

    return do


def _strength(by: float) -> Do:
    def do(controls: Controls, _: str) -> str:
        names = [f"{plane}_strength" for plane in controls.planes]
        changed = {name: min(1.0, max(0.0, round(getattr(controls.look, name) + by, 2))) for name in names}
        return controls.show(replace(controls.look, **changed))

    return do


def _toggle(name: str) -> Do:
    """Switch an attribute of the controls that is true or false."""

    def do(controls: Controls, _: str) -> str:
        setattr(controls, name, not getattr(controls, name))
        return f"{name} {'on' if getattr(controls, name) else 'off'}"

    return do


def _toggle_view(name: str) -> Do:
    def do(controls: Controls, _: str) -> str:
        controls.view = "" if controls.view == name else name
        return {"split": "before | after", "matte": "the matte", "inset": "the original in a corner"}.get(
            controls.view, "the picture"
        )

    return do


def _toggle_showing(name: str) -> Do:
    def do(controls: Controls, _: str) -> str:
        controls.showing = controls.showing ^ {name}
        return ""

    return do


def _quit(controls: Controls, _: str) -> str:
    controls.over.set()
    return "The end"


def _back(controls: Controls, _: str) -> str:
    for name in ("help", "full-screen"):
        if name in controls.showing:
            controls.showing = controls.showing - {name}
            return ""
    return _quit(controls, "")


def _panic(controls: Controls, _: str) -> str:
    controls.panicked = True
    controls.alarm()
    controls._stills.clear()
    return f"Hidden from everybody. To come back, press {controls.key('confirm')}."


def _confirm(controls: Controls, _: str) -> str:
    asked, controls._asked = controls._asked, None
    if controls.panicked:
        controls.panicked = False
        return "Back again"
    if asked and time.monotonic() < asked[0]:
        controls._take(asked[1])
        return f"Others see it: {controls.look}"
    return "Nothing was asked"


def _still(paint: bool) -> Do:
    def do(controls: Controls, _: str) -> str:
        if controls.panicked:
            raise UserError("Nothing is saved while you are hidden.", "Come back first.")
        controls._stills.append(paint)
        return ""

    return do


def _style(controls: Controls, argument: str) -> str:
    return controls.paint(controls.find(argument))


def _look_of(name: str) -> Do:
    def do(controls: Controls, argument: str) -> str:
        plane = controls.find(argument)
        if name == "person" and plane.kind in {"image", "video"}:
            raise UserError(f"'{argument}' is a look for the background only.", "Use background for it.")
        return controls.show(controls.look.with_planes({name: plane}))

    return do


def _choose(controls: Controls, argument: str) -> str:
    controls.plane = _next("plane", controls.plane, PLANES, argument)
    return f"keys change: {controls.plane}"


def _paint(controls: Controls, argument: str) -> str:
    """Who is painted."""
    painted = [name for name in PLANES[:2] if getattr(controls.look, name) != NONE]
    who = _next("plane", BOTH if len(painted) == 2 else (painted or ["person"])[0], PLANES, argument)
    planes = {name: controls.own(name) if who in (name, BOTH) else NONE for name in PLANES[:2]}
    answer = controls.show(controls.look.with_planes(planes))
    controls.plane = who
    return answer


def _quality(controls: Controls, argument: str) -> str:
    controls.quality = _next("quality", controls.quality, STEPS, argument)
    return f"quality {controls.quality}"


def _next(kind: str, now: str, choices: tuple[str, ...], argument: str) -> str:
    """What was asked for, else what comes after the present one."""
    if argument and argument not in choices:
        raise UserError(f"There is no {kind} '{argument}'.", f"Choose from: {', '.join(choices)}.")
    return argument or choices[(choices.index(now) + 1) % len(choices)]


def _swap(controls: Controls, _: str) -> str:
    look = controls.look
    if look.background.kind in {"image", "video"}:
        raise UserError(f"'{look.background.text}' is a look for the background only.", "Choose a style for it first.")
    return controls.show(
        replace(
            look, background=look.person, person=look.background,
            background_strength=look.person_strength, person_strength=look.background_strength,
        )
    )  # fmt: skip


def _blur(controls: Controls, _: str) -> str:
    is_blurred = controls.look.background.kind in BLURS
    first = parse_plane((*controls.gallery, "none")[0])
    plane = controls._kept.get("background", first) if is_blurred else parse_plane("blur")
    return controls.show(controls.look.with_planes({"background": plane}))


def _keep_colors(controls: Controls, _: str) -> str:
    return controls.show(replace(controls.look, keep_colors=not controls.look.keep_colors))


def _bypass(controls: Controls, _: str) -> str:
    return controls.show(replace(controls.look, bypass=not controls.look.bypass))


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
    look: Look, gallery: tuple[str, ...] = (), snapshots: "Snapshots | None" = None, quality: str = "auto",
    keys: Mapping[str, str] | None = None,
) -> Controls:  # fmt: skip
    """Controls with ACTIONS, some keys changed.

    Raises:
        UserError: a key that cannot be bound.
    """
    return Controls(look, gallery, snapshots, quality, bind(keys or {}))


def open_controls(
    settings: Settings, snapshots: "Snapshots | None" = None, keys: Mapping[str, str] | None = None
) -> Controls:
    """Controls with the look that the flags ask for.

    Raises:
        UserError: a look that cannot be parsed, a key that cannot be bound.
    """
    default = "" if settings.background is not None else find_card("style", None, settings.models).name
    cards = find_cards("style", settings.models)
    controls = make_controls(look_of(settings, default), tuple(cards), snapshots, settings.quality, keys)
    controls.thumbnails = {name: (card.folder or Path()) / "thumbnail.png" for name, card in cards.items()}
    return controls
