"""The history of a training: losses and IoU against the images seen, kept as JSON and drawn."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from livestyle.files import atomic_write

Terms = dict[str, float]  # named losses, and the score MEAN_IU where there is one

MEAN_IU = "mean_iu"
PANELS = {"loss": "loss", MEAN_IU: "mean IU per picture"}
LINES = ("training", "validation")


class Point(TypedDict):
    """How a training stood.

    Args:
        images: seen so far.
        training: losses and scores, averaged over the last steps.
        validation: the same on images that were held out; empty where they were not measured.
    """

    images: int
    training: Terms
    validation: Terms


def summary(terms: Terms) -> Terms:
    """Return the sum of the losses as `loss`, and the score where there is one; empty for no terms."""
    loss = {"loss": sum(value for name, value in terms.items() if name != MEAN_IU)} if terms else {}
    return loss | {name: value for name, value in terms.items() if name == MEAN_IU}


class Curves:
    """The points of a training so far. Each new point is written at once.

    Args:
        checkpoint: RUNS/NAME.safetensors; the history is RUNS/NAME.curves.json and RUNS/NAME.curves.png.
        images: that the checkpoint has seen. Later points belong to steps that were lost, and are dropped.
    """

    def __init__(self, checkpoint: Path, images: int) -> None:
        self._path = checkpoint.with_suffix(".curves.json")
        points: list[Point] = json.loads(self._path.read_text()) if self._path.is_file() else []
        self.points = [point for point in points if point["images"] <= images]

    @property
    def training(self) -> Terms:
        """Return the terms of the last point; empty without points."""
        return dict(self.points[-1]["training"]) if self.points else {}

    @property
    def validation(self) -> Terms:
        """Return the summary of the last validation; empty without one."""
        measured = [point["validation"] for point in self.points if point["validation"]]
        return summary(measured[-1]) if measured else {}

    def add(self, images: int, training: Terms, validation: Terms) -> None:
        """Append a point, write the history and draw it.

        Args:
            images: seen so far; training, validation: as of `Point`.

        Raises:
            UserError: a file cannot be written.
        """
        self.points.append({"images": images, "training": training, "validation": validation})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._path) as part:
            part.write_text(json.dumps(self.points))
        with atomic_write(self._path.with_suffix(".png")) as part:
            draw(self.points, part)


def draw(points: list[Point], path: Path) -> None:
    """Draw a panel for the loss and one for the IoU, with lines for training and validation.

    Args:
        points: of the history; path: of the PNG.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state

    rows = {name: [(p["images"], summary(p[name])) for p in points] for name in LINES}  # type: ignore[literal-required]
    panels = [key for key in PANELS if any(key in terms for row in rows.values() for _, terms in row)]
    figure = Figure(figsize=(6 * len(panels), 4), layout="constrained")
    for column, key in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), column)
        for name, row in rows.items():
            measured = [(images, terms[key]) for images, terms in row if key in terms]
            if measured:
                axes.plot(*zip(*measured, strict=True), marker=".", label=name)
        axes.set(xlabel="images seen", ylabel=PANELS[key])
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", dpi=100)


class SparseValidation:
    """Validate on demand, within a share of the time.

    Args:
        score: measures losses and scores; None measures nothing.
        share: of the time that validation may take, in 0..1.
    """

    def __init__(self, score: Callable[[], Terms] | None, share: float = 0.015) -> None:
        self._score, self._share, self._next = score, share, float("-inf")

    def __call__(self, always: bool = False) -> Terms:
        """Return the scores; nothing where validation is not due and not asked for `always`."""
        start = time.monotonic()
        if not self._score or (start < self._next and not always):
            return {}
        terms = self._score()
        now = time.monotonic()
        self._next = now + (now - start) / self._share
        return terms
