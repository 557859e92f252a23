"""`livestyle paint-in`."""

from pathlib import Path
from typing import Annotated

import typer

from livestyle.cli.app import app
from livestyle.cli.console import bar, say
from livestyle.cli.flags import Profile, with_settings
from livestyle.cli.running import stopping
from livestyle.config.painting import PaintInSettings
from livestyle.config.settings import Settings
from livestyle.types import Display, Stop


@app.command(
    "paint-in",
    epilog="""Examples: livestyle paint-in me.jpg starry_night me_there.jpg  |
    livestyle paint-in me.jpg wheat_field.jpg out.png --x 0.6 --height 0.5 --blend poisson --auto-light  |
    livestyle paint-in me.jpg my_painting.jpg out.png --style great_wave""",
)
@with_settings(
    only=("auto_light", "segmenter", "keep", "person_count", "model_file", "refine", "device", "models")
)  # fmt: skip
def paint_in_(
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with a person.")],
    painting: Annotated[
        Path,
        typer.Argument(metavar="PAINTING", help="The picture to be in, or a style, which stands for its painting."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, of the painting's size.")],
    asked: PaintInSettings,
    settings: Settings,
    profile: Profile = None,
) -> None:
    """Paint a person into a painting: cut out, in its style, placed on its ground."""
    from livestyle.stills.paint_in_files import paint_in_files

    stop = Stop()
    with stopping(stop):
        seconds = paint_in_files(portrait, painting, out, asked, settings, stop, Display(say, bar))
    if seconds is None:
        return say(f"Stopped: the same command goes on from there. {out} is not written.")
    parts = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items() if name != "all")
    say(f"{out}: {seconds['all']:.2f} s ({parts})")
