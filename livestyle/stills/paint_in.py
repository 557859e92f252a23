"""A person painted into a painting: cut out, in its style, where there is room on its ground."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray

from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import check_target, sha256
from livestyle.image import pixels
from livestyle.image.blending import BLENDS
from livestyle.image.box import Box, bounding_box
from livestyle.image.io import OPAQUE, PICTURES, READABLE, load_image
from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.relight import light_of
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.nets.library import find_cards
from livestyle.render.filter import Filter
from livestyle.render.stylizer import load_style
from livestyle.types import Progress, Size

Painter = Callable[[Image], Image]

PAINTED = 800 * 800  # pixels at which a portrait is stylized
TALL, WIDE = 0.72, 0.62  # of the painting's sides: a person is no larger where left to itself
GROUND = 0.95  # of the painting's height: where feet stand
CUT = 0.5  # of a matte at the picture's border: the person goes on beyond
LOW = 0.45  # of the person's height: what a side of the picture cuts below this goes under the painting's edge
SHOULDERS = 0.1  # of the height: but for so much, which is faded
FADE = 0.08  # of the height: how softly a cut ends that cannot go to an edge
PLACES = 25  # tried from left to right


@dataclass(frozen=True)
class Where:
    """Where a person is to stand; None is left open.

    Args:
        x, y: of the left and top of what shows of the person; height: of it. From 0 to 1 they are shares of the
            painting's sides, otherwise pixels.
    """

    x: float | None = None
    y: float | None = None
    height: float | None = None


@dataclass(frozen=True)
class Cutout:
    """A person by itself.

    Args:
        image, matte: of the box that holds the person; before: the same box of the whole picture, in the same style.
        cut: of "left", "right", "top", "bottom" those at which the picture's border cuts the person.
    """

    image: Image
    matte: Matte
    before: Image
    cut: frozenset[str]


@dataclass(frozen=True)
class Result:
    """A painting with a person in it.

    Args:
        image: uint8 (H, W, 3), or (H, W, 4): the person alone.
        seconds: that the parts took, and "all".
    """

    image: NDArray[np.uint8]
    seconds: dict[str, float]


def shipped_style(painting: Path, models: Path | None = None) -> str | None:
    """The style that was made from this very file, None where there is none."""
    digest = sha256(painting)
    return next((name for name, card in find_cards("style", models).items() if card.painting_sha256 == digest), None)


def is_picture(path: Path) -> bool:
    """Whether a path names a picture, rather than a style."""
    return path.suffix.lower() in READABLE


def check(portrait: Path, painting: Path, target: Path, style: Path | None, blend: str, alone: bool) -> None:
    """Raises UserError, before minutes are spent, where the result could not be made or written."""
    check_target(target)
    if target.suffix.lower() not in PICTURES:
        raise UserError(f"{target} does not say what kind of picture to write.", "End it in .png or .jpg.")
    if alone and target.suffix.lower() in OPAQUE:
        raise UserError(f"{target} cannot hold transparency.", "End it in .png, .webp or .tif.")
    if target.resolve() in (portrait.resolve(), painting.resolve()):
        raise UserError(f"{target} is one of the pictures itself.", "Give another name for the result.")
    if style and is_picture(style) and not style.is_file():
        raise UserError(f"There is no file {style}.", "Check the name.")
    if blend not in BLENDS:
        raise UserError(f"There is no blend '{blend}'.", f"Choose {', '.join(BLENDS)}.")


class PaintIn:
    """Paints people into a painting.

    Args:
        settings: what cuts the person out, the device, whether the painting's light falls on them.
        stylize: a style by name, or as a function that takes any size; blend: one of BLENDS.

    Raises:
        UserError: there is no such style, segmenter or device.
    """

    def __init__(self, settings: Settings, stylize: Painter | str, blend: str = "harmonize") -> None:
        self._filter, self._blend, self._auto_light = Filter(settings, live=False), BLENDS[blend], settings.auto_light
        if isinstance(stylize, str):
            stylize = load_style(stylize, self._filter.engine, QUALITIES["best"].most, settings.models)
        self._stylize: Painter = stylize

    def prepare(self, portrait: Image, painting: Image) -> None:
        """Make the nets ready for pictures of these sizes, which takes longer than the pictures themselves."""
        size = size_of(portrait)
        blank = np.zeros_like(portrait)
        self._filter.matte(Frame(blank, 0, 0.0))
        self._stylize(fit(blank, painted_size(size, size_of(painting))))
        tiny = blank[:8, :8]
        self._blend(tiny, np.ones(tiny.shape[:2], np.float32), tiny, tiny)  # OpenCV makes its tables of Lab

    def __call__(self, portrait: Image, painting: Image, where: Where = Where(), alone: bool = False) -> Result:
        """Cut out, stylize (both at once), place, blend.

        Args:
            alone: only the person, in its place, as RGBA.

        Raises:
            UserError: nobody is in the portrait, or the place is outside of the painting.
        """
        seconds, start = dict[str, float](), perf_counter()
        shown = fit(portrait, painted_size(size_of(portrait), size_of(painting)))

        def timed(name: str, work: Callable[[], Image | Matte]) -> Image | Matte:
            begun = perf_counter()
            result = work()
            seconds[name] = perf_counter() - begun
            return result

        with ThreadPoolExecutor(2) as pool:
            matting = pool.submit(timed, "segment", lambda: self._filter.matte(Frame(portrait, 0, 0.0)))
            styling = pool.submit(timed, "stylize", lambda: self._stylize(shown))
            matte, styled = np.asarray(matting.result(), np.float32), np.asarray(styling.result(), np.uint8)
        cutout = self._cut_out(fit_matte(matte, size_of(shown)), styled)
        box = place(cutout, painting, where)
        person, layer, before = laid(cutout, box, size_of(painting))
        image = timed("blend", lambda: self._joined(person, layer, before, painting, box, alone))
        seconds["all"] = perf_counter() - start
        return Result(np.asarray(image, np.uint8), seconds)

    def _cut_out(self, matte: Matte, styled: Image) -> Cutout:
        if matte.max() <= CUT:
            raise UserError("There is nobody in the portrait.", "Give another picture, or another --segmenter.")
        return trimmed(self._filter.foreground(styled, matte), matte, styled)

    def _joined(
        self, person: Image, matte: Matte, before: Image, painting: Image, box: Box, alone: bool
    ) -> NDArray[np.uint8]:
        near = pixels_around(box, size_of(painting))
        parts = [np.ascontiguousarray(near.crop(array)) for array in (person, matte, painting, before)]
        ahead, mask, scene, old = (np.asarray(part) for part in parts)
        if self._auto_light:
            ahead = light_of(ahead, mask, old, scene)(ahead)
        ahead = self._blend(ahead, mask, scene, old)
        if alone:
            canvas = np.zeros((*painting.shape[:2], 4), np.uint8)
            near.crop(canvas)[:] = np.dstack([ahead, np.asarray(mask * 255 + 0.5, np.uint8)])
            return canvas
        result = painting.copy()
        near.crop(result)[:] = pixels.composite(ahead, scene, mask)
        return result


def painted_size(portrait: Size, painting: Size) -> Size:
    """At which a portrait is stylized: about as large as it will be shown, so that strokes are the painting's size."""
    scale = TALL * painting[1] / portrait[1]
    return at_most((max(16, round(portrait[0] * scale)), max(16, round(portrait[1] * scale))), PAINTED)


def trimmed(styled: Image, matte: Matte, before: Image) -> Cutout:
    """The person's box. What a side of the picture cuts low on the person goes under the edge, and is left away."""
    size = size_of(matte)
    box = bounding_box(np.asarray(matte > 0.1, np.float32), size) or Box(0, 0, *size)
    cut = {"bottom"} if (matte[-1] > CUT).any() else set[str]()
    if (matte[0] > CUT).any():
        cut.add("top")
    tall = box.bottom - box.top
    for side, column in (("left", 0), ("right", -1)):
        rows = np.flatnonzero(matte[:, column] > CUT)
        if not len(rows):
            continue
        cut.add(side)
        if "bottom" in cut and rows[0] > box.top + LOW * tall:
            box = box._replace(bottom=min(box.bottom, round(rows[0] + SHOULDERS * tall)))
    image, alpha, old = (np.ascontiguousarray(box.crop(array)) for array in (styled, matte, before))
    return Cutout(image, alpha, old, frozenset(cut))


def place(cutout: Cutout, painting: Image, where: Where) -> Box:
    """Where the cutout goes; may reach beyond the painting.

    A person whom the picture cuts below stands at the painting's lower edge, others on its ground; one cut at a side
    stands at that side. What is left open is chosen so that little of what the painting shows is hidden.

    Raises:
        UserError: all of it would be outside, or smaller than a pixel.
    """
    (width, height), (w, h) = size_of(painting), size_of(cutout.matte)
    tall = pixels_of(where.height, height) if where.height is not None else automatic_height(cutout, (width, height))
    if not 1 <= tall <= 20 * height:
        raise UserError(f"A height of {where.height:g} is not one.", "Give pixels, or a share of the painting's.")
    high, wide = round(tall), max(1, round(w * tall / h))
    foot = height if "bottom" in cutout.cut else round(GROUND * height)
    top = round(pixels_of(where.y, height)) if where.y is not None else 0 if is_framed(cutout) else foot - high
    left = round(pixels_of(where.x, width)) if where.x is not None else None
    if left is None:
        left = emptiest(painting, fit_matte(cutout.matte, (wide, high)), top, cutout.cut)
    box = Box(left, top, left + wide, top + high)
    if not box.intersection(Box(0, 0, width, height)).area:
        raise UserError("There the person is outside of the painting.", f"It has {width}x{height} pixels.")
    return box


def pixels_of(number: float, side: int) -> float:
    """Pixels of a number that may be a share of a side."""
    return number * side if abs(number) <= 1 else number


def is_framed(cutout: Cutout) -> bool:
    """Whether the picture cuts the person above and below, so that they fill the painting's height."""
    return {"top", "bottom"} <= cutout.cut


def automatic_height(cutout: Cutout, painting: Size) -> float:
    """A sensible height in pixels."""
    w, h = size_of(cutout.matte)
    if is_framed(cutout):
        return painting[1]
    share = 1.0 if {"left", "right"} <= cutout.cut else WIDE
    return min(TALL * painting[1], share * painting[0] * h / w)


def emptiest(painting: Image, matte: Matte, top: int, cut: frozenset[str]) -> int:
    """The left of the place, at this height, where a person hides least of what stands out."""
    (width, _), (wide, _) = size_of(painting), size_of(matte)
    sides = cut & {"left", "right"}
    if len(sides) == 1:
        return 0 if "left" in sides else width - wide
    if wide >= width or sides:
        return (width - wide) // 2
    weights = striking(painting)
    factor = weights.shape[0] / painting.shape[0]
    small = fit_matte(matte, (max(1, round(wide * factor)), max(1, round(matte.shape[0] * factor))))
    row, lefts = round(top * factor), np.linspace(0.03, 0.97, PLACES) * (width - wide)
    hidden = [covered(weights, small, row, round(left * factor)) for left in lefts]
    return round(float(lefts[int(np.argmin(hidden))]))


def covered(weights: Matte, matte: Matte, top: int, left: int) -> float:
    """How much of the weights a matte hides."""
    area = Box(left, top, left + matte.shape[1], top + matte.shape[0])
    seen = area.intersection(Box(0, 0, weights.shape[1], weights.shape[0]))
    return float((seen.crop(weights) * seen.relative_to(area).crop(matte)).sum())


def striking(painting: Image) -> Matte:
    """How much each place stands out, at a small size: unlike what is usual there in colour, and in detail."""
    small = fit(painting, at_most(size_of(painting), 160 * 160))
    colors = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    sigma = 0.02 * len(small)
    soft = cv2.GaussianBlur(colors, (0, 0), max(0.5, sigma))
    usual = cv2.GaussianBlur(colors, (0, 0), 12 * sigma)
    odd = np.sqrt(np.square(soft - usual).sum(2))
    fine = cv2.GaussianBlur(np.abs(colors - soft).sum(2), (0, 0), max(0.5, sigma))
    return np.asarray(odd / (odd.mean() + 1) + fine / (fine.mean() + 1), np.float32)


def laid(cutout: Cutout, box: Box, size: Size) -> tuple[Image, Matte, Image]:
    """The person, the matte and the old picture at the painting's size, each in its place."""
    shape, here = (size[1], size[0]), box.intersection(Box(0, 0, *size))
    part, own = (box.right - box.left, box.bottom - box.top), here.relative_to(box)
    person, before, matte = (
        np.zeros((*shape, 3), np.uint8),
        np.zeros((*shape, 3), np.uint8),
        np.zeros(shape, np.float32),
    )
    alpha = np.asarray(np.clip(cv2.resize(cutout.matte, part, interpolation=cv2.INTER_AREA), 0, 1), np.float32)
    faded(alpha, box, size, cutout.cut)
    for target, image in ((person, cutout.image), (before, cutout.before)):
        here.crop(target)[:] = own.crop(resized(image, part))
    here.crop(matte)[:] = own.crop(alpha)
    return person, matte, before


def resized(image: Image, size: Size) -> Image:
    """Sharp where it grows."""
    grows = size[0] > image.shape[1]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8) if grows else fit(image, size)


def faded(matte: Matte, box: Box, size: Size, cut: frozenset[str]) -> None:
    """Soften, in place, what is cut and does not end at the painting's edge."""
    h, w = matte.shape
    reach = max(2, round(FADE * h))
    inside = {"left": box.left > 0, "right": box.right < size[0], "top": box.top > 0, "bottom": box.bottom < size[1]}
    for side in (side for side in cut if inside[side]):
        steps = np.arange(w if side in {"left", "right"} else h, dtype=np.float32)
        ramp = np.clip((steps if side in {"left", "top"} else steps[::-1]) / np.float32(reach), 0, 1)
        ramp = ramp * ramp * (3 - 2 * ramp)
        matte *= ramp[None, :] if side in {"left", "right"} else ramp[:, None]


def pixels_around(box: Box, size: Size) -> Box:
    """The box with its surroundings, inside the painting."""
    room = round(0.25 * (box.bottom - box.top))
    return Box(box.left - room, box.top - room, box.right + room, box.bottom + room).intersection(Box(0, 0, *size))


def gatys_stylizer(
    settings: Settings, portrait: Path, style: Path, target: Path, loss_network: Path | None, iterations: int,
    long_side: int, over: Event, say: Callable[[str], None], watch: Progress,
) -> Painter | None:  # fmt: skip
    """The portrait painted by optimisation beforehand, as a style; None where that was stopped.

    What there is of it lies beside the target, hidden, so that the same command goes on from there.

    Raises:
        UserError: as `Studio`.
    """
    from livestyle.stills.gatys import GatysPainter
    from livestyle.stills.recipe import Recipe

    blend = ((style, 1.0),)
    painted = target.with_name(f".{target.stem}.{sha256(style)[:8]}.png")
    recipe = Recipe({"background": blend, "person": blend}, iterations, long_side)
    studio = GatysPainter(settings, recipe, loss_network, say)
    if not studio.paint(portrait, painted, over, watch):
        return None
    image = load_image(painted)
    painted.unlink()
    return lambda shown: fit(image, size_of(shown))
