"""Stills painted by optimization, one after another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event

from livestyle import __version__
from livestyle.config.names import unknown
from livestyle.config.outputs import Target
from livestyle.config.painting import PaintingSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.stills.ablations import ABLATIONS, paint_ablation
from livestyle.stills.batch import StylizedStill, pairs
from livestyle.stills.gatys import GatysPainter, Outputs
from livestyle.stills.loss_curve import check_curve
from livestyle.stills.recipe import recipe_from
from livestyle.stills.timelapse import check_timelapse
from livestyle.types import Display, OpenProgress, Progress, Stop


def paint_stills(
    settings: Settings, painting: PaintingSettings, source: Path, target: Target, command: str, stop: Stop,
    display: Display,
) -> Iterator[StylizedStill]:  # fmt: skip
    """Paint a picture, or every picture of a folder, by optimization.

    Args:
        settings: device, models, segmenter; painting: how to paint.
        source: a picture or a folder; target: where results go.
        command: as typed, for the notes in the file.
        stop: ends the run after the present iteration. The picture so far is then written.
        display: shows the progress.

    Yields:
        Each picture when it is done.

    Raises:
        UserError: something cannot be read or written, or the only picture cannot be painted.
    """
    check_options(painting, 2 if source.is_dir() else 1)
    if not source.exists():
        raise UserError(f"There is no file {source}.", "Check the name.")
    kind, curve = painting.sheet, painting.curve
    notes = {"Software": f"livestyle {__version__}", "livestyle-command": command}
    outputs = Outputs(notes, painting.all_parts, target.is_forced)
    recipe = recipe_from(settings, asdict(painting))
    painter = GatysPainter(settings, recipe, painting.loss_network, display.say, outputs, stoppable(display.bar, stop))
    plan = pairs(source, target, state_of=painter.state)
    yield from plan.with_old(())
    jobs = plan.jobs
    if painting.timelapse and jobs:
        check_timelapse(painting.timelapse, jobs[0][1])
    for picture, result in jobs:
        try:
            with display.bar(picture.name, 1.0) as update:
                if kind:
                    is_finished = paint_ablation(painter, kind, picture, result, stop, update)
                else:
                    is_finished = painter.paint(picture, result, stop, update, curve, painting.timelapse)
        except UserError as problem:
            if len(jobs) == 1:
                raise
            yield StylizedStill(picture, result, problem)
            continue
        yield StylizedStill(picture, result, is_finished=is_finished)
        if not is_finished:
            return


def check_options(painting: PaintingSettings, count: int) -> None:
    """Check the options for a number of pictures.

    Raises:
        UserError: one is wrong.
    """
    if painting.sheet and painting.sheet not in ABLATIONS:
        raise unknown("sheet", painting.sheet, ABLATIONS, field="sheet")
    if painting.curve:
        check_curve(painting.curve)
        if count > 1 or painting.sheet:
            raise UserError("A curve shows the losses of one picture.", "Leave it away, or give one picture.", "curve")
    if painting.timelapse and (count > 1 or painting.sheet):
        raise UserError("A time-lapse shows one picture.", "Leave it away, or give one picture.", "timelapse")


def stoppable(bar: OpenProgress, stop: Event) -> OpenProgress:
    """Return a display of progress that raises KeyboardInterrupt in the work that it shows, once `stop` is set."""

    @contextmanager
    def opened(label: str, total: float | None) -> Iterator[Progress]:
        with bar(label, total) as update:

            def watch(done: float, note: str) -> None:
                if stop.is_set():
                    raise KeyboardInterrupt
                update(done, note)

            yield watch

    return opened
