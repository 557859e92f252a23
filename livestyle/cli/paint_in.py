"""`livestyle paint-in`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.app import app
from livestyle.cli.console import bar, download, say
from livestyle.cli.flags import (
    AutoLight,
    Device,
    Keep,
    LossNetworkFile,
    ModelFile,
    Models,
    PersonCount,
    Profile,
    Refine,
    S,
    Segmenter,
    settings_from,
)
from livestyle.cli.running import need_torch, stopping
from livestyle.types import Stop

if TYPE_CHECKING:
    pass


@app.command(
    "paint-in",
    epilog="""Examples: livestyle paint-in me.jpg starry_night.jpg me_there.jpg  |
    livestyle paint-in me.jpg wheat_field.jpg out.png --x 0.6 --height 0.5 --blend poisson --auto-light  |
    livestyle paint-in me.jpg my_painting.jpg out.png --style great_wave""",
)
def paint_in_(
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with a person.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The picture to be in.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, of the painting's size.")],
    style: Annotated[str | None, typer.Option(
        metavar="NAME|PICTURE", help="Paint the person in this style (default: the style that was trained on PAINTING; "
                                     "without one, by optimisation in PAINTING's own, in minutes).")] = None,
    x: Annotated[float | None, typer.Option(
        help="Left of the person: 0..1 of the painting's width, else pixels (default: least is hidden).")] = None,
    y: Annotated[float | None, typer.Option(help="Top of the person, alike (default: on the ground).")] = None,
    height: Annotated[float | None, typer.Option(help="Of the person, alike (default: a sensible one).")] = None,
    blend: Annotated[str, typer.Option(
        help="harmonize: near the surroundings' colours; poisson: no seam; alpha: as it is.")] = "harmonize",
    rgba: Annotated[bool, typer.Option("--rgba", help="The person alone, in place, with transparency.")] = False,
    auto_light: AutoLight = S.auto_light,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, person_count: PersonCount = S.person_count,
    model_file: ModelFile = S.model_file, refine: Refine = S.refine, device: Device = S.device,
    models: Models = S.models, profile: Profile = None,
    iterations: Annotated[int, typer.Option(min=1, help="By optimisation: how many.")] = 300,
    long_side: Annotated[int, typer.Option(min=32, help="By optimisation: px of what is painted.")] = 512,
    loss_network: LossNetworkFile = None,
) -> None:  # fmt: skip
    """Paint a person into a painting: cut out, in its style, placed on its ground."""
    from livestyle.image.io import load_srgb, save_image
    from livestyle.stills import paint_in

    settings = settings_from(locals())
    paint_in.check(portrait, painting, out, Path(style) if style else None, blend, rgba)
    pictures = load_srgb(portrait), load_srgb(painting)
    stylize: Any = style or paint_in.shipped_style(painting, models)
    source = painting if stylize is None else Path(stylize)
    if paint_in.is_picture(source):
        need_torch("Painting by optimisation", ("torch", "safetensors"))
        from livestyle.stills.gatys import GatysPainter

        recipe = paint_in.gatys_recipe(source, iterations, long_side)
        painter, stop = GatysPainter(settings, recipe, loss_network, say, progress=download), Stop()
        with stopping(stop), bar(portrait.name, 1.0) as update:
            stylize = paint_in.gatys_stylizer(painter, portrait, source, out, stop, update)
        if stylize is None:
            return say(f"Stopped: the same command goes on from there. {out} is not written.")
    paint = paint_in.PaintIn(settings, stylize, blend)
    paint.prepare(*pictures)
    result = paint(*pictures, paint_in.Placement(x, y, height), rgba)
    save_image(out, result.image)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in result.seconds.items() if name != "all")
    say(f"{out}: {result.seconds['all']:.2f} s ({parts})")
