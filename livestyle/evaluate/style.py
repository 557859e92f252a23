"""How good a style is: its losses on fixed photos, and the iterations of Gatys et al. 2016 with equal loss.

How good a loss network is: the losses, as a judge sees them, of what is painted with it.
"""

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from livestyle.config.picture import PREFIX
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.files import atomic_write, sha256, write_error
from livestyle.image.io import list_pictures, load_image, save_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.engine import choose_engine
from livestyle.nets.fetch import silent_progress
from livestyle.nets.library import cache_folder
from livestyle.nets.loss_network import OpenedNetwork, open_loss_network
from livestyle.render.stylizer import Stylizer, load_style, style_card
from livestyle.stills.reference import Goal, measure, paint, painting_grams, set_goal
from livestyle.types import OpenProgress, Progress, Say

IMAGES = 8  # photos that are measured
METHOD = 1  # raised when the optimization changes, so that cached curves are not used


@dataclass(frozen=True)
class StyleScore:
    """The score of a style, and the JSON object of its command.

    Args:
        style: as typed.
        style_loss, content_loss, total_loss: means over the photos.
        gatys_iterations: after which the optimization's mean total loss equals the style's.
        images, size: number of photos, and side of the squares that were cut from them, in pixels.
        loss_network: name and SHA-256 of its file.
        reference: another style's name or file, its total loss on the same photos, and the ratio; None without one.
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
    """The score of a loss network, and the JSON object of its command.

    Args:
        loss_network, judge: name and SHA-256 of their files.
        total_loss: the judge's mean total loss of what the optimization paints with the network.
        own_total_loss: of what it paints with the judge itself, in as many iterations.
        ratio: the first over the second.
        gatys_iterations: with the judge, after which its loss equals the network's.
        iterations: of each optimization.
        images, size: number of photos, and side of the squares that were cut from them, in pixels.
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
class StyleTest:
    """What a style is measured on.

    Args:
        style: a name or file.
        painting: that it was made from.
        photos: a folder of photos that it was not trained on.
        size: side of the squares that are cut from them, in pixels.
        iterations: of the optimization that it is compared with, at least 1.
        reference: another style's name or file, to compare with; None for none.
    """

    style: str
    painting: Path
    photos: Path
    size: int = 256
    iterations: int = 100
    reference: str | None = None


@dataclass(frozen=True)
class NetworkTest:
    """What a loss network is measured on.

    Args:
        paintings: taken in turn.
        photos: to paint.
        size: side of the squares that are cut from the photos, in pixels.
        iterations: of each optimization, at least 1.
        keep: folder for pictures of the photo and both results, side by side; None for none.
    """

    paintings: Sequence[Path]
    photos: Sequence[Path]
    size: int = 256
    iterations: int = 30
    keep: Path | None = None


@dataclass(frozen=True)
class Trial:
    """A photo to paint.

    Args:
        image: uint8 (size, size, 3) RGB.
        goal: of its optimization.
        entry: the cache's file for its curve.
    """

    image: Image
    goal: Goal
    entry: Path


def evaluate_style(
    settings: Settings, test: StyleTest, loss_network: Path | None, say: Say, watch: Progress,
    progress: OpenProgress = silent_progress,
) -> StyleScore:  # fmt: skip
    """Measure a style as the live filter runs it, beside the optimization from the photo itself.

    The optimization's curves are cached for each photo. A run that was stopped resumes after the last whole curve.

    Args:
        settings: device and models.
        test: the style, and what it is measured on.
        loss_network: as of `open_loss_network`.
        say: takes messages.
        watch: takes the progress of the optimization.
        progress: shows a download.

    Raises:
        UserError: a style, painting, photo or loss network is missing, or the cache cannot be written.
    """
    engine, max_px = choose_engine(settings.device), QUALITIES["best"].most
    stylize = load_style(test.style, engine, max_px, settings.models)
    reference = load_style(test.reference, engine, max_px, settings.models) if test.reference else None
    if settings.models and not test.style.startswith(PREFIX):
        say_where_from(settings.models, test.style, say)
    device = engine.device if engine.name == "torch" else "cpu"
    network, file = open_loss_network(loss_network, device, say, settings.models, progress=progress)
    trials = set_trials(network, sha256(file), test)
    if len(trials) < IMAGES:
        say(f"{test.photos} holds {len(trials)} of the {IMAGES} pictures that are usual: the figures are less sure.")
    losses = mean_losses(trials, stylize)
    reference_loss = mean_losses(trials, reference)["total"] if reference else None
    curve = mean_curve(gatys_curves(trials, test.iterations, watch))
    if losses["total"] > curve[0]:
        say(f"'{test.style}' has a higher loss than the photos themselves.")
    if losses["total"] < curve[-1]:
        say(f"'{test.style}' has a lower loss than {test.iterations} iterations: more iterations would count them.")
    return style_score(test, losses, reference_loss, curve, len(trials), identity(file))


def style_score(
    test: StyleTest, losses: Mapping[str, float], reference_loss: float | None, curve: Sequence[float], images: int,
    network: dict[str, str],
) -> StyleScore:  # fmt: skip
    """Return the score of a style.

    Args:
        losses: its mean losses, by name.
        reference_loss: the mean total loss of the reference; None without one.
        curve: mean total losses of the optimization.
        images: number of photos.
        network: name and SHA-256 of the loss network's file.
    """
    total = losses["total"]
    comparison: dict[str, str | float] | None = None
    if test.reference and reference_loss is not None:
        ratio = round(total / reference_loss, 3)
        comparison = {"style": test.reference, "total_loss": round(reference_loss, 5), "ratio": ratio}
    return StyleScore(
        test.style,
        style_loss=round(losses["style"], 5),
        content_loss=round(losses["content"], 5),
        total_loss=round(total, 5),
        gatys_iterations=round(equal_iterations(curve, total), 2),
        images=images,
        size=test.size,
        loss_network=network,
        reference=comparison,
    )


def say_where_from(models: Path, style: str, say: Say) -> None:
    """Say so where a folder of models has no such style, and another folder's is measured."""
    folder = style_card(style, models).folder
    if folder and style == folder.name and models.resolve() not in folder.resolve().parents:
        say(f"{models} has no style '{style}': the one in {folder} is measured.")


def mean_losses(trials: Sequence[Trial], stylize: Stylizer) -> dict[str, float]:
    """Return the mean losses of a style's pictures of the photos, by name."""
    rows = [measure(trial.goal, stylize(trial.image)) for trial in trials]
    return {name: statistics.fmean(row[name] for row in rows) for name in rows[0]}


def set_trials(network: LossNetwork, network_hash: str, test: StyleTest) -> list[Trial]:
    """Load the photos of a test, at most IMAGES, and set their goals.

    Args:
        network: the loss network; network_hash: SHA-256 of its file; test: painting, photos and size.

    Raises:
        UserError: a picture cannot be read, there are no photos, or the cache cannot be written.
    """
    painting, chosen, folder = load_image(test.painting), spread(list_pictures(test.photos), IMAGES), open_cache()
    grams, trials = painting_grams(network, painting), []
    for photo in chosen:
        image = cover(load_image(photo), (test.size, test.size))
        parts = (METHOD, test.size, network_hash, sha256(test.painting), sha256(photo))
        trials.append(Trial(image, set_goal(network, grams, image), folder / entry_name(*parts)))
    return trials


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Return `count` of N sorted paths, at equal distances: number 0, N/count, 2 N/count, rounded down.

    Where there are not so many, return all.
    """
    if len(paths) <= count:
        return list(paths)
    return [paths[number * len(paths) // count] for number in range(count)]


def identity(file: Path) -> dict[str, str]:
    """Return the name and SHA-256 of a loss network's file."""
    return {"name": file.name, "sha256": sha256(file)}


def open_cache() -> Path:
    """Return the folder of cached curves; create it if necessary.

    Raises:
        UserError: it cannot be created.
    """
    folder = cache_folder() / "gatys"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from None
    return folder


def entry_name(*parts: str | int) -> str:
    """Return the file name of a curve: a digest of all that it depends on."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest() + ".json"


def gatys_curves(trials: Sequence[Trial], iterations: int, watch: Progress) -> list[list[float]]:
    """Return each photo's total losses before the first iteration and after each, from the cache where they are there.

    Args:
        trials: the photos; iterations: of the optimization; watch: takes the progress.

    Raises:
        UserError: the cache cannot be written.
    """
    curves = [load_curve(trial.entry) for trial in trials]
    missing = [number for number, curve in enumerate(curves) if len(curve) <= iterations]
    for done, number in enumerate(missing):
        trial = trials[number]
        curves[number] = []
        # In bfloat16 the line search errs, by up to a tenth of the loss in the first iterations.
        for step in paint(trial.goal, trial.image, iterations):
            curves[number].append(step.losses["total"])
            share = (done + step.iteration / iterations) / len(missing)
            watch(share, f"photo {done + 1} of {len(missing)}, iteration {step.iteration}")
        save_curve(trial.entry, curves[number])
    return [curve[: iterations + 1] for curve in curves]


def load_curve(entry: Path) -> list[float]:
    """Return a cached curve; empty where none can be read."""
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
    """Return where a falling curve first reaches a loss, interpolated linearly; its last point if never."""
    if loss >= curve[0]:
        return 0.0
    for number, (before, after) in enumerate(pairwise(curve)):
        if after <= loss:
            return number + (before - loss) / (before - after)
    return float(len(curve) - 1)


def mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of curves at each iteration."""
    return [statistics.fmean(losses) for losses in zip(*curves, strict=True)]


def evaluate_loss_network(
    network: OpenedNetwork, judge: OpenedNetwork, test: NetworkTest, watch: Progress
) -> NetworkScore:
    """Paint photos by optimization with a loss network and with a judge, and compare the losses that the judge sees.

    Args:
        network, judge: as `open_loss_network` returns them.
        test: what they are measured on.
        watch: takes the progress.

    Raises:
        UserError: a picture cannot be read, or `test.keep` cannot be written to.
    """
    paintings = [load_image(painting) for painting in test.paintings]
    grams = [[painting_grams(one, painting) for painting in paintings] for one, _ in (network, judge)]
    curves: tuple[list[list[float]], ...] = ([], [])
    for number, photo in enumerate(test.photos):
        image = cover(load_image(photo), (test.size, test.size))
        own = [row[number % len(paintings)] for row in grams]
        goals = [set_goal(one, each, image) for (one, _), each in zip((network, judge), own, strict=True)]
        pictures = [image]
        for half, goal in enumerate(goals):
            curve, picture = list[float](), image
            for step in paint(goal, image, test.iterations):
                curve.append(measure(goals[1], step.image)["total"])
                share = (number + (half + step.iteration / test.iterations) / 2) / len(test.photos)
                watch(share, f"photo {number + 1} of {len(test.photos)}, iteration {step.iteration}")
                picture = step.image
            curves[half].append(curve)
            pictures.append(picture)
        if test.keep:
            save_image(test.keep / f"{photo.stem}.png", np.hstack(pictures))
    network_curve, judge_curve = map(mean_curve, curves)
    return NetworkScore(
        identity(network[1]), identity(judge[1]), round(network_curve[-1], 5), round(judge_curve[-1], 5),
        round(network_curve[-1] / judge_curve[-1], 3), round(equal_iterations(judge_curve, network_curve[-1]), 2),
        test.iterations, len(test.photos), test.size,
    )  # fmt: skip
