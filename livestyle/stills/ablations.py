"""Ablations of one still, as one labelled picture: content against style weight, and layer by layer.

Both are those of Gatys et al. 2016.
"""

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

Cell = tuple[str, Recipe]  # a label, and how its picture is painted

WEIGHT_RATIOS = (1, 3, 10, 30, 100)  # of the style weight to the content weight
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_2", "relu5_1")
CELL_PX, LABEL_PX, GAP_PX = 320, 26, 8  # long side of a cell at most, height of its label, space between cells


def weights_ablation(recipe: Recipe) -> list[list[Cell]]:
    """Return one row of cells: style weight over content weight, rising."""
    content = recipe.weights.content or 1.0
    weights = [replace(recipe.weights, content=content, style=content * ratio) for ratio in WEIGHT_RATIOS]
    recipes = [replace(recipe, weights=one) for one in weights]
    return [[(f"style / content = {r}", one) for r, one in zip(WEIGHT_RATIOS, recipes, strict=True)]]


def layers_ablation(recipe: Recipe) -> list[list[Cell]]:
    """Return two rows of cells: style from one layer up to five, and content from each layer."""
    style: list[Cell] = []
    for count, last in enumerate(STYLE_LAYERS, start=1):
        label = "style conv1_1" if count == 1 else f"style conv1_1 .. conv{last[4:]}"
        style.append((label, replace(recipe, layers=replace(recipe.layers, style=STYLE_LAYERS[:count]))))
    content = [
        (f"content conv{layer[4:]}", replace(recipe, layers=replace(recipe.layers, content=(layer,))))
        for layer in CONTENT_LAYERS
    ]
    return [style, content]


ABLATIONS: dict[str, Callable[[Recipe], list[list[Cell]]]] = {"weights": weights_ablation, "layers": layers_ablation}


def paint_ablation(
    painter: GatysPainter, kind: str, source: Path, target: Path, stop: Event, watch: Progress
) -> bool:  # fmt: skip
    """Paint every cell, then the whole. Finished cells wait in a folder beside it, where a later run resumes.

    Args:
        painter: of the still.
        kind: one of ABLATIONS.
        source: the picture; target: the result.
        stop: ends the painting early.
        watch: takes the progress.

    Returns:
        Whether it is finished.

    Raises:
        UserError: as `GatysPainter.paint`.
    """
    check_target(source, target)
    rows = ABLATIONS[kind](painter.recipe)
    cells = [cell for row in rows for cell in row]
    folder = target.with_name(f"{target.name}.cells")
    folder.mkdir(exist_ok=True)
    for number, (label, recipe) in enumerate(cells):

        def watch_cell(share: float, note: str, number: int = number, label: str = label) -> None:
            watch((number + share) / len(cells), f"{label}: {note}")

        if not painter.variant(recipe).paint(source, folder / f"{number}.png", stop, watch_cell):
            return False
    painted = iter([load_image(folder / f"{number}.png") for number in range(len(cells))])
    save_image(target, arranged([[(label, next(painted)) for label, _ in row] for row in rows]))
    shutil.rmtree(folder)
    return True


def arranged(rows: list[list[tuple[str, Image]]]) -> Image:
    """Return pictures of one size in rows, each under its label: uint8 (H, W, 3) RGB."""
    return np.vstack([np.hstack([labelled(label, picture) for label, picture in row]) for row in rows])


def labelled(label: str, picture: Image) -> Image:
    """Return a picture, scaled down to CELL_PX, under a line of text, with a gap around."""
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    width, height = size_of(picture)
    scale = min(1.0, CELL_PX / max(width, height))
    picture = fit(picture, (round(width * scale), round(height * scale)))
    cell = Pil.new("RGB", (picture.shape[1] + GAP_PX, picture.shape[0] + LABEL_PX + GAP_PX), "white")
    cell.paste(Pil.fromarray(picture), (GAP_PX // 2, LABEL_PX))
    font = ImageFont.load_default(14)
    while font.size > 8 and font.getlength(label) > picture.shape[1]:  # type: ignore[union-attr]
        font = ImageFont.load_default(font.size - 1)  # type: ignore[union-attr]
    ImageDraw.Draw(cell).text((GAP_PX // 2, LABEL_PX - 20), label, "black", font)
    return np.array(cell, np.uint8)
