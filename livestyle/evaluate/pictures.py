"""How good a network is that paints in the style of any picture: its losses on fixed photos, picture by picture.

Beside them stand the losses of the photos themselves, of the nearest shipped style, and of a network after some seconds
of fine-tuning.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from livestyle.config.quality import QUALITIES
from livestyle.errors import UserError
from livestyle.evaluate.style import IMAGES, spread
from livestyle.image.io import list_pictures, load_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets import losses
from livestyle.nets.architectures.style_rows import StylePredictor, load_predictor, read_maps, set_row, statistics_of
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_card, find_cards
from livestyle.nets.loss_network import COMPACT, open_loss_network
from livestyle.nets.style_reader import load_style_picture
from livestyle.nets.tensors import as_batch, as_image, device_of
from livestyle.render.stylizer import load_style
from livestyle.stills.reference import STYLE_WEIGHT, painting_grams
from livestyle.types import Progress, Say

SIZE_PX = 256  # side of the squares that are cut from the photos

Paint = Callable[[Image], Image]
# Fine-tunes a network to paint like a picture. It takes the network, which it changes, the picture's file, rising
# numbers of seconds and the loss network. After each number it yields the network and how many crops it painted.
Tune = Callable[[SlimNet, Path, Sequence[float], LossNetwork], Iterator[tuple[nn.Module, int]]]


@dataclass(frozen=True)
class PictureScore:
    """The total losses of photos painted in a picture's style, and an entry of its command's JSON object.

    Args:
        photo: of the photos as they are; nearest: of the shipped style with the least; nearest_name: its name.
        instant: of the predicted network.
        after: of a network after so many seconds of fine-tuning, by the seconds; painted: the crops that this took.
    """

    photo: float
    nearest: float | None
    nearest_name: str | None
    instant: float
    after: dict[str, float] = field(default_factory=dict)
    painted: dict[str, int] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, float | None]:
        """Return the losses by name, for a table."""
        return {"photo": self.photo, "nearest": self.nearest, "instant": self.instant,
                **{f"{seconds} s": total for seconds, total in self.after.items()}}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a loss network sees in a painted photo.

    Args:
        content: the content loss; grams: Gram matrices (1, C, C) by style layer.
    """

    content: float
    grams: dict[str, Tensor]


class Judge:
    """See what is painted of photos.

    Args:
        network: the loss network; photos: files.

    Raises:
        UserError: a photo cannot be read.
    """

    def __init__(self, network: LossNetwork, photos: Sequence[Path]) -> None:
        self.network = network
        self.images = [cover(load_image(photo), (SIZE_PX, SIZE_PX)) for photo in photos]
        self._contents = [self._maps(image, losses.CONTENT_LAYER) for image in self.images]

    def __call__(self, paint: Paint) -> list[Seen]:
        """Return what the network sees in each painted photo."""
        return [self._see(paint(image), content) for image, content in zip(self.images, self._contents, strict=True)]

    @torch.no_grad()
    def _see(self, painted: Image, content: dict[str, Tensor]) -> Seen:
        maps = self._maps(painted)
        grams = {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}
        return Seen(float(losses.content_loss(maps, content)), grams)

    @torch.no_grad()
    def _maps(self, image: Image, until: str = losses.STYLE_LAYERS[-1]) -> dict[str, Tensor]:
        maps = self.network(as_batch([image], device_of(self.network)), until)
        return {layer: maps[layer] for layer in (*losses.STYLE_LAYERS, losses.CONTENT_LAYER) if layer in maps}


def mean_total(seen: Sequence[Seen], target: dict[str, Tensor]) -> float:
    """Return the mean total loss of painted photos.

    Args:
        seen: of each photo; target: the picture's Gram matrices.
    """
    return statistics.fmean(
        one.content + STYLE_WEIGHT * float(losses.gram_losses(one.grams, target)) for one in seen
    )  # fmt: skip


@torch.no_grad()
def predict_row(predictor: StylePredictor, reader: LossNetwork, file: Path) -> Tensor:
    """Return the row of a picture's style, float32 (numbers,).

    Args:
        predictor: of rows; reader: the compact loss network; file: of the picture.

    Raises:
        UserError: the picture cannot be read, or is too small.
    """
    maps = read_maps(reader, as_batch([load_style_picture(file)], device_of(reader)))
    row: Tensor = predictor(statistics_of(maps))[0]
    return row


def paint_by(net: nn.Module) -> Paint:
    """Return what paints by a network on the CPU."""

    @torch.no_grad()
    def paint(image: Image) -> Image:
        return as_image(net.eval()(as_batch([image], "cpu")))

    return paint


@dataclass(frozen=True)
class PicturesTest:
    """What a predictor is measured on.

    Args:
        folder: of pictures; photos: a folder, of which IMAGES are taken.
        predictor: its name or file; None for the default one.
        seconds: of fine-tuning after which the losses are measured, rising.
    """

    folder: Path
    photos: Path
    predictor: str | None = None
    seconds: Sequence[float] = ()


class PicturesEvaluation:
    """Measure a predictor picture by picture.

    Args:
        test: what it is measured on.
        tune: fine-tunes.
        loss_network: as of `open_loss_network`; models: a folder of models that takes precedence.
        say: takes messages.

    Raises:
        UserError: the predictor, a photo or a loss network cannot be loaded.
    """

    def __init__(
        self, test: PicturesTest, tune: Tune, loss_network: Path | None, models: Path | None, say: Say
    ) -> None:
        self._test, self._tune, self._say = test, tune, say
        network, self.loss_network = open_loss_network(loss_network, "cpu", say, models)
        self._reader, _ = open_loss_network(COMPACT, "cpu", say, models)
        is_file = (test.predictor or "").endswith(".safetensors")
        self._file = (
            Path(str(test.predictor)) if is_file
            else find_card("predictor", test.predictor, models).path(".safetensors")
        )  # fmt: skip
        load_predictor(self._file)  # a damaged file is reported first
        self.pictures = list_pictures(test.folder)
        self._judge = Judge(network, spread(list_pictures(test.photos), IMAGES))
        self._unpainted = self._judge(np.ascontiguousarray)
        self._shipped = {name: self._judge(paint) for name, paint in shipped_styles(models).items()}

    @property
    def images(self) -> int:
        """Return the number of photos."""
        return len(self._judge.images)

    def scores(self, watch: Progress) -> Iterator[tuple[str, PictureScore]]:
        """Yield the name and score of each picture that can be read.

        Args:
            watch: takes the progress.
        """
        for number, file in enumerate(self.pictures):
            watch(number / len(self.pictures), file.name)
            try:
                score = self._score(file, partial(self._tell, watch, number))
            except UserError as error:
                self._say(f"Warning: {error.problem} It was left out.")
                continue
            yield file.stem, score

    def _tell(self, watch: Progress, number: int, share: float) -> None:
        watch((number + share) / len(self.pictures), self.pictures[number].name)

    def _score(self, file: Path, watch: Callable[[float], None]) -> PictureScore:
        target = painting_grams(self._judge.network, load_image(file))
        near = {name: mean_total(seen, target) for name, seen in self._shipped.items()}
        name = min(near, key=lambda name: near[name], default=None)
        net, predictor = load_predictor(self._file)
        set_row(net, predict_row(predictor, self._reader, file))
        instant, after, painted = self._total(net, target), {}, {}
        if self._test.seconds:
            tuned = self._tune(net, file, self._test.seconds, self._reader)
            for seconds, (better, count) in zip(self._test.seconds, tuned, strict=False):
                after[f"{seconds:g}"], painted[f"{seconds:g}"] = self._total(better, target), count
                watch(seconds / self._test.seconds[-1])
        photo = mean_total(self._unpainted, target)
        return PictureScore(photo, near[name] if name else None, name, instant, after, painted)

    def _total(self, net: nn.Module, target: dict[str, Tensor]) -> float:
        was_training = net.training
        total = mean_total(self._judge(paint_by(net)), target)
        net.train(was_training)
        return total


def shipped_styles(models: Path | None) -> dict[str, Paint]:
    """Return what paints in each style that has a network of its own, by name."""
    engine, cards = choose_engine("cpu"), find_cards("style", models)
    names = [name for name, card in cards.items() if any(file.endswith(".onnx") for file in card.files)]
    return {name: load_style(name, engine, QUALITIES["best"].most, models) for name in names}


def as_json(evaluation: PicturesEvaluation, scores: Mapping[str, PictureScore], network: dict[str, str]) -> object:
    """Return the JSON object of the command.

    Args:
        evaluation: that gave the scores; scores: by the pictures' names; network: name and SHA-256 of its file.
    """
    pictures = {name: asdict(score) for name, score in scores.items()}
    return {"loss_network": network, "size": SIZE_PX, "images": evaluation.images, "pictures": pictures}


def mean_ratio(totals: Mapping[str, float], others: Mapping[str, float]) -> float:
    """Return the geometric mean of the ratios of totals to others of the same names."""
    return math.exp(statistics.fmean(math.log(total / others[name]) for name, total in totals.items()))


def mean_row(scores: Mapping[str, PictureScore]) -> dict[str, float | None]:
    """Return the geometric means of the losses, by name."""
    columns = {key: [score.totals.get(key) for score in scores.values()] for key in next(iter(scores.values())).totals}
    return {
        key: math.exp(statistics.fmean(math.log(value) for value in values if value))
        if any(values) else None for key, values in columns.items()
    }  # fmt: skip
