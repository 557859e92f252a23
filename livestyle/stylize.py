"""Styles: a card or a file becomes a function on images."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from livestyle.engine import Engine
from livestyle.errors import UserError
from livestyle.image import Image, at_most, fit, pad_to, size_of
from livestyle.weights import Card, find_card, sha256

MULTIPLE = 8  # of the sides that any transform net takes, for files that do not say

Stylizer = Callable[[Image], Image]  # of any size; the same size out


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
    files = {
        file.name: sha256(file) for file in (path.with_suffix(s) for s in (".onnx", ".safetensors")) if file.is_file()
    }
    return Card(path.stem, "style", path.stem, "transform", files, "?", str(path), "?", "?",
                multiple=MULTIPLE, folder=path.parent)  # fmt: skip


def load_style(style: str, engine: Engine, pixels: int, models: Path | None = None) -> Stylizer:
    """A style made ready; it paints at no more than `pixels` pixels and scales the result back up.

    Raises:
        UserError: there is none of that name, or its file is damaged.
    """
    card = style_card(style, models)
    net, turn = engine.load(card), threading.Lock()

    def stylize(image: Image) -> Image:
        size = size_of(image)
        width, height = at_most(size, pixels)
        small = pad_to(fit(image, (width, height)), card.multiple)
        small = small if min(small.shape[:2]) > 16 else pad_to(small, 32)  # the net reflects 16 px of border
        with turn:  # a net is one request: two planes may want it at once
            painted = np.asarray(net(small[None])[0], np.uint8)
        return fit(np.ascontiguousarray(painted[:height, :width]), size)

    return stylize
