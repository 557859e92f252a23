"""How good a network is that paints in the style of any picture: its losses on fixed photos, picture by picture."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from livestyle.evaluate.style import IMAGES, spread
from livestyle.image.io import list_pictures, load_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets.architectures.style_rows import StylePredictor, load_predictor, read_maps, set_row, statistics_of
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.library import find_card
from livestyle.nets.loss_network import COMPACT, open_loss_network
from livestyle.nets.style_reader import load_style_picture
from livestyle.nets.tensors import as_batch, as_image, device_of
from livestyle.stills.reference import Goal, measure, painting_grams, set_goal
from livestyle.types import Progress, Say

SIZE_PX = 256  # side of the squares that are cut from the photos

PaintLike = Callable[[Path], Callable[[Image], Image]]  # takes a picture's file, returns what paints in its style


@torch.no_grad()
def predict_row(predictor: StylePredictor, reader: LossNetwork, file: Path) -> torch.Tensor:
    """Return the row of a picture's style, float32 (numbers,).

    Args:
        predictor: of rows; reader: the compact loss network; file: of the picture.

    Raises:
        UserError: the picture cannot be read, or is too small.
    """
    maps = read_maps(reader, as_batch([load_style_picture(file)], device_of(reader)))
    row: torch.Tensor = predictor(statistics_of(maps))[0]
    return row


def predicted(net: SlimNet, predictor: StylePredictor, reader: LossNetwork) -> PaintLike:
    """Return a way to paint like any picture, by prediction.

    Args:
        net: changed in place for each picture; predictor: of its rows; reader: the compact loss network.
    """

    def prepare(file: Path) -> Callable[[Image], Image]:
        set_row(net, predict_row(predictor, reader, file))
        return paint

    @torch.no_grad()
    def paint(image: Image) -> Image:
        return as_image(net(as_batch([image], device_of(reader))))

    return prepare


def score_pictures(
    judge: LossNetwork, pictures: Sequence[Path], photos: Sequence[Path], paint_like: PaintLike,
    watch: Progress = lambda share, text: None,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return the mean losses content, style and total of photos in the styles of pictures, by the pictures' names.

    Args:
        judge: the loss network; pictures, photos: files; paint_like: the painter; watch: takes the progress.

    Raises:
        UserError: a picture cannot be read.
    """
    images = [cover(load_image(photo), (SIZE_PX, SIZE_PX)) for photo in photos]
    goals: list[Goal] = [set_goal(judge, {}, image) for image in images]
    found = {}
    for number, file in enumerate(pictures):
        watch(number / len(pictures), file.name)
        paint, grams = paint_like(file), painting_grams(judge, load_image(file))
        rows = [measure(replace(goal, grams=grams), paint(image)) for goal, image in zip(goals, images, strict=True)]
        found[file.stem] = {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}
    return found


def evaluate_pictures(
    predictor: str, folder: Path, photos: Path, loss_network: Path | None, models: Path | None, say: Say,
    watch: Progress,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Return the figures of a predictor for every picture of a folder; see `table_of`.

    Args:
        predictor: its name or file; folder: of pictures; photos: a folder, of which IMAGES are taken.
        loss_network: as of `open_loss_network`; models: a folder of models that takes precedence.
        say: takes messages; watch: takes the progress.

    Raises:
        UserError: the predictor, a picture or the loss network cannot be loaded.
    """
    is_file = predictor.endswith(".safetensors")
    file = Path(predictor) if is_file else find_card("predictor", predictor, models).path(".safetensors")
    net, rows = load_predictor(file)
    judge, _ = open_loss_network(loss_network, "cpu", say, models)
    reader, _ = open_loss_network(COMPACT, "cpu", say, models)
    pictures, chosen = list_pictures(folder), spread(list_pictures(photos), IMAGES)
    painted = score_pictures(judge, pictures, chosen, predicted(net, rows, reader), watch)
    return table_of(painted, score_pictures(judge, pictures, chosen, lambda file: lambda image: image))


def table_of(
    scores: Mapping[str, Mapping[str, float]], unpainted: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Return each picture's losses, the total of the photos as they are, and how much of it painting takes.

    Args:
        scores: of the painted photos, by the pictures' names; unpainted: of the photos as they are.

    Returns:
        By name: content, style, total, photo, and closeness, the logarithm of photo over total.
    """
    return {
        name: {**score, "photo": (photo := unpainted[name]["total"]), "closeness": math.log(photo / score["total"])}
        for name, score in scores.items()
    }


def mean_ratio(totals: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Return the geometric mean of the ratios of totals to others of the same names."""
    return math.exp(statistics.fmean(math.log(total / others[name]) for name, total in totals.items()))
