"""`livestyle evaluate ...`."""

import json
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.app import evaluate_app, examples
from livestyle.cli.console import bar, say, show, ticker
from livestyle.cli.flags import AsJson, LossNetworkFile, with_settings
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch

if TYPE_CHECKING:
    from livestyle.evaluate.style import NetworkScore, StyleScore

PAIRS = "Pairs of NAME.jpg and NAME.png (255 is person), or AISegment, EG1800 or Supervisely Person as published."


@evaluate_app.command("segmenters", epilog=examples("livestyle evaluate segmenters --data pairs/ --chart table.png"))
@with_settings(only=("refine", "device", "models"))
def evaluate_segmenters_(
    settings: Settings,
    data: Annotated[Path, typer.Option(metavar="DIR", help=PAIRS)],
    only: Annotated[str, typer.Option(metavar="A,B", help="Only these.")] = "",
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the table, too.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Print the segmentation metrics of every segmenter."""
    from livestyle.evaluate import segmenters as evaluate
    from livestyle.evaluate.charts import check_chart

    if chart:
        check_chart(chart)
    with bar("pictures", 1.0) as update:
        names = [name for name in only.split(",") if name]
        images, table = evaluate.evaluate_segmenters(
            settings, data, names, lambda name, done: update(done, name), say, bar
        )  # fmt: skip
    if chart:
        evaluate.draw_segmenters(table, images, chart)
    if as_json:
        return print(
            json.dumps({"data": str(data), "images": images, "segmenters": evaluate.with_published(table)})
        )  # fmt: skip
    show(evaluate.printed_segmenters(table), f"{images} pictures")
    for line in [
        *evaluate.footnotes(table),
        *(f"{name}: {row}" for name, row in table.items() if isinstance(row, str)),
    ]:
        say(line)


@evaluate_app.command("stability", epilog=examples("livestyle evaluate stability talk.mp4 --background starry_night"))
@with_settings(
    only=(
        "background",
        "strength",
        "keep_colors",
        "brush",
        "segmenter",
        "keep",
        "model_file",
        "device",
        "quality",
        "models",
    )
)
def evaluate_stability_(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A clip with a person, or demo.")], settings: Settings,
    frames: Annotated[int, typer.Option(min=2, help="How many, from the start.")] = 120,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure how stable a styled clip and its mattes are, and the same without temporal smoothing."""
    from livestyle.evaluate.stability import evaluate_stability

    with ticker(frames) as watch:
        row = evaluate_stability(settings, clip, frames, say, watch)
    if as_json:
        return print(json.dumps(row))
    show([{"figure": key.replace("_", " "), "value": f"{value:.6g}"} for key, value in row.items()])


@evaluate_app.command("mattes", epilog=examples("livestyle evaluate mattes --data pairs/ --rooms rooms/"))
@with_settings(only=("segmenter", "keep", "model_file", "device", "models"))
def evaluate_mattes_(
    settings: Settings,
    data: Annotated[Path, typer.Option(metavar="DIR", help=PAIRS)],
    rooms: Annotated[Path, typer.Option(metavar="DIR", help="Pictures without people.")],
    clips: Annotated[int, typer.Option(min=1, help="How many clips to make.")] = 12,
    frames: Annotated[int, typer.Option(min=2, help="Of each clip.")] = 45,
    seed: Annotated[int, typer.Option(min=0)] = 0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure how stable and accurate mattes of moving people are, on clips made of portraits and rooms."""
    from livestyle.evaluate.mattes import evaluate_mattes

    with bar("clips", 1.0) as update:
        kinds = evaluate_mattes(settings, data, rooms, clips, frames, seed, update)
    if as_json:
        made = {"data": str(data), "rooms": str(rooms), "clips": clips, "frames": frames, "seed": seed}
        return print(json.dumps({**made, "kinds": kinds}))
    rows = [(f"{kind}, {side.replace('_', ' ')}", row) for kind, sides in kinds.items() for side, row in sides.items()]
    show([{f"{clips} clips": name, **{k: f"{v:.4f}" for k, v in row.items()}} for name, row in rows])


Side = Annotated[int, typer.Option(min=32, max=2048, help="Side of the squares cut from the photos.")]


@evaluate_app.command(
    "style",
    epilog=examples("livestyle evaluate style my_wave --style-image wave.jpg --photos photos/"),
)
@with_settings(only=("device", "models"))
def evaluate_style_(
    settings: Settings,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A style, or a style file.")],
    style_image: Annotated[Path, typer.Option(metavar="PICTURE", help="The painting that it was made from.")],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="Photos that it was not made from; 8 are taken.")],
    loss_network: LossNetworkFile = None, size: Side = 256,
    iterations: Annotated[int, typer.Option(min=1, help="Of the optimisation that it is held against.")] = 100,
    reference: Annotated[str | None, typer.Option(
        metavar="STYLE", help="Another style of the same painting, as of --arch johnson, to be held against.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Style and content loss on photos, and the iterations of Gatys et al. 2016 that they equal (minutes; cached)."""
    need_torch("Measuring a style", ("torch", "safetensors"))
    from livestyle.evaluate.style import StyleTest, evaluate_style

    test = StyleTest(name, style_image, photos, size, iterations, reference)
    with bar("Gatys", 1.0) as update:
        score = evaluate_style(settings, test, loss_network, say, update, bar)
    show_score(score, as_json)


@evaluate_app.command(
    "pictures",
    epilog=examples(
        "livestyle evaluate pictures paintings/ --photos photos/",
        "livestyle evaluate pictures paintings/ --photos photos/ --seconds 60 --learn-from more_photos/",
    ),
)
@with_settings(only=("models",))
def evaluate_pictures_(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the pictures whose styles are tried.")],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="Photos that were not learnt from; 8 are taken.")],
    predictor: Annotated[str | None, typer.Option(
        metavar="NAME", help="A predictor's name, or its file.", show_default="the shipped one")] = None,
    seconds: Annotated[str, typer.Option(
        metavar="S,S", help="Measure after so many seconds of fine-tuning, too; 0 for none.")] = "30,60,120",
    learn_from: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Photos to fine-tune on.", show_default="the built-in set")] = None,
    loss_network: LossNetworkFile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Total losses of each picture as an instant style, and after some seconds of getting better.

    They stand beside those of the photos as they are, and of the nearest shipped style. Ctrl-C prints what is done.
    """
    need_torch("Measuring a predictor", ("torch", "safetensors"))
    from livestyle.evaluate import pictures
    from livestyle.evaluate.style import identity
    from livestyle.train.finetune import tuned
    from livestyle.train.photos import photos_of

    test = pictures.PicturesTest(folder, photos, predictor, read_seconds(seconds))
    evaluation = pictures.PicturesEvaluation(
        test, partial(tuned, photos=photos_of(learn_from)), loss_network, settings.models, say
    )  # fmt: skip
    scores: dict[str, pictures.PictureScore] = {}
    with bar("pictures", 1.0) as update, suppress(KeyboardInterrupt):
        for name, score in evaluation.scores(update):
            scores[name] = score
            say(f"{name}: {', '.join(f'{key} {value:.3f}' for key, value in score.totals.items() if value)}")
    if as_json:
        return print(json.dumps(pictures.as_json(evaluation, scores, identity(evaluation.loss_network))))
    rows = {name: score.totals for name, score in scores.items()}
    rows |= {"geometric mean": pictures.mean_row(scores)} if scores else {}
    show([{"picture": name, **{key: f"{value:.3f}" if value else "" for key, value in row.items()}}
          for name, row in rows.items()], f"{len(scores)} of {len(evaluation.pictures)} pictures")  # fmt: skip


def read_seconds(text: str) -> list[float]:
    """Return rising numbers of seconds; none for 0.

    Raises:
        UserError: the text is something else.
    """
    try:
        numbers = sorted({float(part) for part in text.split(",")} - {0.0})
    except ValueError:
        numbers = [-1.0]
    if any(not 0 < number < 1e5 for number in numbers):
        raise UserError(f"'{text}' is no list of seconds.", "Write, for instance, 30,60,120.", "seconds")
    return numbers


@evaluate_app.command(
    "loss-network", epilog=examples("livestyle evaluate loss-network --style-image wave.jpg --photos photos/")
)
@with_settings(only=("models",))
def evaluate_loss_network_(
    settings: Settings,
    style_image: Annotated[list[Path], typer.Option(metavar="PICTURE", help="A painting; repeatable, taken in turn.")],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="Photos to paint.")],
    loss_network: LossNetworkFile = Path("compact"),
    judge: Annotated[Path, typer.Option(metavar="FILE", help="What tells how good it is.")] = Path("vgg19"),
    images: Annotated[int, typer.Option(min=1, help="How many of the photos.")] = 3,
    size: Side = 256,
    iterations: Annotated[int, typer.Option(min=1, help="Of each optimisation.")] = 30,
    keep: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Keep the pictures: the photo, the network's, the judge's.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare results of the compact loss network with those of VGG-19, by the loss that VGG-19 gives them."""
    need_torch("Measuring a loss network", ("torch", "safetensors"))
    from livestyle.evaluate.style import NetworkTest, evaluate_loss_network, spread
    from livestyle.image.io import list_pictures
    from livestyle.nets.loss_network import open_loss_network

    both = [open_loss_network(choice, device, say, settings.models, progress=bar) for choice in (loss_network, judge)]
    test = NetworkTest(style_image, spread(list_pictures(photos), images), size, iterations, keep)
    with bar("Gatys", 1.0) as update:
        score = evaluate_loss_network(both[0], both[1], test, update)
    show_score(score, as_json)


@evaluate_app.command(
    "leak", epilog=examples("livestyle evaluate leak me.jpg --background wave.jpg --person scream.jpg --iterations 60")
)
@with_settings(only=("segmenter", "device", "models"))
def evaluate_leak_(
    settings: Settings,
    portrait: Annotated[Path, typer.Argument(metavar="PICTURE", help="A picture with a person.")],
    background: Annotated[str, typer.Option(metavar="PICTURE", help="The background's style.")],
    person: Annotated[str, typer.Option(metavar="PICTURE", help="The person's style.")],
    loss_network: LossNetworkFile = None,
    iterations: Annotated[int, typer.Option(min=1, help="Of each plane.")] = 60,
    long_side: Annotated[int, typer.Option(min=32, help="Of what is painted, px.")] = 320,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep masked.png and naive.png there.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure how much of the other plane's style leaks into each, with masks in the loss and without."""
    need_torch("Painting by optimisation", ("torch", "safetensors"))
    from tempfile import TemporaryDirectory

    from livestyle.evaluate.style_leak import measure_leak
    from livestyle.stills.gatys import GatysPainter
    from livestyle.stills.recipe import Recipe
    from livestyle.stills.style_images import style_pictures

    recipe = Recipe(style_pictures(background, person), iterations, long_side)
    painter = GatysPainter(settings, recipe, loss_network, say, progress=bar)
    with TemporaryDirectory() as folder, bar("painting", 1.0) as update:
        rows = measure_leak(painter, portrait, out or Path(folder), update)
    if as_json:
        facts = {"picture": str(portrait), "iterations": iterations, "long_side": long_side}
        return print(json.dumps({**facts, "planes": rows}))
    show([{key: f"{v:.4f}" if isinstance(v, float) else str(v) for key, v in row.items()} for row in rows])


def show_score(score: "StyleScore | NetworkScore", as_json: bool) -> None:
    """Print figures as a table or a JSON object."""
    if as_json:
        return print(json.dumps(asdict(score)))
    values = {k: " ".join(map(str, v.values())) if isinstance(v, dict) else str(v) for k, v in asdict(score).items()}
    show([{"figure": k.replace("_", " "), "value": value} for k, value in values.items() if value != "None"])
