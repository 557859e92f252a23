"""`livestyle photo`, `livestyle matte`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.app import app
from livestyle.cli.console import bar, say, ticker
from livestyle.cli.flags import Profile, Session, with_settings
from livestyle.cli.running import command_line, frame_count, stopping
from livestyle.config.painting import PaintingSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch
from livestyle.types import Display, Stop

if TYPE_CHECKING:
    from livestyle.stills.batch import StylizedStill


@app.command(
    epilog="""Examples: livestyle photo holidays/ painted/ --background great_wave --person none  |
    livestyle photo me.jpg me.png --background bokeh:0.7  |
    livestyle photo me.jpg me.png --method gatys --background wave.jpg --person scream.jpg+night.jpg@0.3"""
)
@with_settings()
def photo(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, or a folder, which is created.")],
    settings: Settings,
    painting: PaintingSettings,
    profile: Profile = None,
) -> None:
    """Stylize a still, or every picture of a folder.

    With gatys, OUT is the picture so far; Ctrl-C leaves it whole, and the same command goes on from there.
    """
    from livestyle.render.looks import look_from
    from livestyle.stills import batch

    if painting.method not in ("fast", "gatys"):
        raise UserError(f"There is no method '{painting.method}'.", "Choose fast or gatys.", "method")
    if painting.method == "fast" and painting.timelapse:
        raise UserError(
            "A style paints at once, so that a time-lapse shows nothing.", "Add: --method gatys", "timelapse"
        )
    if painting.method == "fast":
        return write(*batch.photo(settings, source, out, look_from(settings)))
    session: Session = context.obj
    if "background" not in session.typed:  # whose looks are paintings, so that config files have no say
        settings = replace(settings, background=None)
    if "person" not in session.typed:
        settings = replace(settings, person="none")
    paint(settings, painting, source, out)


def paint(settings: Settings, painting: PaintingSettings, source: Path, out: Path) -> None:
    """Paint stills by optimisation, each behind a bar."""
    need_torch("Painting by optimisation", ("torch", "safetensors", *(["matplotlib"] if painting.curve else [])))
    from livestyle.stills.paint import paint_stills

    if settings.quality != Settings().quality:
        say("--quality has no say with --method gatys: --long-side has.")
    stop, done = Stop(), []
    with stopping(stop):
        for still in paint_stills(settings, painting, source, out, command_line(), stop, Display(say, bar)):
            if not still.is_finished:
                return say(f"{still.result}, as far as it came: the same command goes on from there.")
            done.append(still)
    tell(done)


@app.command(epilog="Example: livestyle matte portrait.jpg cutout.png --cutout")
@with_settings(only=("segmenter", "keep", "person_count", "model_file", "refine", "device", "models"))
def matte(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a clip, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result; of a folder, a folder of NAME.png.")],
    settings: Settings,
    cutout: Annotated[bool, typer.Option("--cutout", help="The person as RGBA, not the grey matte.")] = False,
    profile: Profile = None,
) -> None:
    """Write the person's matte: 8-bit grey, 255 is person."""
    from livestyle.stills import batch

    if not batch.is_clip(source):
        return write(*batch.matte(settings, source, out, cutout))
    if cutout:
        raise UserError("A clip holds no transparency.", "Leave it away, or give a picture.", "cutout")
    stop = Stop()
    with stopping(stop), ticker(frame_count(str(source))) as watch:
        frames = batch.matte_clip(settings, source, out, stop, say, watch)
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
