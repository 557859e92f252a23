"""Stills painted by optimisation, person and background each in the style of a picture of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

import numpy as np

from livestyle import image as pixels
from livestyle.engine import choose_engine
from livestyle.errors import UserError
from livestyle.filter import Filter
from livestyle.gatys import OPTIMIZERS, Painter, Pastiche, Weights, grams_as_is, set_masked_goal
from livestyle.image import Frame, Image, Matte, size_of
from livestyle.loss_network import open_loss_network
from livestyle.settings import Settings, Size
from livestyle.weights import Watch

SCALES = 3  # at most, each twice the one before: the coarse ones lay out what the fine ones draw
LEAST_SIDE = 32  # px of the coarsest scale's short side
PREVIEW = 10.0  # seconds between pictures so far
STARTS = ("content", "noise")


@dataclass(frozen=True)
class Recipe:
    """How a still is painted.

    Args:
        styles: the style picture of "background" and "person", those that have one.
        iterations: of all scales together; long_side: of what is painted, px, never above the picture's own.
        weights: of the loss; optimizer: one of OPTIMIZERS; init: one of STARTS; seed: of the noise.
        naive: paint the whole picture in each style and composite, rather than mask the loss.
    """

    styles: Mapping[str, Path]
    iterations: int = 300
    long_side: int = 512
    weights: Weights = field(default_factory=Weights)
    optimizer: str = "lbfgs"
    init: str = "content"
    seed: int = 0
    keep_colors: bool = False
    naive: bool = False

    def check(self) -> None:
        """Raises UserError where it cannot be followed."""
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"There is no optimizer '{self.optimizer}'.", f"Choose {' or '.join(OPTIMIZERS)}.")
        if self.init not in STARTS:
            raise UserError(f"There is no start '{self.init}'.", f"Choose {' or '.join(STARTS)}.")
        if not self.styles:
            raise UserError("No plane has a style picture.", "Give one: --background painting.jpg, or --person.")


def style_pictures(background: str | None, person: str) -> dict[str, Path]:
    """The style pictures among two LOOKs, by plane.

    Raises:
        UserError: a look that is neither none nor a picture's file.
    """
    found = {}
    for plane, look in {"background": background or "none", "person": person}.items():
        path = Path(look.removeprefix("image:"))
        if look == "none":
            continue
        if path.suffix.lower() not in pixels.PICTURES:
            raise UserError(
                f"'{look}' is not a picture to paint from.", "With --method gatys a LOOK is none or a file."
            )
        if not path.is_file():
            raise UserError(f"There is no file {path}.", "Check the name.")
        found[plane] = path
    return found


class Studio:
    """Paints stills one after the other.

    Args:
        settings: device, models and what cuts the person out; recipe: how to paint; loss_network: as
            `open_loss_network` takes it; say: is told what a person should know.

    Raises:
        UserError: a recipe that cannot be followed, or a picture, device, segmenter or loss network not there.
    """

    def __init__(
        self, settings: Settings, recipe: Recipe, loss_network: Path | None, say: Callable[[str], None]
    ) -> None:
        recipe.check()
        self._recipe, self._say = recipe, say
        self._paintings = {plane: pixels.load_image(path) for plane, path in recipe.styles.items()}
        engine = choose_engine(settings.device)
        self._filter = None if self._is_whole else Filter(settings, live=False)
        device = engine.device if engine.name == "torch" else "cpu"
        self._network, self.loss_network = open_loss_network(loss_network, device, say, settings.models)

    @property
    def _is_whole(self) -> bool:
        paths = self._recipe.styles
        return len(paths) == 2 and len({path.resolve() for path in paths.values()}) == 1

    def paint(self, source: Path, target: Path, over: Event, watch: Watch) -> None:
        """Paint a picture; what there is so far is written every PREVIEW seconds, and once `over` is set.

        Raises:
            UserError: the picture cannot be read or written, or is too small.
        """
        check_target(source, target)
        image, written = pixels.load_image(source), monotonic()
        scales = scales_of(size_of(image), self._recipe.long_side, self._recipe.iterations)
        matte = self._filter.matte(Frame(image, 0, 0.0)) if self._filter else np.ones(image.shape[:2], np.float32)
        mattes = {"person": matte, "background": 1 - matte} if self._filter else {"person": matte}
        mattes = {plane: mattes[plane] for plane in mattes if plane in self._paintings}
        rounds = [{plane: np.ones_like(matte)} for plane in mattes] if self._recipe.naive else [mattes]
        finished: dict[str, Image] = {}
        for number, masks in enumerate(rounds):
            for now, share in self._round(image, masks, scales, over):
                finished |= dict.fromkeys(masks, now.image)
                losses = ", ".join(f"{name} {value:.4f}" for name, value in now.losses.items())
                width, height = size_of(now.image)
                watch((number + share) / len(rounds), f"{width}x{height}, {losses}")
                if monotonic() - written > PREVIEW:
                    pixels.save_image(target, self._joined(image, finished, matte))
                    written = monotonic()
        if not finished:
            self._say(f"{source} shows nothing to paint: there is no such plane in it.")
        pixels.save_image(target, self._joined(image, finished, matte))

    def _round(
        self, image: Image, masks: dict[str, Matte], scales: list[tuple[Size, int]], over: Event
    ) -> Iterator[tuple[Pastiche, float]]:
        """Paint from coarse to fine; yields the picture so far and the share that is done."""
        total = sum(iterations * size[0] * size[1] for size, iterations in scales)
        done, last = 0, None
        for size, iterations in scales:
            content = pixels.fit(image, size)
            fitted = [
                (grams_as_is(self._network, beside(self._paintings[plane], size)), pixels.fit_matte(mask, size))
                for plane, mask in masks.items()
            ]
            goal = set_masked_goal(self._network, fitted, content, self._recipe.weights)
            if goal is None:
                return
            start = self._start(content, [mask for _, mask in fitted]) if last is None else pixels.fit(last, size)
            painter = Painter(goal, start, self._recipe.optimizer)
            for _ in range(iterations):
                if over.is_set():
                    return
                now = painter.step()
                last = now.image
                done += size[0] * size[1]
                yield now, done / total

    def _start(self, content: Image, masks: list[Matte]) -> Image:
        if self._recipe.init == "content":
            return content
        noise = np.random.default_rng(self._recipe.seed).integers(0, 256, content.shape, np.uint8)
        return np.where(np.sum(masks, axis=0)[..., None] > 0, noise, content)

    def _joined(self, image: Image, painted: dict[str, Image], matte: Matte) -> Image:
        """The planes put together at the picture's own size; one that is not painted keeps its pixels."""
        full = {plane: pixels.fit(picture, size_of(image)) for plane, picture in painted.items()}
        if self._recipe.keep_colors:
            full = {plane: pixels.keep_colors(picture, image) for plane, picture in full.items()}
        if not self._filter:
            return full.get("person", image)
        scene, person = full.get("background", image), full.get("person", image)
        if person is image and scene is not image:
            person = pixels.person_alone(image, matte)
        return pixels.composite(person, scene, matte)


def check_target(source: Path, target: Path) -> None:
    """Raises UserError, before minutes are spent, where the result could not be written."""
    pixels.aside(target)
    if target.suffix.lower() not in pixels.PICTURES:
        names = ", ".join(pixels.PICTURES)
        raise UserError(f"{target} does not say what kind of picture to write.", f"End it in {names}.")
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is the picture itself.", "Give another name for the result.")


def scales_of(size: Size, long_side: int, iterations: int) -> list[tuple[Size, int]]:
    """The sizes that a picture is painted at, coarse to fine, with the iterations of each.

    Raises:
        UserError: the finest has sides under LEAST_SIDE.
    """
    shrink = min(1.0, long_side / max(size))
    found = [
        (round(size[0] * shrink / 2**octave), round(size[1] * shrink / 2**octave))
        for octave in range(min(SCALES, iterations))
    ]
    found = [size for size in found if min(size) >= LEAST_SIDE]
    if not found:
        raise UserError(
            f"A picture of {size[0]}x{size[1]} is too small to paint at a long side of {long_side}.",
            f"Both sides must come to {LEAST_SIDE} px: give a larger picture or --long-side.",
        )
    each, rest = divmod(iterations, len(found))
    return [(size, each + (number < rest)) for number, size in enumerate(reversed(found))]


def beside(painting: Image, size: Size) -> Image:
    """A painting scaled to the area of a picture, its shape kept, so that its strokes are in proportion."""
    w, h = size_of(painting)
    scale = (size[0] * size[1] / (w * h)) ** 0.5
    return pixels.fit(painting, (max(LEAST_SIDE, round(w * scale)), max(LEAST_SIDE, round(h * scale))))
