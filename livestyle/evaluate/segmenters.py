"""How good segmenters are, on pairs of portrait and matte."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from livestyle.config.names import choose
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.charts import save_chart
from livestyle.evaluate.metrics import Scores, accuracies, confusion, picture_scores
from livestyle.image.types import Frame
from livestyle.matting.datasets import Pair, list_pairs, read_truth
from livestyle.matting.published import known_segmenters
from livestyle.nets.fetch import silent_progress
from livestyle.render.filter import Filter
from livestyle.types import OpenProgress, Say

Table = dict[str, Scores | str]  # by segmenter; the reason where there are no scores
BARS = {  # label, colour, colour of the figure, and vertical offset
    "mean_iu_per_image": ("per picture", "#2b5c8a", "white", 0.19),
    "boundary_iu": ("near the edge", "#9dc3e0", "#1c3a57", -0.19),
}
PUBLISHED_LABEL = "published, on other pictures"
DIGITS = {"ms": 1}  # of a printed figure; 4 for the others


@dataclass(frozen=True)
class Reported:
    """A figure that others published, for pictures of their own.

    Args:
        mean_iu: in 0..1; source: the pictures; note: for a footnote.
    """

    mean_iu: float
    source: str
    note: str = ""


PUBLISHED = {
    "cnn-resnet": Reported(0.8572, "the paper's own test pictures"),
    "deeplab-lfov": Reported(0.9470, "the paper's own test pictures"),
    "fcn8s": Reported(
        0.9804, "the paper's own test pictures", "above that paper's own mean accuracy of 0.966, which cannot be"
    ),
    "segnet": Reported(0.308, "the paper's own validation pictures"),
}  # fmt: skip


def evaluate_segmenter(filter: Filter, pairs: list[Pair], watch: Callable[[], None]) -> Scores:
    """Score a filter's segmenter: over all pixels, per picture at its own size, and the median ms of a picture.

    Args:
        filter: with the segmenter; pairs: pictures and mattes; watch: called after each.
    """
    counts, rows, spent = np.zeros((2, 2), np.int64), [], []
    for pair in pairs:
        image, truth = read_truth(pair)
        start = time.perf_counter()
        matte = filter.matte(Frame(image, 0, 0.0))
        spent.append((time.perf_counter() - start) * 1000)
        counts += confusion(truth > 0.5, matte > 0.5)
        rows.append(picture_scores(truth, matte))
        watch()
    means = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
    return {k: round(v, 5) for k, v in {**accuracies(counts), **means}.items()} | {
        "ms": round(statistics.median(spent), 2)
    }


def evaluate_segmenters(
    settings: Settings, data: Path, only: list[str], watch: Callable[[str, float], None],
    warn: Say = lambda line: None, progress: OpenProgress = silent_progress,
) -> tuple[int, Table]:  # fmt: skip
    """Score every segmenter.

    Args:
        settings: device and models.
        data: a folder of pairs in one of `matting.datasets.LAYOUTS`.
        only: names of segmenters; empty for all.
        watch: takes a segmenter's name, and its progress in 0..1.
        warn: takes a message for each kind of pairs that are left out.
        progress: shows downloads.

    Returns:
        The number of pictures, and the table. Where weights are missing, it holds the reason.

    Raises:
        UserError: there is no data, or no segmenter of a name.
    """
    pairs = list_pairs(data, warn, held_out=True)
    known = known_segmenters(settings.models)
    only = [choose("segmenter", name, known) for name in only]
    table: Table = {}
    for name in only or sorted(known):
        done = iter(range(1, len(pairs) + 1))
        try:
            with Filter(replace(settings, segmenter=name), live=False, progress=progress) as filter:
                table[name] = evaluate_segmenter(filter, pairs, lambda n=name, d=done: watch(n, next(d) / len(pairs)))  # type: ignore[misc]
        except UserError as error:
            table[name] = str(error)
    return len(pairs), table


def with_published(table: Table) -> dict[str, object]:
    """Return the table with published figures in the rows that have some."""
    return {
        name: row | {"published": vars(PUBLISHED[name])} if name in PUBLISHED and not isinstance(row, str) else row
        for name, row in table.items()
    }


def printed_segmenters(table: Table) -> list[dict[str, str]]:
    """Return the rows of the text table: every segmenter with scores, or with published figures."""
    figures: Scores = next((row for row in table.values() if not isinstance(row, str)), {})
    return [
        {"segmenter": name}
        | {key: "-" if isinstance(row, str) else f"{row[key]:.{DIGITS.get(key, 4)}f}" for key in figures}
        | {"published mean_iu": f"{PUBLISHED[name].mean_iu:.4f}{footnote_mark(name)}" if name in PUBLISHED else ""}
        for name, row in table.items()
        if name in PUBLISHED or not isinstance(row, str)
    ]


def footnote_mark(name: str) -> str:
    """Return the mark behind a published figure that has a footnote."""
    return "*" if name in PUBLISHED and PUBLISHED[name].note else ""


def footnotes(table: Table) -> list[str]:
    """Return the footnotes of the published figures of a table."""
    noted = {name: PUBLISHED[name] for name in table if footnote_mark(name)}
    return [f"* {name}: {figure.mean_iu:.3f} is {figure.note}." for name, figure in noted.items()]


def draw_segmenters(table: Table, pictures: int, path: Path) -> None:
    """Draw bars for the mean IU per picture and near the edge, the ms, and published figures, the best on top.

    Args:
        table: of all segmenters; pictures: how many; path: of the PNG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state

    rows = {name: row for name, row in table.items() if not isinstance(row, str)}
    measured = sorted(rows, key=lambda name: rows[name]["mean_iu_per_image"])
    names = [name for name in table if name in PUBLISHED and name not in rows] + measured
    figure = Figure(figsize=(9, 1.7 + 0.5 * len(names)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for key, (words, color, ink, shift) in BARS.items():
        places = [names.index(name) + shift for name in measured]
        bars = axes.barh(places, [rows[name][key] for name in measured], 0.36, color=color, label=words)
        axes.bar_label(bars, fmt="%.3f", padding=-34, color=ink, fontsize=9)
    if points := [(PUBLISHED[name].mean_iu, place) for place, name in enumerate(names) if name in PUBLISHED]:
        axes.scatter(
            *zip(*points, strict=True), marker="D", color="#c8553d", edgecolor="white", zorder=3, label=PUBLISHED_LABEL
        )
    for place, name in enumerate(names):
        axes.text(1.015, place, side_note(name, table[name]), va="center", color="#444444", fontsize=9)
    axes.set(xlim=(0, 1), yticks=range(len(names)), yticklabels=names)
    axes.set_title(f"Person segmentation: mean IU of {pictures} pictures", loc="left", fontsize=12)
    axes.set_xlabel("\n".join(footnotes(table)), loc="left", fontsize=8, color="#444444")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    save_chart(figure, path)


def side_note(name: str, row: Scores | str) -> str:
    """Return the words beside a segmenter's bars."""
    words = "no figures here" if isinstance(row, str) else f"{row['ms']:.0f} ms"
    return f"{words}\npublished {PUBLISHED[name].mean_iu:.3f}{footnote_mark(name)}" if name in PUBLISHED else words
