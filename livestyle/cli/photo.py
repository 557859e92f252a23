"""`livestyle photo`, `livestyle matte`."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.console import bar, say, ticker
from livestyle.cli.flags import Profile, Session, with_settings
from livestyle.cli.results import BESIDE, Force, already, refuse_styles, target_of, tell, tell_look, tell_next
from livestyle.cli.running import command_line, frame_count, stopping
from livestyle.config.look import exact_look
from livestyle.config.outputs import Target, look_word
from livestyle.config.painting import PaintingSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch
from livestyle.types import Display, Stop

if TYPE_CHECKING:
    from livestyle.stills.batch import StylizedStill


@app.command(
    epilog=examples(
        "livestyle photo me.jpg",
        'livestyle photo me.jpg --style "starry night"',
        "livestyle photo me.jpg --style my_painting.jpg",
        "livestyle photo holidays/ painted/ --background great_wave --person none",
        "livestyle photo me.jpg me.png --background bokeh:0.7",
        "livestyle photo me.jpg me.png --method gatys --style wave.jpg --person scream.jpg",
    )
)
@with_settings()
def photo(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, or a folder of pictures.")],
    settings: Settings,
    painting: PaintingSettings,
    out: Annotated[str | None, typer.Argument(
        metavar="[OUT]", help=f"The result, or a folder, which is created (default: {BESIDE}).")] = None,
    force: Force = False,
    profile: Profile = None,
) -> None:  # fmt: skip
    """Stylize a still, or every picture of a folder.

    With gatys, OUT is the picture so far; Ctrl-C leaves it whole, and the same command goes on from there.
    """
    from livestyle.nets.library import find_card, style_titles
    from livestyle.render.looks import look_from
    from livestyle.stills import batch

    if painting.method == "fast" and painting.timelapse:
        raise UserError(
            "A style paints at once, so that a time-lapse shows nothing.", "Add: --method gatys", "timelapse"
        )
    session: Session = context.obj
    refuse_styles(str(source), out)
    if painting.method == "fast":
        look = look_from(settings)
        target = target_of(context, out, look_word(look.background.text, look.person.text))
        write(*batch.photo(settings, source, target, look, say), target, source)
        tell_look(look, session)
        return tell_next("photo", source, look, settings)
    # Looks are paintings here, so that config files have no say. Without any, the default style is the background's.
    typed = {plane: getattr(settings, plane) for plane in session.typed & {"background", "person"}}
    looks = typed or {"background": find_card("style", None, settings.models).name}
    titles = style_titles(settings.models)
    background, person = (exact_look(looks.get(plane, "none"), titles) for plane in ("background", "person"))
    settings = replace(settings, background=background, person=person)
    if "quality" in session.typed:
        say("--quality has no say with --method gatys: --long-side has.")
    if "brush" in session.typed:
        say("--brush has no say with --method gatys.")
    paint(settings, painting, source, target_of(context, out, look_word(background, person)))
    if painting.timelapse:
        say(f"Time-lapse: {painting.timelapse}")
    say(f"Look: background {background}, person {person}")


def paint(settings: Settings, painting: PaintingSettings, source: Path, target: Target) -> None:
    """Paint stills by optimisation, each behind a bar."""
    need_torch("Painting by optimisation", ("torch", "safetensors", *(["matplotlib"] if painting.curve else [])))
    from livestyle.stills.paint import paint_stills

    stop, done = Stop(), []
    with stopping(stop):
        for still in paint_stills(settings, painting, source, target, command_line(), stop, Display(say, bar)):
            if not still.is_finished:
                return say(f"{still.result}, as far as it came: the same command goes on from there.")
            done.append(still)
    tell(done, target, source)


@app.command(epilog=examples("livestyle matte portrait.jpg", "livestyle matte portrait.jpg cutout.png --cutout"))
@with_settings(only=("segmenter", "keep", "person_count", "model_file", "refine", "backdrop", "device", "models"))
def matte(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a clip, or a folder of pictures.")],
    settings: Settings,
    out: Annotated[str | None, typer.Argument(
        metavar="[OUT]", help="The result; of a folder, a folder of NAME.png (default: beside IN as NAME.matte.png)."
    )] = None,
    cutout: Annotated[bool, typer.Option("--cutout", help="The person as RGBA, not the grey matte.")] = False,
    force: Force = False,
    profile: Profile = None,
) -> None:  # fmt: skip
    """Write the person's matte: 8-bit grey, 255 is person."""
    from livestyle.stills import batch

    target = target_of(context, out, "matte")
    if not batch.is_clip(source):
        return write(*batch.matte(settings, source, target, cutout), target, source)
    if cutout:
        raise UserError("A clip holds no transparency.", "Leave it away, or give a picture.", "cutout")
    stop = Stop()
    with stopping(stop), ticker(frame_count(str(source))) as watch:
        result, is_old = target.file(str(source), ".mp4")
        frames = 0 if is_old else batch.matte_clip(settings, source, result, stop, say, watch)
    if is_old:
        return say(already(result))
    if not stop.is_set():
        target.remember(result)
    say(f"{result}: {frames} frames")


def write(count: int, stills: "Iterable[StylizedStill]", target: Target, source: Path) -> None:
    """Write stills behind a bar; say what was written, and which could not be.

    Raises:
        UserError: none could be.
    """
    done = []
    with bar("pictures", count) as update:
        for still in stills:
            done.append(still)
            update(len(done), still.picture.name)
    tell(done, target, source)
