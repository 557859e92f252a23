"""Move a matte's edge to the picture's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.names import unknown
from livestyle.errors import UserError
from livestyle.image.pixels import fast_foreground, fit, fit_matte
from livestyle.image.types import Gray, Image, Matte, size_of
from livestyle.matting.closed_form import multilevel_foreground, need_pymatting, solve_matte
from livestyle.matting.crf import mean_field

Sharpen = Callable[[Matte, Image], Matte]
RADIUS_SHARE = 0.01  # radius of the guided filter's window, as a share of the matte's short side
EPSILON = 3e-3  # contrast (variance of grey in 0..1) above which the guided filter takes an edge for one
CERTAIN_MARGIN = 0.2  # mattes this near to 0 and 1 are set to exactly those


@dataclass(frozen=True)
class Refinement:
    """What moves a matte's edge besides the guided filter: a row of REFINEMENTS.

    Args:
        before: sharpens the segmenter's matte, before the guided filter.
        after: sharpens the result of the guided filter.
        foreground: takes an image and its matte, and returns the image with the person's own colours where the matte is
            soft.
        check: raises UserError if something is missing.
    """

    before: Sharpen | None = None
    after: Sharpen | None = None
    foreground: Callable[[Image, Matte], Image] = fast_foreground
    check: Callable[[], None] = lambda: None

    @property
    def is_for_stills(self) -> bool:
        """Whether it is for stills only, because what sharpens a matte has no memory over time."""
        return bool(self.before or self.after)


GUIDED = Refinement()
REFINEMENTS: dict[str, Refinement] = {  # by the names that the setting `refine` takes
    "guided": GUIDED,
    "crf": Refinement(before=mean_field),
    "matting": Refinement(after=solve_matte, foreground=multilevel_foreground, check=need_pymatting),
}


def find_refinement(name: str, live: bool) -> Refinement:
    """Return the row of REFINEMENTS that a name stands for.

    Args:
        name: as the setting `refine` gives it.
        live: whether frames follow one another.

    Raises:
        UserError: the name is unknown, a package is missing, or the refinement is too slow for moving pictures.
    """
    if name not in REFINEMENTS:
        raise unknown("refinement", name, REFINEMENTS, field="refine")
    if live and REFINEMENTS[name].is_for_stills:
        raise UserError(f"The refinement '{name}' is for stills only.", "Leave it away for moving pictures.", "refine")
    REFINEMENTS[name].check()
    return REFINEMENTS[name]


def refine(matte: Matte, gray: Gray, small: Gray | None = None, epsilon: float = EPSILON) -> Matte:
    """Enlarge a matte, and move its edge to the picture's (fast guided filter, He and Sun 2015).

    Args:
        matte: float32 (h, w) in 0..1, of any smaller size.
        gray: the picture that it belongs to, uint8 (H, W).
        small: the same picture at the matte's size, if it is known.
        epsilon: contrast (variance of grey in 0..1) above which an edge of the picture is one of the matte.

    Returns:
        The matte, float32 (H, W) in 0..1.
    """
    small = fit(gray, size_of(matte)) if small is None else small
    radius = max(1, round(RADIUS_SHARE * min(matte.shape)))

    def mean(values: NDArray[Any]) -> Matte:  # integers are summed twice as fast as floats
        return np.asarray(cv2.boxFilter(values, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1)), np.float32)

    mean_gray, mean_matte = mean(small), mean(matte)
    slope: Matte = mean(small * matte) - mean_gray * mean_matte
    slope /= mean(np.multiply(small, small, dtype=np.uint16)) - mean_gray * mean_gray + np.float32(epsilon * 255**2)
    offset = mean_matte - slope * mean_gray
    # The full size is expensive: the result is scaled and shifted here, where it is small.
    gain = np.float32(1 / (1 - 2 * CERTAIN_MARGIN))
    slope, offset = mean(slope) * gain, np.asarray((mean(offset) - np.float32(CERTAIN_MARGIN)) * gain, np.float32)
    full = gray.astype(np.float32)
    full *= fit_matte(slope, size_of(gray))
    full += fit_matte(offset, size_of(gray))
    return np.asarray(np.clip(full, 0, 1, out=full), np.float32)
