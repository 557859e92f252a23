"""Where a person stands in a painting: what the picture cuts, where there is room, how the edges end."""

from dataclasses import dataclass

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.image.box import Box, bounding_box
from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.types import Image, Matte, size_of
from livestyle.types import Size

MAX_HEIGHT, MAX_WIDTH = 0.72, 0.62  # of a person by default, as shares of the painting's sides
GROUND_HEIGHT = 0.95  # where feet stand, as a share of the painting's height
MIN_CUT_MATTE = 0.5  # matte at the picture's border from which the border cuts the person
LOW_CUT = 0.45  # share of the person's height; what a side cuts below is hidden under the painting's edge
SHOULDER_MARGIN = 0.1  # share of the height that stays visible there, and is faded
FADE_SHARE = 0.08  # length of a fade, as a share of the height
TRIED_PLACES = 25  # from left to right


@dataclass(frozen=True)
class Placement:
    """Where a person stands; None leaves a value open.

    From 0 to 1 the values are shares of the painting's sides, otherwise pixels.

    Args:
        x, y: left and top of the visible person; height: of the person.
    """

    x: float | None = None
    y: float | None = None
    height: float | None = None


ANYWHERE = Placement()


@dataclass(frozen=True)
class Cutout:
    """A person without the background.

    Args:
        image: uint8 (H, W, 3) RGB of the person's box.
        matte: float32 (H, W) in 0..1.
        before: the same box of the whole stylized picture.
        cut: those of "left", "right", "top", "bottom" where the picture's border cuts the person.
    """

    image: Image
    matte: Matte
    before: Image
    cut: frozenset[str]


def trim(styled: Image, matte: Matte, before: Image) -> Cutout:
    """Return the person's box. A part that a side of the picture cuts low on the person is left out."""
    size = size_of(matte)
    box = bounding_box(np.asarray(matte > 0.1, np.float32), size) or Box(0, 0, *size)
    cut = {"bottom"} if (matte[-1] > MIN_CUT_MATTE).any() else set[str]()
    if (matte[0] > MIN_CUT_MATTE).any():
        cut.add("top")
    tall = box.bottom - box.top
    for side, column in (("left", 0), ("right", -1)):
        rows = np.flatnonzero(matte[:, column] > MIN_CUT_MATTE)
        if not len(rows):
            continue
        cut.add(side)
        if "bottom" in cut and rows[0] > box.top + LOW_CUT * tall:
            box = box._replace(bottom=min(box.bottom, round(rows[0] + SHOULDER_MARGIN * tall)))
    image, alpha, old = (np.ascontiguousarray(box.crop(array)) for array in (styled, matte, before))
    return Cutout(image, alpha, old, frozenset(cut))


def place(cutout: Cutout, painting: Image, where: Placement) -> Box:
    """Return where the cutout goes. The box may reach beyond the painting.

    A person whom the picture cuts below stands at the painting's lower edge, others on its ground. A person cut at one
    side stands at that side. Open values are chosen so that the person hides little of the painting.

    Args:
        cutout: the person; painting: uint8 (H, W, 3) RGB; where: as asked.

    Raises:
        UserError: the whole box would be outside, or smaller than a pixel.
    """
    (width, height), (w, h) = size_of(painting), size_of(cutout.matte)
    tall = pixels_of(where.height, height) if where.height is not None else automatic_height(cutout, (width, height))
    if not 1 <= tall <= 20 * height:
        raise UserError(f"A height of {where.height:g} is not one.", "Give pixels, or a share of the painting's.")
    high, wide = round(tall), max(1, round(w * tall / h))
    foot = height if "bottom" in cutout.cut else round(GROUND_HEIGHT * height)
    top = round(pixels_of(where.y, height)) if where.y is not None else 0 if is_framed(cutout) else foot - high
    left = round(pixels_of(where.x, width)) if where.x is not None else None
    if left is None:
        left = emptiest(painting, fit_matte(cutout.matte, (wide, high)), top, cutout.cut)
    box = Box(left, top, left + wide, top + high)
    if not box.intersection(Box(0, 0, width, height)).area:
        raise UserError("There the person is outside of the painting.", f"It has {width}x{height} pixels.")
    return box


def pixels_of(number: float, side: int) -> float:
    """Return the pixels of a number that may be a share of a side."""
    return number * side if abs(number) <= 1 else number


def is_framed(cutout: Cutout) -> bool:
    """Return whether the picture cuts the person above and below, so that they fill the painting's height."""
    return {"top", "bottom"} <= cutout.cut


def automatic_height(cutout: Cutout, painting: Size) -> float:
    """Return a sensible height of the person, in pixels."""
    w, h = size_of(cutout.matte)
    if is_framed(cutout):
        return painting[1]
    share = 1.0 if {"left", "right"} <= cutout.cut else MAX_WIDTH
    return min(MAX_HEIGHT * painting[1], share * painting[0] * h / w)


def emptiest(painting: Image, matte: Matte, top: int, cut: frozenset[str]) -> int:
    """Return the left of the place, at this height, where a person hides the least saliency.

    Args:
        painting: uint8 (H, W, 3) RGB; matte: at the size shown; top: of the place; cut: as of `Cutout`.
    """
    (width, _), (wide, _) = size_of(painting), size_of(matte)
    sides = cut & {"left", "right"}
    if len(sides) == 1:
        return 0 if "left" in sides else width - wide
    if wide >= width or sides:
        return (width - wide) // 2
    weights = saliency(painting)
    factor = weights.shape[0] / painting.shape[0]
    small = fit_matte(matte, (max(1, round(wide * factor)), max(1, round(matte.shape[0] * factor))))
    row, lefts = round(top * factor), np.linspace(0.03, 0.97, TRIED_PLACES) * (width - wide)
    hidden = [hidden_saliency(weights, small, row, round(left * factor)) for left in lefts]
    return round(float(lefts[int(np.argmin(hidden))]))


def hidden_saliency(weights: Matte, matte: Matte, top: int, left: int) -> float:
    """Return how much of the weights a matte hides."""
    area = Box(left, top, left + matte.shape[1], top + matte.shape[0])
    visible = area.intersection(Box(0, 0, weights.shape[1], weights.shape[0]))
    return float((visible.crop(weights) * visible.relative_to(area).crop(matte)).sum())


def saliency(painting: Image) -> Matte:
    """Return how much each place stands out, in colour and in detail, at a small size.

    Returns:
        float32 (h, w), 0 where nothing stands out.
    """
    small = fit(painting, at_most(size_of(painting), 160 * 160))
    colors = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    sigma = 0.02 * len(small)
    soft = cv2.GaussianBlur(colors, (0, 0), max(0.5, sigma))
    usual = cv2.GaussianBlur(colors, (0, 0), 12 * sigma)
    odd = np.sqrt(np.square(soft - usual).sum(2))
    fine = cv2.GaussianBlur(np.abs(colors - soft).sum(2), (0, 0), max(0.5, sigma))
    return np.asarray(odd / (odd.mean() + 1) + fine / (fine.mean() + 1), np.float32)


def lay_out(cutout: Cutout, box: Box, size: Size) -> tuple[Image, Matte, Image]:
    """Return the person, the matte and the whole stylized picture at the painting's size, each in its place.

    Args:
        cutout: the person; box: where it goes; size: of the painting.
    """
    shape, inside = (size[1], size[0]), box.intersection(Box(0, 0, *size))
    part, own = (box.right - box.left, box.bottom - box.top), inside.relative_to(box)
    person, before, matte = (
        np.zeros((*shape, 3), np.uint8),
        np.zeros((*shape, 3), np.uint8),
        np.zeros(shape, np.float32),
    )
    alpha = np.asarray(np.clip(cv2.resize(cutout.matte, part, interpolation=cv2.INTER_AREA), 0, 1), np.float32)
    fade_cuts(alpha, box, size, cutout.cut)
    for target, image in ((person, cutout.image), (before, cutout.before)):
        inside.crop(target)[:] = own.crop(resize_sharp(image, part))
    inside.crop(matte)[:] = own.crop(alpha)
    return person, matte, before


def resize_sharp(image: Image, size: Size) -> Image:
    """Scale to a size, with cubic interpolation where the image grows."""
    grows = size[0] > image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8) if grows else fit(image, size)


def fade_cuts(matte: Matte, box: Box, size: Size, cut: frozenset[str]) -> None:
    """Fade, in place, the cut sides of a matte that do not end at the painting's edge.

    Args:
        matte: float32 (H, W) in 0..1; box: where it goes; size: of the painting; cut: as of `Cutout`.
    """
    h, w = matte.shape
    reach = max(2, round(FADE_SHARE * h))
    inside = {"left": box.left > 0, "right": box.right < size[0], "top": box.top > 0, "bottom": box.bottom < size[1]}
    for side in (side for side in cut if inside[side]):
        steps = np.arange(w if side in {"left", "right"} else h, dtype=np.float32)
        ramp = np.clip((steps if side in {"left", "top"} else steps[::-1]) / np.float32(reach), 0, 1)
        ramp = ramp * ramp * (3 - 2 * ramp)
        matte *= ramp[None, :] if side in {"left", "right"} else ramp[:, None]
