"""Stills painted by optimisation, one after another."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from livestyle import __version__
from livestyle.config.painting import PaintingSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.stills.ablations import SHEETS, paint_sheet
from livestyle.stills.batch import StylizedStill, pairs
from livestyle.stills.gatys import GatysPainter
from livestyle.stills.loss_curve import check_curve
from livestyle.stills.recipe import recipe_from
from livestyle.types import OpenProgress, Say, Stop


def paint_stills(
    settings: Settings, painting: PaintingSettings, source: Path, target: Path, command: str, stop: Stop, say: Say,
    bar: OpenProgress,
) -> Iterator[StylizedStill]:  # fmt: skip
    """Paint a picture, or every picture of a folder, by optimisation; yield each as it is done.

    Args:
        target: the result, or a folder, which is created.
        command: as typed, for the notes in the file.
        stop: ends the run after the present iteration. What there is so far is then written.

    Raises:
        UserError: something cannot be read or written, or the only picture cannot be painted.
    """
    jobs, sheet, curve = pairs(source, target), painting.sheet, painting.curve
    if sheet and sheet not in SHEETS:
        raise UserError(f"There is no sheet '{sheet}'.", f"Choose {' or '.join(SHEETS)}.", "sheet")
    if curve:
        check_curve(curve)
        if len(jobs) > 1 or sheet:
            raise UserError("A curve shows the losses of one picture.", "Leave it away, or give one picture.", "curve")
    notes = {"Software": f"livestyle {__version__}", "livestyle-command": command}
    recipe = recipe_from(settings, asdict(painting))
    painter = GatysPainter(settings, recipe, painting.loss_network, say, notes, painting.all_parts)
    for picture, result in jobs:
        try:
            with bar(picture.name, 1.0) as update:
                if sheet:
                    is_finished = paint_sheet(painter, sheet, picture, result, stop, update)
                else:
                    is_finished = painter.paint(picture, result, stop, update, curve)
        except UserError as problem:
            if len(jobs) == 1:
                raise
            yield StylizedStill(picture, result, problem)
            continue
        yield StylizedStill(picture, result, is_finished=is_finished)
        if not is_finished:
            return
