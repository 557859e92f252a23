"""Load styles: a model card or a file becomes a function on images."""

import threading
from pathlib import Path

import numpy as np

from livestyle.config.look import STYLE_FILES
from livestyle.config.picture import PREFIX
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.pixels import at_most, fit, pad_to
from livestyle.image.types import Image, size_of
from livestyle.nets.card import ROW, Card, check_file_size, load_card, tensor_names
from livestyle.nets.engine import Engine, Net
from livestyle.nets.gallery_rows import read_row
from livestyle.nets.library import find_card
from livestyle.nets.load import load_row
from livestyle.render.picture_rows import open_predictor
from livestyle.types import Size

THUMBNAIL_SIZE = 240, 135
PREDICTOR = "predictor"  # the figure of a row's card with the digest of its network
DEFAULT_MULTIPLE = 4  # of the sides of an input, for files that do not say
MIN_SIDE_PX = 8  # of an input: a smaller one has nothing to mirror at the border of the network's maps
NET_SIGNATURES = {"johnson": "encode.0.conv.weight", "slim": "join.weight"}  # tensors that no other network has


def style_card(style: str, models: Path | None = None) -> Card:
    """Return the model card of a style by name, or a card for a file of the user's own.

    Raises:
        UserError: there is no such style or file.
    """
    path = Path(style)
    if path.suffix.lower() not in STYLE_FILES:
        return find_card("style", style, models)
    if not path.is_file():
        raise UserError(f"There is no file {style}.", "Check the name.")
    beside = path.with_name("card.json")
    if beside.is_file() and path.name in (card := load_card(beside)).files:
        if card.kind != "style":
            raise not_a_style(path, card.kind)
        return card
    onnx, weights = path.with_suffix(".onnx"), path.with_suffix(".safetensors")
    there = [file for file in (onnx, weights) if file.is_file()]
    for file in there:
        check_file_size(file)
    files = {file.name: sha256(file) for file in there}
    net = net_in_file(weights) if weights.is_file() else "?"
    return Card(path.stem, "style", path.stem, net, files, "?", str(path), "?", "?",
                multiple=DEFAULT_MULTIPLE, folder=path.parent)  # fmt: skip


def net_in_file(path: Path) -> str:
    """Return the name of the transform network in a safetensors file, by its metadata or its tensors' names.

    Raises:
        UserError: the file is cut short, or holds anything else.
    """
    facts, names = tensor_names(path)
    if "facts" in facts:
        raise UserError(f"{path} is a training's checkpoint, not a style.", "Run that training to its end.")
    if facts.get("kind", "style") != "style":
        raise not_a_style(path, facts["kind"])
    net = facts.get("net") or next((net for net, sign in NET_SIGNATURES.items() if sign in names), None)
    if net not in NET_SIGNATURES:
        raise UserError(f"{path} does not hold a style that livestyle knows.", "Make it with: livestyle train style")
    return net


def not_a_style(path: Path, kind: str) -> UserError:
    """Return the error for another kind of model."""
    return UserError(f"{path} is a {kind}, not a style.", "Give another file.")


class Stylizer:
    """Paint pictures of any size in a style.

    Args:
        net: the network of the style.
        multiple: that the sides of its input are of.
        pixels: the most to paint at. The painting of a larger picture is scaled back up.
        note: what people should know about the style, or "".
    """

    def __init__(self, net: Net, multiple: int, pixels: int, note: str = "") -> None:
        self.net, self.multiple, self._pixels, self.note = net, multiple, pixels, note
        self._lock = threading.Lock()  # a network is one request, and two planes may need it at once

    def __call__(self, image: Image) -> Image:
        """Return the painting of a picture, uint8 (H, W, 3), at the picture's size."""
        size = size_of(image)
        width, height = at_most(size, self._pixels)
        padded = self._padded(fit(image, (width, height)))
        with self._lock:
            painted = np.asarray(self.net(padded[None])[0], np.uint8)
        return fit(np.ascontiguousarray(painted[:height, :width]), size)

    def prepare(self, size: Size) -> None:
        """Compile the network for pictures of a size. Others can be painted meanwhile."""
        width, height = at_most(size, self._pixels)
        self.net.prepare((1, *self._padded(np.zeros((height, width, 3), np.uint8)).shape))

    def _padded(self, image: Image) -> Image:
        image = pad_to(image, self.multiple)
        return image if min(image.shape[:2]) >= MIN_SIDE_PX else pad_to(image, MIN_SIDE_PX)


def thumbnail_of(style: Stylizer, photo: Image) -> Image:
    """Return a small picture in a style, for galleries.

    Args:
        style: that paints; photo: uint8 (H, W, 3) RGB.
    """
    return fit(style(photo), THUMBNAIL_SIZE)


def load_style(
    style: str, engine: Engine, pixels: int, models: Path | None = None, picture: Image | None = None
) -> Stylizer:
    """Load a style.

    Args:
        style: a name, a file of the user's own, or a look `picture:...`.
        engine: what runs its network.
        pixels: the most to paint at.
        models: a folder of models that goes before all others, or None.
        picture: such as the style will paint, uint8 (H, W, 3). A style that is a row measures its ranges on it.

    Raises:
        UserError: there is none of that name, or its file is damaged.
    """
    if style.startswith(PREFIX):
        predictor = open_predictor(models)
        net = load_row(engine, predictor.card, predictor.mix(style), picture)
        return Stylizer(net, predictor.card.multiple, pixels, predictor.note(style))
    return load_card_style(style_card(style, models), engine, pixels, models, picture)


def digest_of(predictor: Card) -> str:
    """Return the SHA-256 of the network of a predictor."""
    return next(digest for name, digest in predictor.files.items() if name.endswith(".onnx"))


def load_card_style(
    card: Card, engine: Engine, pixels: int, models: Path | None = None, picture: Image | None = None
) -> Stylizer:
    """Load the style of a card; see `load_style`.

    Raises:
        UserError: its file is missing or damaged.
    """
    if card.net == ROW:
        predictor = open_predictor(models).card
        if card.figures.get(PREDICTOR, digest_of(predictor)) != digest_of(predictor):
            problem = f"The style '{card.name}' was kept for another version of livestyle."
            raise UserError(problem, f"Keep it again, from {card.source}.")
        return Stylizer(load_row(engine, predictor, read_row(card), picture), predictor.multiple, pixels)
    return Stylizer(engine.load(card), card.multiple, pixels)
