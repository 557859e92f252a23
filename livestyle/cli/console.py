"""What people read while a command runs: lines, tables, progress bars."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

from livestyle.live.job_process import PROGRESS_VARIABLE, ProgressFile
from livestyle.types import Progress

Side = Literal["left", "right"]

recorder = ProgressFile(os.environ.get(PROGRESS_VARIABLE))  # of the job that this process does, if it does one


def say(line: str) -> None:
    """Print a line for people on stderr, if that takes it."""
    with suppress(OSError):
        print(line, file=sys.stderr)


def show(
    rows: list[dict[str, str]], title: str | None = None, notes: Sequence[str] = (), align: Side = "right",
) -> None:  # fmt: skip
    """Print a table, wide enough where it does not go to a terminal, and notes below it.

    Args:
        align: of all columns but the first, whose words are never broken: "right" for figures, "left" for words.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False)
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(rows[0] if rows else []):
        side: Side = align if number else "left"
        table.add_column(name.replace("_", " "), justify=side, no_wrap=not number, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    for note in notes:
        console.print(note)


@contextmanager
def bar(words: str, total: float | None) -> Iterator[Progress]:
    """Show a progress bar with the time left on stderr, if that is a terminal. Record the progress of a job."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    more = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
    with Bars(*columns, *more, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(words, total=total, note="")

        def update(done: float, note: str) -> None:
            progress.update(task, completed=done, note=note)
            recorder(done / (total or 1), note)

        yield update


@contextmanager
def ticker(total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar that counts frames."""
    with bar("frames", total) as update:
        yield lambda done: update(done, str(done))
