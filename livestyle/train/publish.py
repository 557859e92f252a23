"""From a checkpoint to a shipped model: ONNX, safetensors, thumbnail, card."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import torch
from safetensors import SafetensorError

from livestyle.engine import choose_engine
from livestyle.errors import UserError
from livestyle.image import Image, fit, save_image, write_error
from livestyle.look import PARSERS, STYLE_FILES
from livestyle.nets.blocks import fold, of_style
from livestyle.nets.shipped import build, ship
from livestyle.stylize import load_style
from livestyle.train.checkpoint import Facts, is_finite, is_folded, load_checkpoint
from livestyle.train.style import ARCHS, StyleTraining, fresh_net
from livestyle.weights import KINDS, Card, find_cards, save_card, sha256

THUMBNAIL = 240, 135


def load_trained(checkpoint: Path, net: str, part: str, width: float = 1.0) -> tuple[torch.nn.Module, Facts]:
    """The net that a checkpoint holds under `part`, and the figures for its card: minutes, images, losses."""
    model = fold(build(net, width)) if is_folded(checkpoint) else build(net, width)
    return model, trained_facts(checkpoint, {part: model})


def trained_facts(checkpoint: Path, nets: dict[str, torch.nn.Module]) -> Facts:
    """Restore nets from a checkpoint; its facts as a card has them."""
    facts = load_checkpoint(checkpoint, nets)
    return {"minutes": round(facts.pop("seconds") / 60, 1), **facts}


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


@dataclass(frozen=True)
class StyleFacts:
    """What a style's card says besides how it was trained."""

    name: str
    title: str
    source: str
    license: str = "yours"
    data: str = ""
    default: bool = False


def gallery_facts(names: Sequence[str], models: Path | None, license: str, data: str) -> list[StyleFacts]:
    """The facts of several styles by name; titles, origins and the default are those of styles that there are."""
    known = find_cards("style", models if models and models.is_dir() else None)
    cards = [(name, known.get(name)) for name in names]
    return [
        StyleFacts(name, card.title, card.source, license, data or card.data, card.default) if card
        else StyleFacts(name, name.replace("_", " ").capitalize(), name, license, data)
        for name, card in cards
    ]  # fmt: skip


def publish_styles(job: StyleTraining, styles: Sequence[StyleFacts], models: Path, command: str, photo: Image) -> None:
    """Write each style that a finished training holds, with its thumbnail, made of `photo`.

    Raises:
        UserError: as `publish`.
    """
    net = fresh_net(job) if len(styles) > 1 else None
    for row, style in enumerate(styles):
        if net is None:
            one, facts = load_trained(job.checkpoint, job.arch, "net")
        else:
            facts = trained_facts(job.checkpoint, {"net": net})
            one = of_style(net, row)
        paintings = str(facts.pop("painting_sha256")).split()  # in the styles' order
        card = Card(
            style.name, "style", style.title, job.arch, {}, style.license, style.source, style.data or job.photos.where,
            command, facts, multiple=ARCHS[job.arch], default=style.default, painting_sha256=paintings[row],
        )  # fmt: skip
        publish(card, one, models)
        save_thumbnail(models, style.name, photo)


def save_thumbnail(models: Path, name: str, photo: Image) -> None:
    """A small picture in the style, for galleries."""
    style = load_style(name, choose_engine("cpu"), 640 * 360, models)
    save_image(models / KINDS["style"] / name / "thumbnail.png", fit(style(photo), THUMBNAIL))
