"""`livestyle photo`, `livestyle matte`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle import __version__
from livestyle.cli.app import app
from livestyle.cli.console import bar, download, say, ticker
from livestyle.cli.flags import (
    AutoLight,
    Background,
    Device,
    GatysOption,
    Keep,
    KeepColors,
    LossNetworkFile,
    ModelFile,
    Models,
    Person,
    PersonCount,
    PlaneStrength,
    Profile,
    Quality,
    Refine,
    S,
    Segmenter,
    Strength,
    is_typed,
    settings_from,
)
from livestyle.cli.running import command_line, frame_count, need_torch, stopping
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.types import Stop

if TYPE_CHECKING:
    from livestyle.stills.batch import StylizedStill


@app.command(
    epilog="""Examples: livestyle photo holidays/ painted/ --background great_wave --person none  |
    livestyle photo me.jpg me.png --background bokeh:0.7  |
    livestyle photo me.jpg me.png --method gatys --background wave.jpg --person scream.jpg+night.jpg@0.3"""
)
def photo(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, or a folder, which is created.")],
    method: Annotated[str, typer.Option(help="fast: feed-forward; gatys: by optimisation, in minutes, in the style of "
                                        "any picture: a LOOK is then none or the file of a painting.")] = "fast",
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    background_strength: PlaneStrength = None, person_strength: PlaneStrength = None,
    keep_colors: KeepColors = S.keep_colors, segmenter: Segmenter = S.segmenter, keep: Keep = S.keep,
    person_count: PersonCount = S.person_count, model_file: ModelFile = S.model_file, refine: Refine = S.refine,
    auto_light: AutoLight = S.auto_light, device: Device = S.device,
    quality: Quality = S.quality, models: Models = S.models, profile: Profile = None,
    preset: Annotated[str, GatysOption(
        help="masked (masks in the loss, coarse to fine), gatys2016 or background2017.")] = "masked",
    iterations: Annotated[int | None, GatysOption(
        min=1, help="For each plane, of all scales together (300; gatys2016: 500).")] = None,
    long_side: Annotated[int | None, GatysOption(
        min=32, help="Of what is painted, px (512); the result has the picture's own size.")] = None,
    content_weight: Annotated[float, GatysOption(min=0, help="How much the picture counts.")] = 1.0,
    style_weight: Annotated[float, GatysOption(
        min=0, help="How much the painting counts; above 5 it hides faces.")] = 3.0,
    tv_weight: Annotated[float, GatysOption(min=0, help="How much smoothness counts.")] = 0.0,
    content_layers: Annotated[str | None, GatysOption(metavar="A,B", help="Such as conv4_2.")] = None,
    style_layers: Annotated[str | None, GatysOption(
        metavar="A,B", help="Such as conv1_1,conv2_1,conv3_1,conv4_1,conv5_1.")] = None,
    optimizer: Annotated[str | None, GatysOption(help="lbfgs, or adam, which takes less memory.")] = None,
    init: Annotated[str | None, GatysOption(help="content or noise: what to start from.")] = None,
    seed: Annotated[int, GatysOption(min=0, help="Of the noise.")] = 0,
    keep_colors_by: Annotated[str, GatysOption(
        help="luminance, or histogram: the paintings take the picture's colours first.")] = "luminance",
    naive: Annotated[bool, GatysOption(
        "--naive", help="Paint all in each style and cut afterwards, to compare.")] = False,
    all_: Annotated[bool, GatysOption(
        "--all", help="OUT, and beside it OUT-person, OUT-background and OUT-blur.")] = False,
    sheet: Annotated[str | None, GatysOption(
        help="OUT is one picture of many: weights (content against style) or layers.")] = None,
    curve: Annotated[Path | None, GatysOption(metavar="FILE.png", help="Draw the losses.")] = None,
    loss_network: LossNetworkFile = None,
) -> None:  # fmt: skip
    """Stylize a still, or every picture of a folder.

    With gatys, OUT is the picture so far; Ctrl-C leaves it whole, and the same command goes on from there.
    """
    from livestyle.render.looks import look_from
    from livestyle.stills import batch as stills

    if method not in ("fast", "gatys"):
        raise UserError(f"There is no method '{method}'.", "Choose fast or gatys.")
    flags = dict(locals())
    if method == "gatys":  # whose looks are files of paintings
        flags |= {name: getattr(S, name) for name in ("background", "person") if not is_typed(context, name)}
    settings = settings_from(flags)
    if method == "fast":
        return write(*stills.photo(settings, source, out, look_from(settings)))
    need_torch("Painting by optimisation", ("torch", "safetensors", *(["matplotlib"] if curve else [])))
    paint(settings, source, out, flags)


def paint(settings: Settings, source: Path, out: Path, flags: dict[str, Any]) -> None:
    """Paint stills by optimisation, each behind a bar."""
    from livestyle.stills import batch as stills
    from livestyle.stills.ablations import ABLATIONS, paint_ablation
    from livestyle.stills.gatys import GatysPainter, Outputs
    from livestyle.stills.loss_curve import check_curve
    from livestyle.stills.recipe import recipe_from

    if settings.quality != S.quality:
        say("--quality has no say with --method gatys: --long-side has.")
    jobs, stop, done = stills.pairs(source, out), Stop(), []
    sheet, curve = flags["sheet"], flags["curve"]
    if sheet and sheet not in ABLATIONS:
        raise UserError(f"There is no sheet '{sheet}'.", f"Choose {' or '.join(ABLATIONS)}.")
    if curve:
        check_curve(curve)
        if len(jobs) > 1 or sheet:
            raise UserError("--curve draws the losses of one picture.", "Leave it away, or give one picture.")
    notes = {"Software": f"livestyle {__version__}", "livestyle-command": command_line()}
    recipe, outputs = recipe_from(settings, flags), Outputs(notes, flags["all_"])
    painter = GatysPainter(settings, recipe, flags["loss_network"], say, outputs, download)
    with stopping(stop):
        for picture, result in jobs:
            try:
                with bar(picture.name, 1.0) as update:
                    finished = (
                        paint_ablation(painter, sheet, picture, result, stop, update)
                        if sheet
                        else painter.paint(picture, result, stop, update, curve)
                    )
            except UserError as problem:
                if len(jobs) == 1:
                    raise
                done.append(stills.StylizedStill(picture, result, problem))
                continue
            done.append(stills.StylizedStill(picture, result))
            if not finished:
                return say(f"{result}, as far as it came: the same command goes on from there.")
    tell(done)


@app.command(epilog="Example: livestyle matte portrait.jpg cutout.png --cutout")
def matte(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a clip, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result; of a folder, a folder of NAME.png.")],
    cutout: Annotated[bool, typer.Option("--cutout", help="The person as RGBA, not the grey matte.")] = False,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, person_count: PersonCount = S.person_count,
    model_file: ModelFile = S.model_file,
    refine: Refine = S.refine, device: Device = S.device, models: Models = S.models, profile: Profile = None,
) -> None:  # fmt: skip
    """The person's matte: 8-bit grey, 255 is person."""
    from livestyle.stills import batch as stills

    settings = settings_from(locals())
    if not stills.is_clip(source):
        return write(*stills.matte(settings, source, out, cutout))
    if cutout:
        raise UserError("A clip holds no transparency.", "Leave --cutout away, or give a picture.")
    stop = Stop()
    with stopping(stop), ticker(frame_count(str(source))) as watch:
        frames = stills.matte_clip(settings, source, out, stop, say, watch)
    say(f"{out}: {frames} frames")


def write(count: int, stills: "Iterable[StylizedStill]") -> None:
    """Write stills behind a bar; say what was written, and which could not be.

    Raises:
        UserError: none could be.
    """
    done = []
    with bar("pictures", count) as update:
        for still in stills:
            done.append(still)
            update(len(done), still.picture.name)
    tell(done)


def tell(done: "Sequence[StylizedStill]") -> None:
    """Say what was written, and which could not be.

    Raises:
        UserError: none could be.
    """
    problems = [still.problem for still in done if still.problem]
    if len(problems) == len(done):
        raise UserError(f"None of {len(done)} pictures could be done. {problems[0].problem}", problems[0].step)
    say(f"{done[0].result}" if len(done) == 1 else f"{done[0].result.parent}: {len(done) - len(problems)} pictures")
    for problem in problems:
        say(f"Warning: {problem.problem} It was left out.")
