"""How good a style is: its losses on fixed photos, and the iterations of Gatys et al. 2016 that they equal.

And how good a loss network is: the losses, as another sees them, of what is painted with it.
"""

import hashlib
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.files import atomic_write, sha256, write_error
from livestyle.image.io import list_pictures, load_image, save_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import cache_folder
from livestyle.nets.loss_network import open_loss_network
from livestyle.render.stylizer import Stylizer, load_style, style_card
from livestyle.stills.reference import Goal, measure, paint, painting_grams, set_goal
from livestyle.types import Progress, Say

Opened = tuple[LossNetwork, Path]  # a loss network, and the file that it is from

IMAGES = 8
METHOD = 1  # of the yardstick: raised when its curves would come out otherwise, so that cached ones are not taken


@dataclass(frozen=True)
class StyleScore:
    """The JSON object of the command contract.

    Args:
        style: as typed.
        style_loss, content_loss, total_loss: means over the photos.
        gatys_iterations: after how many the optimisation's mean total loss is the style's.
        images, size: how many photos, and the side of the squares that were cut from them.
        loss_network: name and SHA-256 of its file.
        reference: another style's name or file, its total loss on the same, and ours over that; None without.
    """

    style: str
    style_loss: float
    content_loss: float
    total_loss: float
    gatys_iterations: float
    images: int
    size: int
    loss_network: dict[str, str]
    reference: dict[str, str | float] | None = None


@dataclass(frozen=True)
class NetworkScore:
    """The JSON object of how good a loss network is.

    Args:
        loss_network, judge: name and SHA-256 of their files.
        total_loss: mean of the total loss, as the judge sees it, of what the optimisation paints with the network.
        own_total_loss: of what it paints with the judge itself, in as many iterations.
        ratio: the first over the second.
        gatys_iterations: of those with the judge, after how many the loss is the network's.
        iterations, images, size: of each optimisation; how many photos; the side of the squares cut from them.
    """

    loss_network: dict[str, str]
    judge: dict[str, str]
    total_loss: float
    own_total_loss: float
    ratio: float
    gatys_iterations: float
    iterations: int
    images: int
    size: int


@dataclass(frozen=True)
class Trial:
    """A photo, cut to a square, with its goal and the cache's entry for its curve."""

    image: Image
    goal: Goal
    entry: Path


def evaluate_style(
    settings: Settings, style: str, painting: Path, photos: Path, loss_network: Path | None, size: int,
    iterations: int, say: Say, watch: Progress, reference: str | None = None,
) -> StyleScore:  # fmt: skip
    """Measure a style as the live filter runs it, beside the optimisation from the photo itself.

    The optimisation's curves are cached for each photo: a run that was stopped goes on after the last whole one.

    Args:
        settings: device and models; style: a name or file; painting: what it was made from.
        loss_network: as `open_loss_network` takes it.
        size: side of the squares; iterations: of the optimisation, at least 1.
        reference: another style's name or file, held against it.

    Raises:
        UserError: no such style, painting, photos or loss network, or a cache that cannot be written.
    """
    engine = choose_engine(settings.device)
    most = QUALITIES["best"].most
    stylize = load_style(style, engine, most, settings.models)
    other = load_style(reference, engine, most, settings.models) if reference else None
    if settings.models:
        say_where_from(settings.models, style, say)
    device = engine.device if engine.name == "torch" else "cpu"
    network, file = open_loss_network(loss_network, device, say, settings.models)
    facts = identity(file)
    trials = set_trials(network, facts["sha256"], painting, photos, size)
    if len(trials) < IMAGES:
        say(f"{photos} holds {len(trials)} of the {IMAGES} pictures that are usual: the figures are less sure.")

    means = mean_losses(trials, stylize)
    total = means["total"]
    beside: dict[str, str | float] | None = None
    if reference and other:
        theirs = mean_losses(trials, other)["total"]
        beside = {"style": reference, "total_loss": round(theirs, 5), "ratio": round(total / theirs, 3)}
    curve = [statistics.fmean(losses) for losses in zip(*gatys_curves(trials, iterations, watch), strict=True)]
    if total > curve[0]:
        say(f"'{style}' has a higher loss than the photos themselves.")
    if total < curve[-1]:
        say(f"'{style}' has a lower loss than {iterations} iterations: give more with --iterations to count them.")
    return StyleScore(
        style,
        style_loss=round(means["style"], 5),
        content_loss=round(means["content"], 5),
        total_loss=round(total, 5),
        gatys_iterations=round(equal_iterations(curve, total), 2),
        images=len(trials),
        size=size,
        loss_network=facts,
        reference=beside,
    )


def say_where_from(models: Path, style: str, say: Say) -> None:
    """Tell when a folder of models has no style of that name, so that another folder's is measured."""
    folder = style_card(style, models).folder
    if folder and style == folder.name and models.resolve() not in folder.resolve().parents:
        say(f"{models} has no style '{style}': the one in {folder} is measured.")


def mean_losses(trials: Sequence[Trial], stylize: Stylizer) -> dict[str, float]:
    """What a style's pictures of the photos lose, by kind, in the mean."""
    rows = [measure(trial.goal, stylize(trial.image)) for trial in trials]
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def set_trials(network: LossNetwork, network_hash: str, painting: Path, photos: Path, size: int) -> list[Trial]:
    """The photos that are taken of a folder, made ready.

    Raises:
        UserError: a picture cannot be read, there are no photos, or the cache cannot be written.
    """
    art, chosen, folder = load_image(painting), spread(list_pictures(photos), IMAGES), open_cache()
    grams, trials = painting_grams(network, art), []
    for photo in chosen:
        image = cover(load_image(photo), (size, size))
        parts = (METHOD, size, network_hash, sha256(painting), sha256(photo))
        trials.append(Trial(image, set_goal(network, grams, image), folder / entry_name(*parts)))
    return trials


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Of N sorted paths those number 0, N/count, 2 N/count ..., rounded down; all where there are not so many."""
    if len(paths) <= count:
        return list(paths)
    return [paths[number * len(paths) // count] for number in range(count)]


def identity(file: Path) -> dict[str, str]:
    """The name and SHA-256 of a loss network's file."""
    return {"name": file.name, "sha256": sha256(file)}


def open_cache() -> Path:
    """The folder of the curves, made if need be.

    Raises:
        UserError: it cannot be made.
    """
    folder = cache_folder() / "gatys"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from None
    return folder


def entry_name(*parts: str | int) -> str:
    """The file name of a curve: a digest of all that it depends on."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest() + ".json"


def gatys_curves(trials: Sequence[Trial], iterations: int, watch: Progress) -> list[list[float]]:
    """Each photo's total losses, before the first iteration and after each, from the cache where they are there."""
    curves = [load_curve(trial.entry) for trial in trials]
    missing = [number for number, curve in enumerate(curves) if len(curve) <= iterations]
    for done, number in enumerate(missing):
        trial = trials[number]
        curves[number] = []
        # Single precision: in bfloat16 the line search strays, by up to a tenth of the loss in the first iterations.
        for step in paint(trial.goal, trial.image, iterations):
            curves[number].append(step.losses["total"])
            share = (done + step.iteration / iterations) / len(missing)
            watch(share, f"photo {done + 1} of {len(missing)}, iteration {step.iteration}")
        save_curve(trial.entry, curves[number])
    return [curve[: iterations + 1] for curve in curves]


def load_curve(entry: Path) -> list[float]:
    """A cached curve; empty where there is none that can be read."""
    try:
        return [float(loss) for loss in json.loads(entry.read_text("utf-8"))["total"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def save_curve(entry: Path, curve: list[float]) -> None:
    """Cache a curve.

    Raises:
        UserError: it cannot be written.
    """
    with atomic_write(entry) as part:
        part.write_text(json.dumps({"total": curve}), "utf-8")


def equal_iterations(curve: Sequence[float], loss: float) -> float:
    """Where a falling curve first reaches a loss, between its points on a straight line; its last point if never."""
    if loss >= curve[0]:
        return 0.0
    for number, (before, after) in enumerate(pairwise(curve)):
        if after <= loss:
            return number + (before - loss) / (before - after)
    return float(len(curve) - 1)


def evaluate_loss_network(
    network: Opened, judge: Opened, paintings: Sequence[Path], photos: Sequence[Path], size: int, iterations: int,
    watch: Progress, keep: Path | None = None,
) -> NetworkScore:  # fmt: skip
    """Paint photos by optimisation with a loss network and with a judge, and let the judge say how close they come.

    Args:
        network, judge: as `open_loss_network` gives them.
        paintings: taken in turn.
        size: side of the squares that are cut from the photos; iterations: of each optimisation, at least 1.
        keep: folder for pictures of the photo, the network's and the judge's, side by side; None for none.

    Raises:
        UserError: a picture cannot be read, or `keep` cannot be written to.
    """
    arts = [load_image(painting) for painting in paintings]
    grams = [[painting_grams(one, art) for art in arts] for one, _ in (network, judge)]
    curves: tuple[list[list[float]], ...] = ([], [])
    for number, photo in enumerate(photos):
        image, art = cover(load_image(photo), (size, size)), number % len(arts)
        goals = [set_goal(one, row[art], image) for (one, _), row in zip((network, judge), grams, strict=True)]
        made = [image]
        for half, goal in enumerate(goals):
            curves[half].append([])
            for step in paint(goal, image, iterations):
                curves[half][-1].append(measure(goals[1], step.image)["total"])
                share = (number + (half + step.iteration / iterations) / 2) / len(photos)
                watch(share, f"photo {number + 1} of {len(photos)}, iteration {step.iteration}")
            made.append(step.image)
        if keep:
            save_image(keep / f"{photo.stem}.png", np.hstack(made))
    ours, own = ([statistics.fmean(losses) for losses in zip(*rows, strict=True)] for rows in curves)
    return NetworkScore(
        identity(network[1]), identity(judge[1]), round(ours[-1], 5), round(own[-1], 5), round(ours[-1] / own[-1], 3),
        round(equal_iterations(own, ours[-1]), 2), iterations, len(photos), size,
    )  # fmt: skip
