"""Turn a checkpoint into a shipped model: ONNX, safetensors, thumbnail, card."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import torch

from livestyle.errors import UserError
from livestyle.files import sha256, write_error
from livestyle.image.io import save_image
from livestyle.image.pixels import cover
from livestyle.image.types import Image
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.card import KIND_FOLDERS, Card, save_card
from livestyle.nets.engine import choose_engine
from livestyle.nets.export.shipped import Shipped, build, ship
from livestyle.nets.library import check_style_name
from livestyle.nets.tensors import as_batch
from livestyle.render.stylizer import load_style, thumbnail_of
from livestyle.train.checkpoint import Figures, is_finite, is_folded, load_checkpoint
from livestyle.train.photos import DEMO_FRAMES, dead_leaves, demo_frame
from livestyle.train.style import ARCHS, StyleTraining

CALIBRATION_SIZE = 640, 360  # of the pictures that give the ranges for int8; that of the live view
COMPARED_PICTURES = 4  # of those
MIN_INT8_PSNR_DB = 32.0  # below, a style is shipped without int8


def load_trained(checkpoint: Path, net: str, part: str, width: float = 1.0) -> tuple[torch.nn.Module, Figures]:
    """Load the network of a finished training.

    Args:
        checkpoint: of the training.
        net: the architecture's name.
        part: the name under which the checkpoint holds it.
        width: multiplier of its channels.

    Returns:
        The network, and the figures for its card: minutes, images, losses.

    Raises:
        UserError: the checkpoint is damaged, or holds another network.
    """
    model = fold(build(net, width)) if is_folded(checkpoint) else build(net, width)
    facts = load_checkpoint(checkpoint, {part: model})
    return model, {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def reserve(name: str, models: Path) -> None:
    """Check, before a long training, that a style of that name can be written.

    Raises:
        UserError: the name has another meaning, or the folder cannot be written to.
    """
    check_style_name(name)
    folder = models / KIND_FOLDERS["style"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise write_error(folder, error) from None


def publish(card: Card, net: torch.nn.Module, models: Path) -> Card:
    """Write a model's files into MODELS/KIND/NAME, and its card with their digests.

    The shipped architecture of styles computes in int8. Where that falls below MIN_INT8_PSNR_DB, it computes in
    bfloat16. The card of the style says which, and the PSNR.

    Args:
        card: without files and folder; net: of `card.net`; models: the folder to write to.

    Returns:
        The card as written.

    Raises:
        UserError: a weight is not finite in half precision, or the folder cannot be written to.
    """
    if not is_finite({card.name: fold(copy.deepcopy(net)).half()}):  # as it is shipped
        raise UserError(
            f"The weights of {card.name} are not all finite numbers.", "Train it again, at a lower rate.", "rate"
        )
    if card.kind != "style":
        return write_model(card, net, models)
    known = {k: v for k, v in card.figures.items() if k != "int8_psnr"}
    if card.net == "slim":
        pictures = calibration_pictures()
        whole = write_model(card, net, models, pictures)
        if (psnr := least_psnr(whole, net, pictures[:COMPARED_PICTURES])) >= MIN_INT8_PSNR_DB:
            return write_card(replace(whole, figures={**known, "precision": "int8", "int8_psnr": round(psnr, 1)}))
    return write_model(replace(card, figures={**known, "precision": "bf16"}), net, models)


def write_model(card: Card, net: torch.nn.Module, models: Path, pictures: Sequence[Image] = ()) -> Card:
    """Write a model's files and its card.

    Args:
        card, net, models: as of `publish`.
        pictures: uint8 (H, W, 3) RGB, which give the ranges for int8; none for a model without int8.

    Raises:
        UserError: the folder cannot be written to.
    """
    folder = models / KIND_FOLDERS[card.kind] / card.name
    try:
        batches = [as_batch([picture], "cpu") for picture in pictures]
        written = ship(net, card.kind, folder, card.name, card.multiple, card.net, batches)
        files = {file.name: sha256(file) for file in written}
    except OSError as error:
        raise write_error(folder, error) from None
    return write_card(replace(card, files=files, folder=folder))


def write_card(card: Card) -> Card:
    """Write the card into its folder, and return it.

    Raises:
        UserError: the folder cannot be written to.
    """
    assert card.folder is not None
    try:
        save_card(card, card.folder)
    except OSError as error:
        raise write_error(card.folder, error) from None
    return card


def calibration_pictures() -> list[Image]:
    """Return pictures such as a style will paint, at CALIBRATION_SIZE: frames of the demo clip and synthetic ones."""
    frames = [demo_frame(number) for number in range(0, DEMO_FRAMES, 2)]
    pairs = zip(frames, map(dead_leaves, range(8)), strict=True)
    return [cover(picture, CALIBRATION_SIZE) for pair in pairs for picture in pair]


@torch.no_grad()
def least_psnr(card: Card, net: torch.nn.Module, pictures: Sequence[Image]) -> float:
    """Return how close a published style comes to the network in single precision: the least PSNR, in dB.

    Args:
        card: of the published style; net: the network itself; pictures: uint8 (H, W, 3) RGB.
    """
    paints, exact = choose_engine("cpu").load(card), Shipped(net, card.kind)
    errors = []
    for picture in pictures:
        truth = exact(torch.from_numpy(picture)[None]).numpy().astype(np.float64)
        errors.append(float(np.square(np.asarray(paints(picture[None]), np.float64) - truth).mean()))
    return float(10 * np.log10(255**2 / max(*errors, 1e-9)))


@dataclass(frozen=True)
class StyleFacts:
    """What a style's card says beside the figures of the training.

    Args:
        name: to type; title: for people; source: who painted the picture, and its terms.
        license: of the weights; data: the photos, and their terms.
        default: whether it is the default style.
    """

    name: str
    title: str
    source: str
    license: str = "yours"
    data: str = ""
    default: bool = False


def publish_style(job: StyleTraining, style: StyleFacts, models: Path, command: str, photo: Image) -> None:
    """Write the style of a finished training, with a thumbnail made of `photo`.

    Args:
        job: the training; style: for the card; models: the folder to write to; command: that trained it.
        photo: uint8 (H, W, 3) RGB.

    Raises:
        UserError: as `publish`.
    """
    net, facts = load_trained(job.checkpoint, job.arch, "net")
    card = Card(
        style.name, "style", style.title, job.arch, {}, style.license, style.source, style.data or job.photos.origin,
        command, facts, multiple=ARCHS[job.arch], default=style.default,
        painting_sha256=str(facts.pop("painting_sha256")),
    )  # fmt: skip
    publish(card, net, models)
    save_thumbnail(models, style.name, photo)


def save_thumbnail(models: Path, name: str, photo: Image) -> None:
    """Write a small picture in the style, for galleries.

    Raises:
        UserError: the file cannot be written.
    """
    style = load_style(name, choose_engine("cpu"), 640 * 360, models)
    save_image(models / KIND_FOLDERS["style"] / name / "thumbnail.png", thumbnail_of(style, photo))
