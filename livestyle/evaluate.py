"""Tables: how good the segmenters are."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from livestyle.errors import UserError
from livestyle.filter import Filter
from livestyle.image import Frame, fit_matte, load_image, size_of
from livestyle.metrics import accuracies, confusion, picture_scores
from livestyle.segmenters import SEGMENTERS
from livestyle.settings import Settings
from livestyle.weights import find_cards

Row = dict[str, float]


def load_pairs(data: Path) -> list[tuple[Path, Path]]:
    """Each NAME.jpg of a folder with its NAME.png.

    Raises:
        UserError: there is none.
    """
    pairs = [(p, p.with_suffix(".png")) for p in sorted(data.glob("*.jpg")) if p.with_suffix(".png").is_file()]
    if not pairs:
        raise UserError(f"There are no pairs of NAME.jpg and NAME.png in {data}.", "Give such a folder with --data.")
    return pairs


def evaluate_segmenter(filter: Filter, pairs: list[tuple[Path, Path]], watch: Callable[[], None]) -> Row:
    """One row: over all pixels, per picture at its own resolution, and the median ms of a picture."""
    counts, rows, spent = np.zeros((2, 2), np.int64), [], []
    for picture, true in pairs:
        image = load_image(picture)
        truth = load_image(true)[..., 0].astype(np.float32) / np.float32(255)
        start = time.perf_counter()
        matte = filter.matte(Frame(image, 0, 0.0))
        spent.append((time.perf_counter() - start) * 1000)
        matte = fit_matte(matte, size_of(truth))
        counts += confusion(truth > 0.5, matte > 0.5)
        rows.append(picture_scores(truth, matte))
        watch()
    means = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
    return {k: round(v, 5) for k, v in {**accuracies(counts), **means}.items()} | {
        "ms": round(statistics.median(spent), 2)
    }


def evaluate_segmenters(
    settings: Settings, data: Path, only: list[str], watch: Callable[[str, float], None]
) -> tuple[int, dict[str, Row | str]]:
    """The number of pictures, and a row per segmenter; a sentence in place of the row where its weights are not here.

    Raises:
        UserError: no data, or a name in `only` that is no segmenter.
    """
    pairs = load_pairs(data)
    known = {*find_cards("segmenter", settings.models), *SEGMENTERS}
    for name in set(only) - known:
        raise UserError(f"There is no segmenter '{name}'.", f"Choose from: {', '.join(sorted(known))}.")
    table: dict[str, Row | str] = {}
    for name in only or sorted(known):
        done = iter(range(1, len(pairs) + 1))
        try:
            with Filter(replace(settings, segmenter=name), live=False) as filter:
                table[name] = evaluate_segmenter(filter, pairs, lambda n=name, d=done: watch(n, next(d) / len(pairs)))  # type: ignore[misc]
        except UserError as error:
            table[name] = str(error)
    return len(pairs), table
