"""Style pictures: parsed from a look, scaled, and given a still's colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from livestyle.config.look import STYLE, STYLE_FILES, parse_plane
from livestyle.config.picture import PREFIX, WHOLE, read_mix
from livestyle.errors import UserError
from livestyle.image.io import READABLE_SUFFIXES
from livestyle.image.pixels import fit
from livestyle.image.types import Image, Matte, size_of
from livestyle.nets.library import find_painting
from livestyle.types import Size

Blend = tuple[tuple[Path, float], ...]  # pictures and their weights, which sum to 1

MIN_SIDE_PX = 32  # the loss network needs so much
MIN_VARIANCE = 1e-3  # of colours in 0..1, so that the covariance can be inverted


def style_pictures(background: str | None, person: str, models: Path | None = None) -> dict[str, Blend]:
    """Return the style pictures of two looks, by plane; nothing for a look that is none.

    Args:
        background, person: the looks; models: a folder of models that goes before all others.

    Raises:
        UserError: as `parse_blend`.
    """
    looks = {"background": background or "none", "person": person}
    return {plane: parse_blend(look, models) for plane, look in looks.items() if look != "none"}


def parse_blend(look: str, models: Path | None = None) -> Blend:
    """Return pictures parted by +, each with @WEIGHT or an equal share of the rest: a.jpg+starry_night@0.3.

    Args:
        look: files of pictures, or names of styles, which stand for their paintings.
        models: a folder of models that goes before all others.

    Raises:
        UserError: a file is missing or no picture, a style has no picture, or the weights do not sum to 1.
    """
    if look.startswith(PREFIX):
        return mixed_pictures(look, models)
    look = look.removeprefix("image:")
    if Path(look).is_file():
        return ((painting_named(look, models), 1.0),)
    pictures, weights = [], []
    for part in look.split("+"):
        name, at, weight = part.rpartition("@")
        pictures.append(painting_named(name if at else part, models))
        weights.append(_weight(look, weight) if at else None)
    rest, open_ = 1 - sum(weight or 0 for weight in weights), weights.count(None)
    if rest < -1e-9 or (not open_ and abs(rest) > 1e-9):
        raise UserError(f"The weights of '{look}' do not sum to 1.", "Leave one away: it takes what is left.")
    return tuple((p, rest / open_ if w is None else w) for p, w in zip(pictures, weights, strict=True))


def mixed_pictures(look: str, models: Path | None = None) -> Blend:
    """Return the pictures of a look `picture:...`, with their shares.

    Raises:
        UserError: as `parse_blend`, or only a part of a picture is meant.
    """
    mix = read_mix(look.removeprefix(PREFIX))
    if any(one.region != WHOLE for one in mix):
        raise UserError("By optimisation a whole picture is the style.", "Cut the part out, and give its file.")
    return tuple((painting_named(one.path or one.style, models), one.share) for one in mix)


def painting_named(name: str, models: Path | None = None) -> Path:
    """Return the path of a picture.

    Args:
        name: its file, or a style, which stands for its painting.
        models: a folder of models that goes before all others.

    Raises:
        UserError: the file is missing or of another kind, there is no such style, or it has no picture.
    """
    path = Path(name)
    if path.suffix.lower() in READABLE_SUFFIXES:
        if not path.is_file():
            raise UserError(f"There is no file {path}.", "Check the name.")
        return path
    if path.exists() or parse_plane(name).kind != STYLE or name.lower().endswith(STYLE_FILES):
        raise UserError(f"'{name}' is not a picture to paint from.", "Give the file of a painting, a style, or none.")
    return find_painting(name, models)


def _weight(look: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise UserError(f"In '{look}', {text or 'nothing'} is not between 0 and 1.", "Choose a number from 0 to 1.")
    return weight


def scale_beside(painting: Image, size: Size) -> Image:
    """Return a painting scaled to the area of a picture, its shape kept, so that its strokes are in proportion."""
    w, h = size_of(painting)
    scale = (size[0] * size[1] / (w * h)) ** 0.5
    return fit(painting, (max(MIN_SIDE_PX, round(w * scale)), max(MIN_SIDE_PX, round(h * scale))))


def match_colors(painting: Image, image: Image, mask: Matte) -> Image:
    """Return the painting with the mean and covariance of a picture's colours inside a mask.

    By the square roots of both covariances (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer").

    Args:
        painting: uint8 (h, w, 3) RGB; image: uint8 (H, W, 3) RGB; mask: float32 (H, W) in 0..1.
    """
    painting_mean, _, from_root = color_statistics(painting.reshape(-1, 3), np.ones(painting.shape[:2], np.float32))
    image_mean, to_root, _ = color_statistics(image.reshape(-1, 3), mask)
    moved = (painting / 255.0 - painting_mean) @ (from_root @ to_root) + image_mean
    return np.asarray(np.clip(moved * 255 + 0.5, 0, 255), np.uint8)


def color_statistics(colors: NDArray[np.uint8], weights: Matte) -> tuple[NDArray[np.float64], ...]:
    """Return the mean of colours, the square root of their covariance, and its inverse.

    Args:
        colors: uint8 (N, 3); weights: N of any shape.

    Returns:
        float64 (3,), (3, 3) and (3, 3), of colours in 0..1.
    """
    values, shares = colors / 255.0, weights.reshape(-1) / max(float(weights.sum()), 1e-9)
    mean = shares @ values
    deviations = values - mean
    squares, axes = np.linalg.eigh((deviations * shares[:, None]).T @ deviations)
    roots = np.sqrt(np.maximum(squares, MIN_VARIANCE))
    return mean, axes * roots @ axes.T, axes / roots @ axes.T
