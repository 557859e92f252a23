"""Ways to set a person into a picture: plainly, with the surroundings' colours, or seamlessly."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.image.pixels import at_most, fit, fit_matte, plane_colors
from livestyle.image.types import Colors, Image, Matte, size_of

Blend = Callable[[Image, Matte, Image, Image], Image]

SHARE = {"brightness": 0.25, "colour": 0.4, "contrast": 0.5}  # of the difference that harmonize makes up for
MOST = {"brightness": 22.0, "colour": 16.0}  # levels of Lab in 0..255
CONTRAST = 0.75, 1.25  # the least and the most gain
STATISTICS = 200 * 200  # pixels that they are taken of
AROUND = 1 / 6  # of the height: how far surroundings reach
SEAM = 96 * 96  # pixels at which a seam is solved: it is smooth
ROUNDS = 60  # at each of the sizes, coarse to fine
DEPTH = 0.12  # of the height: how far into the person a seam reaches
DEEPEST = 60.0  # levels of 255: the most that it changes


def alpha(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """As it is.

    Args:
        person, matte, scene: of one size, the person already in place; before: the person's own old surroundings,
            in place too.
    """
    return person


def harmonize(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """Mean and spread of the person's colours brought nearer to those around it, in Lab (Reinhard et al. 2001)."""
    size = at_most(size_of(matte), STATISTICS)
    mask = fit_matte(matte, size)
    reach = max(3, round(2 * AROUND * size[1])) | 1
    near = np.asarray(cv2.blur(mask, (reach, reach)) * (1 - mask), np.float32)
    (mine, my_spread), (theirs, their_spread) = (
        statistics(cv2.cvtColor(fit(image, size), cv2.COLOR_RGB2LAB), weight)
        for image, weight in ((person, mask), (scene, near))
    )
    shift = [bounded(theirs[0] - mine[0], "brightness"), *(bounded(d, "colour") for d in theirs[1:] - mine[1:])]
    gain = np.clip((their_spread[0] / max(my_spread[0], 1.0)) ** SHARE["contrast"], *CONTRAST), 1.0, 1.0
    curves = (np.arange(256)[:, None] - mine) * gain + mine + shift
    lab = cv2.cvtColor(person, cv2.COLOR_RGB2LAB)
    moved = cv2.LUT(lab, np.clip(curves + 0.5, 0, 255).astype(np.uint8)[None])
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB), np.uint8)


def bounded(difference: float, kind: str) -> float:
    """The share of a difference that is made up for, within a bound that it nears smoothly."""
    return MOST[kind] * float(np.tanh(SHARE[kind] * difference / MOST[kind]))


def statistics(colors: NDArray[np.generic], weight: Matte) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation of each channel."""
    flat, shares = colors.reshape(-1, 3).astype(np.float64), weight.reshape(-1).astype(np.float64) + 1e-9
    mean = np.average(flat, 0, shares)
    return mean, np.sqrt(np.average((flat - mean) ** 2, 0, shares))


def poisson(person: Image, matte: Matte, scene: Image, before: Image) -> Image:
    """The person's gradients in the scene (Perez et al. 2003), so that no change of light marks the outline.

    What is added to the person is as smooth as can be (harmonic) and, at its outline, the difference of the new
    surroundings and the old ones. It fades with the distance from the outline (screened, Bhat et al. 2008): a face
    keeps its own colours. The soft matte then blends as ever, and hair is no hard mask.
    """
    size = at_most(size_of(matte), SEAM)
    small = np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_AREA), np.float32)
    outside = 1 - small
    sigma = max(1.0, 0.03 * size[1])
    old, new = (plane_colors(shrunk(image, size), outside, sigma)[0] for image in (before, scene))
    known = np.clip(new - old, -DEEPEST, DEEPEST)
    added = harmonic(known, small, 1 / max(1.0, DEPTH * size[1]) ** 2)
    full = cv2.resize(added, size_of(person), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(person + full + 0.5, 0, 255), np.uint8)


def shrunk(image: Image, size: tuple[int, int]) -> Colors:
    """At a smaller size."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)


def harmonic(known: Colors, inside: Matte, fading: float) -> Colors:
    """The solution of laplace(u) = fading u inside, `known` outside; by relaxation, coarse to fine."""
    h, w = inside.shape
    if min(h, w) > 12:
        half = (w + 1) // 2, (h + 1) // 2
        coarse = harmonic(np.asarray(cv2.resize(known, half), np.float32), fit_matte(inside, half), 4 * fading)
        start = cv2.resize(coarse, (w, h))
    else:
        start = np.zeros_like(known)
    hold = np.clip(2 * (1 - inside), 0, 1)[..., None]
    found = hold * known + (1 - hold) * start
    for _ in range(ROUNDS):
        around = cv2.blur(found, (3, 3), borderType=cv2.BORDER_REPLICATE)  # off by a third of the Laplacian
        found = hold * known + (1 - hold) * around / (1 + fading / 3)
    return np.asarray(found, np.float32)


BLENDS: dict[str, Blend] = {"alpha": alpha, "poisson": poisson, "harmonize": harmonize}
