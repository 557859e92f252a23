"""Styles: a card or a file becomes a function on images."""

import threading
from pathlib import Path

import numpy as np

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.pixels import at_most, fit, pad_to
from livestyle.image.types import Image, size_of
from livestyle.nets.card import Card, load_card, tensor_names
from livestyle.nets.engine import Engine, Net
from livestyle.nets.library import find_card
from livestyle.types import Size

MULTIPLE = 4  # of the sides that any transform net takes, for files that do not say
LEAST = 8  # pixels to a side: of less there is nothing to mirror at the border of the net's maps
SIGNS = {"johnson": "encode.0.conv.weight", "slim": "join.weight"}  # a tensor that no other transform net has


def style_card(style: str, models: Path | None = None) -> Card:
    """The card of a style by name, or one made up for a file of the user's own.

    Raises:
        UserError: there is no such style or file.
    """
    path = Path(style)
    if path.suffix.lower() not in {".onnx", ".safetensors"}:
        return find_card("style", style, models)
    if not path.is_file():
        raise UserError(f"There is no file {style}.", "Check the name.")
    beside = path.with_name("card.json")
    if beside.is_file() and path.name in (card := load_card(beside)).files:
        if card.kind != "style":
            raise not_a_style(path, card.kind)
        return card
    onnx, weights = path.with_suffix(".onnx"), path.with_suffix(".safetensors")
    files = {file.name: sha256(file) for file in (onnx, weights) if file.is_file()}
    net = told_net(weights) if weights.is_file() else "?"
    return Card(path.stem, "style", path.stem, net, files, "?", str(path), "?", "?",
                multiple=MULTIPLE, folder=path.parent)  # fmt: skip


def told_net(path: Path) -> str:
    """Which transform net a safetensors file holds, by what it says, or by its tensors' names.

    Raises:
        UserError: it is cut short, or holds anything else.
    """
    facts, names = tensor_names(path)
    if "facts" in facts:
        raise UserError(f"{path} is a training's checkpoint, not a style.", "Run that training to its end.")
    if facts.get("kind", "style") != "style":
        raise not_a_style(path, facts["kind"])
    net = facts.get("net") or next((net for net, sign in SIGNS.items() if sign in names), None)
    if net not in SIGNS:
        raise UserError(f"{path} does not hold a style that livestyle knows.", "Make it with: livestyle train style")
    return net


def not_a_style(path: Path, kind: str) -> UserError:
    """What to say of another kind of model."""
    return UserError(f"{path} is a {kind}, not a style.", "Give another file.")


class Stylizer:
    """Paints pictures of any size, each at that size.

    Args:
        net: of a style; multiple: of the sides that it takes; pixels: the most to paint at, the result scaled back up.
    """

    def __init__(self, net: Net, multiple: int, pixels: int) -> None:
        self.net, self.multiple, self._pixels = net, multiple, pixels
        self._turn = threading.Lock()  # a net is one request: two planes may want it at once

    def __call__(self, image: Image) -> Image:
        size = size_of(image)
        width, height = at_most(size, self._pixels)
        padded = self._padded(fit(image, (width, height)))
        with self._turn:
            painted = np.asarray(self.net(padded[None])[0], np.uint8)
        return fit(np.ascontiguousarray(painted[:height, :width]), size)

    def prepare(self, size: Size) -> None:
        """Make the net ready for pictures of a size; others can be painted meanwhile."""
        width, height = at_most(size, self._pixels)
        self.net.prepare((1, *self._padded(np.zeros((height, width, 3), np.uint8)).shape))

    def _padded(self, image: Image) -> Image:
        image = pad_to(image, self.multiple)
        return image if min(image.shape[:2]) >= LEAST else pad_to(image, LEAST)


def load_style(style: str, engine: Engine, pixels: int, models: Path | None = None) -> Stylizer:
    """A style made ready; it paints at no more than `pixels` pixels.

    Raises:
        UserError: there is none of that name, or its file is damaged.
    """
    card = style_card(style, models)
    return Stylizer(engine.load(card), card.multiple, pixels)
