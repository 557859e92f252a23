"""Segmentation by k-means clustering (Lloyd 1982), without training."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import fit, input_size
from livestyle.image.types import Image, Matte, Segmenter, size_of
from livestyle.nets.engine import Engine
from livestyle.types import Size

# Tuned on 150 training portraits.
LAB_WEIGHTS = (0.67, 2.6, 2.6)
DISTANCE_WEIGHT = 0.44  # of the distance from where the person is expected
START_DISTANCE = 1.36  # within which the person is at the start
MAX_ITERATIONS = 20
PIXELS = 160 * 120  # that are clustered
VOTE_SIDE_PX = 7  # of the square whose majority decides
MAX_HOLE_SHARE = 0.05  # of the picture, below which a hole is filled


def kmeans(_: Path | None, engine: Engine, kept: list[int]) -> Segmenter:
    """Return a segmenter by two clusters over Lab colour and the distance from where a person is expected.

    The start is that expectation, and nothing is random. A vote among neighbours cleans up. Only the largest piece
    stays, with its small holes filled. What is beside the person and of a similar colour stays with the person.

    Args:
        _, engine, kept: not used; every segmenter takes them.
    """

    def segment(image: Image) -> Matte:
        small = fit(image, input_size(size_of(image), PIXELS, 1))
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32) / np.float32(255)
        far = distance_from_portrait(size_of(small))
        weighted = lab * np.array(LAB_WEIGHTS, np.float32), far * np.float32(DISTANCE_WEIGHT)
        features = np.dstack(weighted).reshape(-1, 4)
        start = (far < START_DISTANCE).astype(np.int32).reshape(-1, 1)
        criteria = (cv2.TERM_CRITERIA_COUNT, MAX_ITERATIONS, 0.0)
        _, labels, _ = cv2.kmeans(features, 2, start, criteria, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        return cleaned(nearer_cluster(np.asarray(labels).reshape(far.shape) == 1, far)).astype(np.float32)

    return segment


def distance_from_portrait(size: Size) -> Matte:
    """Return each pixel's distance from where a portrait has its person, float32 (H, W).

    It is 0 on the lower part of the vertical axis, and about 1 where the person may end.
    """
    width, height = size
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width) + 0.5) / width
    aside = np.abs(2 * x - 1) / (0.55 + 0.16 * y * y)  # shoulders are wider than a head
    return np.asarray(np.hypot(aside, np.maximum(0, 0.63 - y) / 0.5), np.float32)


def nearer_cluster(mask: NDArray[np.bool_], far: Matte) -> NDArray[np.bool_]:
    """Return a mask or its complement, whichever is nearer to where the person is expected."""
    if mask.all() or not mask.any():
        return mask
    return mask if far[mask].mean() <= far[~mask].mean() else ~mask


def cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the majority among neighbours, then only the largest piece with its small holes filled."""
    votes = cv2.boxFilter(mask.astype(np.float32), -1, (VOTE_SIDE_PX, VOTE_SIDE_PX)) > 0.5
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(votes.astype(np.uint8))
    piece = pieces == 1 + facts[1:, cv2.CC_STAT_AREA].argmax() if count > 1 else votes
    _, gaps, facts, _ = cv2.connectedComponentsWithStats((~piece).astype(np.uint8))
    small = facts[:, cv2.CC_STAT_AREA] < MAX_HOLE_SHARE * mask.size
    small[0] = False  # the piece itself
    return np.asarray(piece | small[gaps], np.bool_)
