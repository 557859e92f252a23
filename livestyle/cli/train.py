"""`livestyle train ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.app import examples, train_app
from livestyle.cli.console import bar, say
from livestyle.cli.flags import with_settings
from livestyle.cli.running import command_line
from livestyle.config.settings import STYLE_ARCHS
from livestyle.config.training import (
    LossNetworkTrainingSettings,
    PredictorTrainingSettings,
    SegmenterTrainingSettings,
    StyleTrainingSettings,
)  # fmt: skip
from livestyle.errors import UserError, need_torch
from livestyle.types import Display

if TYPE_CHECKING:
    from livestyle.nets.loss_network import OpenedNetwork
    from livestyle.train.checkpoint import Figures

ARCHS_HELP = "unet, deeplabv3plus, cnn-resnet, fcn8s, deeplab-lfov, segnet or deeplabv3-mobilenet."
DATA_HELP = (
    "Pairs of NAME.jpg and NAME.png (255 is person), or AISegment, EG1800 or Supervisely Person as published; "
    "repeatable."
)


@train_app.command(
    "style",
    epilog=examples(
        "livestyle train style wave.jpg my_wave --photos photos/",
        "livestyle train style wave.jpg my_wave --my-photos --minutes 40",
        "livestyle train style wave.jpg my_wave --photos photos/ --device cuda --minutes 2",
        "torchrun --nproc-per-node 4 -m livestyle train style wave.jpg my_wave --photos photos/ --device cuda",
    ),
)
@with_settings()
def train_style_(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The painting; at least 128x128.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The style's name.")],
    asked: StyleTrainingSettings,
) -> None:
    """Train a transform net to paint like a picture. Resumable: the same command goes on.

    RUNS/NAME.preview.png shows the style so far and RUNS/NAME.curves.png its losses, new each minute.
    """
    if asked.arch not in STYLE_ARCHS:
        raise UserError(f"There is no architecture '{asked.arch}'.", f"Choose from: {', '.join(STYLE_ARCHS)}.", "arch")
    need_torch()
    from livestyle.train.run import run_style_training

    models = run_style_training(picture, name, asked, command_line(), Display(say, bar))
    if models:
        say(f"{name} is in {models}; try: livestyle live --background {name}")


@train_app.command(
    "predictor",
    epilog=examples(
        "livestyle train predictor any --pictures pictures/ --photos photos/",
        "livestyle train predictor hundred --pictures pictures/ --photos photos/ --table",
    ),
)
@with_settings()
def train_predictor_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The predictor's name.")],
    pictures: Annotated[
        list[Path], typer.Option(metavar="DIR", help="Pictures to learn from, in folders, too; repeatable.")
    ],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="A few hundred photos of anything.")],
    asked: PredictorTrainingSettings,
) -> None:
    """Train one net for all pictures, and what predicts a picture's style. Resumable: the same command goes on.

    RUNS/NAME.curves.png shows its losses, new each minute.
    """
    need_torch()
    from livestyle.train.run import run_predictor_training

    file = run_predictor_training(name, pictures, photos, asked, command_line(), Display(say, bar))
    say(f"{name} is in {file}")


@train_app.command(
    "segmenter", epilog=examples("livestyle train segmenter unet --data pairs/ --rooms rooms/ --perceptual nets/")
)
@with_settings()
def train_segmenter_(
    arch: Annotated[str, typer.Argument(help=ARCHS_HELP)],
    data: Annotated[list[Path], typer.Option(metavar="DIR", help=DATA_HELP)],
    rooms: Annotated[Path, typer.Option(metavar="DIR", help="Pictures without people.")],
    perceptual: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pretrained networks.")],
    asked: SegmenterTrainingSettings,
) -> None:
    """Train a person segmenter. Resumable: the same command goes on."""
    need_torch()
    from livestyle.train.run import run_segmenter_training

    models = run_segmenter_training(arch, tuple(data), rooms, perceptual, asked, command_line(), Display(say, bar))
    say(f"{arch} is in {models}; try: livestyle live --segmenter {arch}")


@train_app.command(
    "loss-network",
    epilog=examples("livestyle train loss-network --photos photos/ --paintings paintings/ --out models/"),
)
@with_settings()
def train_loss_network_(
    photos: Annotated[Path, typer.Option(metavar="DIR", help="A few hundred photos of anything.")],
    paintings: Annotated[Path, typer.Option(metavar="DIR", help="A few dozen paintings.")],
    asked: LossNetworkTrainingSettings,
) -> None:
    """Distil the compact loss network from VGG-19, and measure it. Resumable: the same command goes on."""
    need_torch()
    from livestyle.train.run import run_loss_network_training

    card, file = run_loss_network_training(photos, paintings, asked, command_line(), Display(say, bar), judge)
    ratio = card.figures["gatys_loss_ratio"]
    say(f"{file}: what is made with it has {ratio} times the loss of what is made with {asked.loss_network.name}")


def judge(
    network: "OpenedNetwork", teacher: "OpenedNetwork", paintings: list[Path], photos: list[Path], size: int,
    iterations: int,
) -> "Figures":  # fmt: skip
    """Return how near pictures made with a loss network come to those made with its teacher."""
    from livestyle.evaluate.style import NetworkTest, evaluate_loss_network

    with bar("Gatys", 1.0) as update:
        score = evaluate_loss_network(network, teacher, NetworkTest(paintings, photos, size, iterations), update)
    return {"gatys_loss_ratio": score.ratio, "gatys_iterations": score.gatys_iterations}
