"""A person painted into a painting: from files to a file."""

from pathlib import Path
from typing import Any

from livestyle.config.painting import PaintInSettings
from livestyle.config.settings import Settings
from livestyle.errors import need_torch
from livestyle.image.io import load_srgb, save_image
from livestyle.stills import paint_in
from livestyle.types import OpenProgress, Say, Stop


def paint_in_files(
    portrait: Path, painting: Path, target: Path, asked: PaintInSettings, settings: Settings, stop: Stop, say: Say,
    bar: OpenProgress,
) -> dict[str, float] | None:  # fmt: skip
    """Paint the person of a portrait into a painting.

    Args:
        target: the result, of the painting's size.
        stop: ends an optimisation after the present iteration.

    Returns:
        The seconds that each part took, and "all". None where it was stopped: the same call goes on from there.

    Raises:
        UserError: something cannot be read or written, or nobody is in the portrait.
    """
    paint_in.check(portrait, painting, target, Path(asked.style) if asked.style else None, asked.blend, asked.rgba)
    pictures = load_srgb(portrait), load_srgb(painting)
    stylize: Any = asked.style or paint_in.shipped_style(painting, settings.models)
    source = painting if stylize is None else Path(stylize)
    if paint_in.is_picture(source):
        need_torch("Painting by optimisation", ("torch", "safetensors"))
        with bar(portrait.name, 1.0) as update:
            stylize = paint_in.gatys_stylizer(
                settings, portrait, source, target, asked.loss_network, asked.iterations, asked.long_side, stop, say,
                update,
            )  # fmt: skip
        if stylize is None:
            return None
    painter = paint_in.PaintIn(settings, stylize, asked.blend)
    painter.prepare(*pictures)
    result = painter(*pictures, paint_in.Where(asked.x, asked.y, asked.height), asked.rgba)
    save_image(target, result.image)
    return result.seconds
