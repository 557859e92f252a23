"""The papers' ablations of one still as one labelled picture: content against style weight, and layer by layer."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np

from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import fit
from livestyle.image.types import Image, size_of
from livestyle.stills.gatys import GatysPainter, check_target
from livestyle.stills.recipe import Recipe
from livestyle.types import Progress

Row = list[tuple[str, Recipe]]  # cells: what stands above, and how it is painted

RATIOS = (1, 3, 10, 30, 100)  # of the style weight to the content weight
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu4_2", "relu5_1")
CELL, STRIP, GAP = 320, 26, 8  # px: a cell's long side at most, the height of its label, what parts them


def weights_sheet(recipe: Recipe) -> list[Row]:
    """Style weight over content weight, rising."""
    whole = recipe.weights.content or 1.0
    weighed = [replace(recipe.weights, content=whole, style=whole * ratio) for ratio in RATIOS]
    return [[(f"style / content = {r}", replace(recipe, weights=w)) for r, w in zip(RATIOS, weighed, strict=True)]]


def layers_sheet(recipe: Recipe) -> list[Row]:
    """Style from the first layer alone to all five; content from each layer."""
    style: Row = []
    for count, last in enumerate(STYLE, start=1):
        label = "style conv1_1" if count == 1 else f"style conv1_1 .. conv{last[4:]}"
        style.append((label, replace(recipe, layers=replace(recipe.layers, style=STYLE[:count]))))
    content = [
        (f"content conv{layer[4:]}", replace(recipe, layers=replace(recipe.layers, content=(layer,))))
        for layer in CONTENT
    ]
    return [style, content]


SHEETS: dict[str, Callable[[Recipe], list[Row]]] = {"weights": weights_sheet, "layers": layers_sheet}


def paint_sheet(studio: GatysPainter, kind: str, source: Path, target: Path, over: Event, watch: Progress) -> bool:
    """Paint every cell, then the sheet; cells that are done wait in a folder beside it, where a later run goes on.

    Args:
        kind: one of SHEETS; the others as `Studio.paint`, whose errors are this one's.
    """
    check_target(source, target)
    rows = SHEETS[kind](studio.recipe)
    cells = [cell for row in rows for cell in row]
    folder = target.with_name(f"{target.name}.cells")
    folder.mkdir(exist_ok=True)
    for number, (label, recipe) in enumerate(cells):

        def told(share: float, note: str, number: int = number, label: str = label) -> None:
            watch((number + share) / len(cells), f"{label}: {note}")

        if not studio.variant(recipe).paint(source, folder / f"{number}.png", over, told):
            return False
    painted = iter([load_image(folder / f"{number}.png") for number in range(len(cells))])
    save_image(target, drawn([[(label, next(painted)) for label, _ in row] for row in rows]))
    shutil.rmtree(folder)
    return True


def drawn(rows: list[list[tuple[str, Image]]]) -> Image:
    """Pictures of one size in rows, each under its label."""
    return np.vstack([np.hstack([labelled(label, picture) for label, picture in row]) for row in rows])


def labelled(label: str, picture: Image) -> Image:
    """A picture of at most CELL under a strip of text, with a gap around."""
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    width, height = size_of(picture)
    scale = min(1.0, CELL / max(width, height))
    picture = fit(picture, (round(width * scale), round(height * scale)))
    sheet = Pil.new("RGB", (picture.shape[1] + GAP, picture.shape[0] + STRIP + GAP), "white")
    sheet.paste(Pil.fromarray(picture), (GAP // 2, STRIP))
    font = ImageFont.load_default(14)
    while font.size > 8 and font.getlength(label) > picture.shape[1]:  # type: ignore[union-attr]
        font = ImageFont.load_default(font.size - 1)  # type: ignore[union-attr]
    ImageDraw.Draw(sheet).text((GAP // 2, STRIP - 20), label, "black", font)
    return np.array(sheet, np.uint8)
