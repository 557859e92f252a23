"""`livestyle paint-in`."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.console import bar, say
from livestyle.cli.flags import Profile, with_settings
from livestyle.cli.results import Force, already, target_of
from livestyle.cli.running import stopping
from livestyle.config.look import parse_plane
from livestyle.config.names import find_name
from livestyle.config.outputs import look_word
from livestyle.config.painting import PaintInSettings
from livestyle.config.picture import PREFIX
from livestyle.config.settings import Settings
from livestyle.types import Display, Stop


@app.command(
    "paint-in",
    epilog=examples(
        "livestyle paint-in me.jpg starry_night",
        "livestyle paint-in me.jpg wheat_field.jpg out.png --x 0.6 --height 0.5 --blend poisson --auto-light",
        "livestyle paint-in me.jpg my_painting.jpg out.png --style great_wave",
        "livestyle paint-in me.jpg my_painting.jpg out.png --style picture:mona.jpg",
    ),
)
@with_settings(
    only=("auto_light", "segmenter", "keep", "person_count", "model_file", "refine", "device", "models")
)  # fmt: skip
def paint_in_(
    context: typer.Context,
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with a person.")],
    painting: Annotated[
        Path,
        typer.Argument(metavar="PAINTING", help="The picture to be in, or a style, which stands for its painting."),
    ],
    asked: PaintInSettings,
    settings: Settings,
    out: Annotated[str | None, typer.Argument(
        metavar="[OUT]", help="The result, of the painting's size (default: beside PORTRAIT as NAME.PAINTING.EXT)."
    )] = None,
    force: Force = False,
    profile: Profile = None,
) -> None:  # fmt: skip
    """Paint a person into a painting: cut out, in its style, placed on its ground."""
    from livestyle.nets.library import style_titles
    from livestyle.stills.paint_in_files import paint_in_files

    titles = style_titles(settings.models)
    scene = find_name(str(painting), titles) or str(painting)
    style = (find_name(asked.style, titles) or asked.style) if asked.style else ""
    if style.startswith(PREFIX):
        style = parse_plane(style, titles).text
        asked = replace(asked, style=style)
    target = target_of(context, out, look_word(scene, style or "none"))
    result, is_old = target.file(str(portrait), ending(portrait, asked.rgba))
    if is_old:
        return say(already(result))
    stop = Stop()
    with stopping(stop):
        seconds = paint_in_files(portrait, painting, result, asked, settings, stop, Display(say, bar))
    if seconds is None:
        return say(f"Stopped: the same command goes on from there. {result} is not written.")
    target.remember(result)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items() if name != "all")
    say(f"{result}: {seconds['all']:.2f} s ({parts})")
    say(f"Look: in {scene}, {f'in the style {style}' if style else 'in its own style'}")
    others = [name for name in titles if name not in (scene, style)]
    if others:
        words = shlex.join([str(portrait), str(painting)])
        say(f"Next, try: livestyle paint-in {words} --style {others[0]}")


def ending(portrait: Path, is_transparent: bool) -> str:
    """Return the ending of a result beside a portrait: its own, where that kind can be written and holds what it must.

    Args:
        portrait: the picture; is_transparent: the result has transparency.
    """
    from livestyle.image.io import OPAQUE_SUFFIXES, PICTURE_SUFFIXES

    own = portrait.suffix.lower()
    if is_transparent and own in OPAQUE_SUFFIXES:
        return ".png"
    return portrait.suffix if own in PICTURE_SUFFIXES else ".jpg"
