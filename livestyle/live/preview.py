"""What a preview says of the run: the controls and the frame just shown as a Scene."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from livestyle.config.look import described
from livestyle.image.types import Frame, Matte
from livestyle.live.controls import Controls
from livestyle.live.shown import Shown
from livestyle.video.window.drawing import BACKGROUND, GRAY, PERSON, Line
from livestyle.video.window.overlay import Scene


def scene_of(controls: Controls, shown: Shown, about: str, matte: Callable[[Frame], Matte]) -> Scene:
    """The scene of a frame.

    Args:
        about: a line on what renders; matte: called where the view wants it.
    """
    seen = None
    if controls.preview.view == "matte" and not shown.hidden:
        with suppress(Exception):  # a segmenter that fails must not end a call: the picture stays
            seen = matte(shown.frame)
    return Scene(
        title="hidden" if shown.hidden else str(controls.look),
        lines=(*lines(controls), (about, GRAY)),
        pace=", ".join(f"{float(str(controls.pace[name])):.0f} {unit}" for name, unit in PACE if name in controls.pace),
        badges=tuple(badges(controls, shown)),
        view=controls.preview.view,
        showing=controls.preview.panels,
        original=None if shown.hidden else shown.frame.image,
        matte=seen,
        mirror=controls.preview.is_mirrored and not shown.hidden,
        keys=tuple((action.key, action.words) for action in controls.actions if action.key),
        styles=tuple(controls.gallery.thumbnails.items()),
        chosen=(controls.look.background.text, controls.look.person.text),
    )


MARK = "> "
PACE = (("fps", "fps"), ("latency_ms", "ms"), ("dropped", "dropped"))


def lines(controls: Controls) -> Iterator[Line]:
    """What is painted how; a mark is before what the keys change."""
    look = controls.look
    for name, plane, strength, color in (
        ("background", look.background, look.background_strength, BACKGROUND),
        ("person", look.person, look.person_strength, PERSON),
    ):
        yield (MARK if name in controls.planes else "") + f"{name}: {described(plane, strength)}", color
    kept = ", original colours" if look.keep_colors else ""
    painted = f": {controls.pace['quality']}" if "quality" in controls.pace else ""
    yield f"quality {controls.quality}{painted}{kept}", GRAY
    if controls.preview.is_mirrored:
        yield "mirrored in this window only", GRAY


def badges(controls: Controls, shown: Shown) -> Iterator[tuple[str, str]]:
    """States that must not be missed."""
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
