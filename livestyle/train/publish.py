"""From a checkpoint to a shipped model: ONNX, safetensors, thumbnail, card."""

import copy
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import torch
from safetensors import SafetensorError

from livestyle.engine import choose_engine
from livestyle.errors import UserError
from livestyle.image import Image, fit, save_image, write_error
from livestyle.look import PARSERS, STYLE_FILES
from livestyle.nets.blocks import fold
from livestyle.nets.shipped import build, ship
from livestyle.stylize import load_style
from livestyle.train.checkpoint import Facts, is_finite, is_folded, load_checkpoint
from livestyle.weights import KINDS, Card, save_card, sha256

THUMBNAIL = 240, 135


def load_trained(checkpoint: Path, net: str, part: str, width: float = 1.0) -> tuple[torch.nn.Module, Facts]:
    """The net that a checkpoint holds under `part`, and the figures for its card: minutes, images, losses."""
    model = fold(build(net, width)) if is_folded(checkpoint) else build(net, width)
    facts = load_checkpoint(checkpoint, {part: model})
    return model, {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def reserve(name: str, models: Path) -> None:
    """Make sure, before a long training, that a style of that name can be written.

    Raises:
        UserError: the name means something else, or the folder cannot be written.
    """
    if not re.fullmatch(r"\w[\w.-]*", name) or name in PARSERS or name.lower().endswith(STYLE_FILES):
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

    Raises:
        UserError: a weight is no finite number, or the folder cannot be written.
    """
    if not is_finite({card.name: fold(copy.deepcopy(net)).half()}):  # as it is shipped
        raise UserError(f"The weights of {card.name} are not all finite numbers.", "Train it again, at a lower --rate.")
    folder = models / KINDS[card.kind] / card.name
    try:
        written = ship(net, card.kind, folder, card.name, card.multiple, card.net)
        files = {file.name: sha256(file) for file in written}
        whole = replace(card, files=files, folder=folder)
        save_card(whole, folder)
    except (OSError, SafetensorError) as error:
        raise write_error(folder, error) from None
    return whole


def save_thumbnail(models: Path, name: str, photo: Image) -> None:
    """A small picture in the style, for galleries."""
    style = load_style(name, choose_engine("cpu"), 640 * 360, models)
    save_image(models / KINDS["style"] / name / "thumbnail.png", fit(style(photo), THUMBNAIL))
