"""Train a person segmenter on portraits with mattes."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from livestyle.nets import deeplab, losses, unet
from livestyle.segment import input_size
from livestyle.settings import Size
from livestyle.train.checkpoint import Report, load_checkpoint, train_by_the_clock
from livestyle.train.data import Scenes, list_pairs
from livestyle.train.style import list_pictures

BATCH = 16
RATIOS = (16 / 9, 16 / 9, 4 / 3, 1.0, 4 / 5, 3 / 4, 9 / 16)  # of the training inputs' sides: webcams and stills


@dataclass(frozen=True)
class Arch:
    """A kind of segmenter that can be trained.

    Args:
        net: makes it; multiple: of its input's sides; encoder: the file of pretrained weights that it starts from.
        pixels: about the area of its input.
    """

    net: Callable[[], nn.Module]
    multiple: int
    encoder: str = ""
    pixels: int = 288 * 160


ARCHS = {
    "unet": Arch(unet.MobileUNet, unet.MULTIPLE, "mobilenetv2"),
    "deeplab": Arch(deeplab.DeepLab, deeplab.MULTIPLE, "mobilenetv2"),
}


@dataclass(frozen=True)
class SegmenterTraining:
    """What to train and how; every field is a flag of `livestyle train segmenter`."""

    arch: str
    data: tuple[Path, ...]
    rooms: Path
    perceptual: Path
    checkpoint: Path
    minutes: float = 60.0
    init: Path | None = None  # a checkpoint of another segmenter to start from
    learning_rate: float = 1e-3
    pixels: int = 0  # of the input; 0: the arch's own
    average: float = 0.999  # of the weights, per step: the average is what ships
    workers: int = 1  # processes that make pictures
    device: str = "cpu"
    seed: int = 0


def train_segmenter(job: SegmenterTraining) -> Iterator[Report]:
    """Train, or go on from the checkpoint; yields after each step."""
    arch = ARCHS[job.arch]
    torch.manual_seed(job.seed)
    torch.set_flush_denormal(True)  # vanishing gradients made some convolutions ten times slower
    net = arch.net()
    if arch.encoder:
        net.encoder.load(job.perceptual / f"{arch.encoder}.safetensors")  # type: ignore[operator, union-attr]
    net.to(job.device).to(memory_format=torch.channels_last)
    if job.init:
        load_checkpoint(job.init, {"mean": net})
    mean = copy.deepcopy(net)
    groups: list[dict[str, Any]] = [
        {
            "params": [p for name, p in net.named_parameters() if name.startswith("encoder.")],
            "lr": job.learning_rate / 2,
        },
        {"params": [p for name, p in net.named_parameters() if not name.startswith("encoder.")]},
    ]
    optimizer = torch.optim.AdamW(groups, job.learning_rate, weight_decay=1e-2)
    pairs = [pair for folder in job.data for pair in list_pairs(folder)]
    pixels = job.pixels or arch.pixels
    sizes = tuple(input_size((round(1000 * ratio), 1000), pixels, arch.multiple) for ratio in RATIOS)
    scenes = Scenes(pairs, list_pictures(job.rooms))
    batches = draw(DataLoader(Batches(scenes, sizes), None, num_workers=job.workers))

    def one(_: float, images: int) -> tuple[int, dict[str, float]]:
        terms = step(net, *to_device(next(batches), job.device), optimizer, job.device)
        update_average(mean, net, min(job.average, 1 - 1 / (images / BATCH + 2)))
        return BATCH, terms

    nets: dict[str, nn.Module] = {"net": net, "mean": mean}
    yield from train_by_the_clock(nets, optimizer, job.checkpoint, job.minutes, job.seed, one)


def draw(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader's batches; its processes start, seeded, with the first."""
    yield from loader


class Batches(IterableDataset[tuple[Tensor, Tensor]]):
    """Pictures uint8 (N, H, W, 3) and mattes float (N, H, W) without end, each batch of one random size."""

    def __init__(self, scenes: Scenes, sizes: tuple[Size, ...]) -> None:
        self.scenes, self.sizes = scenes, sizes

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            size = random.choice(self.sizes)
            samples = [self.scenes.sample(size) for _ in range(BATCH)]
            yield (
                torch.from_numpy(np.stack([image for image, _ in samples])),
                torch.from_numpy(np.stack([matte for _, matte in samples])),
            )


def to_device(batch: tuple[Tensor, Tensor], device: str) -> tuple[Tensor, Tensor]:
    """A batch as pictures (N, 3, H, W) in [0, 1] and mattes (N, 1, H, W)."""
    pictures, mattes = batch[0].to(device), batch[1].to(device)
    rgb = (pictures.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
    return rgb, mattes[:, None]


def step(net: nn.Module, rgb: Tensor, truth: Tensor, optimizer: torch.optim.Optimizer, device: str) -> dict[str, float]:
    """One optimiser step; returns the named losses."""
    net.train()
    with torch.autocast(device, torch.bfloat16):
        logits = net(rgb)
    terms = losses.matte_losses(logits.float(), truth)
    total = torch.stack(list(terms.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()
    return {k: float(v.detach()) for k, v in terms.items()}


@torch.no_grad()
def update_average(mean: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Exponential average of the weights and of the norms' statistics."""
    for ours, theirs in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)
