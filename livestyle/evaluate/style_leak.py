"""How much of one plane's style is found in the other: masks inside the loss against painting all and cutting."""

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TypedDict

from livestyle.errors import UserError
from livestyle.stills.gatys import GatysPainter
from livestyle.types import Progress

WAYS = {"masked": False, "naive": True}


class LeakRow(TypedDict):
    """The style losses of a plane, as it was painted: against its own style, and against the other plane's."""

    way: str
    plane: str
    own: float
    other: float


def measure_leak(studio: GatysPainter, portrait: Path, folder: Path, watch: Progress) -> list[LeakRow]:
    """Paint a portrait both ways at one budget, into WAY.png of a folder, and measure each plane.

    Raises:
        UserError: it cannot be painted, or a plane has no style.
    """
    if len(studio.recipe.styles) < 2 or studio.recipe.is_whole:
        raise UserError("A leak wants two styles.", "Give --background and --person a picture each.")
    rows: list[LeakRow] = []
    for number, (way, naive) in enumerate(WAYS.items()):

        def told(share: float, note: str, number: int = number, way: str = way) -> None:
            watch((number + share) / len(WAYS), f"{way}: {note}")

        one = studio.variant(replace(studio.recipe, naive=naive))
        one.paint(portrait, folder / f"{way}.png", Event(), told)
        for plane, against in studio.style_losses(portrait, folder / f"{way}.png").items():
            (other,) = (loss for style, loss in against.items() if style != plane)
            rows.append({"way": way, "plane": plane, "own": against[plane], "other": other})
    return rows
