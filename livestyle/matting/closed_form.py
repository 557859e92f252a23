"""Closed-form matting of stills (Levin et al. 2008): it finds hair that the segmenter's matte only hints at.

The matte's soft rim, widened, is the trimap's unknown band. There alpha is solved by pymatting, an optional extra. At
most MAX_SOLVED_PIXELS pixels around the band are solved. A guided filter then enlarges the result along the picture's
edges.
"""

import os
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError, has_package, pip_install
from livestyle.image.box import bounding_box, expanded
from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

Trimap = NDArray[np.float64]  # (H, W), 0 is background, 1 is person, 0.5 is unknown

MAX_SOLVED_PIXELS = 1_000_000
KNOWN_MARGIN = 0.05  # mattes this near to 0 and 1 are known, away from the rim
# Shares of the mean side:
INNER_BAND_SHARE = 0.004  # by which the soft rim is widened into the person
OUTLINE_BAND_SHARE = 0.01  # by which it is widened outward to find outlines
HAIR_BAND_SHARE = 0.035  # by which it is widened outward to find hair
HAIR_RADIUS_SHARE = 0.004  # radius that no hair has
MARGIN_SHARE = 0.02  # around what is solved, of the sides
HAZE_ALPHA = 0.03  # alphas this near to 0 and 1 are exactly those
LAPLACIAN_EPSILON = 1e-5  # of the matting Laplacian, of colours in 0..1
SOLVER_TOLERANCE = 1e-5  # relative residual
DIAGONAL_SHIFTS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # of the preconditioner, tried in turn
MAX_FILL_PER_PIXEL = 120  # entries of the preconditioner for each unknown pixel
GUIDE_RADIUS_PX = 3  # of the guided filter, in pixels of the solved picture
GUIDE_EPSILON = 1e-2  # of the guided filter, of colours in 0..1


def need_pymatting() -> None:
    """Check that pymatting is installed.

    Raises:
        UserError: the extra is missing.
    """
    if not has_package("pymatting"):
        raise UserError("The refinement 'matting' needs the package pymatting.", f"Run: {pip_install('matting')}")


def import_pymatting(*names: str) -> list[Any]:
    """Import functions of pymatting by name.

    Numba, which compiles them, reads its threading layer from the environment when it is imported. It would take TBB
    from OpenVINO's libraries, and wait for it forever when the process ends.
    """
    variable = "NUMBA_THREADING_LAYER"
    before = os.environ.get(variable)
    os.environ.setdefault(variable, "workqueue")
    try:
        import pymatting
    finally:
        if before is None:
            del os.environ[variable]
    return [getattr(pymatting, name) for name in names]


def solve_matte(matte: Matte, image: Image) -> Matte:
    """Solve for the soft rim of a matte; elsewhere the result is 0 or 1.

    Alpha is solved twice. In a narrow band outlines come out clean. A wide band reaches as far as hair does, but leaves
    haze where person and background are alike. Of the wide band only what is as thin as hair is added.

    Args:
        matte: float32 of any size, with a soft rim.
        image: the picture that it belongs to, uint8 (H, W, 3).

    Returns:
        The matte at the image's size, float32 (H, W) in 0..1.
    """
    rough = fit_matte(matte, size_of(image))
    known = trimap(rough, HAIR_BAND_SHARE)
    band = bounding_box(np.asarray(known == 0.5, np.float32), size_of(image))
    if band is None:
        return rough
    box = expanded(band, size_of(image), MARGIN_SHARE)
    part = np.ascontiguousarray(box.crop(image))
    small = at_most(size_of(part), MAX_SOLVED_PIXELS)
    solved = with_hair(fit(part, small), np.asarray(cv2.resize(box.crop(rough), small), np.float32), sum(small) / 2)
    if small != size_of(part):
        solved = upsample(solved, part)
    result = np.where(known == 0.5, rough, known).astype(np.float32)
    box.crop(result)[:] = np.where(box.crop(known) == 0.5, solved, box.crop(result))
    return result


def with_hair(image: Image, rough: Matte, side: float) -> Matte:
    """Return alpha with clean outlines, and hair beyond them.

    Args:
        image: uint8 (H, W, 3); rough: the segmenter's matte, float32 (H, W).
        side: mean of the sides in pixels.
    """
    widths = OUTLINE_BAND_SHARE, HAIR_BAND_SHARE
    outline, reach = (closed_form(image, trimap(rough, width), rough) for width in widths)
    broad = cv2.morphologyEx(reach, cv2.MORPH_OPEN, ellipse(HAIR_RADIUS_SHARE * side))
    alpha = np.maximum(outline, reach - broad)
    return np.asarray(np.clip((alpha - HAZE_ALPHA) / (1 - 2 * HAZE_ALPHA), 0, 1), np.float32)


def trimap(matte: Matte, width: float) -> Trimap:
    """Return what is known of a matte, with its soft rim widened outward by a share of the mean side."""
    side = sum(matte.shape) / 2
    person = cv2.erode((matte > 1 - KNOWN_MARGIN).astype(np.uint8), ellipse(INNER_BAND_SHARE * side))
    scene = cv2.erode((matte < KNOWN_MARGIN).astype(np.uint8), ellipse(width * side))
    return np.where(person > 0, 1.0, np.where(scene > 0, 0.0, 0.5))


def ellipse(radius: float) -> NDArray[np.uint8]:
    """Return a mask of the pixels within a radius in pixels."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def closed_form(image: Image, known: Trimap, rough: Matte) -> Matte:
    """Return alpha, float32 (H, W) in 0..1.

    Without known person, known background or a solution, it is `rough`.
    """
    estimate_alpha_cf, ichol = import_pymatting("estimate_alpha_cf", "ichol")

    if not ((known == 1).any() and (known == 0).any()):
        return rough
    fill = MAX_FILL_PER_PIXEL * int((known == 0.5).sum()) + 1000
    try:
        with redirect_stdout(StringIO()):  # it prints the shifts that failed
            alpha = estimate_alpha_cf(
                image / 255.0, known, partial(ichol, shifts=DIAGONAL_SHIFTS, max_nnz=fill),
                {"epsilon": LAPLACIAN_EPSILON}, {"rtol": SOLVER_TOLERANCE},
            )  # fmt: skip
    except ValueError:
        return rough
    return np.asarray(alpha, np.float32)


def upsample(alpha: Matte, image: Image) -> Matte:
    """Return alpha at the image's size, along the image's edges (guided filter, He et al. 2013)."""
    radius = round(GUIDE_RADIUS_PX * image.shape[0] / alpha.shape[0])
    guide = image.astype(np.float32) / np.float32(255)
    large = cv2.resize(alpha, size_of(image), interpolation=cv2.INTER_CUBIC)
    scale = max(0.1, alpha.shape[0] / image.shape[0])
    return np.clip(cv2.ximgproc.guidedFilter(guide, large, radius, GUIDE_EPSILON, scale=scale), 0, 1).astype(np.float32)


def multilevel_foreground(image: Image, matte: Matte) -> Image:
    """Return a picture with the person's own colours where the matte is soft (multi-level, Germer et al. 2021).

    Args:
        image: uint8 (H, W, 3); matte: float32 (H, W).
    """
    (estimate_foreground_ml,) = import_pymatting("estimate_foreground_ml")

    colors = estimate_foreground_ml(image / 255.0, matte.astype(np.float64))
    soft = ((matte > 0) & (matte < 1))[..., None]
    return np.where(soft, np.asarray(np.clip(colors, 0, 1) * 255 + 0.5, np.uint8), image)
