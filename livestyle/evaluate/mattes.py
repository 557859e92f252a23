"""How good mattes are on composites with true alpha."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.composites import MOTIONS, composite_clip, stands_free
from livestyle.evaluate.metrics import Row, dtssd, mean_row, picture_scores
from livestyle.image.io import PICTURES, load_image
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.datasets import Pair, list_pairs, read_truth
from livestyle.render.filter import Filter


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
    people = list(islice(standing_free(list_pairs(data, held_out=True), rng), sets))
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


def standing_free(pairs: list[Pair], rng: np.random.Generator) -> Iterator[tuple[Image, Matte]]:
    """The portraits of people who stand free, with their mattes, in any order.

    Raises:
        UserError: there is none.
    """
    found = 0
    for number in rng.permutation(len(pairs)):
        image, matte = read_truth(pairs[number])
        if stands_free(matte):
            found += 1
            yield image, matte
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
