"""Style pictures: named and mixed in a LOOK, scaled beside a still, and given its colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.image.io import READABLE
from livestyle.image.pixels import fit
from livestyle.image.types import Image, Matte, size_of
from livestyle.types import Size

Blend = tuple[tuple[Path, float], ...]  # pictures and their weights, whose sum is one

LEAST_SIDE = 32  # px of a short side that a loss network can make something of
EVEN = 1e-3  # of brightness squared: variance that colours are taken to have at least


def style_pictures(background: str | None, person: str) -> dict[str, Blend]:
    """The style pictures of two LOOKs, by plane; of those that are none, nothing.

    Raises:
        UserError: a look that is neither none nor names pictures.
    """
    looks = {"background": background or "none", "person": person}
    return {plane: parse_blend(look) for plane, look in looks.items() if look != "none"}


def parse_blend(look: str) -> Blend:
    """Pictures parted by +, each with @WEIGHT or an equal share of what the others leave: a.jpg+b.jpg@0.3.

    Raises:
        UserError: no such file, no picture, or weights that are not shares of one.
    """
    look = look.removeprefix("image:")
    if Path(look).is_file():
        return ((checked(look), 1.0),)
    pictures, weights = [], []
    for part in look.split("+"):
        name, at, weight = part.rpartition("@")
        pictures.append(checked(name if at else part))
        weights.append(_weight(look, weight) if at else None)
    rest, open_ = 1 - sum(weight or 0 for weight in weights), weights.count(None)
    if rest < -1e-9 or (not open_ and abs(rest) > 1e-9):
        raise UserError(f"The weights of '{look}' do not sum to 1.", "Leave one away: it takes what is left.")
    return tuple((p, rest / open_ if w is None else w) for p, w in zip(pictures, weights, strict=True))


def checked(name: str) -> Path:
    """The path of a picture that is there."""
    path = Path(name)
    if path.suffix.lower() not in READABLE:
        raise UserError(f"'{name}' is not a picture to paint from.", "With --method gatys a LOOK is none or a file.")
    if not path.is_file():
        raise UserError(f"There is no file {path}.", "Check the name.")
    return path


def _weight(look: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise UserError(f"In '{look}', {text or 'nothing'} is not between 0 and 1.", "Choose a number from 0 to 1.")
    return weight


def beside(painting: Image, size: Size) -> Image:
    """A painting scaled to the area of a picture, its shape kept, so that its strokes are in proportion."""
    w, h = size_of(painting)
    scale = (size[0] * size[1] / (w * h)) ** 0.5
    return fit(painting, (max(LEAST_SIDE, round(w * scale)), max(LEAST_SIDE, round(h * scale))))


def match_colors(painting: Image, image: Image, mask: Matte) -> Image:
    """The painting with the colours of a picture inside a mask: their mean and covariance.

    By the square roots of both covariances (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer").
    """
    theirs, _, from_root = spread(painting.reshape(-1, 3), np.ones(painting.shape[:2], np.float32))
    ours, to_root, _ = spread(image.reshape(-1, 3), mask)
    moved = (painting / 255.0 - theirs) @ (from_root @ to_root) + ours
    return np.asarray(np.clip(moved * 255 + 0.5, 0, 255), np.uint8)


def spread(colors: NDArray[np.uint8], weights: Matte) -> tuple[NDArray[np.float64], ...]:
    """Mean (3,) of colours (N, 3) in 0..1, and their covariance's square root and its inverse, both (3, 3)."""
    values, shares = colors / 255.0, weights.reshape(-1) / max(float(weights.sum()), 1e-9)
    mean = shares @ values
    apart = values - mean
    squares, axes = np.linalg.eigh((apart * shares[:, None]).T @ apart)
    roots = np.sqrt(np.maximum(squares, EVEN))
    return mean, axes * roots @ axes.T, axes / roots @ axes.T
