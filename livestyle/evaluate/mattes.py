"""How good mattes are, on composites with known mattes."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.composites import MOTIONS, composite_clip, stands_free
from livestyle.evaluate.metrics import Scores, dtssd, mean_scores, picture_scores
from livestyle.image.io import PICTURE_SUFFIXES, load_image
from livestyle.image.types import Frame, Image, Matte
from livestyle.matting.datasets import Pair, list_pairs, read_truth
from livestyle.render.filter import Filter
from livestyle.types import Progress


def evaluate_mattes(
    settings: Settings, data: Path, rooms: Path, clips: int, frames: int, seed: int, watch: Progress
) -> dict[str, dict[str, Scores]]:
    """Compare mattes of single frames with the temporally smoothed ones of the live filter, for each kind of MOTIONS.

    The kinds take turns, each with the same people and rooms.

    Args:
        settings: device, models, segmenter.
        data: a folder of portraits and mattes; rooms: a folder of pictures without people.
        clips, frames: how many clips, and frames of each.
        seed: of all chance.
        watch: takes the progress.

    Returns:
        By kind and "all": the scores "per_frame" and "steadied" (smoothed), and their "ratio".

    Raises:
        UserError: there are no pairs or rooms, or nobody stands free.
    """
    rng, motions = np.random.default_rng(seed), list(MOTIONS.items())
    sets = -(-clips // len(motions))
    places = find_rooms(rooms)
    chosen = [places[number] for number in rng.integers(len(places), size=sets)]
    people = list(islice(standing_free(list_pairs(data, held_out=True), rng), sets))
    table: dict[str, list[tuple[Scores, Scores]]] = {kind: [] for kind in list(MOTIONS)[:clips]}
    with Filter(settings) as live, Filter(settings, live=False) as alone:
        for number in range(clips):
            of_set, turn = divmod(number, len(motions))
            kind, motion = motions[turn]
            watch(number / clips, kind)
            person, room = people[of_set % len(people)], load_image(chosen[of_set])
            clip = composite_clip(*person, room, motion, frames, np.random.default_rng((seed, number)))
            table[kind].append(clip_scores(clip, alone, live))
    kinds = {**table, "all": [row for rows in table.values() for row in rows]}
    return {kind: compare(rows) for kind, rows in kinds.items()}


def find_rooms(folder: Path) -> list[Path]:
    """Return the pictures of a folder, sorted.

    Raises:
        UserError: there is none.
    """
    rooms = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not rooms:
        raise UserError(f"There are no pictures in {folder}.", "Give a folder of rooms without people.", "rooms")
    return rooms


def standing_free(pairs: list[Pair], rng: np.random.Generator) -> Iterator[tuple[Image, Matte]]:
    """Yield portraits of people who stand free, with their mattes, in random order.

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


def clip_scores(clip: Iterator[tuple[Frame, Matte]], alone: Filter, live: Filter) -> tuple[Scores, Scores]:
    """Return the scores of both filters on a clip.

    Args:
        clip: frames and true mattes; alone: filters each frame alone; live: smooths over time.
    """
    found, truth = list[tuple[Matte, Matte]](), list[Matte]()
    for frame, true in clip:
        found.append((alone.matte(frame), live.matte(frame)))
        truth.append(true)
    per_frame, smoothed = zip(*found, strict=True)
    return sequence_scores(per_frame, truth), sequence_scores(smoothed, truth)


def sequence_scores(found: Sequence[Matte], truth: Sequence[Matte]) -> Scores:
    """Return the mean scores of mattes against true ones, and their dtSSD."""
    scores = mean_scores([picture_scores(*pair) for pair in zip(truth, found, strict=True)])
    return {**scores, "dtssd": dtssd(found, truth)}


def compare(rows: list[tuple[Scores, Scores]]) -> dict[str, Scores]:
    """Return the mean scores of both filters, and the second as a share of the first."""
    per_frame, smoothed = (mean_scores(list(side)) for side in zip(*rows, strict=True))
    ratio = {key: round(smoothed[key] / value, 4) if value else 1.0 for key, value in per_frame.items()}
    return {"per_frame": per_frame, "steadied": smoothed, "ratio": ratio}
