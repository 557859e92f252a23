"""Stills painted by optimization (Gatys et al. 2016), person and background each in the style of its own pictures."""

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from time import monotonic

import numpy as np
import torch

from livestyle import files
from livestyle.config.outputs import FINISHED, OTHER, UNFINISHED
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image import pixels
from livestyle.image.io import PICTURE_SUFFIXES, PictureNotes, load_image, load_notes, load_picture, save_image
from livestyle.image.types import WHITE, Frame, Image, Matte, size_of
from livestyle.nets import memory
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.engine import choose_engine
from livestyle.nets.fetch import silent_progress
from livestyle.nets.loss_network import open_loss_network
from livestyle.nets.tensors import device_of
from livestyle.render.filter import Filter
from livestyle.stills.loss_curve import LossRow, draw_curve
from livestyle.stills.masked_loss import Layers, Lens, set_masked_goal, stand_in, style_grams
from livestyle.stills.memory import fit_memory
from livestyle.stills.multiscale import Multiscale, join
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.stills.style_images import scale_beside
from livestyle.stills.timelapse import Timelapse, check_timelapse
from livestyle.stills.unfinished import PaintState, Unfinished
from livestyle.types import OpenProgress, Progress, Say, Size

PREVIEW_INTERVAL_S = 10.0  # between pictures so far
SAVE_RATIO = 30  # at most one part in 30 of the time is spent on saving
BLUR = 0.5  # strength of the portrait blur beside other results
DIGEST_NOTE = "livestyle-digest"  # in the picture's file: digest of all that it was made from


@dataclass(frozen=True)
class Outputs:
    """What is written with each result.

    Args:
        notes: text by name, into the picture's file.
        has_planes: write the person alone, the background alone and a portrait blur beside the result.
        is_forced: paint anew what is finished.
    """

    notes: Mapping[str, str] = field(default_factory=dict)
    has_planes: bool = False
    is_forced: bool = False


@dataclass(frozen=True)
class Still:
    """One still, ready to be painted.

    Args:
        source, target: the picture and the result; curve: a PNG of the losses, or None.
        timelapse: keeps how it came to be, or None.
        image: uint8 (H, W, 3) RGB; notes: of its file.
        matte: of the person; None where one picture serves both planes.
        recipe: with the plan of the state; state: how far it has come; digest: of all that it is made from.
        multiscale: paints it; unfinished: keeps the state.
    """

    source: Path
    target: Path
    curve: Path | None
    timelapse: Timelapse | None
    image: Image
    notes: PictureNotes
    matte: Matte | None
    recipe: Recipe
    state: PaintState
    digest: str
    multiscale: Multiscale
    unfinished: Unfinished

    def write(self, notes: Mapping[str, str]) -> None:
        """Write the picture so far, with notes in its file, and the curve of the losses.

        Raises:
            UserError: a file cannot be written.
        """
        picture = join(self.image, self.matte, self.multiscale.pictures(), self.recipe)
        save_image(self.target, picture, replace(self.notes, notes=notes))
        if self.curve:
            draw_curve(self.state.history, self.curve)

    def write_timelapse(self) -> None:
        """Write how the picture came to be, if that is wanted.

        Raises:
            UserError: the file cannot be written.
        """
        if self.timelapse:
            self.timelapse.write(self.multiscale.pictures())

    def save(self) -> None:
        """Keep the state, and write the picture so far.

        Raises:
            UserError: a file cannot be written.
        """
        self.unfinished.save(self.multiscale.state())
        self.write({})


class GatysPainter:
    """Paint stills one after the other.

    Args:
        settings: device, models and segmenter.
        recipe: how to paint.
        loss_network: as of `open_loss_network`.
        say: takes messages.
        outputs: what is written with each result.
        progress: shows downloads.

    Raises:
        UserError: the recipe is wrong, or a picture, device, segmenter or loss network is missing.
    """

    def __init__(
        self, settings: Settings, recipe: Recipe, loss_network: Path | None, say: Say, outputs: Outputs = Outputs(),
        progress: OpenProgress = silent_progress,
    ) -> None:  # fmt: skip
        recipe.check()
        if outputs.has_planes and len(recipe.styles) < 2:
            raise UserError(
                "Only one plane is painted.", "Give the background and the person a picture each.", "all_parts"
            )
        self._settings, self._say, self._outputs = settings, say, outputs
        self._paintings = {
            plane: [(load_image(path), weight) for path, weight in blend] for plane, blend in recipe.styles.items()
        }
        engine = choose_engine(settings.device)
        needs_matte = outputs.has_planes or not recipe.is_whole
        self._filter = Filter(settings, live=False, progress=progress) if needs_matte else None
        device = engine.device if engine.name == "torch" else "cpu"
        network, self.loss_network = open_loss_network(
            loss_network, device, say, settings.models, recipe.network, progress
        )
        self._network_hash = sha256(self.loss_network)
        say(f"The loss network is {network.name}, from {self.loss_network}.")
        self._set_recipe(recipe, network)

    def _set_recipe(self, recipe: Recipe, network: LossNetwork) -> None:
        """Take a recipe, with layers that the network has."""
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
        """Return a silent painter for another recipe with the same style pictures and planes."""
        other = copy(self)
        other._say, other._outputs = lambda line: None, replace(self._outputs, has_planes=False)
        other._set_recipe(recipe, self._lens.network)
        return other

    def paint(
        self, source: Path, target: Path, stop: Event, watch: Progress, curve: Path | None = None,
        timelapse: Path | None = None,
    ) -> bool:  # fmt: skip
        """Paint a picture, or resume it.

        The picture so far is written at intervals, and once `stop` is set.

        Args:
            source: the picture; target: the result.
            stop: ends the painting early.
            watch: takes the progress.
            curve: a PNG of the losses so far, drawn at the same times; None for none.
            timelapse: a clip of how it came to be, written at the end and once it is stopped; None for none.

        Returns:
            Whether it is finished.

        Raises:
            UserError: the picture cannot be read or written, or is too small.
        """
        job = self._plan(source, target, curve, timelapse)
        if job is None:
            self._say(f"{target} is finished already: remove it to paint it anew.")
            return True
        if not run(job, stop, watch):
            return False
        self._write(job)
        return True

    def state(self, source: Path, target: Path) -> str:
        """Return what a file is to the painting of a picture: UNFINISHED, FINISHED or OTHER.

        Raises:
            UserError: the picture cannot be read.
        """
        digest = self._digest(source)
        if Unfinished(target, digest).is_there:
            return UNFINISHED
        return FINISHED if load_notes(target).get(DIGEST_NOTE) == digest else OTHER

    def _digest(self, source: Path) -> str:
        """Return the digest of all that a result is made from."""
        options = [self._matte_options(), self._outputs.has_planes]
        if self._settings.backdrop_rgb != WHITE:  # so that paintings begun before there was a choice go on
            options.append(self._settings.backdrop)
        return self.recipe.digest(sha256(source), self._network_hash, *options)

    def _plan(self, source: Path, target: Path, curve: Path | None, timelapse: Path | None) -> Still | None:
        """Return what is to be done; None where the result is there already."""
        check_target(source, target)
        if timelapse:
            check_timelapse(timelapse, target)
        image, notes = load_picture(source, backdrop=self._settings.backdrop_rgb)
        notes = notes if self._settings.keep_location else notes.without_place()
        digest = self._digest(source)
        if not self._outputs.is_forced and load_notes(target).get(DIGEST_NOTE) == digest:
            return None
        unfinished = Unfinished(target, digest)
        state = unfinished.load()
        if state.history:
            self._say(f"{target} goes on after {len(state.history)} iterations.")
        recipe = self._fitted_recipe(state, size_of(image))
        matte = self._filter.matte(Frame(image, 0, 0.0)) if self._filter else None
        masks = self._masks(image, matte)
        multiscale = Multiscale(self._lens, recipe, self._paintings, image, masks, state)
        count = recipe.iterations * len(masks)
        film = Timelapse(timelapse, image, matte, recipe, count, state.frames) if timelapse else None
        return Still(source, target, curve, film, image, notes, matte, recipe, state, digest, multiscale, unfinished)

    def _write(self, job: Still) -> None:
        """Write the finished picture, and those beside it."""
        if not job.state.history:
            self._say(f"{job.source} shows nothing to paint: there is no such plane in it.")
        for path, picture in self._beside(job).items():
            save_image(path, picture, replace(job.notes, notes=self._outputs.notes))
        job.write_timelapse()
        losses = json.dumps(last_losses(job.state.history))
        job.write({**self._outputs.notes, DIGEST_NOTE: job.digest, "livestyle-losses": losses})
        job.unfinished.remove()

    @torch.no_grad()
    def style_losses(self, source: Path, result: Path) -> dict[str, dict[str, float]]:
        """Return the style loss of each plane of a result against each plane's style.

        Both are compared at the size at which the result was painted.

        Args:
            source: the picture; result: painted from it.

        Returns:
            Losses by plane, then by the plane whose style they are measured against.
        """
        image, _ = load_picture(source, backdrop=self._settings.backdrop_rgb)
        size, _ = scales_of(size_of(image), self.recipe)[-1]
        matte = self._filter.matte(Frame(image, 0, 0.0)) if self._filter else None
        masks = self._masks(image, matte)
        painted = pixels.fit(load_image(result), size)
        losses: dict[str, dict[str, float]] = {plane: {} for plane in masks}
        for style, paintings in self._paintings.items():
            scaled = [(scale_beside(painting, size), weight) for painting, weight in paintings]
            grams = style_grams(self._lens, scaled)
            for plane, mask in masks.items():
                goal = set_masked_goal(self._lens, grams, painted, pixels.fit_matte(mask, size), self.recipe.weights)
                if goal:
                    losses[plane][style] = float(goal.style_loss(self._lens.maps(goal.image)))
        return losses

    def _beside(self, job: Still) -> dict[Path, Image]:
        """Return the pictures that are written beside the result, by file."""
        if not self._outputs.has_planes or job.matte is None:
            return {}
        image, matte, target, planes = job.image, job.matte, job.target, job.multiscale.pictures()
        found = {name: join(image, matte, {name: picture}, self.recipe) for name, picture in planes.items()}
        blurred = pixels.blur_plane(image, 1 - matte, BLUR)
        found["blur"] = pixels.composite(pixels.fast_foreground(image, matte), blurred, matte)
        return {
            files.beside(target, target.stem, f"-{name}{target.suffix}"): picture for name, picture in found.items()
        }

    def _matte_options(self) -> list[object]:
        """Return the settings that the matte depends on."""
        settings = self._settings
        return [settings.segmenter, settings.keep, settings.person_count, settings.model_file, settings.refine]

    def _masks(self, image: Image, matte: Matte | None) -> dict[str, Matte]:
        """Return the mask of each plane that has a style, float32 (H, W) in 0..1."""
        if matte is None:
            return {"person": np.ones(image.shape[:2], np.float32)}
        planes = {"background": 1 - matte, "person": matte}
        return {p: np.ones_like(m) if self.recipe.naive else m for p, m in planes.items() if p in self._paintings}

    def _fitted_recipe(self, state: PaintState, size: Size) -> Recipe:
        """Return the recipe of the state's plan. A new state gets a plan that fits into the free memory."""
        if state.plan is None:
            on_cpu = device_of(self._lens.network).type == "cpu"
            fitted = fit_memory(self.recipe, size, self._say, memory.free_bytes() if on_cpu else None)
            state.plan = fitted.long_side, fitted.optimizer
        long_side, optimizer = state.plan
        return replace(self.recipe, long_side=long_side, optimizer=optimizer)


def run(job: Still, stop: Event, watch: Progress) -> bool:
    """Paint until the still is finished or `stop` is set; save at intervals and when stopped.

    Returns:
        Whether it is finished.
    """
    due = monotonic() + PREVIEW_INTERVAL_S
    for share in job.multiscale.run():
        watch(share, described(job.state.history[-1]))
        if job.timelapse and job.timelapse.wants(len(job.state.history)):
            job.timelapse.keep(job.multiscale.pictures())
        if stop.is_set() or monotonic() > due:
            start = monotonic()
            job.save()
            due = monotonic() + max(PREVIEW_INTERVAL_S, SAVE_RATIO * (monotonic() - start))
        if stop.is_set():
            job.write_timelapse()
            return False
    return True


def described(row: LossRow) -> str:
    """Return the note of a progress bar: plane, size and losses."""
    plane, width, height, losses = row
    return f"{plane} {width}x{height}, " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items())


def last_losses(history: list[LossRow]) -> dict[str, dict[str, float]]:
    """Return the last losses of each plane."""
    return {plane: losses for plane, _, _, losses in history}


def check_target(source: Path, target: Path) -> None:
    """Check, before any work, that the result can be written.

    Raises:
        UserError: it cannot.
    """
    files.check_target(target)
    if target.suffix.lower() not in PICTURE_SUFFIXES:
        names = ", ".join(PICTURE_SUFFIXES)
        raise UserError(f"{target} does not say what kind of picture to write.", f"End it in {names}.")
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is the picture itself.", "Give another name for the result.")
