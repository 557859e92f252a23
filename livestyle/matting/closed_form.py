"""Closed-form matting of stills (Levin et al. 2008): hair as it is, from a matte that only knows about where it is.

The matte's soft rim, widened, is the trimap's unknown band. There alpha is solved by pymatting, an optional extra, at
no more than PIXELS pixels around the band, and enlarged by a guided filter along the picture's own edges.
"""

import os
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError, has_package
from livestyle.image.box import bounds, grown
from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of

Trimap = NDArray[np.float64]  # (H, W), 0 is background, 1 is person, 0.5 is unknown

PIXELS = 1_000_000
SURE = 0.05  # mattes this near to 0 and 1 are known, away from the rim
INNER = 0.004  # of the mean side: by how much the matte's soft rim is widened into the person
RIM, HAIR = 0.01, 0.035  # and out of it, for the outline and for hair
THIN = 0.004  # of the mean side: the radius that no hair has
HAZE = 0.03  # alphas this near to 0 and 1 are exactly those
ROOM = 0.02  # of the sides: around what is solved
EPSILON = 1e-5  # of the matting Laplacian, of colours in 0..1
RESIDUAL = 1e-5  # of the solver, relative
SHIFTS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # of the preconditioner's diagonal, tried in turn
FILL = 120  # the preconditioner's entries for each unknown pixel, at most
WINDOW, CONTRAST = 3, 1e-2  # of the guided filter: pixels of the solved picture; of colours in 0..1


def need_pymatting() -> None:
    """Raises UserError where the extra is missing."""
    if not has_package("pymatting"):
        raise UserError(
            "The refinement 'matting' needs the package pymatting.", "Run: pip install 'livestyle[matting]'"
        )


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
    """The matte with its rim solved for; elsewhere 0 or 1.

    Twice: in a narrow band, where outlines come out clean, and in a wide one, which reaches as far as hair does but
    leaves haze where person and background are alike. Of the second only what is as thin as hair is added.

    Args:
        matte: of any size, with a soft rim; image: the picture that it belongs to.
    """
    rough = fit_matte(matte, size_of(image))
    known = trimap(rough, HAIR)
    band = bounds(np.asarray(known == 0.5, np.float32), size_of(image))
    if band is None:
        return rough
    box = grown(band, size_of(image), ROOM)
    part = np.ascontiguousarray(box.of(image))
    small = at_most(size_of(part), PIXELS)
    solved = with_hair(fit(part, small), np.asarray(cv2.resize(box.of(rough), small), np.float32), sum(small) / 2)
    if small != size_of(part):
        solved = enlarged(solved, part)
    result = np.where(known == 0.5, rough, known).astype(np.float32)
    box.of(result)[:] = np.where(box.of(known) == 0.5, solved, box.of(result))
    return result


def with_hair(image: Image, rough: Matte, side: float) -> Matte:
    """Clean outlines, and hair beyond them."""
    outline, reach = (closed_form(image, trimap(rough, width), rough) for width in (RIM, HAIR))
    broad = cv2.morphologyEx(reach, cv2.MORPH_OPEN, ellipse(THIN * side))
    alpha = np.maximum(outline, reach - broad)
    return np.asarray(np.clip((alpha - HAZE) / (1 - 2 * HAZE), 0, 1), np.float32)


def trimap(matte: Matte, width: float) -> Trimap:
    """What is known of a matte, its soft rim widened outward by a share of the mean side."""
    side = sum(matte.shape) / 2
    person = cv2.erode((matte > 1 - SURE).astype(np.uint8), ellipse(INNER * side))
    scene = cv2.erode((matte < SURE).astype(np.uint8), ellipse(width * side))
    return np.where(person > 0, 1.0, np.where(scene > 0, 0.0, 0.5))


def ellipse(radius: float) -> NDArray[np.uint8]:
    """The pixels within a radius."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def closed_form(image: Image, known: Trimap, rough: Matte) -> Matte:
    """Alpha, float32 in 0..1; `rough` where there is no person or no background to go by, or no solution."""
    estimate_alpha_cf, ichol = import_pymatting("estimate_alpha_cf", "ichol")

    if not ((known == 1).any() and (known == 0).any()):
        return rough
    fill = FILL * int((known == 0.5).sum()) + 1000
    try:
        with redirect_stdout(StringIO()):  # it prints of the shifts that did not do
            alpha = estimate_alpha_cf(
                image / 255.0, known, partial(ichol, shifts=SHIFTS, max_nnz=fill),
                {"epsilon": EPSILON}, {"rtol": RESIDUAL},
            )  # fmt: skip
    except ValueError:
        return rough
    return np.asarray(alpha, np.float32)


def enlarged(alpha: Matte, image: Image) -> Matte:
    """At the image's size, along its edges (He et al. 2013)."""
    radius = round(WINDOW * image.shape[0] / alpha.shape[0])
    guide = image.astype(np.float32) / np.float32(255)
    large = cv2.resize(alpha, size_of(image), interpolation=cv2.INTER_CUBIC)
    scale = max(0.1, alpha.shape[0] / image.shape[0])
    return np.clip(cv2.ximgproc.guidedFilter(guide, large, radius, CONTRAST, scale=scale), 0, 1).astype(np.float32)


def foreground(image: Image, matte: Matte) -> Image:
    """The person's own colours where the matte is soft (multi-level, Germer et al. 2021)."""
    (estimate_foreground_ml,) = import_pymatting("estimate_foreground_ml")

    colors = estimate_foreground_ml(image / 255.0, matte.astype(np.float64))
    soft = ((matte > 0) & (matte < 1))[..., None]
    return np.where(soft, np.asarray(np.clip(colors, 0, 1) * 255 + 0.5, np.uint8), image)
