"""Ways to blend a person into a picture: as they are, with the surroundings' colours, or seamlessly."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte, plane_colors
from livestyle.image.types import Colors, Image, Matte, size_of

Blend = Callable[[Image, Matte, Image, Image], Image]  # takes person, matte, scene and before, as `alpha` does

MATCH_SHARES = {"brightness": 0.25, "colour": 0.4, "contrast": 0.5}  # of the difference that harmonize makes up for
MAX_SHIFT_LEVELS = {"brightness": 22.0, "colour": 16.0}  # levels of Lab in 0..255
GAIN_RANGE = 0.75, 1.25  # of the contrast
STATISTICS_PIXELS = 200 * 200
SURROUNDINGS_SHARE = 1 / 6  # of the height: how far surroundings reach
SEAM_PIXELS = 96 * 96  # at which a seam is solved: it is smooth
ITERATIONS = 60  # at each of the sizes, coarse to fine
SEAM_DEPTH_SHARE = 0.12  # of the height: how far into the person a seam reaches
MAX_SEAM_LEVELS = 60.0  # of 255: the most that a seam changes


def alpha(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """Return the person as they are.

    Args:
        person: the person in place, uint8 (H, W, 3).
        matte: float32 (H, W), 1 is person.
        scene: the picture that the person is put into, uint8 (H, W, 3).
        before: the person's own old surroundings in place, uint8 (H, W, 3).

    Returns:
        The person with new colours, uint8 (H, W, 3).
    """
    return person


def harmonize(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """Bring mean and deviation of the person's colours nearer to those around, in Lab (Reinhard et al. 2001).

    Args:
        person, matte, scene, before: as of `alpha`.
    """
    size = at_most(size_of(matte), STATISTICS_PIXELS)
    mask = fit_matte(matte, size)
    reach = max(3, round(2 * SURROUNDINGS_SHARE * size[1])) | 1
    near = np.asarray(cv2.blur(mask, (reach, reach)) * (1 - mask), np.float32)
    (mine, my_spread), (theirs, their_spread) = (
        statistics(cv2.cvtColor(fit(image, size), cv2.COLOR_RGB2LAB), weight)
        for image, weight in ((person, mask), (scene, near))
    )
    shift = [damped(theirs[0] - mine[0], "brightness"), *(damped(d, "colour") for d in theirs[1:] - mine[1:])]
    gain = np.clip((their_spread[0] / max(my_spread[0], 1.0)) ** MATCH_SHARES["contrast"], *GAIN_RANGE), 1.0, 1.0
    curves = (np.arange(256)[:, None] - mine) * gain + mine + shift
    lab = cv2.cvtColor(person, cv2.COLOR_RGB2LAB)
    moved = cv2.LUT(lab, np.clip(curves + 0.5, 0, 255).astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), np.uint8)


def damped(difference: float, kind: str) -> float:
    """Return a share of a difference in levels, within a bound that it approaches smoothly."""
    return MAX_SHIFT_LEVELS[kind] * float(np.tanh(MATCH_SHARES[kind] * difference / MAX_SHIFT_LEVELS[kind]))


def statistics(colors: NDArray[np.generic], weight: Matte) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted mean and standard deviation of each channel, (3,) each.

    Args:
        colors: (H, W, 3); weight: float32 (H, W).
    """
    flat, shares = colors.reshape(-1, 3).astype(np.float64), weight.reshape(-1).astype(np.float64) + 1e-9
    mean = np.average(flat, 0, shares)
    return mean, np.sqrt(np.average((flat - mean) ** 2, 0, shares))


def poisson(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """Keep the person's gradients in the scene, so that no change of light marks the outline (Perez et al. 2003).

    What is added to the person is harmonic. At the outline it is the difference between the new surroundings and the
    old ones. It fades with the distance from the outline (screened, Bhat et al. 2008), so that a face keeps its own
    colours. The soft matte then blends as usual.

    Args:
        person, matte, scene, before: as of `alpha`.
    """
    size = at_most(size_of(matte), SEAM_PIXELS)
    small = np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_AREA), np.float32)
    outside = 1 - small
    sigma = max(1.0, 0.03 * size[1])
    old, new = (plane_colors(downscale(image, size), outside, sigma)[0] for image in (before, scene))
    known = np.clip(new - old, -MAX_SEAM_LEVELS, MAX_SEAM_LEVELS)
    added = harmonic(known, small, 1 / max(1.0, SEAM_DEPTH_SHARE * size[1]) ** 2)
    full = cv2.resize(added, size_of(person), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(person + full + 0.5, 0, 255), np.uint8)


def downscale(image: Image, size: tuple[int, int]) -> Colors:
    """Return a picture at a smaller size as float32."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def harmonic(known: Colors, inside: Matte, fading: float) -> Colors:
    """Solve laplace(u) = fading * u inside, with u = known outside, by relaxation from coarse to fine.

    Args:
        known: float32 (H, W, 3); inside: float32 (H, W), 1 inside.
        fading: per pixel squared.
    """
    h, w = inside.shape
    if min(h, w) > 12:
        half = (w + 1) // 2, (h + 1) // 2
        coarse = harmonic(np.asarray(cv2.resize(known, half), np.float32), fit_matte(inside, half), 4 * fading)
        start = cv2.resize(coarse, (w, h))
    else:
        start = np.zeros_like(known)
    hold = np.clip(2 * (1 - inside), 0, 1)[..., None]
    found = hold * known + (1 - hold) * start
    for _ in range(ITERATIONS):
        around = cv2.blur(found, (3, 3), borderType=cv2.BORDER_REPLICATE)  # off by a third of the Laplacian
        found = hold * known + (1 - hold) * around / (1 + fading / 3)
    return np.asarray(found, np.float32)


# By name.
BLENDS: dict[str, Blend] = {"alpha": alpha, "poisson": poisson, "harmonize": harmonize}
