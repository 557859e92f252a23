"""A fully connected CRF that moves a coarse matte's edge to the picture's (Kraehenbuehl and Koltun 2011).

Every pixel is connected to every other one, more strongly the nearer they are in place and colour. For the two classes
person and background, the mean field of one pixel is a single log-odds:

    log-odds_i = unary_i + sum over kernels m of w_m * sum_j k_m(i, j) * (2 Q_j - 1)

Exact are the Potts model, the parallel mean-field updates, and the smoothness kernel. That kernel is a Gaussian of the
place, cut off where it has faded. The appearance kernel, a Gaussian of place and colour, is approximated by a bilateral
grid (Paris and Durand 2006). The grid has one cell per standard deviation, in place of the permutohedral lattice. The
picture is reduced to at most MAX_PIXELS pixels. Both kernels are normalised symmetrically and keep a pixel's message to
itself, as the authors' own program does.
"""

from collections.abc import Callable
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

KernelSum = Callable[[Matte], Matte]  # sums the values of all pixels, each weighted by a kernel

MAX_PIXELS = 400 * 300
ITERATIONS = 5
APPEARANCE_WEIGHT = 1.0
APPEARANCE_DISTANCE_SHARE = 0.06  # standard deviation as a share of the longer side
APPEARANCE_COLOR_LEVELS = 13.0  # standard deviation in levels of 255
SMOOTHNESS_WEIGHT = 1.0
SMOOTHNESS_DISTANCE_SHARE = 0.006  # standard deviation as a share of the longer side
MIN_PROBABILITY = 0.02  # of either class, by the coarse matte


def mean_field(matte: Matte, image: Image) -> Matte:
    """Refine a matte by a few iterations of mean field.

    Args:
        matte: float32 in 0..1 of any size.
        image: the picture that it belongs to, uint8 (H, W, 3) of any size.

    Returns:
        The matte, float32 in 0..1, at the image's size or at MAX_PIXELS pixels for a larger one.
    """
    small = fit(image, at_most(size_of(image), MAX_PIXELS))
    sure = np.clip(fit_matte(matte, size_of(small)), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    unary = np.log(sure / (1 - sure))
    kernels = [
        (APPEARANCE_WEIGHT, normalised(appearance(small), sure)),
        (SMOOTHNESS_WEIGHT, normalised(smoothness(small), sure)),
    ]
    chance = sure
    for _ in range(ITERATIONS):
        odds = unary + sum(weight * kernel(2 * chance - 1) for weight, kernel in kernels)
        chance = np.asarray(1 / (1 + np.exp(-odds)), np.float32)
    return chance


def normalised(kernel: KernelSum, like: Matte) -> KernelSum:
    """Return a kernel scaled so that each pixel's weights sum to about 1 (Kraehenbuehl and Koltun 2013).

    It stays symmetric.
    """
    scale = 1 / np.sqrt(np.maximum(kernel(np.ones_like(like)), 1e-6))
    return lambda values: np.asarray(scale * kernel(np.asarray(scale * values, np.float32)), np.float32)


def smoothness(image: Image) -> KernelSum:
    """Return the Gaussian of the distance in place."""
    sigma = max(0.5, SMOOTHNESS_DISTANCE_SHARE * max(size_of(image)))
    return lambda values: np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT))


def appearance(image: Image) -> KernelSum:
    """Return the Gaussian of the distance in place and colour, by a grid of five dimensions: splat, blur, slice."""
    places, shares, shape = corners(image)
    flat, cells = places.ravel(), int(np.prod(shape))

    def apply(values: Matte) -> Matte:
        splat = np.bincount(flat, (shares * values.ravel()).ravel(), cells).astype(np.float32).reshape(shape)
        grid = blurred(splat).ravel()
        return np.asarray((grid[places] * shares).sum(0), np.float32).reshape(values.shape)

    return apply


def corners(image: Image) -> tuple[NDArray[np.intp], NDArray[np.float32], tuple[int, ...]]:
    """Return the 32 cells of the grid around each pixel.

    Returns:
        The flat indices of the cells, (32, N), their multilinear shares, (32, N), and the shape of the grid.
    """
    height, width = image.shape[:2]
    step = max(1.0, APPEARANCE_DISTANCE_SHARE * max(height, width))
    place = np.indices((height, width), np.float32).reshape(2, -1) / np.float32(step)
    features = np.concatenate([place, image.reshape(-1, 3).T / np.float32(APPEARANCE_COLOR_LEVELS)])
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
    """Convolve with (1 2 1) / 4 along each dimension.

    With the splat and the slice this is nearly a Gaussian of one cell. The rim of the grid is empty.
    """
    for axis in range(grid.ndim):
        lines = np.moveaxis(grid, axis, 0)
        result = np.zeros_like(lines)
        result[1:-1] = (lines[:-2] + lines[2:]) / 4 + lines[1:-1] / 2
        grid = np.moveaxis(result, 0, axis)
    return grid
