"""Stills painted by optimisation, person and background each in the style of pictures of its own."""

import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic

import numpy as np
import torch

from livestyle import files
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image import pixels
from livestyle.image.io import PICTURES, load_image, load_notes, load_picture, save_image
from livestyle.image.types import Frame, Image, Matte, size_of
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.engine import choose_engine
from livestyle.nets.loss_network import open_loss_network
from livestyle.nets.tensors import device_of
from livestyle.render.filter import Filter
from livestyle.stills import memory
from livestyle.stills.loss_curve import Row, draw_curve
from livestyle.stills.masked_loss import Layers, Lens, set_masked_goal, stand_in, style_grams
from livestyle.stills.memory import fitted
from livestyle.stills.multiscale import Multiscale, join
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.stills.style_images import beside
from livestyle.stills.unfinished import Checkpoint, Unfinished
from livestyle.types import Progress, Size

PREVIEW = 10.0  # seconds between pictures so far
SPARING = 30  # of the time, at most one part goes into keeping the state
BLUR = 0.5  # of the portrait blur beside other results
NOTE = "livestyle-digest"  # in the picture's file, of all that it was made from


class GatysPainter:
    """Paints stills one after the other.

    Args:
        settings: device, models and what cuts the person out; recipe: how to paint; loss_network: as
            `open_loss_network` takes it; say: is told what a person should know; notes: are written into the files.
        extras: write the person alone, the background alone and portrait blur beside each result.

    Raises:
        UserError: a recipe that cannot be followed, or a picture, device, segmenter or loss network not there.
    """

    def __init__(
        self, settings: Settings, recipe: Recipe, loss_network: Path | None, say: Callable[[str], None],
        notes: Mapping[str, str] | None = None, extras: bool = False,
    ) -> None:  # fmt: skip
        recipe.check()
        if extras and len(recipe.styles) < 2:
            raise UserError("--all wants two planes to paint.", "Give --background and --person a picture each.")
        self._extras = extras
        self._settings, self._say, self._notes = settings, say, dict(notes or {})
        self._paintings = {
            plane: [(load_image(path), weight) for path, weight in blend] for plane, blend in recipe.styles.items()
        }
        engine = choose_engine(settings.device)
        self._filter = None if recipe.is_whole and not extras else Filter(settings, live=False)
        device = engine.device if engine.name == "torch" else "cpu"
        network, self.loss_network = open_loss_network(loss_network, device, say, settings.models, recipe.network)
        self._sha = sha256(self.loss_network)
        say(f"The loss network is {network.name}, from {self.loss_network}.")
        self._follow(recipe, network)

    def _follow(self, recipe: Recipe, network: LossNetwork) -> None:
        """Take up a recipe, with the layers that the network has."""
        for layer in (*recipe.layers.content, *recipe.layers.style):
            if (own := stand_in(layer, network)) != layer:
                self._say(f"It has no {layer.replace('relu', 'conv')}: {own.replace('relu', 'conv')} stands in for it.")
        content, style = (
            tuple(dict.fromkeys(stand_in(layer, network) for layer in wanted))
            for wanted in (recipe.layers.content, recipe.layers.style)
        )
        layers = Layers(content, style)
        self.recipe, self._lens = replace(recipe, layers=layers), Lens(network, layers)

    def variant(self, recipe: Recipe) -> "GatysPainter":
        """A silent studio for another recipe with the same style pictures and planes."""
        other = copy(self)
        other._say, other._extras = lambda line: None, False
        other._follow(recipe, self._lens.network)
        return other

    def paint(self, source: Path, target: Path, over: Event, watch: Progress, curve: Path | None = None) -> bool:
        """Paint a picture, or go on with it; what there is so far is written now and then, and once `over` is set.

        Args:
            curve: a PNG of the losses so far, drawn as often.

        Returns:
            Whether it is finished.

        Raises:
            UserError: the picture cannot be read or written, or is too small.
        """
        check_target(source, target)
        image, facts = load_picture(source)
        digest = self.recipe.digest(sha256(source), self._sha, self._cut(), self._extras)
        if load_notes(target).get(NOTE) == digest:
            self._say(f"{target} is finished already: remove it to paint it anew.")
            return True
        unfinished = Unfinished(target, digest)
        progress = unfinished.load()
        if progress.history:
            self._say(f"{target} goes on after {len(progress.history)} iterations.")
        recipe = self._planned(progress, size_of(image))
        matte = self._filter.matte(Frame(image, 0, 0.0)) if self._filter else None
        multiscale = Multiscale(self._lens, recipe, self._paintings, image, self._masks(image, matte), progress)

        def write(notes: Mapping[str, str]) -> None:
            picture = join(image, matte, multiscale.pictures(), recipe)
            save_image(target, picture, replace(facts, notes=notes))
            if curve:
                draw_curve(progress.history, curve)

        due = monotonic() + PREVIEW
        for share in multiscale.run():
            watch(share, described(progress.history[-1]))
            if over.is_set() or monotonic() > due:
                begun = monotonic()
                unfinished.save(multiscale.progress())
                write({})
                due = monotonic() + max(PREVIEW, SPARING * (monotonic() - begun))
            if over.is_set():
                return False
        if not progress.history:
            self._say(f"{source} shows nothing to paint: there is no such plane in it.")
        for path, picture in self._beside(image, matte, multiscale.pictures(), target).items():
            save_image(path, picture, replace(facts, notes=self._notes))
        write(self._notes | {NOTE: digest, "livestyle-losses": json.dumps(last_losses(progress.history))})
        unfinished.remove()
        return True

    @torch.no_grad()
    def style_losses(self, source: Path, result: Path) -> dict[str, dict[str, float]]:
        """Of each plane of a result, at the size that it was painted at, the style loss against each plane's style."""
        image = load_image(source)
        size, _ = scales_of(size_of(image), self.recipe)[-1]
        matte = self._filter.matte(Frame(image, 0, 0.0)) if self._filter else None
        masks = self._masks(image, matte)
        painted = pixels.fit(load_image(result), size)
        losses: dict[str, dict[str, float]] = {plane: {} for plane in masks}
        for style, paintings in self._paintings.items():
            grams = style_grams(self._lens, [(beside(painting, size), weight) for painting, weight in paintings])
            for plane, mask in masks.items():
                goal = set_masked_goal(self._lens, grams, painted, pixels.fit_matte(mask, size), self.recipe.weights)
                if goal:
                    losses[plane][style] = float(goal.style_loss(self._lens.maps(goal.image)))
        return losses

    def _beside(
        self, image: Image, matte: Matte | None, painted: Mapping[str, Image], target: Path
    ) -> dict[Path, Image]:
        """What is written beside the result."""
        if not self._extras or matte is None:
            return {}
        planes = [{plane: picture} for plane, picture in painted.items()]
        found = {next(iter(plane)): join(image, matte, plane, self.recipe) for plane in planes}
        blurred = pixels.blur_plane(image, 1 - matte, BLUR)
        found["blur"] = pixels.composite(pixels.fast_foreground(image, matte), blurred, matte)
        return {target.with_name(f"{target.stem}-{name}{target.suffix}"): picture for name, picture in found.items()}

    def _cut(self) -> list[object]:
        """What says where the person is."""
        settings = self._settings
        return [settings.segmenter, settings.keep, settings.person_count, settings.model_file, settings.refine]

    def _masks(self, image: Image, matte: Matte | None) -> dict[str, Matte]:
        """Where each plane that has a style is painted."""
        if matte is None:
            return {"person": np.ones(image.shape[:2], np.float32)}
        planes = {"background": 1 - matte, "person": matte}
        return {p: np.ones_like(m) if self.recipe.naive else m for p, m in planes.items() if p in self._paintings}

    def _planned(self, progress: Checkpoint, size: Size) -> Recipe:
        """The recipe as it was begun; where it begins, so that it fits into the memory."""
        if progress.plan is None:
            on_cpu = device_of(self._lens.network).type == "cpu"
            plan = fitted(self.recipe, size, self._say, memory.free() if on_cpu else None)
            progress.plan = plan.long_side, plan.optimizer
        long_side, optimizer = progress.plan
        return replace(self.recipe, long_side=long_side, optimizer=optimizer)


def described(row: Row) -> str:
    """What stands beside the bar."""
    plane, width, height, losses = row
    return f"{plane} {width}x{height}, " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items())


def last_losses(history: list[Row]) -> dict[str, dict[str, float]]:
    """Of each plane, at its end."""
    return {plane: losses for plane, _, _, losses in history}


def check_target(source: Path, target: Path) -> None:
    """Raises UserError, before minutes are spent, where the result could not be written."""
    files.check_target(target)
    if target.suffix.lower() not in PICTURES:
        names = ", ".join(PICTURES)
        raise UserError(f"{target} does not say what kind of picture to write.", f"End it in {names}.")
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is the picture itself.", "Give another name for the result.")
