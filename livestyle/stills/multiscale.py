"""One still, painted plane by plane, from coarse to fine, in steps."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from livestyle.image import pixels
from livestyle.image.box import Box
from livestyle.image.types import Image, Matte, size_of
from livestyle.nets.tensors import as_batch, as_image, device_of, named
from livestyle.stills.masked_loss import MIN_MASK_SHARE, Lens, normalise, set_masked_goal, style_grams
from livestyle.stills.optimizers import OPTIMIZERS, PictureOptimizer
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.stills.style_images import match_colors, scale_beside
from livestyle.stills.unfinished import PaintState
from livestyle.types import Size

Paintings = Mapping[str, list[tuple[Image, float]]]  # by plane, with their weights

NOISE_MEAN, NOISE_DEVIATION = 128, 8  # in 0..255; wider noise stays wherever the network does not see it
CONTEXT_PX, GRID_PX = 32, 16  # around a plane's box, whose corner lies on the grid of the network's pooling


class Multiscale:
    """A still, and the styles of its planes.

    Each plane is painted separately, beside the others' own pixels. Painted together, they took half as many iterations
    again for the same losses. Only the box of the plane is painted.

    Args:
        lens: the loss network.
        recipe: how to paint.
        paintings: uint8 (H, W, 3) RGB of each plane, with their weights.
        image: the still, uint8 (H, W, 3) RGB.
        masks: of each plane, float32 (H, W) in 0..1.
        state: where to begin; changed in place.

    Raises:
        UserError: the picture is too small.
    """

    def __init__(
        self, lens: Lens, recipe: Recipe, paintings: Paintings, image: Image, masks: Mapping[str, Matte],
        state: PaintState,
    ) -> None:  # fmt: skip
        self._lens, self._recipe, self._image, self._masks = lens, recipe, image, masks
        self._scales = scales_of(size_of(image), recipe)
        self._paintings = dict(paintings)
        if recipe.keep_colors == "histogram":
            self._paintings = {
                plane: [(match_colors(painting, image, masks[plane]), weight) for painting, weight in paintings[plane]]
                for plane in masks
            }
        self._state, self._box = state, Box(0, 0, 0, 0)
        self._optimizer: PictureOptimizer | None = None

    def run(self) -> Iterator[float]:
        """Paint, from the state on.

        Yields:
            The finished share, in 0..1, after each iteration.
        """
        work = [size[0] * size[1] * iterations for size, iterations in self._scales]
        for number, plane in enumerate(self._masks):
            for scale, (size, iterations) in enumerate(self._scales):
                if (number, scale) < self._state.place:
                    continue
                self._optimizer = self._open(plane, size)
                while self._optimizer and self._optimizer.iteration < iterations:
                    self._optimizer.step()
                    self._state.history.append((plane, *size, named(self._optimizer.terms)))
                    part = sum(work[:scale]) + work[scale] * self._optimizer.iteration / iterations
                    yield (number + part / sum(work)) / len(self._masks)
                self._state.pictures |= self._current(plane, size)
                self._optimizer, self._state.place = None, (number, scale + 1)
            self._state.place = (number + 1, 0)

    def pictures(self) -> dict[str, Image]:
        """Return each plane that has been begun as it is now, at the size that it is painted at."""
        number, scale = self._state.place
        if not self._optimizer:
            return self._state.pictures
        return self._state.pictures | self._current(list(self._masks)[number], self._scales[scale][0])

    def state(self) -> PaintState:
        """Return the state to keep."""
        return replace(self._state, optimizer=self._optimizer.state() if self._optimizer else {})

    def _current(self, plane: str, size: Size) -> dict[str, Image]:
        """Return the plane's picture with what is painted in its box; nothing where the plane is empty."""
        if not self._optimizer:
            return {}
        picture = pixels.fit(self._image, size).copy()
        self._box.crop(picture)[:] = as_image(self._optimizer.picture)
        return {plane: picture}

    def _open(self, plane: str, size: Size) -> PictureOptimizer | None:
        """Return an optimizer at a scale, from the scale before or the saved state; None where the plane is empty."""
        content, mask = pixels.fit(self._image, size), pixels.fit_matte(self._masks[plane], size)
        if mask.mean() < MIN_MASK_SHARE:
            return None
        before = self._state.pictures.get(plane)
        start = self._start(content, mask) if before is None else pixels.fit(before, size)
        self._box = box_of(mask)
        content, mask, start = (np.ascontiguousarray(self._box.crop(part)) for part in (content, mask, start))
        paintings = [(scale_beside(painting, size), weight) for painting, weight in self._paintings[plane]]
        lens = self._lens
        if self._recipe.normalised:
            lens = normalise(lens, [content, *(painting for painting, _ in paintings)])
        goal = set_masked_goal(lens, style_grams(lens, paintings), content, mask, self._recipe.weights)
        if goal is None:
            return None
        picture = as_batch([start], device_of(lens.network)).contiguous()
        optimizer = OPTIMIZERS[self._recipe.optimizer](goal.losses, picture)
        if self._state.optimizer:
            optimizer.load_state(self._state.optimizer)
            self._state.optimizer = {}
        return optimizer

    def _start(self, content: Image, mask: Matte) -> Image:
        if self._recipe.init == "content":
            return content
        noise = np.random.default_rng(self._recipe.seed).normal(NOISE_MEAN, NOISE_DEVIATION, content.shape)
        return np.where(mask[..., None] > 0, noise.round().astype(np.uint8), content)


def box_of(mask: Matte) -> Box:
    """Return the box of what a mask covers, with CONTEXT_PX around it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    (width, height) = size_of(mask)
    left, top = (max(0, first - CONTEXT_PX) // GRID_PX * GRID_PX for first in (int(columns[0]), int(rows[0])))
    return Box(left, top, min(width, int(columns[-1]) + 1 + CONTEXT_PX), min(height, int(rows[-1]) + 1 + CONTEXT_PX))


def join(image: Image, matte: Matte | None, pictures: Mapping[str, Image], recipe: Recipe) -> Image:
    """Composite the planes at the still's own size. A plane without a picture keeps its pixels.

    Args:
        image: the still, uint8 (H, W, 3) RGB.
        matte: of the person, float32 (H, W) in 0..1; None where the person's picture is the whole.
        pictures: of the planes, at any size.
        recipe: for colours and strengths.

    Returns:
        uint8 (H, W, 3) RGB.
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
