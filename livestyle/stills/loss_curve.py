"""The losses of a still over its iterations, drawn."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from livestyle.errors import UserError
from livestyle.files import atomic_write

LossRow = tuple[str, int, int, dict[str, float]]  # plane, width and height of the scale, losses after an iteration


def check_curve(path: Path) -> None:
    """Check, before any work, that a curve can be drawn there.

    Raises:
        UserError: it cannot.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{path} is no PNG.", "End it in .png.")
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent}.", "Create it first.")


def draw_curve(history: Sequence[LossRow], path: Path) -> None:
    """Draw a panel for each plane, a line for each loss, and a mark where the scale changes, as a PNG.

    Args:
        history: a row for each iteration; path: of the PNG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state

    planes = list(dict.fromkeys(row[0] for row in history)) or [""]
    figure = Figure(figsize=(6 * len(planes), 4), layout="constrained")
    for column, plane in enumerate(planes, start=1):
        rows = [row for row in history if row[0] == plane]
        axes = figure.add_subplot(1, len(planes), column)
        for name in rows[0][3] if rows else ():
            axes.plot(range(1, len(rows) + 1), [row[3][name] for row in rows], label=name)
        for number, (before, after) in enumerate(pairwise(rows), start=1):
            if before[1:3] != after[1:3]:
                axes.axvline(number + 0.5, color="gray", linewidth=0.8)
        axes.set(xlabel="iterations", ylabel="loss", yscale="log", title=plane)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=100)
