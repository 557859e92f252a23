"""k-means segmentation, after the paper that the product descends from."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import fit, input_size
from livestyle.image.types import Image, Matte, Segmenter, size_of
from livestyle.nets.engine import Engine
from livestyle.types import Size

# Of kmeans, tuned on 150 training portraits.
COLOR = (0.67, 2.6, 2.6)  # weights of L, a and b
FAR = 0.44  # weight of the distance from where the person is expected
EXPECTED = 1.36  # the distance within which that is
ROUNDS = 20
VOTERS = 7  # side of the square whose majority decides
HOLE = 0.05  # share of the picture below which a hole is filled


def kmeans(_: Path | None, engine: Engine, kept: list[int]) -> Segmenter:
    """Two clusters (Lloyd 1982) over colour in Lab and the distance from where a portrait's person is expected.

    The start is that expectation and nothing is drawn at random. A vote among neighbours and the largest piece,
    its small holes filled, clean up. What resembles the person in colour and lies beside them stays with them.
    """

    def segment(image: Image) -> Matte:
        small = fit(image, input_size(size_of(image), 160 * 120, 1))
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / np.float32(255)
        far = distance_from_portrait(size_of(small))
        features = np.dstack([lab * np.array(COLOR, np.float32), far * np.float32(FAR)]).reshape(-1, 4)
        start = (far < EXPECTED).astype(np.int32).reshape(-1, 1)
        criteria = (cv2.TERM_CRITERIA_COUNT, ROUNDS, 0.0)
        _, labels, _ = cv2.kmeans(features, 2, start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        return cleaned(nearer_cluster(np.asarray(labels).reshape(far.shape) == 1, far)).astype(np.float32)

    return segment


def distance_from_portrait(size: Size) -> Matte:
    """Of each pixel from where a portrait has its person: 0 on the axis below, about 1 where the person may end."""
    width, height = size
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width) + 0.5) / width
    aside = np.abs(2 * x - 1) / (0.55 + 0.16 * y * y)  # shoulders are wider than a head
    return np.asarray(np.hypot(aside, np.maximum(0, 0.63 - y) / 0.5), np.float32)


def nearer_cluster(mask: NDArray[np.bool_], far: Matte) -> NDArray[np.bool_]:
    """The mask, or what it leaves out, whichever lies nearer to where the person is expected."""
    if mask.all() or not mask.any():
        return mask
    return mask if far[mask].mean() <= far[~mask].mean() else ~mask


def cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The majority among neighbours, then the largest piece with its small holes filled."""
    votes = cv2.boxFilter(mask.astype(np.float32), -1, (VOTERS, VOTERS)) > 0.5
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(votes.astype(np.uint8))
    piece = pieces == 1 + facts[1:, cv2.CC_STAT_AREA].argmax() if count > 1 else votes
    _, gaps, facts, _ = cv2.connectedComponentsWithStats((~piece).astype(np.uint8))
    small = facts[:, cv2.CC_STAT_AREA] < HOLE * mask.size
    small[0] = False  # the piece itself
    return np.asarray(piece | small[gaps], np.bool_)
