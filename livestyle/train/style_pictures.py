"""The pictures that a style predictor learns from: their statistics and Gram matrices, computed once."""

import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from livestyle.errors import UserError
from livestyle.files import save_tensors
from livestyle.image.io import list_pictures
from livestyle.image.types import Image, size_of
from livestyle.matting.datasets import fault_line
from livestyle.nets import losses
from livestyle.nets.architectures.style_rows import read_maps, statistics_of
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.style_reader import load_style_picture
from livestyle.nets.tensors import as_batch, device_of
from livestyle.train.ranks import mixed
from livestyle.types import Progress, Say

VIEWS = 2  # of each picture: the whole, and a part at the same scale, mirrored
PART_SIDES = 0.5, 0.8  # of the whole's


@dataclass(frozen=True)
class StyleTargets:
    """What is known of views of pictures. View v of picture p has the number p * views + v.

    Args:
        files: the pictures.
        views: of each picture.
        statistics: float32 (views, inputs), as of `statistics_of`.
        grams: by style layer float16 (views, C * (C + 1) / 2), the upper triangles of Gram matrices with norm 1.
        norms: of the Gram matrices, float32 (views, layers).
    """

    files: list[Path]
    views: int
    statistics: Tensor
    grams: dict[str, Tensor]
    norms: Tensor

    def grams_of(self, views: list[int]) -> dict[str, Tensor]:
        """Return the Gram matrices of views, float32 (len(views), C, C) by style layer."""
        found = {}
        for number, (layer, flat) in enumerate(self.grams.items()):
            side = round((2 * flat.shape[1] + 0.25) ** 0.5 - 0.5)
            rows, columns = torch.triu_indices(side, side)
            matrices = torch.zeros(len(views), side, side)
            values = flat[views].float() * self.norms[views, number, None]
            matrices[:, rows, columns] = values
            matrices[:, columns, rows] = values
            found[layer] = matrices
        return found


def measure_pictures(
    files: list[Path], reader: LossNetwork, judge: LossNetwork, cache: Path,
    watch: Progress = lambda share, text: None, views: int = VIEWS, warn: Say = lambda line: None,
) -> StyleTargets:  # fmt: skip
    """Return the targets of the pictures that can be used, from the cache where they are the same pictures.

    Args:
        files: the pictures; reader: gives their statistics; judge: gives their Gram matrices.
        cache: a safetensors file, written where it does not hold these pictures.
        watch: takes the progress.
        views: of each picture, 1 or 2; see `views_of`.
        warn: takes a message about pictures that are left out.

    Raises:
        UserError: no picture can be used, or the cache cannot be written.
    """
    names = "\n".join(map(str, files))
    if (known := load_targets(cache, names, views)) is not None:
        return known
    found, dropped = [], []
    for number, file in enumerate(files):
        watch(number / len(files), file.name)
        try:
            image = load_style_picture(file)
        except UserError:
            dropped.append(file)
            continue
        found += [measure_view(reader, judge, view) for view in views_of(image, number)[:views]]
    if dropped:
        warn(fault_line("unreadable or too small", [file.name for file in dropped]))
    if not found:
        raise UserError("None of the pictures can be used.", "Give other folders.", "pictures")
    statistics, grams, norms = zip(*found, strict=True)
    matrices = {layer: torch.cat([one[layer] for one in grams]) for layer in losses.STYLE_LAYERS}
    kept = [file for file in files if file not in dropped]
    targets = StyleTargets(kept, views, torch.cat(statistics), matrices, torch.cat(norms))
    cache.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"statistics": targets.statistics, "norms": targets.norms, **targets.grams}
    save_tensors(cache, tensors, {"pictures": names, "dropped": "\n".join(map(str, dropped))})
    return targets


def learnt_pictures(folders: list[Path], leave_out: Path | None) -> list[Path]:
    """Return the pictures of folders and of the folders in them, without those that a text file names.

    Args:
        folders: of pictures; leave_out: names of files, one a line; None leaves out none.

    Raises:
        UserError: there is no such folder or file, or no picture is left.
    """
    try:
        names = set(leave_out.read_text("utf-8").split("\n")) if leave_out else set()
    except (OSError, ValueError):
        raise UserError(f"{leave_out} cannot be read.", "Give a text file of names.", "leave_out") from None
    found = [file for folder in folders for file in list_pictures(folder, deep=True) if file.name not in names]
    if not found:
        raise UserError("No picture is left to learn from.", "Give other folders.", "pictures")
    return found


def load_targets(cache: Path, names: str, views: int) -> StyleTargets | None:
    """Return the cached targets; None where there are none of these pictures, with so many views."""
    try:
        with safe_open(cache, "pt") as file:
            about = file.metadata() or {}
        tensors = load_file(cache)
        dropped = set(about.get("dropped", "").split("\n"))
        kept = [Path(name) for name in names.split("\n") if name not in dropped]
        if about.get("pictures") != names or len(tensors["statistics"]) != views * len(kept):
            return None
        grams = {layer: tensors[layer] for layer in losses.STYLE_LAYERS}
        return StyleTargets(kept, views, tensors["statistics"], grams, tensors["norms"])
    except (OSError, SafetensorError, KeyError):
        return None


def views_of(image: Image, seed: int) -> list[Image]:
    """Return the whole of a picture, and a random part of it, mirrored."""
    chance, (w, h) = random.Random(seed), size_of(image)
    share = chance.uniform(*PART_SIDES)
    width, height = round(w * share), round(h * share)
    x, y = chance.randint(0, w - width), chance.randint(0, h - height)
    return [image, np.asarray(cv2.flip(image[y : y + height, x : x + width], 1), np.uint8)]


@torch.no_grad()
def measure_view(reader: LossNetwork, judge: LossNetwork, image: Image) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Return a view's statistics, Gram matrices and their norms, with the shapes of StyleTargets for one view."""
    device = device_of(reader)
    with mixed(str(device)):
        maps = read_maps(reader, as_batch([image], device))
        judged = maps if judge is reader else read_maps(judge, as_batch([image], device))
    grams, norms = {}, []
    for layer in losses.STYLE_LAYERS:
        matrix = losses.gram(judged[layer].float())
        if layer in judge.taps:  # the Gram matrix behind a linear map follows from the one before it
            tap = judge.tap(layer).weight[:, :, 0, 0]
            matrix = tap @ matrix @ tap.T
        norms.append(matrix.norm())
        rows, columns = torch.triu_indices(*matrix.shape[1:])
        grams[layer] = (matrix / norms[-1])[:, rows, columns].half().cpu()
    return statistics_of(maps).cpu(), grams, torch.stack(norms)[None].cpu()


def source_of(file: Path) -> str:
    """Return the group of a picture: its folder, and its name up to a number or digest at the end, if there is one."""
    numbered = re.fullmatch(r"(.+)_[0-9a-f]{4,}", file.stem)
    return f"{file.parent.name}/{numbered[1] if numbered else ''}"


def even_weights(files: list[Path]) -> list[float]:
    """Return how often to draw each picture, so that a group counts by the root of its size."""
    sizes = Counter(map(source_of, files))
    return [sizes[source_of(file)] ** -0.5 for file in files]
