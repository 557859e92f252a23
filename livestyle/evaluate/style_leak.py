"""How much of one plane's style shows in the other: masks inside the loss against painting all and compositing."""

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TypedDict

from livestyle.errors import UserError
from livestyle.stills.gatys import GatysPainter
from livestyle.types import Progress

WAYS = {"masked": False, "naive": True}  # and `Recipe.naive`


class LeakRow(TypedDict):
    """The style losses of a plane as it was painted.

    Args:
        way: of WAYS; plane: "background" or "person".
        own: against its own style; other: against the other plane's.
    """

    way: str
    plane: str
    own: float
    other: float


def measure_leak(painter: GatysPainter, portrait: Path, folder: Path, watch: Progress) -> list[LeakRow]:
    """Paint a portrait both ways, in equally many iterations, and measure each plane.

    Args:
        painter: with two styles; portrait: the picture.
        folder: for the results, WAY.png.
        watch: takes the progress.

    Raises:
        UserError: the portrait cannot be painted, or a plane has no style.
    """
    if len(painter.recipe.styles) < 2 or painter.recipe.is_whole:
        raise UserError("A leak wants two styles.", "Give the background and the person a picture each.", "person")
    rows: list[LeakRow] = []
    for number, (way, naive) in enumerate(WAYS.items()):

        def watch_way(share: float, note: str, number: int = number, way: str = way) -> None:
            watch((number + share) / len(WAYS), f"{way}: {note}")

        one = painter.variant(replace(painter.recipe, naive=naive))
        one.paint(portrait, folder / f"{way}.png", Event(), watch_way)
        for plane, against in painter.style_losses(portrait, folder / f"{way}.png").items():
            (other,) = (loss for style, loss in against.items() if style != plane)
            rows.append({"way": way, "plane": plane, "own": against[plane], "other": other})
    return rows
