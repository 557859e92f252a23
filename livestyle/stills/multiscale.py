"""One still on the easel: its planes painted one after the other, from coarse to fine, in steps."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from livestyle.image import pixels
from livestyle.image.box import Box
from livestyle.image.types import Image, Matte, size_of
from livestyle.nets.tensors import as_batch, as_image, device_of, named
from livestyle.stills.masked_loss import LEAST_SHARE, Lens, normalise, set_masked_goal, style_grams
from livestyle.stills.optimizers import OPTIMIZERS, PictureOptimizer
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.stills.style_images import beside, match_colors
from livestyle.stills.unfinished import Checkpoint
from livestyle.types import Size

Paintings = Mapping[str, list[tuple[Image, float]]]  # of each plane, with their weights

GREY, NOISE = 128, 8  # mean and deviation: noise over the whole range stays where the network is blind to it
ROOM, GRID = 32, 16  # px that the network sees around a plane's box, whose corners lie on a grid of its pooling


class Multiscale:
    """A still and what its planes are to look like.

    Each plane is painted by itself, beside the others' own pixels: together they took half as many iterations again for
    the same losses. Of the picture, only the box of the plane is painted.

    Args:
        lens: the loss network; recipe: how to paint; paintings: of the planes.
        image: the still; masks: of each plane, (H, W) in 0..1; progress: where to begin.

    Raises:
        UserError: the picture is too small.
    """

    def __init__(
        self, lens: Lens, recipe: Recipe, paintings: Paintings, image: Image, masks: Mapping[str, Matte],
        progress: Checkpoint,
    ) -> None:  # fmt: skip
        self._lens, self._recipe, self._image, self._masks = lens, recipe, image, masks
        self._scales = scales_of(size_of(image), recipe)
        self._paintings = dict(paintings)
        if recipe.keep_colors == "histogram":
            self._paintings = {
                plane: [(match_colors(painting, image, masks[plane]), weight) for painting, weight in paintings[plane]]
                for plane in masks
            }
        self._progress, self._box = progress, Box(0, 0, 0, 0)
        self._painter: PictureOptimizer | None = None

    def run(self) -> Iterator[float]:
        """Paint; yields the share that is done after each iteration."""
        work = [size[0] * size[1] * iterations for size, iterations in self._scales]
        for number, plane in enumerate(self._masks):
            for scale, (size, iterations) in enumerate(self._scales):
                if (number, scale) < self._progress.place:
                    continue
                self._painter = self._begin(plane, size)
                while self._painter and self._painter.iteration < iterations:
                    self._painter.step()
                    self._progress.history.append((plane, *size, named(self._painter.terms)))
                    part = sum(work[:scale]) + work[scale] * self._painter.iteration / iterations
                    yield (number + part / sum(work)) / len(self._masks)
                self._progress.pictures |= self._under_way(plane, size)
                self._painter, self._progress.place = None, (number, scale + 1)
            self._progress.place = (number + 1, 0)

    def pictures(self) -> dict[str, Image]:
        """Of each plane that has been begun, as it is now, at the size that it is painted at."""
        number, scale = self._progress.place
        if not self._painter:
            return self._progress.pictures
        return self._progress.pictures | self._under_way(list(self._masks)[number], self._scales[scale][0])

    def progress(self) -> Checkpoint:
        """How far it has come, to be kept."""
        return replace(self._progress, painter=self._painter.state() if self._painter else {})

    def _under_way(self, plane: str, size: Size) -> dict[str, Image]:
        """The plane's picture with what is painted in its box; nothing where the plane shows nowhere."""
        if not self._painter:
            return {}
        picture = pixels.fit(self._image, size).copy()
        self._box.crop(picture)[:] = as_image(self._painter.picture)
        return {plane: picture}

    def _begin(self, plane: str, size: Size) -> PictureOptimizer | None:
        """A painter at a scale, where the scale before it or what was kept left off; None where there is no plane."""
        content, mask = pixels.fit(self._image, size), pixels.fit_matte(self._masks[plane], size)
        if mask.mean() < LEAST_SHARE:
            return None
        before = self._progress.pictures.get(plane)
        start = self._start(content, mask) if before is None else pixels.fit(before, size)
        self._box = box_of(mask)
        content, mask, start = (np.ascontiguousarray(self._box.crop(part)) for part in (content, mask, start))
        paintings = [(beside(painting, size), weight) for painting, weight in self._paintings[plane]]
        lens = self._lens
        if self._recipe.normalised:
            lens = normalise(lens, [content, *(painting for painting, _ in paintings)])
        goal = set_masked_goal(lens, style_grams(lens, paintings), content, mask, self._recipe.weights)
        if goal is None:
            return None
        place = as_batch([start], device_of(lens.network)).contiguous()
        painter = OPTIMIZERS[self._recipe.optimizer](goal.losses, place)
        if self._progress.painter:
            painter.load_state(self._progress.painter)
            self._progress.painter = {}
        return painter

    def _start(self, content: Image, mask: Matte) -> Image:
        if self._recipe.init == "content":
            return content
        noise = np.random.default_rng(self._recipe.seed).normal(GREY, NOISE, content.shape)
        return np.where(mask[..., None] > 0, noise.round().astype(np.uint8), content)


def box_of(mask: Matte) -> Box:
    """The box of what a mask covers, with ROOM around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    (width, height) = size_of(mask)
    left, top = (max(0, first - ROOM) // GRID * GRID for first in (int(columns[0]), int(rows[0])))
    return Box(left, top, min(width, int(columns[-1]) + 1 + ROOM), min(height, int(rows[-1]) + 1 + ROOM))


def join(image: Image, matte: Matte | None, pictures: Mapping[str, Image], recipe: Recipe) -> Image:
    """The planes put together at the still's own size; one that is not among the pictures keeps its pixels.

    Args:
        matte: of the person; None where the person's picture is the whole.
    """
    full = {plane: pixels.fit(picture, size_of(image)) for plane, picture in pictures.items()}
    if recipe.keep_colors == "luminance":
        full = {plane: pixels.keep_colors(picture, image) for plane, picture in full.items()}
    full = {plane: pixels.mix(image, picture, recipe.strengths.get(plane, 1.0)) for plane, picture in full.items()}
    if matte is None:
        return full.get("person", image)
    scene, person = full.get("background", image), full.get("person", image)
    if person is image and scene is not image:
        person = pixels.fast_foreground(image, matte)
    return pixels.composite(person, scene, matte)
