"""The scene of a preview: what it shows of the controls and of the frame just sent."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from livestyle.config.look import PICTURE, described
from livestyle.image.types import Frame, Matte
from livestyle.live.controls import Controls
from livestyle.live.gallery import ALL, Gallery
from livestyle.live.shown import Shown
from livestyle.video.window.drawing import BACKGROUND, PERSON, WHITE, Line, Thumbnail
from livestyle.video.window.overlay import Scene

MARK = "> "  # before the planes that the keys change
BUTTONS = {"strip": "styles", "open-picture": "picture", "undo": "undo", "help": "keys"}  # words by action
PACE_UNITS = {"fps": "fps", "latency_ms": "ms", "dropped": "dropped"}


def scene_of(controls: Controls, shown: Shown, about: str, matte: Callable[[Frame], Matte]) -> Scene:
    """Return the scene for a frame.

    Args:
        about: a line about the engine and the segmenter.
        matte: computes the matte of a frame. It is called only if the view needs it.
    """
    pace, view_matte = controls.pace, None
    if controls.preview.view == "matte" and not shown.hidden:
        with suppress(Exception):  # a segmenter that fails must not end a call: the picture stays
            view_matte = matte(shown.frame)
    return Scene(
        title="hidden" if shown.hidden else str(controls.look),
        lines=tuple(lines(controls)),
        facts=", ".join((*facts(controls), about)),
        pace=", ".join(f"{float(str(pace[name])):.0f} {unit}" for name, unit in PACE_UNITS.items() if name in pace),
        badges=tuple(badges(controls, shown)),
        buttons=tuple((name, controls.key(name), words) for name, words in buttons(controls).items()),
        countdown=controls.countdown,
        view=controls.preview.view,
        showing=controls.preview.panels,
        original=None if shown.hidden else shown.frame.image,
        matte=view_matte,
        mirror=controls.preview.is_mirrored and not shown.hidden,
        keys=tuple((action.key, action.words) for action in controls.actions if action.key),
        styles=tuple(styles(controls.gallery)),
        recents=tuple(recents(controls, shown.hidden)),
        chosen=(controls.look.background.text, controls.look.person.text),
    )


def buttons(controls: Controls) -> dict[str, str]:
    """Return the words of the buttons by action: to stop and to keep a style, while there is one."""
    is_picture = PICTURE in (controls.look.background.kind, controls.look.person.kind)
    learning = {"stop-improving": "stop"} if controls.improving and controls.improving["seconds_left"] else {}
    return BUTTONS | ({"keep": "keep"} if is_picture else {}) | learning


def lines(controls: Controls) -> Iterator[Line]:
    """Yield the words of the display on the look of each plane, and on a style that gets better."""
    look = controls.look
    for name, plane, strength, color in (
        ("background", look.background, look.background_strength, BACKGROUND),
        ("person", look.person, look.person_strength, PERSON),
    ):
        yield (MARK if name in controls.planes else "") + f"{name}: {described(plane, strength)}", color
    if controls.improving:
        yield str(controls.improving["words"]), WHITE


def styles(gallery: Gallery) -> Iterator[tuple[str, Path]]:
    """Yield the styles to choose from, with their thumbnails."""
    for name in gallery.chosen:
        if name in gallery.thumbnails:
            yield name, gallery.thumbnails[name]


def recents(controls: Controls, is_hidden: bool) -> Iterator[tuple[str, Thumbnail]]:
    """Yield the recent pictures with their thumbnails, where all styles are to choose from.

    Args:
        is_hidden: nothing of the camera may be seen.
    """
    if controls.gallery.only == ALL:
        for one in controls.preview.recents:
            shown = one.own if is_hidden else one.painted or one.own
            if shown:
                yield one.text, shown


def facts(controls: Controls) -> Iterator[str]:
    """Yield what else holds, as far as it has an effect."""
    if controls.gallery.only != ALL:
        yield f"styles: {controls.gallery.only}"
    if controls.look.background.text in controls.gallery.favorites:
        yield "a favourite"
    if controls.look.styled_planes:
        used = f": {controls.pace['quality']}" if "quality" in controls.pace else ""
        yield f"quality {controls.quality}{used}"
        if controls.look.keep_colors:
            yield "original colours"
        if controls.look.brush != 1:
            yield f"brush {controls.look.brush:g}"
    if controls.preview.is_mirrored:
        yield "mirrored in this window only"


def badges(controls: Controls, shown: Shown) -> Iterator[tuple[str, str]]:
    """Yield the states that must not be missed, as (text, kind)."""
    if controls.panicked:
        yield f"HIDDEN from everybody; {controls.key('confirm')}: come back", "alert"
    elif shown.hidden:
        yield "HIDDEN from everybody: a fault, or no camera", "alert"
    elif shown.is_old:
        yield "LATE: the last safe picture is shown", "alert"
    if controls.recording:
        yield "REC", "alert"
    if controls.frozen:
        yield f"FROZEN for everybody; {controls.key('freeze')}: go on", "note"
    if shown.look.bypass and not shown.hidden:
        yield f"NOT PAINTED: the camera's own picture; {controls.key('bypass')}: paint", "note"
