"""What a preview says of the run: the deck and the frame just shown as a Scene."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from livestyle.config.look import described
from livestyle.image.types import Frame, Matte
from livestyle.live.controls import Deck
from livestyle.live.guard import Shown
from livestyle.video.window.drawing import BACKGROUND, GRAY, PERSON, Line
from livestyle.video.window.overlay import Scene


def scene_of(deck: Deck, shown: Shown, about: str, matte: Callable[[Frame], Matte]) -> Scene:
    """The scene of a frame.

    Args:
        about: a line on what renders; matte: called where the view wants it.
    """
    seen = None
    if deck.view == "matte" and not shown.hidden:
        with suppress(Exception):  # a segmenter that fails must not end a call: the picture stays
            seen = matte(shown.frame)
    return Scene(
        title="hidden" if shown.hidden else str(deck.look),
        lines=(*lines(deck), (about, GRAY)),
        pace=", ".join(f"{float(str(deck.facts[name])):.0f} {unit}" for name, unit in PACE if name in deck.facts),
        badges=tuple(badges(deck, shown)),
        view=deck.view,
        showing=deck.showing,
        original=None if shown.hidden else shown.frame.image,
        matte=seen,
        mirror=deck.mirror and not shown.hidden,
        keys=tuple((action.key, action.words) for action in deck.actions if action.key),
        styles=tuple(deck.thumbnails.items()),
        chosen=(deck.look.background.text, deck.look.person.text),
    )


MARK = "> "
PACE = (("fps", "fps"), ("latency_ms", "ms"), ("dropped", "dropped"))


def lines(deck: Deck) -> Iterator[Line]:
    """What is painted how; a mark is before what the keys change."""
    look = deck.look
    for name, plane, strength, color in (
        ("background", look.background, look.background_strength, BACKGROUND),
        ("person", look.person, look.person_strength, PERSON),
    ):
        yield (MARK if name in deck.planes else "") + f"{name}: {described(plane, strength)}", color
    kept = ", original colours" if look.keep_colors else ""
    painted = f": {deck.facts['quality']}" if "quality" in deck.facts else ""
    yield f"quality {deck.quality}{painted}{kept}", GRAY
    if deck.mirror:
        yield "mirrored in this window only", GRAY


def badges(deck: Deck, shown: Shown) -> Iterator[tuple[str, str]]:
    """States that must not be missed."""
    if deck.panicked:
        yield f"HIDDEN from everybody; {deck.key('confirm')}: come back", "alert"
    elif shown.hidden:
        yield "HIDDEN from everybody: a fault, or no camera", "alert"
    elif shown.is_old:
        yield "LATE: the last safe picture is shown", "alert"
    if deck.recording:
        yield "REC", "alert"
    if deck.frozen:
        yield f"FROZEN for everybody; {deck.key('freeze')}: go on", "note"
    if shown.look.bypass and not shown.hidden:
        yield f"NOT PAINTED: the camera's own picture; {deck.key('bypass')}: paint", "note"
