"""Train a person segmenter on portraits with mattes."""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from livestyle.nets import losses
from livestyle.nets.deeplab import MULTIPLE, DeepLab, load_encoder
from livestyle.settings import Size
from livestyle.train.checkpoint import Report, load_checkpoint, train_by_the_clock
from livestyle.train.data import Scenes, list_pairs
from livestyle.train.style import list_pictures

BATCH = 16
ARCHS = {"deeplab": MULTIPLE}  # and the multiple of their input's sides
PIXELS = 288 * 160  # of the live input: more measured no better (docs/measurements.md)
# All of about the live input's area: landscape for webcams, portrait for stills.
SIZES: tuple[Size, ...] = ((288, 160), (288, 160), (240, 192), (208, 208), (192, 240), (160, 288))


@dataclass(frozen=True)
class SegmenterTraining:
    """What to train and how; every field is a flag of `livestyle train segmenter`."""

    data: Path
    rooms: Path
    perceptual: Path
    checkpoint: Path
    minutes: float = 60.0
    init: Path | None = None  # a checkpoint of another segmenter to start from
    learning_rate: float = 1e-3
    average: float = 0.998  # of the weights, per step: the average is what ships
    device: str = "cpu"
    seed: int = 0


def train_segmenter(job: SegmenterTraining) -> Iterator[Report]:
    """Train, or go on from the checkpoint; yields after each step."""
    scenes = Scenes(list_pairs(job.data), list_pictures(job.rooms))
    torch.manual_seed(job.seed)
    net = DeepLab()
    load_encoder(net, job.perceptual / "mobilenetv2.safetensors")
    net.to(job.device).to(memory_format=torch.channels_last)
    if job.init:
        load_checkpoint(job.init, {"mean": net})
    mean = copy.deepcopy(net)
    fresh = [p for name, p in net.named_parameters() if not name.startswith("encoder.")]
    groups: list[dict[str, Any]] = [
        {"params": list(net.encoder.parameters()), "lr": job.learning_rate / 2},
        {"params": fresh},
    ]
    optimizer = torch.optim.AdamW(groups, job.learning_rate, weight_decay=1e-2)

    def one(_: float, images: int) -> tuple[int, dict[str, float]]:
        terms = step(net, *batch(scenes, job.device), optimizer, job.device)
        update_average(mean, net, min(job.average, 1 - 1 / (images / BATCH + 2)))
        return BATCH, terms

    nets: dict[str, torch.nn.Module] = {"net": net, "mean": mean}
    yield from train_by_the_clock(nets, optimizer, job.checkpoint, job.minutes, job.seed, one)


def batch(scenes: Scenes, device: str) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, H, W) in [0, 1] and mattes (N, 1, H, W), all of one random size of SIZES."""
    size = random.choice(SIZES)
    samples = [scenes.sample(size) for _ in range(BATCH)]
    pictures = torch.from_numpy(np.stack([image for image, _ in samples])).to(device)
    mattes = torch.from_numpy(np.stack([matte for _, matte in samples])).to(device)
    rgb = (pictures.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
    return rgb, mattes[:, None]


def step(net: DeepLab, rgb: Tensor, truth: Tensor, optimizer: torch.optim.Optimizer, device: str) -> dict[str, float]:
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
