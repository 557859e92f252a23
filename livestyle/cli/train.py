"""`livestyle train ...`."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.app import train_app
from livestyle.cli.console import bar, download, say
from livestyle.cli.flags import LossNetworkFile
from livestyle.cli.running import command_line, need_torch
from livestyle.config.settings import STYLE_ARCHS
from livestyle.errors import UserError
from livestyle.nets.fetch import silent_progress

if TYPE_CHECKING:
    from livestyle.train.loop import TrainingStatus as TrainReport

Perceptual = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pretrained networks.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Models folder to write to (default: your own).")]
Runs = Annotated[Path, typer.Option(metavar="DIR", help="Where checkpoints lie; the same command goes on from them.")]
PhotosFolder = Annotated[Path | None, typer.Option(
    metavar="DIR", help="A few hundred photos of anything (default: a small built-in set).")]  # fmt: skip
MyPhotos = Annotated[bool, typer.Option(
    "--my-photos", help="Look for photos in your own pictures folder; they stay on this machine.")]  # fmt: skip
PeopleWeight = Annotated[float, typer.Option(
    min=0, help="How much people's looks count, beside all else's: more keeps faces, less paints them.")]  # fmt: skip
StillWeight = Annotated[float, typer.Option(min=0, help="Weight of what keeps successive frames alike.")]
Rate = Annotated[float, typer.Option(min=1e-6, max=1, help="Highest learning rate.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures in each step, in each process.")]
StyleLicense = Annotated[str, typer.Option("--license", help="Of the weights.")]
StyleData = Annotated[str, typer.Option("--data", help="What the photos are, and their terms.")]
TrainDevice = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
Train = Annotated[float, typer.Option(min=0.05, help="How long to train, over all sittings.")]


@train_app.command(
    "style",
    epilog="""Examples: livestyle train style wave.jpg my_wave --photos photos/  |
    livestyle train style wave.jpg my_wave --my-photos --minutes 40  |
    livestyle train style wave.jpg my_wave --photos photos/ --device cuda --minutes 2  |
    torchrun --nproc-per-node 4 -m livestyle train style wave.jpg my_wave --photos photos/ --device cuda""",
)
def train_style_(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The painting; at least 128x128.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The style's name.")],
    photos: PhotosFolder = None, my_photos: MyPhotos = False, minutes: Train = 20.0,
    loss_network: LossNetworkFile = None, out: Out = None, runs: Runs = Path("runs"),
    start: Annotated[str, typer.Option("--from", metavar="FILE", help="Checkpoint or model to start from; nearest: of "
                                       "the styles that there are the most alike; none.")] = "nearest",
    teacher: Annotated[str, typer.Option(metavar="STYLE", help="A style of the same painting, as of --arch johnson, "
                                         "whose pictures are learnt from first.")] = "",
    arch: Annotated[str, typer.Option(help="slim, or johnson, the published one.")] = "slim",
    people: PeopleWeight = 3.0, still: StillWeight = 50.0, rate: Rate = 2e-3, batch: Batch = 2,
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    license: StyleLicense = "yours",
    origin: Annotated[str, typer.Option(help="Who painted it, and its terms.")] = "",
    data: StyleData = "",
    default: Annotated[bool, typer.Option("--default", help="Make it the default style.")] = False,
    device: TrainDevice = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Train a transform net to paint like a picture. Resumable: the same command goes on.

    RUNS/NAME.preview.png shows the style so far and RUNS/NAME.curves.png its losses, new each minute.
    """
    if arch not in STYLE_ARCHS:
        raise UserError(f"There is no architecture '{arch}'.", f"Choose from: {', '.join(STYLE_ARCHS)}.")
    need_torch()
    from livestyle.nets.library import user_folder
    from livestyle.nets.loss_network import open_loss_network, quick_network
    from livestyle.train.photos import people_finder, photos_of
    from livestyle.train.publish import StyleFacts, publish_style, reserve
    from livestyle.train.ranks import joined, training_device
    from livestyle.train.style import StyleTraining, load_painting, train_style

    models = out or user_folder()
    reserve(name, models)  # what is wrong is said before anything is fetched
    load_painting(picture)
    found = photos_of(photos, my_photos, people_finder() if people != 1 else None)
    with joined(training_device(device)) as ranks:
        tell = say if ranks.first else lambda line: None
        if photos is None and not my_photos:
            tell(f"Trains on {found.where}: a few hundred photos give better results (--photos DIR or --my-photos).")
        network, _ = open_loss_network(loss_network, ranks.device, tell, progress=download)
        job = StyleTraining(
            picture, found, network, runs / f"{name}.safetensors", None if teacher else quick_network(network), arch,
            minutes, teacher, start, people_weight=people, stability_weight=still, learning_rate=rate, batch=batch,
            models=out if out and out.is_dir() else None, ranks=ranks, seed=seed,
        )  # fmt: skip
        follow(train_style(job, tell), ranks.first)
        if not ranks.first:
            return
    facts = StyleFacts(name, title or name, origin or str(picture.absolute()), license, data, default)
    publish_style(job, facts, models, command_line(), demo_picture())
    say(f"{name} is in {models}; try: livestyle live --background {name}")


@train_app.command(
    "segmenter", epilog="Example: livestyle train segmenter unet --data pairs/ --rooms rooms/ --perceptual nets/"
)
def train_segmenter_(
    arch: Annotated[str, typer.Argument(help="unet, deeplabv3plus, cnn-resnet, fcn8s, deeplab-lfov, segnet or "
                                        "deeplabv3-mobilenet.")],
    data: Annotated[list[Path], typer.Option(
        metavar="DIR", help="Pairs of NAME.jpg and NAME.png (255 is person), or AISegment, EG1800 or Supervisely "
                            "Person as published; repeatable.")],
    rooms: Annotated[Path, typer.Option(metavar="DIR", help="Pictures without people.")],
    perceptual: Perceptual, minutes: Train = 60.0, out: Out = None, runs: Runs = Path("runs"),
    start: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Checkpoint to start from.")] = None,
    rate: Annotated[float, typer.Option(min=1e-6, max=1, help="Highest learning rate.")] = 1e-3,
    pixels: Annotated[int, typer.Option(min=64 * 64, help="About the area of the input.")] = 288 * 160,
    width: Annotated[float, typer.Option(
        min=0.05, max=1, help="Multiplier of the channels of the literature's networks; 0.25 trains on a CPU.")] = 1.0,
    pasted: Annotated[float, typer.Option(min=0, max=0.9, help="Share of people moved before another room.")] = 0.33,
    clean: Annotated[float, typer.Option(
        min=0, max=1, help="Share of pictures left without blur, noise and other light.")] = 0.0,
    frozen: Annotated[bool, typer.Option(
        "--frozen", help="Keep the norms' statistics: a quarter faster, for going on from a trained net.")] = False,
    validate: Annotated[str, typer.Option(
        metavar="DIR", help="Pairs for the validation curve; held-out: some of the data; none.")] = "held-out",
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    license: Annotated[str, typer.Option(help="Of the weights.")] = "yours",
    origin: Annotated[str, typer.Option(help="Who trained it, from what.")] = "",
    terms: Annotated[str, typer.Option(help="What the data are, and their terms.")] = "",
    default: Annotated[bool, typer.Option("--default", help="Make it the default segmenter.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Train a person segmenter. Resumable: the same command goes on."""
    need_torch()
    from livestyle.matting.published import SEGMENTERS
    from livestyle.nets.card import Card
    from livestyle.nets.library import user_folder
    from livestyle.train.publish import load_trained, publish
    from livestyle.train.segmenter import ARCHS, SegmenterTraining, train_segmenter

    if arch not in ARCHS:
        problem = f"'{arch}' comes as it is." if arch in SEGMENTERS else f"There is no architecture '{arch}'."
        raise UserError(problem, f"To train, choose from: {', '.join(ARCHS)}.")
    checkpoint, models = runs / f"{arch}.safetensors", out or user_folder()
    job = SegmenterTraining(
        arch, tuple(data), rooms, perceptual, checkpoint, minutes, start, rate, pixels, width, validate, pasted, clean,
        frozen=frozen, device=device, seed=seed,
    )  # fmt: skip
    follow(train_segmenter(job, say))
    net, facts = load_trained(checkpoint, arch, "mean", width)
    terms = terms or ", ".join(map(str, data))
    card = Card(arch, "segmenter", title or arch, arch, {}, license, origin or "your own", terms, command_line(), facts,
                multiple=ARCHS[arch], pixels=pixels, width=width, default=default)  # fmt: skip
    publish(card, net, models)
    say(f"{arch} is in {models}; try: livestyle live --segmenter {arch}")


@train_app.command(
    "loss-network",
    epilog="Example: livestyle train loss-network --photos photos/ --paintings paintings/ --out models/",
)
def train_loss_network_(
    photos: Annotated[Path, typer.Option(metavar="DIR", help="A few hundred photos of anything.")],
    paintings: Annotated[Path, typer.Option(metavar="DIR", help="A few dozen paintings.")],
    loss_network: LossNetworkFile = Path("vgg19"), minutes: Train = 25.0, out: Out = None, runs: Runs = Path("runs"),
    rate: Annotated[float, typer.Option(min=1e-7, max=1, help="Highest learning rate.")] = 6e-5,
    license: Annotated[str, typer.Option(help="Of the weights.")] = "yours",
    origin: Annotated[str, typer.Option(help="Whose network it was distilled from, and its terms.")] = "",
    data: Annotated[str, typer.Option(help="What the pictures are, and their terms.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Distil the compact loss network from VGG-19, and measure it. Resumable: the same command goes on."""
    need_torch()
    from livestyle.evaluate.style import NetworkTest, evaluate_loss_network
    from livestyle.nets.card import Card
    from livestyle.nets.library import user_folder
    from livestyle.nets.loss_network import open_loss_network
    from livestyle.train import loss_network as distillation

    teacher, file = open_loss_network(loss_network, device, say, progress=download)
    job = distillation.LossNetworkTraining(
        photos, paintings, teacher, runs / "compact.safetensors", minutes, rate, distillation.WIDTHS, device, seed
    )
    follow(distillation.train_loss_network(job))
    net, facts = distillation.load_distilled(job)
    held = distillation.split_pictures(job)[1]
    both = (net.to(device), job.checkpoint), (teacher, file)
    test = NetworkTest(
        held.paintings, held.photos[: distillation.JUDGED_PHOTOS],
        distillation.JUDGED_SIDE_PX, distillation.JUDGED_ITERATIONS,
    )  # fmt: skip
    with bar("Gatys", 1.0) as update:
        score = evaluate_loss_network(*both, test, update)
    facts |= {"gatys_loss_ratio": score.ratio, "gatys_iterations": score.gatys_iterations}
    title = "Compact VGG-19: the loss network where the whole one is not at hand"
    data = data or f"{photos}, {paintings}"
    card = Card("compact", "loss-network", title, "vgg19", {}, license, origin or str(file), data, command_line(),
                facts, default=True)  # fmt: skip
    say(f"{distillation.publish_loss_network(card, net, out or user_folder())}: what is made with it has {score.ratio} "
        f"times the loss of what is made with {file.name}")  # fmt: skip


def demo_picture() -> Any:
    """A frame of the demo clip."""
    from livestyle.video.sources.open import open_source

    with open_source("demo") as source:
        return next(iter(source)).image


def follow(reports: "Iterable[TrainReport]", shown: bool = True) -> None:
    """Run a training, its progress shown or not."""
    with bar("training", 1.0) if shown else silent_progress("training", 1.0) as update:
        for now in reports:
            losses = ", ".join(f"{name} {value:.3f}" for name, value in now.terms.items())
            update(now.progress, f"{now.images} images, {losses}")
