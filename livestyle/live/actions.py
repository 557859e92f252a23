"""The table of actions: names, keys, arguments, and what each does to the controls."""

from collections.abc import Mapping
from dataclasses import replace

from livestyle.config.booth import MAX_PICTURES
from livestyle.config.favorites import FAVORITES, load_favorites, save_favorites
from livestyle.config.look import BOTH, LOOK_KINDS, NONE, Look, Plane, check_person_look, described, parse_plane
from livestyle.config.names import choose
from livestyle.config.quality import BRUSHES
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.live.controls import PLANES, QUALITY_NAMES, VIEWS, Action, Controls, Do, no_action
from livestyle.live.gallery import ALL, Gallery, open_gallery
from livestyle.live.pictures import backdrop_of_files, neighbor, new_name, plane_of_files, style_of_picture
from livestyle.live.privacy import Privacy
from livestyle.render.looks import look_from
from livestyle.types import Stop

ANIMATION_NAMES = ("gif", "webp")
MAX_LISTED = 6  # names of styles in a line
KEY_WORDS = ("space", "tab", "enter", "esc")  # keys of more than one character


def _step(by: int, planes: tuple[str, ...] = ()) -> Do:
    def do(controls: Controls, _: str) -> str:
        chosen = planes or controls.planes
        now: Plane = getattr(controls.look, chosen[0])
        if now.folder:
            plane = neighbor(now, by, controls.refused)
        else:
            plane = controls.gallery.step(now.text, by, () if "background" in chosen else ("none",))
        return controls.show(controls.look.with_planes(dict.fromkeys(chosen, plane)))

    return do


def _strength(by: float) -> Do:
    def do(controls: Controls, _: str) -> str:
        mixed = [plane for plane in controls.planes if LOOK_KINDS[getattr(controls.look, plane).kind].is_mixed]
        if not mixed:
            looks = " and ".join(described(getattr(controls.look, plane), 1) for plane in controls.planes)
            raise UserError(f"No strength can be changed: {looks}.", "Choose a style or a blur first.")
        names = [f"{plane}_strength" for plane in mixed]
        changed = {name: min(1.0, max(0.0, round(getattr(controls.look, name) + by, 2))) for name in names}
        return controls.show(replace(controls.look, **changed))

    return do


def _brush(by: int) -> Do:
    def do(controls: Controls, _: str) -> str:
        if not controls.look.styled_planes:
            raise UserError("Only styles have a brush.", "Choose a style first.")
        now = controls.look.brush
        beyond = [one for one in BRUSHES[::by] if (one - now) * by > 1e-6]
        return controls.show(replace(controls.look, brush=(beyond or [now])[0]))

    return do


def _freeze(controls: Controls, _: str) -> str:
    controls.frozen = not controls.frozen
    return f"frozen {'on' if controls.frozen else 'off'}"


def _record(controls: Controls, _: str) -> str:
    return f"recording {'on' if controls.toggle_recording() else 'off'}"


def _mirror(controls: Controls, _: str) -> str:
    controls.preview.is_mirrored = not controls.preview.is_mirrored
    return f"mirror {'on' if controls.preview.is_mirrored else 'off'}"


def _view(name: str) -> Do:
    words = dict(zip(VIEWS, ("before | after", "the matte", "the original in a corner"), strict=True))

    def do(controls: Controls, _: str) -> str:
        controls.preview.view = "" if controls.preview.view == name else name
        return words.get(controls.preview.view, "the picture")

    return do


def _panel(name: str) -> Do:
    def do(controls: Controls, _: str) -> str:
        controls.preview.panels ^= {name}
        return ""

    return do


def _quit(controls: Controls, _: str) -> str:
    controls.stop.set()
    return "The end"


def _back(controls: Controls, _: str) -> str:
    for name in ("help", "full-screen"):
        if name in controls.preview.panels:
            controls.preview.panels -= {name}
            return ""
    return _quit(controls, "")


def _panic(controls: Controls, _: str) -> str:
    controls.panic()
    return f"Hidden from everybody. To come back, press {controls.key('confirm')}."


def _confirm(controls: Controls, _: str) -> str:
    return controls.confirm()


def _still(paint: bool) -> Do:
    def do(controls: Controls, _: str) -> str:
        controls.order_still(paint)
        return ""

    return do


def _booth(controls: Controls, argument: str) -> str:
    if argument and not (argument.isdecimal() and 1 <= int(argument) <= MAX_PICTURES):
        raise UserError(f"'{argument}' is no number of pictures.", f"Choose from 1 to {MAX_PICTURES}.")
    return "photo booth" if controls.toggle_booth(int(argument or 0)) else ""


def _animation(controls: Controls, argument: str) -> str:
    if argument not in ("", *ANIMATION_NAMES):
        raise UserError(f"There is no animation '{argument}'.", f"Choose from: {', '.join(ANIMATION_NAMES)}.")
    controls.order_animation(argument or ANIMATION_NAMES[0])
    return ""


def _style(controls: Controls, argument: str) -> str:
    return controls.paint(controls.gallery.find(argument))


def _favorite(controls: Controls, argument: str) -> str:
    """Make a style a favourite, or no longer one. Another filter may have changed them meanwhile."""
    text = argument or getattr(controls.look, controls.planes[0]).text
    name = controls.gallery.find(text).text
    if name not in controls.gallery.names:
        raise UserError(f"'{name}' is no style with a name.", "Choose a style first.")
    before = load_favorites() or controls.gallery.favorites
    gallery = replace(controls.gallery, favorites=before).with_favorite(name)
    save_favorites(gallery.favorites)
    controls.gallery = gallery
    return f"{name} is {'a' if name in gallery.favorites else 'no longer a'} favourite"


def _family(controls: Controls, argument: str) -> str:
    gallery = controls.gallery
    choices = (ALL, *((FAVORITES,) if gallery.favorites or argument else ()), *gallery.all_families)
    return _limit(controls, _next("family", gallery.only if gallery.only in choices else ALL, choices, argument))


def _search(controls: Controls, argument: str) -> str:
    if argument:
        return _limit(controls, argument)
    if not controls.preview.is_shown:
        return _limit(controls, ALL)
    controls.preview.wants_words = True
    return ""


def _limit(controls: Controls, only: str) -> str:
    """Limit the styles to choose from, and return which there are."""
    controls.gallery = controls.gallery.limited(only)
    if only != ALL and controls.preview.is_shown:
        controls.preview.panels |= {"strip"}
    names = controls.gallery.chosen
    listed = f": {', '.join(names)}" if len(names) <= MAX_LISTED else ""
    return f"{only}, {len(names)} style{'s' if names[1:] else ''}{listed}"


def _look_of(name: str) -> Do:
    def do(controls: Controls, argument: str) -> str:
        plane = controls.gallery.find(argument)
        if name == "person":
            check_person_look(plane, "Use background for it.")
        return controls.show(controls.look.with_planes({name: plane}))

    return do


def _open_picture(controls: Controls, argument: str) -> str:
    if not argument:
        return _ask_file(controls, "open-picture")
    plane = plane_of_files(argument)
    shown = {"background": plane}
    return controls.show(controls.look.with_planes(shown)) if plane.kind == "video" else controls.paint(plane)


def _backdrop(controls: Controls, argument: str) -> str:
    if not argument:
        return _ask_file(controls, "backdrop")
    return controls.show(controls.look.with_planes({"background": backdrop_of_files(argument)}))


def _ask_file(controls: Controls, action: str) -> str:
    """Have the window ask for the file of an action."""
    if not controls.preview.is_shown:
        raise UserError("There is no window to choose a picture in.", f"Name one: livestyle ctl {action} FILE")
    controls.preview.wants_file = action
    return ""


def _keep(controls: Controls, argument: str) -> str:
    planes = [getattr(controls.look, name) for name in (*controls.planes, *PLANES[:2])]
    controls.order_keep(new_name(argument, controls.gallery.names), style_of_picture(planes))
    return "keeping the style"


def _stop_improving(controls: Controls, _: str) -> str:
    controls.stop_improving()
    return "The style stays as it is"


def _undo(controls: Controls, _: str) -> str:
    return controls.undo()


def _reset(controls: Controls, _: str) -> str:
    return controls.reset()


def _plane(controls: Controls, argument: str) -> str:
    controls.plane = _next("plane", controls.plane, PLANES, argument)
    return f"keys change: {controls.plane}"


def _paint(controls: Controls, argument: str) -> str:
    """Choose who is painted."""
    painted = [name for name in PLANES[:2] if getattr(controls.look, name) != NONE]
    who = _next("plane", BOTH if len(painted) == 2 else (painted or ["person"])[0], PLANES, argument)
    planes = {name: controls.last_painted(name) if who in (name, BOTH) else NONE for name in PLANES[:2]}
    answer = controls.show(controls.look.with_planes(planes))
    controls.plane = who
    return answer


def _quality(controls: Controls, argument: str) -> str:
    controls.quality = _next("quality", controls.quality, QUALITY_NAMES, argument)
    return f"quality {controls.quality}"


def _next(kind: str, now: str, choices: tuple[str, ...], argument: str) -> str:
    """Return the choice asked for, else the one after the present one."""
    return choose(kind, argument, choices) if argument else choices[(choices.index(now) + 1) % len(choices)]


def _swap(controls: Controls, _: str) -> str:
    look = controls.look
    check_person_look(look.background, "Choose a style for it first.")
    return controls.show(
        replace(
            look, background=look.person, person=look.background,
            background_strength=look.person_strength, person_strength=look.background_strength,
        )
    )  # fmt: skip


def _blur(controls: Controls, _: str) -> str:
    is_blurred = LOOK_KINDS[controls.look.background.kind].needs_matte
    plane = controls.unblurred() if is_blurred else parse_plane("blur")
    return controls.show(controls.look.with_planes({"background": plane}))


def _keep_colors(controls: Controls, _: str) -> str:
    if not controls.look.styled_planes:
        raise UserError("Only styles can keep the original colours.", "Choose a style first.")
    return controls.show(replace(controls.look, keep_colors=not controls.look.keep_colors))


def _bypass(controls: Controls, _: str) -> str:
    return controls.show(replace(controls.look, bypass=not controls.look.bypass))


ACTIONS = [
    Action("panic", "p", "hide: a placeholder everywhere, at once", _panic),
    Action("confirm", "enter", "come back; show what was asked about", _confirm),
    Action("freeze", "space", "the picture stands still, for others too", _freeze),
    Action("bypass", "o", "the camera's own picture, for others too (asks first in a call)", _bypass),
    Action("next-style", "]", "next style", _step(1)),
    Action("previous-style", "[", "previous style", _step(-1)),
    Action("style", "1-9", "style by its number (0 is the tenth)", _style, "NAME|NUMBER"),
    Action("family", ",", "the next family of styles, the favourites, or all", _family, "FAMILY"),
    Action("favorite", "*", "this style is a favourite, or no longer", _favorite, "NAME"),
    Action("search", "/", "search the styles for words", _search, "WORDS"),
    Action("plane", "tab", "which plane these change: background, person, both", _plane, "background|person|both"),
    Action("paint", "w", "who is painted: the background, the person, both", _paint, "background|person|both"),
    Action("next-person-style", "}", "next style of the person", _step(1, ("person",))),
    Action("previous-person-style", "{", "previous style of the person", _step(-1, ("person",))),
    Action("swap", "x", "swap the looks of person and background", _swap),
    Action("blur", "b", "blur the background, or style it again", _blur),
    Action("stronger", "=", "more style", _strength(0.1)),
    Action("weaker", "-", "less style", _strength(-0.1)),
    Action("larger-brush", ".", "larger strokes", _brush(1)),
    Action("smaller-brush", ";", "smaller strokes", _brush(-1)),
    Action("keep-colors", "c", "keep the original colours", _keep_colors),
    Action("undo", "z", "undo the last change, and the one before it", _undo),
    Action("reset", "a", "all back to the default look", _reset),
    Action("quality", "y", "quality: auto, fast, balanced, best", _quality, "|".join(QUALITY_NAMES)),
    Action("open-picture", "l", "paint in a picture of yours (or drop or paste it here)", _open_picture, "FILE"),
    Action("backdrop", "L", "show a picture or clip of yours behind you (or drop it with Shift)", _backdrop, "FILE"),
    Action("keep", "K", "keep the style of a picture, by a name", _keep, "NAME"),
    Action("stop-improving", "S", "the style of a picture gets no better", _stop_improving),
    Action("still", "s", "save a still: the original, its matte and the styled picture", _still(paint=False)),
    Action("paint-still", "g", "save a still, and paint it by optimisation in the background", _still(paint=True)),
    Action("booth", "e", "photo booth: a countdown, some pictures, a strip", _booth, "PICTURES"),
    Action("gif", "u", "save the last seconds as a GIF, or a WebP", _animation, "|".join(ANIMATION_NAMES)),
    Action("record", "r", "start or stop recording", _record),
    Action("split", "d", "before and after, divided: drag the line", _view("split")),
    Action("matte", "m", "the matte", _view("matte")),
    Action("inset", "n", "the original in a corner", _view("inset")),
    Action("mirror", "h", "mirror this window, not what others see", _mirror),
    Action("strip", "t", "the styles, to click on (right button: the person)", _panel("strip")),
    Action("hud", "i", "how it runs", _panel("hud")),
    Action("full-screen", "f", "full screen", _panel("full-screen")),
    Action("help", "?", "these keys", _panel("help")),
    Action("back", "esc", "close the help, leave full screen; else end", _back),
    Action("quit", "q", "end", _quit),
    Action("background", "", "the look of the background", _look_of("background"), "LOOK"),
    Action("person", "", "the look of the person", _look_of("person"), "LOOK"),
]


def bind(keys: Mapping[str, str]) -> tuple[Action, ...]:
    """Return ACTIONS with some keys changed.

    Args:
        keys: a key by the name of its action: one character, or one of KEY_WORDS.

    Raises:
        UserError: an unknown action, an impossible key, or a key of two actions.
    """
    for name, key in keys.items():
        if name not in {action.name for action in ACTIONS}:
            raise no_action(name, ACTIONS)
        if name == "style" or key.isdecimal() or not (len(key) == 1 or key in KEY_WORDS):
            raise UserError(
                f"'{key}' cannot be the key of '{name}'.",
                f"Choose one character that is no digit, or {', '.join(KEY_WORDS)}.",
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


def make_controls(
    look: Look,
    gallery: Gallery = Gallery(),
    privacy: Privacy = Privacy(),
    *,
    quality: str = "auto",
    keys: Mapping[str, str] | None = None,
    stop: Stop | None = None,
    default: Look | None = None,
) -> Controls:
    """Return controls with ACTIONS, some keys changed.

    Raises:
        UserError: a key cannot be bound.
    """
    return Controls(look, bind(keys or {}), gallery, privacy, quality, stop, default)


def open_controls(
    settings: Settings,
    privacy: Privacy = Privacy(),
    *,
    keys: Mapping[str, str] | None = None,
    stop: Stop | None = None,
    default: Settings | None = None,
) -> Controls:
    """Return controls with the look that settings ask for, and the styles that are installed.

    Args:
        default: settings of the look that `reset` goes back to; None is `settings`.

    Raises:
        UserError: a look cannot be parsed, or a key cannot be bound.
    """
    gallery = open_gallery(settings.models)
    look, start = look_from(settings), look_from(default or settings)
    return make_controls(look, gallery, privacy, quality=settings.quality, keys=keys, stop=stop, default=start)
