"""From a checkpoint to a shipped model: ONNX, safetensors, thumbnail, card."""

from pathlib import Path

import torch

from livestyle.engine import choose_engine
from livestyle.image import Image, fit, save_image
from livestyle.nets.blocks import fold
from livestyle.nets.shipped import build, ship
from livestyle.stylize import load_style
from livestyle.train.checkpoint import Facts, is_folded, load_checkpoint
from livestyle.weights import KINDS, Card, save_card, sha256

THUMBNAIL = 240, 135


def load_trained(checkpoint: Path, net: str, part: str, width: float = 1.0) -> tuple[torch.nn.Module, Facts]:
    """The net that a checkpoint holds under `part`, and the figures for its card: minutes, images, losses."""
    model = fold(build(net, width)) if is_folded(checkpoint) else build(net, width)
    facts = load_checkpoint(checkpoint, {part: model})
    return model, {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


def publish(card: Card, net: torch.nn.Module, models: Path) -> Card:
    """Write the files of a model into MODELS/KIND/NAME and its card with their digests."""
    folder = models / KINDS[card.kind] / card.name
    written = ship(net, card.kind, folder, card.name, card.multiple)
    files = {file.name: sha256(file) for file in written}
    facts = {**card.__dict__, "files": files, "folder": folder}
    whole = Card(**facts)
    save_card(whole, folder)
    return whole


def save_thumbnail(models: Path, name: str, photo: Image) -> None:
    """A small picture in the style, for galleries."""
    style = load_style(name, choose_engine("cpu"), 640 * 360, models)
    save_image(models / KINDS["style"] / name / "thumbnail.png", fit(style(photo), THUMBNAIL))
