"""A fully connected CRF that draws a coarse matte's edge along the picture's (Kraehenbuehl and Koltun 2011).

Every pixel is tied to every other, the more so the nearer they are in place and colour. For the two classes person and
background the mean field of one pixel is a single log-odds:

    log-odds_i = unary_i + sum over kernels m of w_m * sum_j k_m(i, j) * (2 Q_j - 1)

Exact: the Potts model, the parallel mean-field updates, and the smoothness kernel (a Gaussian of the place, cut off
where it has faded). Approximated: the appearance kernel, a Gaussian of place and colour, by a bilateral grid (Paris and
Durand 2006) of one cell per standard deviation in place of the permutohedral lattice; the picture, by one of at most
PIXELS pixels. Both kernels are normalised symmetrically, and keep a pixel's message to itself, as the authors' own
program does.
"""

from collections.abc import Callable
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

Filter = Callable[[Matte], Matte]  # sums over all pixels, each weighted by a kernel

PIXELS = 400 * 300
ROUNDS = 5
APPEARANCE, PLACE, COLOR = 1.0, 0.06, 13.0  # weight; standard deviations: share of the longer side, levels of 255
SMOOTHNESS, NEAR = 1.0, 0.006  # weight; standard deviation as a share of the longer side
DOUBT = 0.02  # what is taken from the coarse matte's certainty


def mean_field(matte: Matte, image: Image) -> Matte:
    """The matte after a few rounds of mean field, at the image's size or, for a large one, at PIXELS pixels.

    Args:
        matte: float32 in 0..1 of any size.
        image: uint8 RGB of any size, the picture that the matte belongs to.
    """
    small = fit(image, at_most(size_of(image), PIXELS))
    sure = np.clip(fit_matte(matte, size_of(small)), DOUBT, 1 - DOUBT)
    unary = np.log(sure / (1 - sure))
    kernels = [(APPEARANCE, normalised(appearance(small), sure)), (SMOOTHNESS, normalised(smoothness(small), sure))]
    chance = sure
    for _ in range(ROUNDS):
        odds = unary + sum(weight * kernel(2 * chance - 1) for weight, kernel in kernels)
        chance = np.asarray(1 / (1 + np.exp(-odds)), np.float32)
    return chance


def normalised(kernel: Filter, like: Matte) -> Filter:
    """A kernel whose weights of each pixel sum to about 1, still symmetric (Kraehenbuehl and Koltun 2013)."""
    scale = 1 / np.sqrt(np.maximum(kernel(np.ones_like(like)), 1e-6))
    return lambda values: np.asarray(scale * kernel(np.asarray(scale * values, np.float32)), np.float32)


def smoothness(image: Image) -> Filter:
    """The Gaussian of the distance in place."""
    sigma = max(0.5, NEAR * max(size_of(image)))
    return lambda values: np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))


def appearance(image: Image) -> Filter:
    """The Gaussian of the distance in place and colour, in a grid of five dimensions: splat, blur, slice."""
    places, shares, shape = corners(image)
    flat, cells = places.ravel(), int(np.prod(shape))

    def apply(values: Matte) -> Matte:
        splat = np.bincount(flat, (shares * values.ravel()).ravel(), cells).astype(np.float32).reshape(shape)
        grid = blurred(splat).ravel()
        return np.asarray((grid[places] * shares).sum(0), np.float32).reshape(values.shape)

    return apply


def corners(image: Image) -> tuple[NDArray[np.intp], NDArray[np.float32], tuple[int, ...]]:
    """The grid's 32 cells around each pixel, (32, N), their multilinear shares, (32, N), and the grid's shape."""
    height, width = image.shape[:2]
    place = np.indices((height, width), np.float32).reshape(2, -1) / np.float32(max(1.0, PLACE * max(height, width)))
    features = np.concatenate([place, image.reshape(-1, 3).T / np.float32(COLOR)])
    features -= features.min(1, keepdims=True) - 1  # a rim of empty cells, for the blur
    low = np.floor(features).astype(np.intp)
    shape = tuple(int(top) for top in low.max(1) + 3)
    rest = features - low
    places, shares = [], []
    for corner in product((0, 1), repeat=5):
        offset = np.array(corner)[:, None]
        places.append(np.ravel_multi_index(tuple(low + offset), shape))
        shares.append(np.prod(np.where(offset, rest, 1 - rest), axis=0, dtype=np.float32))
    return np.stack(places), np.stack(shares), shape


def blurred(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 2 1)/4 along each dimension: with the splat and the slice nearly a Gaussian of one cell. The rim is empty."""
    for axis in range(grid.ndim):
        lines = np.moveaxis(grid, axis, 0)
        result = np.zeros_like(lines)
        result[1:-1] = (lines[:-2] + lines[2:]) / 4 + lines[1:-1] / 2
        grid = np.moveaxis(result, 0, axis)
    return grid
