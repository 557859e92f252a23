"""From a checkpoint to a shipped model: ONNX, safetensors, thumbnail, card."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch

from livestyle.config.look import LOOK_KINDS, STYLE, STYLE_FILES
from livestyle.errors import UserError
from livestyle.files import sha256, write_error
from livestyle.image.io import save_image
from livestyle.image.pixels import cover, fit
from livestyle.image.types import Image
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.card import KINDS, Card, save_card
from livestyle.nets.engine import choose_engine
from livestyle.nets.export.shipped import Shipped, build, ship
from livestyle.nets.tensors import as_batch
from livestyle.render.stylizer import load_style
from livestyle.train.checkpoint import Figures, is_finite, is_folded, load_checkpoint
from livestyle.train.photos import FRAMES, dead_leaves, demo_frame
from livestyle.train.style import ARCHS, StyleTraining

THUMBNAIL = 240, 135
LIVE = 640, 360  # that of the pictures that int8 is measured on
JUDGED = 4  # of them
LIKE = 32.0  # dB


def load_trained(checkpoint: Path, net: str, part: str, width: float = 1.0) -> tuple[torch.nn.Module, Figures]:
    """The net that a checkpoint holds under `part`, and the figures for its card: minutes, images, losses."""
    model = fold(build(net, width)) if is_folded(checkpoint) else build(net, width)
    facts = load_checkpoint(checkpoint, {part: model})
    return model, {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def reserve(name: str, models: Path) -> None:
    """Make sure, before a long training, that a style of that name can be written.

    Raises:
        UserError: the name means something else, or the folder cannot be written.
    """
    is_taken = name in LOOK_KINDS and name != STYLE
    if not re.fullmatch(r"\w[\w.-]*", name) or is_taken or name.lower().endswith(STYLE_FILES):
        raise UserError(f"'{name}' cannot be a style's name.", "Take letters, digits, - and _.")
    folder = models / KINDS["style"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise write_error(folder, error) from None


def publish(card: Card, net: torch.nn.Module, models: Path) -> Card:
    """Write the files of a model into MODELS/KIND/NAME and its card with their digests.

    A style of the net that ships computes in int8, unless that is under LIKE dB from the net itself; its card says how
    near it comes.

    Raises:
        UserError: a weight is no finite number, or the folder cannot be written.
    """
    if not is_finite({card.name: fold(copy.deepcopy(net)).half()}):  # as it is shipped
        raise UserError(f"The weights of {card.name} are not all finite numbers.", "Train it again, at a lower --rate.")
    if card.kind != "style":
        return write_model(card, net, models)
    known = {k: v for k, v in card.figures.items() if k != "int8_psnr"}
    if card.net == "slim":
        pictures = samples()
        whole = write_model(card, net, models, pictures)
        if (near := fidelity(whole, net, pictures[:JUDGED])) >= LIKE:
            return write_card(replace(whole, figures={**known, "precision": "int8", "int8_psnr": round(near, 1)}))
    return write_model(replace(card, figures={**known, "precision": "bf16"}), net, models)


def write_model(card: Card, net: torch.nn.Module, models: Path, pictures: Sequence[Image] = ()) -> Card:
    """The files of a model, and its card."""
    folder = models / KINDS[card.kind] / card.name
    try:
        batches = [as_batch([picture], "cpu") for picture in pictures]
        written = ship(net, card.kind, folder, card.name, card.multiple, card.net, batches)
        files = {file.name: sha256(file) for file in written}
    except OSError as error:
        raise write_error(folder, error) from None
    return write_card(replace(card, files=files, folder=folder))


def write_card(card: Card) -> Card:
    """The card into its folder."""
    assert card.folder is not None
    try:
        save_card(card, card.folder)
    except OSError as error:
        raise write_error(card.folder, error) from None
    return card


def samples() -> list[Image]:
    """Pictures such as a style will paint, at the size of the live view: frames of the demo clip, and made-up ones."""
    frames = [demo_frame(number) for number in range(0, FRAMES, 2)]
    return [cover(picture, LIVE) for pair in zip(frames, map(dead_leaves, range(8)), strict=True) for picture in pair]


@torch.no_grad()
def fidelity(card: Card, net: torch.nn.Module, pictures: Sequence[Image]) -> float:
    """How near a published style's pictures come to the net's own, in single precision: the least PSNR, in dB."""
    paints, exact = choose_engine("cpu").load(card), Shipped(net, card.kind)
    errors = []
    for picture in pictures:
        truth = exact(torch.from_numpy(picture)[None]).numpy().astype(np.float64)
        errors.append(float(np.square(np.asarray(paints(picture[None]), np.float64) - truth).mean()))
    return float(10 * np.log10(255**2 / max(*errors, 1e-9)))


@dataclass(frozen=True)
class StyleFacts:
    """What a style's card says besides how it was trained."""

    name: str
    title: str
    source: str
    license: str = "yours"
    data: str = ""
    default: bool = False


def publish_style(job: StyleTraining, style: StyleFacts, models: Path, command: str, photo: Image) -> None:
    """Write the style that a finished training holds, with its thumbnail, made of `photo`.

    Raises:
        UserError: as `publish`.
    """
    net, facts = load_trained(job.checkpoint, job.arch, "net")
    card = Card(
        style.name, "style", style.title, job.arch, {}, style.license, style.source, style.data or job.photos.where,
        command, facts, multiple=ARCHS[job.arch], default=style.default,
        painting_sha256=str(facts.pop("painting_sha256")),
    )  # fmt: skip
    publish(card, net, models)
    save_thumbnail(models, style.name, photo)


def save_thumbnail(models: Path, name: str, photo: Image) -> None:
    """A small picture in the style, for galleries."""
    style = load_style(name, choose_engine("cpu"), 640 * 360, models)
    save_image(models / KINDS["style"] / name / "thumbnail.png", fit(style(photo), THUMBNAIL))
