"""Tables: how good the segmenters are, how steady the mattes and the styled picture."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np

from livestyle.config.look import Look
from livestyle.config.settings import LIVE_QUALITY, TRAINABLE, Settings, Size
from livestyle.errors import UserError
from livestyle.evaluate.charts import save_chart
from livestyle.evaluate.composites import MOTIONS, composite_clip, stands_free
from livestyle.evaluate.metrics import (
    STEADY_LEAST,
    accuracies,
    confusion,
    dtssd,
    matte_flicker,
    optical_flow,
    picture_scores,
    ssim,
    visible,
    warp_error,
)
from livestyle.image.pixels import PICTURES, Frame, Image, Matte, at_most, fit, fit_matte, load_image, size_of
from livestyle.live.controls import open_deck
from livestyle.live.driver import Say
from livestyle.matting.matte import grayscale
from livestyle.matting.published import SEGMENTERS
from livestyle.nets.library import find_cards
from livestyle.render.filter import Filter
from livestyle.video.sources.open import DEMO, VideoFile, kind_of

Row = dict[str, float]
Table = dict[str, Row | str]  # a sentence in place of the figures that are not to be had

FLOW_PIXELS = 640 * 360  # the most at which flow is computed
STILL_NOISE, STILL_FRAMES, STILL_FPS = 6.0, 8, 30.0  # of 255; counted, after as many to settle
BARS = {  # of the chart: words, colour, that of the figure in it, and place beside the name's own
    "mean_iu_per_image": ("per picture", "#2b5c8a", "white", 0.19),
    "boundary_iu": ("near the edge", "#9dc3e0", "#1c3a57", -0.19),
}
ELSEWHERE = "published, on other pictures"
DIGITS = {"ms": 1}  # of a printed figure; 4 where it is not named


@dataclass(frozen=True)
class Reported:
    """A figure that others published, on pictures of their own."""

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


def load_pairs(data: Path) -> list[tuple[Path, Path]]:
    """Each NAME.jpg of a folder with its NAME.png.

    Raises:
        UserError: there is none.
    """
    pairs = [(p, p.with_suffix(".png")) for p in sorted(data.glob("*.jpg")) if p.with_suffix(".png").is_file()]
    if not pairs:
        raise UserError(f"There are no pairs of NAME.jpg and NAME.png in {data}.", "Give such a folder with --data.")
    return pairs


def load_truth(path: Path) -> Matte:
    """A true matte from a grey picture, 255 = person."""
    return load_image(path)[..., 0].astype(np.float32) / np.float32(255)


def evaluate_segmenter(filter: Filter, pairs: list[tuple[Path, Path]], watch: Callable[[], None]) -> Row:
    """One row: over all pixels, per picture at its own resolution, and the median ms of a picture."""
    counts, rows, spent = np.zeros((2, 2), np.int64), [], []
    for picture, true in pairs:
        image = load_image(picture)
        truth = load_truth(true)
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
) -> tuple[int, Table]:
    """The number of pictures, and a row per segmenter; a sentence in place of the row where its weights are not here.

    Raises:
        UserError: no data, or a name in `only` that is no segmenter.
    """
    pairs = load_pairs(data)
    known = {*find_cards("segmenter", settings.models), *SEGMENTERS, *TRAINABLE}
    for name in set(only) - known:
        raise UserError(f"There is no segmenter '{name}'.", f"Choose from: {', '.join(sorted(known))}.")
    table: Table = {}
    for name in only or sorted(known):
        done = iter(range(1, len(pairs) + 1))
        try:
            with Filter(replace(settings, segmenter=name), live=False) as filter:
                table[name] = evaluate_segmenter(filter, pairs, lambda n=name, d=done: watch(n, next(d) / len(pairs)))  # type: ignore[misc]
        except UserError as error:
            table[name] = str(error)
    return len(pairs), table


def with_published(table: Table) -> dict[str, object]:
    """The table with the published figures in the rows of the segmenters that have some."""
    return {
        name: row | {"published": vars(PUBLISHED[name])} if name in PUBLISHED and not isinstance(row, str) else row
        for name, row in table.items()
    }


def printed_segmenters(table: Table) -> list[dict[str, str]]:
    """The rows of the text table: every segmenter with figures here, or with published ones."""
    figures: Row = next((row for row in table.values() if not isinstance(row, str)), {})
    return [
        {"segmenter": name}
        | {key: "-" if isinstance(row, str) else f"{row[key]:.{DIGITS.get(key, 4)}f}" for key in figures}
        | {"published mean_iu": f"{PUBLISHED[name].mean_iu:.4f}{mark(name)}" if name in PUBLISHED else ""}
        for name, row in table.items()
        if name in PUBLISHED or not isinstance(row, str)
    ]


def mark(name: str) -> str:
    """What stands behind a published figure that has a footnote."""
    return "*" if name in PUBLISHED and PUBLISHED[name].note else ""


def footnotes(table: Table) -> list[str]:
    """What is to be said of the published figures of a table."""
    return [f"* {name}: {PUBLISHED[name].mean_iu:.3f} is {PUBLISHED[name].note}." for name in table if mark(name)]


def draw_segmenters(table: Table, pictures: int, path: Path) -> None:
    """A PNG: bars for mean IU per picture and near the edge, the ms, and the published figures; the best on top.

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
    if told := [(PUBLISHED[name].mean_iu, place) for place, name in enumerate(names) if name in PUBLISHED]:
        axes.scatter(
            *zip(*told, strict=True), marker="D", color="#c8553d", edgecolor="white", zorder=3, label=ELSEWHERE
        )
    for place, name in enumerate(names):
        axes.text(1.015, place, aside_words(name, table[name]), va="center", color="#444444", fontsize=9)
    axes.set(xlim=(0, 1), yticks=range(len(names)), yticklabels=names)
    axes.set_title(f"Person segmentation: mean IU of {pictures} pictures", loc="left", fontsize=12)
    axes.set_xlabel("\n".join(footnotes(table)), loc="left", fontsize=8, color="#444444")
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.legend(loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    save_chart(figure, path)


def aside_words(name: str, row: Row | str) -> str:
    """What stands beside a segmenter's bars."""
    words = "no figures here" if isinstance(row, str) else f"{row['ms']:.0f} ms"
    return f"{words}\npublished {PUBLISHED[name].mean_iu:.3f}{mark(name)}" if name in PUBLISHED else words


@dataclass(frozen=True)
class Shot:
    """What stability compares from frame to frame, all of one size, images and styled ones as RGB.

    Args:
        image: the input; styled, matte: as live; unsmoothed, unsmoothed_matte: as if each frame stood alone.
    """

    image: Image
    styled: Image
    unsmoothed: Image
    matte: Matte
    unsmoothed_matte: Matte


def evaluate_stability(
    settings: Settings, clip: str, frames: int, say: Say, watch: Callable[[int], None]
) -> dict[str, float]:
    """How steady the styled clip and its mattes are, over its first frames; the JSON object of the command contract.

    The whole frame is painted in the background's style. *Unsmoothed* is the same without memory. Flow and figures are
    at the clip's size, or at the largest of its shape with no more than FLOW_PIXELS. The change of a still is that of
    its last frame with a camera's noise, in 0..255.

    Raises:
        UserError: no clip, one too small or of fewer than two frames, or a look that is no style.
    """
    if settings.quality == "auto":
        settings = replace(settings, quality=LIVE_QUALITY)
    look = whole_look(settings)
    rows, last = list[Row](), None
    with open_clip(clip) as source, Filter(settings) as live, Filter(settings, live=False) as alone:
        size = at_most(source.size, FLOW_PIXELS)
        if min(size) < STEADY_LEAST:
            raise UserError(f"{clip} is too small for optical flow.", f"Give one of {STEADY_LEAST} pixels and more.")
        live.prepare(look)
        for done, frame in enumerate(islice(source, frames), start=1):
            shot = shoot(frame, look, live, alone, size)
            if last is not None:
                rows.append(steadiness(last, shot))
            last = shot
            watch(done)
        if source.warning:
            say(source.warning)
        if not rows or last is None:
            raise UserError(f"{clip} holds fewer than two frames.", "Give a longer clip.")
        still = still_changes(last.image, look, {"still_change": live, "unsmoothed_still_change": alone})
    return {"frames": len(rows) + 1, **mean_row(rows, digits=7), **still}


def still_changes(image: Image, look: Look, filters: dict[str, Filter]) -> Row:
    """How much each filter's picture of a still scene with noise changes from frame to frame, per value in 0..255."""
    rng, pictures = np.random.default_rng(0), defaultdict[str, list[Image]](list)
    for index in range(2 * STILL_FRAMES):
        noise = np.rint(image + STILL_NOISE * rng.standard_normal(image.shape, np.float32))
        frame = Frame(np.clip(noise, 0, 255).astype(np.uint8), index, index / STILL_FPS)
        for name, filter in filters.items():
            pictures[name].append(filter(frame, look))
    return {
        name: round(statistics.fmean(float(cv2.absdiff(a, b).mean()) for a, b in pairwise(of[STILL_FRAMES:])), 4)
        for name, of in pictures.items()
    }


def open_clip(clip: str) -> VideoFile:
    """A clip, once through.

    Raises:
        UserError: it is none.
    """
    if kind_of(clip).name not in {"video", "demo"}:
        raise UserError(f"'{clip}' is not a clip.", "Give a video file, or demo.")
    return VideoFile(str(DEMO) if clip == "demo" else clip)


def whole_look(settings: Settings) -> Look:
    """The style of the background, over the whole frame.

    Raises:
        UserError: it is no style.
    """
    look = open_deck(settings).look
    if look.background.kind != "style":
        raise UserError(f"'{look.background.text}' is no style.", "Name one with --background: livestyle list styles.")
    return replace(look, person=look.background, person_strength=look.background_strength)


def shoot(frame: Frame, look: Look, live: Filter, alone: Filter, size: Size) -> Shot:
    """A frame rendered with memory and without, at a size."""
    image, styled, unsmoothed = (fit(image, size) for image in (frame.image, live(frame, look), alone(frame, look)))
    matte, unsmoothed_matte = (fit_matte(filter.matte(frame), size) for filter in (live, alone))
    return Shot(image, styled, unsmoothed, matte, unsmoothed_matte)


def steadiness(before: Shot, after: Shot) -> Row:
    """One row: of a frame and the next."""
    gray = grayscale(before.image), grayscale(after.image)
    forward, backward = optical_flow(*gray), optical_flow(*gray[::-1])
    seen = visible(forward, backward)
    return {
        "warp_error": warp_error(before.styled, after.styled, forward, seen),
        "input_warp_error": warp_error(before.image, after.image, forward, seen),
        "unsmoothed_warp_error": warp_error(before.unsmoothed, after.unsmoothed, forward, seen),
        "fidelity_ssim": ssim(grayscale(after.styled), grayscale(after.unsmoothed)),
        "matte_flicker": matte_flicker(before.matte, after.matte, forward, seen),
        "unsmoothed_matte_flicker": matte_flicker(before.unsmoothed_matte, after.unsmoothed_matte, forward, seen),
    }


def mean_row(rows: list[Row], digits: int = 5) -> Row:
    """Each figure's mean."""
    return {key: round(statistics.fmean(row[key] for row in rows), digits) for key in rows[0]}


def evaluate_mattes(
    settings: Settings, data: Path, rooms: Path, clips: int, frames: int, seed: int, watch: Callable[[float, str], None]
) -> dict[str, dict[str, Row]]:
    """Mattes of each frame alone, the steadied ones of the live filter, and their ratio, for each kind of MOTIONS.

    The clips are composites whose mattes are known; the kinds take turns, each with the same people and rooms.

    Raises:
        UserError: no pairs, no rooms, or nobody who stands free.
    """
    rng, motions = np.random.default_rng(seed), list(MOTIONS.items())
    sets = -(-clips // len(motions))
    places = find_rooms(rooms)
    chosen = [places[number] for number in rng.integers(len(places), size=sets)]
    people = list(islice(standing_free(load_pairs(data), rng), sets))
    table: dict[str, list[tuple[Row, Row]]] = {kind: [] for kind in list(MOTIONS)[:clips]}
    with Filter(settings) as live, Filter(settings, live=False) as alone:
        for number in range(clips):
            of_set, turn = divmod(number, len(motions))
            kind, motion = motions[turn]
            watch(number / clips, kind)
            person, room = people[of_set % len(people)], load_image(chosen[of_set])
            shown = composite_clip(*person, room, motion, frames, np.random.default_rng((seed, number)))
            table[kind].append(clip_scores(shown, alone, live))
    kinds = {**table, "all": [row for rows in table.values() for row in rows]}
    return {kind: compared(rows) for kind, rows in kinds.items()}


def find_rooms(folder: Path) -> list[Path]:
    """The pictures of a folder.

    Raises:
        UserError: there is none.
    """
    rooms = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not rooms:
        raise UserError(f"There are no pictures in {folder}.", "Give a folder of rooms without people with --rooms.")
    return rooms


def standing_free(pairs: list[tuple[Path, Path]], rng: np.random.Generator) -> Iterator[tuple[Image, Matte]]:
    """The portraits of people who stand free, with their mattes, in any order.

    Raises:
        UserError: there is none.
    """
    found = 0
    for number in rng.permutation(len(pairs)):
        picture, true = pairs[number]
        matte = load_truth(true)
        if stands_free(matte):
            found += 1
            image = load_image(picture)
            yield image, fit_matte(matte, size_of(image))
    if not found:
        raise UserError("The picture's edge cuts everybody in these pairs.", "Give some with room beside the person.")


def clip_scores(shown: Iterator[tuple[Frame, Matte]], alone: Filter, live: Filter) -> tuple[Row, Row]:
    """A row for each filter."""
    found, truth = list[tuple[Matte, Matte]](), list[Matte]()
    for frame, true in shown:
        found.append((alone.matte(frame), live.matte(frame)))
        truth.append(true)
    per_frame, steadied = zip(*found, strict=True)
    return sequence_scores(per_frame, truth), sequence_scores(steadied, truth)


def sequence_scores(found: Sequence[Matte], truth: Sequence[Matte]) -> Row:
    """The means of the pictures' scores, and dtSSD."""
    scores = mean_row([picture_scores(*pair) for pair in zip(truth, found, strict=True)])
    return {**scores, "dtssd": dtssd(found, truth)}


def compared(rows: list[tuple[Row, Row]]) -> dict[str, Row]:
    """The means of both sides, and the second as a share of the first."""
    per_frame, steadied = (mean_row(list(side)) for side in zip(*rows, strict=True))
    ratio = {key: round(steadied[key] / value, 4) if value else 1.0 for key, value in per_frame.items()}
    return {"per_frame": per_frame, "steadied": steadied, "ratio": ratio}
