"""Paint a person into a painting: segmented, stylized, and placed where there is room on the ground."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from livestyle.config.names import unknown
from livestyle.config.picture import PREFIX
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import beside, check_target, sha256
from livestyle.image import pixels
from livestyle.image.blending import BLENDS
from livestyle.image.box import Box
from livestyle.image.io import OPAQUE_SUFFIXES, PICTURE_SUFFIXES, READABLE_SUFFIXES, load_image
from livestyle.image.pixels import at_most, fit, fit_matte
from livestyle.image.relight import light_of
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.nets.library import find_cards
from livestyle.render.filter import Filter
from livestyle.render.stylizer import load_style
from livestyle.stills.placement import ANYWHERE, MAX_HEIGHT, MIN_CUT_MATTE, Cutout, Placement, lay_out, place, trim
from livestyle.types import Progress, Size

if TYPE_CHECKING:
    from livestyle.stills.gatys import GatysPainter  # which imports torch
    from livestyle.stills.recipe import Recipe

Stylize = Callable[[Image], Image]

MAX_STYLIZED_PX = 800 * 800  # of a portrait


@dataclass(frozen=True)
class Result:
    """A painting with a person in it.

    Args:
        image: uint8 (H, W, 3) RGB; or (H, W, 4) RGBA, the person alone.
        seconds: by stage, and "all".
    """

    image: NDArray[np.uint8]
    seconds: dict[str, float]


def shipped_style(painting: Path, models: Path | None = None) -> str | None:
    """Return the style that was trained on this very file, or that ships it; None where there is none."""
    digest, cards = sha256(painting), find_cards("style", models)
    return next((n for n, c in cards.items() if digest in (c.painting_sha256, c.painting.get("sha256"))), None)


def is_picture(path: Path) -> bool:
    """Return whether a path names a picture, rather than a style or a look `picture:...`, which paints at once."""
    return path.suffix.lower() in READABLE_SUFFIXES and not str(path).startswith(PREFIX)


def check(portrait: Path, painting: Path, target: Path, style: Path | None, blend: str, alone: bool) -> None:
    """Check, before any work, that the result can be made and written.

    Args:
        portrait, painting: the pictures.
        target: the result.
        style: a picture or a style's name; None for none.
        blend: its name.
        alone: whether the result has transparency.

    Raises:
        UserError: it cannot.
    """
    check_target(target)
    if target.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(f"{target} does not say what kind of picture to write.", "End it in .png or .jpg.")
    if alone and target.suffix.lower() in OPAQUE_SUFFIXES:
        raise UserError(f"{target} cannot hold transparency.", "End it in .png, .webp or .tif.")
    if target.resolve() in (portrait.resolve(), painting.resolve()):
        raise UserError(f"{target} is one of the pictures itself.", "Give another name for the result.")
    if style and is_picture(style) and not style.is_file():
        raise UserError(f"There is no file {style}.", "Check the name.")
    if blend not in BLENDS:
        raise unknown("blend", blend, BLENDS, field="blend")


class PaintIn:
    """Paint people into a painting.

    Args:
        settings: device, segmenter, and whether the person gets the painting's light.
        stylize: a style's name, or a function that takes any size.
        blend: one of BLENDS.

    Raises:
        UserError: there is no such style, segmenter or device.
    """

    def __init__(self, settings: Settings, stylize: Stylize | str, blend: str = "harmonize") -> None:
        self._filter, self._blend, self._auto_light = Filter(settings, live=False), BLENDS[blend], settings.auto_light
        if isinstance(stylize, str):
            stylize = load_style(stylize, self._filter.engine, QUALITIES["best"].most, settings.models)
        self._stylize: Stylize = stylize

    def prepare(self, portrait: Image, painting: Image) -> None:
        """Compile the networks for pictures of these sizes, which takes longer than the pictures themselves.

        Args:
            portrait, painting: uint8 (H, W, 3) RGB.
        """
        size = size_of(portrait)
        blank = np.zeros_like(portrait)
        self._filter.matte(Frame(blank, 0, 0.0))
        self._stylize(fit(blank, stylized_size(size, size_of(painting))))
        tiny = blank[:8, :8]
        self._blend(tiny, np.ones(tiny.shape[:2], np.float32), tiny, tiny)  # OpenCV initializes its tables of Lab

    def __call__(self, portrait: Image, painting: Image, where: Placement = ANYWHERE, alone: bool = False) -> Result:
        """Segment and stylize at the same time, then place and blend.

        Args:
            portrait, painting: uint8 (H, W, 3) RGB.
            where: the person stands.
            alone: return only the person, in its place, as RGBA.

        Raises:
            UserError: the portrait shows nobody, or the place is outside of the painting.
        """
        seconds, start = dict[str, float](), perf_counter()
        scaled = fit(portrait, stylized_size(size_of(portrait), size_of(painting)))

        def timed(name: str, work: Callable[[], Image | Matte]) -> Image | Matte:
            since = perf_counter()
            result = work()
            seconds[name] = perf_counter() - since
            return result

        with ThreadPoolExecutor(2) as pool:
            matting = pool.submit(timed, "segment", lambda: self._filter.matte(Frame(portrait, 0, 0.0)))
            styling = pool.submit(timed, "stylize", lambda: self._stylize(scaled))
            matte, styled = np.asarray(matting.result(), np.float32), np.asarray(styling.result(), np.uint8)
        cutout = self._cut_out(fit_matte(matte, size_of(scaled)), styled)
        box = place(cutout, painting, where)
        person, layer, before = lay_out(cutout, box, size_of(painting))
        image = timed("blend", lambda: self._joined(person, layer, before, painting, box, alone))
        seconds["all"] = perf_counter() - start
        return Result(np.asarray(image, np.uint8), seconds)

    def _cut_out(self, matte: Matte, styled: Image) -> Cutout:
        if matte.max() <= MIN_CUT_MATTE:
            raise UserError(
                "There is nobody in the portrait.", "Give another picture, or choose another segmenter.", "segmenter"
            )
        return trim(self._filter.foreground(styled, matte), matte, styled)

    def _joined(
        self, person: Image, matte: Matte, before: Image, painting: Image, box: Box, alone: bool
    ) -> NDArray[np.uint8]:
        surroundings = pixels_around(box, size_of(painting))
        parts = [np.ascontiguousarray(surroundings.crop(array)) for array in (person, matte, painting, before)]
        ahead, mask, scene, old = (np.asarray(part) for part in parts)
        if self._auto_light:
            ahead = light_of(ahead, mask, old, scene)(ahead)
        ahead = self._blend(ahead, mask, scene, old)
        if alone:
            canvas = np.zeros((*painting.shape[:2], 4), np.uint8)
            surroundings.crop(canvas)[:] = np.dstack([ahead, np.asarray(mask * 255 + 0.5, np.uint8)])
            return canvas
        result = painting.copy()
        surroundings.crop(result)[:] = pixels.composite(ahead, scene, mask)
        return result


def stylized_size(portrait: Size, painting: Size) -> Size:
    """Return the size at which a portrait is stylized: about that at which it is shown, so that strokes have the
    painting's size.
    """
    scale = MAX_HEIGHT * painting[1] / portrait[1]
    return at_most((max(16, round(portrait[0] * scale)), max(16, round(portrait[1] * scale))), MAX_STYLIZED_PX)


def pixels_around(box: Box, size: Size) -> Box:
    """Return the box with a quarter of its height around it, inside the painting."""
    margin = round(0.25 * (box.bottom - box.top))
    wide = Box(box.left - margin, box.top - margin, box.right + margin, box.bottom + margin)
    return wide.intersection(Box(0, 0, *size))


def gatys_recipe(style: Path, iterations: int, long_side: int) -> "Recipe":
    """Return a recipe that paints a whole portrait in the style of one picture.

    Args:
        style: the picture; iterations: in all; long_side: of what is painted, in pixels.
    """
    from livestyle.stills.recipe import Recipe

    blend = ((style, 1.0),)
    return Recipe({"background": blend, "person": blend}, iterations, long_side)


def gatys_stylizer(
    painter: "GatysPainter", portrait: Path, style: Path, target: Path, stop: Event, watch: Progress,
    timelapse: Path | None = None,
) -> Stylize | None:  # fmt: skip
    """Paint the portrait by optimization beforehand, and return the result as a style.

    An unfinished portrait stays hidden beside the target, so that the same command resumes.

    Args:
        painter: with the recipe of `gatys_recipe`.
        portrait: the picture; style: the picture of its style; target: the result of the whole command.
        stop: ends the painting early; watch: takes the progress.
        timelapse: a clip of how the portrait is painted; None for none.

    Returns:
        The style; None where the painting was stopped.

    Raises:
        UserError: as `GatysPainter.paint`.
    """
    painted = beside(target, f".{target.stem}", f".{sha256(style)[:8]}.png")
    if not painter.paint(portrait, painted, stop, watch, timelapse=timelapse):
        return None
    image = load_image(painted)
    painted.unlink()
    return lambda shown: fit(image, size_of(shown))
