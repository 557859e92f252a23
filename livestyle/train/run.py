"""Whole trainings: from the settings to a published model."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from livestyle.config.training import (
    LossNetworkTrainingSettings,
    PredictorTrainingSettings,
    SegmenterTrainingSettings,
    StyleTrainingSettings,
)  # fmt: skip
from livestyle.errors import UserError
from livestyle.image.io import list_pictures
from livestyle.matting.published import SEGMENTERS
from livestyle.nets.card import Card
from livestyle.nets.fetch import silent_progress
from livestyle.nets.library import user_folder
from livestyle.nets.loss_network import COMPACT, OpenedNetwork, open_loss_network, quick_network
from livestyle.train import loss_network as distillation
from livestyle.train.checkpoint import Figures
from livestyle.train.loop import TrainingStatus
from livestyle.train.loss_network import LossNetworkTraining
from livestyle.train.photos import demo_frame, people_finder, photos_of
from livestyle.train.predictor import (
    WEIGHTS,
    PredictorTraining,
    split_photos,
    start_file,
    train_predictor,
)  # fmt: skip
from livestyle.train.publish import StyleFacts, load_trained, publish, publish_style, reserve
from livestyle.train.publish_predictor import publish_predictor
from livestyle.train.ranks import Ranks, joined, training_device
from livestyle.train.segmenter import ARCHS, SegmenterTraining, train_segmenter
from livestyle.train.style import StyleTraining, load_painting, train_style
from livestyle.train.style_pictures import learnt_pictures, measure_pictures
from livestyle.types import Display, OpenProgress

# Takes the network, its teacher, paintings, photos, their side and the iterations. Returns figures for the card.
Judge = Callable[[OpenedNetwork, OpenedNetwork, list[Path], list[Path], int, int], Figures]


def run_style_training(
    picture: Path, name: str, asked: StyleTrainingSettings, command: str, display: Display
) -> Path | None:
    """Train a style and publish it.

    Args:
        picture: the painting; name: of the style; asked: how to train.
        command: as typed, for the card.
        display: shows the progress.

    Returns:
        The folder of models that holds it. None in the other processes of several.

    Raises:
        UserError: the name, the painting or the photos cannot be used, or the folder cannot be written.
    """
    models = asked.out or user_folder()
    reserve(name, models)  # wrong arguments are reported before anything is fetched
    load_painting(picture)
    photos = photos_of(asked.photos, asked.my_photos, people_finder() if asked.people != 1 else None)
    with joined(training_device(asked.device)) as ranks:
        say = display.say if ranks.first else lambda line: None
        if asked.photos is None and not asked.my_photos:
            better = "a few hundred photos give better results, see livestyle train style --help"
            say(f"Trains on {photos.origin}: {better}.")
        network, _ = open_loss_network(asked.loss_network, ranks.device, say, progress=display.bar)
        job = StyleTraining(
            picture, photos, network, asked.runs / f"{name}.safetensors",
            None if asked.teacher else quick_network(network), asked.arch, asked.minutes, asked.teacher, asked.start,
            people_weight=asked.people, stability_weight=asked.still, learning_rate=asked.rate, batch=asked.batch,
            models=asked.out if asked.out and asked.out.is_dir() else None, ranks=ranks, seed=asked.seed,
        )  # fmt: skip
        follow(train_style(job, say), display.bar if ranks.first else silent_progress)
        if not ranks.first:
            return None
    source = asked.origin or str(picture.absolute())
    facts = StyleFacts(name, asked.title or name, source, asked.license, asked.data, asked.default)
    publish_style(job, facts, models, command, demo_frame(0))
    return models


def run_predictor_training(
    name: str, folders: list[Path], photos: Path, asked: PredictorTrainingSettings, command: str, display: Display
) -> Path:
    """Train a predictor of styles, or a table, and publish it.

    Args:
        name: of the predictor; folders: of pictures, with the folders in them; photos: a folder.
        asked: how to train.
        command: as typed, for the card.
        display: shows the progress.

    Returns:
        The file of its weights.

    Raises:
        UserError: pictures, photos or the start cannot be used, or a folder cannot be written.
    """
    models, device = asked.out or user_folder(), training_device(asked.device)
    reserve(name, models)
    gallery = list_pictures(asked.gallery) if asked.gallery else []
    names = {file.name for file in gallery}
    files = [*(file for file in learnt_pictures(folders, asked.leave_out) if file.name not in names), *gallery]
    reader, _ = open_loss_network(COMPACT, device, display.say)
    judge, _ = open_loss_network(asked.loss_network or COMPACT, device, display.say, progress=display.bar)
    judge = reader if judge.name == reader.name else judge
    cache = asked.runs / f"{name}.targets.safetensors"
    with display.bar("pictures", 1.0) as watch:
        targets = measure_pictures(files, reader, judge, cache, watch, warn=display.say)
    learnt, held_out = split_photos(photos)
    job = PredictorTraining(
        targets, learnt, held_out, judge, asked.runs / f"{name}.safetensors", start_file(asked.start),
        asked.table, tuple(file.name for file in gallery), asked.minutes, asked.rate, None,
        replace(WEIGHTS, stability=asked.still), Ranks(device), asked.seed,
    )  # fmt: skip
    follow(train_predictor(job), display.bar)
    terms = asked.data or ", ".join(map(str, [*folders, photos]))
    card = Card(name, "predictor", asked.title or name, "slim", {}, asked.license, asked.origin or "your own", terms,
                command)  # fmt: skip
    return publish_predictor(job.checkpoint, targets, card, models)


def run_segmenter_training(
    arch: str, data: tuple[Path, ...], rooms: Path, encoders: Path, asked: SegmenterTrainingSettings, command: str,
    display: Display,
) -> Path:  # fmt: skip
    """Train a segmenter and publish it.

    Args:
        arch: one of ARCHS; data: folders of pairs; rooms: a folder of pictures without people.
        encoders: the folder of pretrained networks; asked: how to train.
        command: as typed, for the card.
        display: shows the progress.

    Returns:
        The folder of models that holds it.

    Raises:
        UserError: there is no such architecture, the pictures cannot be used, or the folder cannot be written.
    """
    if arch not in ARCHS:
        problem = f"'{arch}' comes as it is." if arch in SEGMENTERS else f"There is no architecture '{arch}'."
        raise UserError(problem, f"To train, choose from: {', '.join(ARCHS)}.")
    checkpoint, models = asked.runs / f"{arch}.safetensors", asked.out or user_folder()
    job = SegmenterTraining(
        arch, data, rooms, encoders, checkpoint, asked.minutes, asked.start, asked.rate, asked.pixels, asked.width,
        asked.validate, asked.pasted, asked.clean, frozen=asked.frozen, device=asked.device, seed=asked.seed,
    )  # fmt: skip
    follow(train_segmenter(job, display.say), display.bar)
    net, facts = load_trained(checkpoint, arch, "mean", asked.width)
    terms = asked.terms or ", ".join(map(str, data))
    card = Card(
        arch, "segmenter", asked.title or arch, arch, {}, asked.license, asked.origin or "your own", terms, command,
        facts, multiple=ARCHS[arch], pixels=asked.pixels, width=asked.width, default=asked.default,
    )  # fmt: skip
    publish(card, net, models)
    return models


def run_loss_network_training(
    photos: Path, paintings: Path, asked: LossNetworkTrainingSettings, command: str, display: Display,
    judge: Judge,
) -> tuple[Card, Path]:  # fmt: skip
    """Distil the compact loss network, measure it, and publish it.

    Args:
        photos, paintings: folders; asked: how to train.
        command: as typed, for the card.
        display: shows the progress.
        judge: measures the result on pictures that were held out.

    Returns:
        Its card, and the file of its weights.

    Raises:
        UserError: pictures or the teacher cannot be read, or the folder cannot be written.
    """
    teacher, file = open_loss_network(asked.loss_network, asked.device, display.say, progress=display.bar)
    job = LossNetworkTraining(
        photos, paintings, teacher, asked.runs / "compact.safetensors", asked.minutes, asked.rate, distillation.WIDTHS,
        asked.device, asked.seed,
    )  # fmt: skip
    follow(distillation.train_loss_network(job), display.bar)
    net, facts = distillation.load_distilled(job)
    held_out, networks = distillation.split_pictures(job)[1], ((net.to(asked.device), job.checkpoint), (teacher, file))
    photos_to_judge = held_out.photos[: distillation.JUDGED_PHOTOS]
    size, iterations = distillation.JUDGED_SIDE_PX, distillation.JUDGED_ITERATIONS
    facts |= judge(*networks, held_out.paintings, photos_to_judge, size, iterations)
    card = Card(
        "compact", "loss-network", "Compact VGG-19: the loss network where the whole one is not at hand", "vgg19", {},
        asked.license, asked.origin or str(file), asked.data or f"{photos}, {paintings}", command, facts, default=True,
    )  # fmt: skip
    return card, distillation.publish_loss_network(card, net, asked.out or user_folder())


def follow(training: Iterable[TrainingStatus], bar: OpenProgress) -> None:
    """Run a training to its end, and show its progress."""
    with bar("training", 1.0) as update:
        for now in training:
            losses = ", ".join(f"{name} {value:.3f}" for name, value in now.terms.items())
            update(now.progress, f"{now.images} images, {losses}")
