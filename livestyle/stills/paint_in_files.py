"""Paint a person into a painting: from files to a file."""

from pathlib import Path
from typing import Any

from livestyle.config.painting import PaintInSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError, need_torch
from livestyle.image.io import load_image, save_image
from livestyle.stills import paint_in
from livestyle.stills.placement import Placement
from livestyle.stills.style_images import painting_named
from livestyle.types import Display, Stop


def paint_in_files(
    portrait: Path, painting: Path, target: Path, asked: PaintInSettings, settings: Settings, stop: Stop,
    display: Display,
) -> dict[str, float] | None:  # fmt: skip
    """Paint the person of a portrait into a painting.

    Args:
        portrait: a picture; painting: a picture, or the name of a style that has one.
        target: the result, of the painting's size.
        asked: how to paint; settings: device, models, segmenter.
        stop: ends an optimization after the present iteration.
        display: shows the progress.

    Returns:
        The seconds by stage, and "all". None where it was stopped: the same call resumes.

    Raises:
        UserError: something cannot be read or written, or the portrait shows nobody.
    """
    painting = painting_named(str(painting), settings.models)
    paint_in.check(portrait, painting, target, Path(asked.style) if asked.style else None, asked.blend, asked.rgba)
    pictures = load_image(portrait), load_image(painting)
    stylize: Any = asked.style or paint_in.shipped_style(painting, settings.models)
    source = painting if stylize is None else Path(stylize)
    if asked.timelapse and not paint_in.is_picture(source):
        raise UserError(
            "A style paints at once, so that a time-lapse shows nothing.", "Give a picture as the style.", "timelapse"
        )
    if paint_in.is_picture(source):
        need_torch("Painting by optimisation", ("torch", "safetensors"))
        from livestyle.stills.gatys import GatysPainter
        from livestyle.stills.paint import stoppable

        recipe = paint_in.gatys_recipe(source, asked.iterations, asked.long_side)
        painter = GatysPainter(settings, recipe, asked.loss_network, display.say, progress=stoppable(display.bar, stop))
        with display.bar(portrait.name, 1.0) as update:
            stylize = paint_in.gatys_stylizer(painter, portrait, source, target, stop, update, asked.timelapse)
        if stylize is None:
            return None
    paint = paint_in.PaintIn(settings, stylize, asked.blend)
    paint.prepare(*pictures)
    result = paint(*pictures, Placement(asked.x, asked.y, asked.height), asked.rgba)
    save_image(target, result.image)
    return result.seconds
