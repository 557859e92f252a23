"""Train a person segmenter on portraits with mattes."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from livestyle.errors import UserError
from livestyle.image.io import list_pictures
from livestyle.image.pixels import fit, input_size
from livestyle.image.types import size_of
from livestyle.matting.datasets import Pair, Warn, fault_line, list_pairs, list_rooms, read_pair
from livestyle.nets import losses
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.export.shipped import build
from livestyle.train.checkpoint import TrainingStatus, is_folded, load_facts, load_weights, train_by_the_clock
from livestyle.train.curves import MEAN_IU, Terms
from livestyle.train.scenes import Scenes
from livestyle.types import Size

BATCH = 16
RATIOS = (16 / 9, 16 / 9, 4 / 3, 1.0, 3 / 4, 3 / 4, 3 / 4)  # of the training inputs' sides: webcams and stills


# The segmenters that can be trained, and the multiple of their input's sides.
ARCHS = {
    "unet": 32, "deeplabv3plus": 16, "cnn-resnet": 8, "fcn8s": 32, "deeplab-lfov": 8, "segnet": 32,
    "deeplabv3-mobilenet": 16,
}  # fmt: skip
PIXELS = 288 * 160  # about the area of their input
HELD_OUT, NOTHING = "held-out", "none"  # what to validate on, besides a folder
EVERY, MOST = 40, 64  # one pair of so many is held out, and so many in all

Batch = tuple[Tensor, Tensor]  # pictures uint8 (N, H, W, 3), mattes float (N, H, W) in 0..1


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
    pixels: int = PIXELS  # of the input
    width: float = 1.0  # multiplier of the channels of the literature's networks
    validate: str = HELD_OUT  # that, NOTHING, or a folder of pairs
    pasted: float = 0.33  # share of people moved before another room
    clean: float = 0.0  # share of pictures left as sharp and as lit as they are
    average: float = 0.999  # of the weights, per step: the average is what ships
    workers: int = 1  # processes that make pictures
    frozen: bool = False  # the norms keep their statistics: a quarter faster, for going on from a trained net
    device: str = "cpu"
    seed: int = 0


def train_segmenter(job: SegmenterTraining, warn: Warn = lambda line: None) -> Iterator[TrainingStatus]:
    """Train, or go on from the checkpoint; yields after each step. `warn` gets a line about data left out.

    Raises:
        UserError: no data, no pretrained weights.
    """
    scenes, held = gather(job, warn)
    torch.manual_seed(job.seed)
    torch.set_flush_denormal(True)  # vanishing gradients made some convolutions ten times slower
    net = start(job).to(job.device).to(memory_format=torch.channels_last)
    mean = copy.deepcopy(net)
    groups: list[dict[str, Any]] = [
        {
            "params": [p for name, p in net.named_parameters() if name.startswith("encoder.")],
            "lr": job.learning_rate / 2,
        },
        {"params": [p for name, p in net.named_parameters() if not name.startswith("encoder.")]},
    ]
    optimizer = torch.optim.AdamW(groups, job.learning_rate, weight_decay=1e-2)
    sizes = tuple(input_size((round(1000 * ratio), 1000), job.pixels, ARCHS[job.arch]) for ratio in RATIOS)
    batches = draw(Batches(scenes, sizes, job.seed), load_facts(job.checkpoint)["images"], job.workers, warn)

    def one(_: float, images: int) -> tuple[int, Terms]:
        to_training(net, job.frozen)
        terms = step(net, *to_device(next(batches), job.device), optimizer, job.device)
        update_average(mean, net, min(job.average, 1 - 1 / (images / BATCH + 2)))
        return BATCH, terms

    nets: dict[str, nn.Module] = {"net": net, "mean": mean}
    yield from train_by_the_clock(
        nets, optimizer, job.checkpoint, job.minutes, job.seed, one, validation(mean, held, job, warn), warn=warn
    )


def start(job: SegmenterTraining) -> nn.Module:
    """The net with the weights that the training starts from; without norms where those are folded."""
    net = build(job.arch, job.width)
    if is_folded(job.checkpoint if job.checkpoint.is_file() else job.init):
        net = fold(net)
    pretrained = getattr(getattr(net, "encoder", None), "pretrained", "")
    if job.init:
        load_weights(job.init, net, "mean")
    elif pretrained and not job.checkpoint.is_file():
        net.encoder.load(job.perceptual / f"{pretrained}.safetensors")  # type: ignore[operator, union-attr]
    return net


def gather(job: SegmenterTraining, warn: Warn) -> tuple[Scenes, list[Pair]]:
    """What to train on, and the pairs to validate on."""
    pairs, held = [pair for folder in job.data for pair in list_pairs(folder, warn)], list[Pair]()
    if job.validate == HELD_OUT:
        pairs, held = hold_out(pairs)
    elif job.validate != NOTHING:
        held = list_pairs(Path(job.validate), warn, held_out=True)
    return Scenes(pairs, list_rooms(list_pictures(job.rooms), warn), job.pasted, clean=job.clean), held


def hold_out(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """The pairs without a fixed share, and that share: one of EVERY, at most MOST, spread over them all."""
    stride = max(EVERY, -(-len(pairs) // MOST))
    return [pair for n, pair in enumerate(pairs, start=1) if n % stride], pairs[stride - 1 :: stride]


def validation(net: nn.Module, pairs: list[Pair], job: SegmenterTraining, warn: Warn) -> Callable[[], Terms] | None:
    """Scores the net on whole pictures at its input's size, averaged per picture; None without any."""
    batches, unreadable = [], []
    for pair in pairs:
        try:
            image, matte = read_pair(pair)
        except UserError:
            unreadable.append(pair.name)
            continue
        size = input_size(size_of(image), job.pixels, ARCHS[job.arch])
        truth = fit(matte, size).astype(np.float32) / np.float32(255)
        batches.append((torch.from_numpy(fit(image, size))[None], torch.from_numpy(truth)[None]))
    if unreadable:
        warn(fault_line("unreadable", unreadable))

    @torch.inference_mode()
    def score() -> Terms:
        net.eval()
        rows = []
        for batch in batches:
            rgb, truth = to_device(batch, job.device)
            with torch.autocast(job.device, torch.bfloat16):
                logits = net(rgb)
            rows.append(measure(logits.float(), truth))
        return {name: fmean(float(row[name]) for row in rows) for name in rows[0]}

    return score if batches else None


def draw(batches: "Batches", images: int, workers: int, warn: Warn) -> Iterator[Batch]:
    """The batches from a number of images seen onwards; the processes that make them start with the first.

    Raises:
        UserError: there is nothing left to train on.
    """
    told = set[str]()
    for batch in DataLoader(batches, None, sampler=count(images, BATCH), num_workers=workers):
        if isinstance(batch, UserError):
            raise batch
        pictures, mattes, dropped = batch
        if fresh := [name for name in dropped if name not in told]:
            told.update(fresh)
            warn(fault_line("unreadable", fresh))
        yield pictures, mattes


class Batches(Dataset[tuple[Tensor, Tensor, list[str]] | UserError]):
    """By the number of images seen before it: a batch of one random size, and the names of all pictures dropped.

    The number seeds it, so that a batch is the same in any process and after any number of stops. An error is handed
    over, not raised: a process of the loader would wrap it in its traceback.
    """

    def __init__(self, scenes: Scenes, sizes: tuple[Size, ...], seed: int) -> None:
        self.scenes, self.sizes, self.seed = scenes, sizes, seed

    def __getitem__(self, images: int) -> tuple[Tensor, Tensor, list[str]] | UserError:
        random.seed(self.seed + images)
        size = random.choice(self.sizes)
        try:
            samples = [self.scenes.sample(size) for _ in range(BATCH)]
        except UserError as error:
            return error
        pictures, mattes = (torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True))
        return pictures, mattes, list(self.scenes.dropped)


def to_device(batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """A batch as pictures (N, 3, H, W) in [0, 1] and mattes (N, 1, H, W)."""
    pictures, mattes = batch[0].to(device), batch[1].to(device)
    rgb = (pictures.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
    return rgb, mattes[:, None]


def to_training(net: nn.Module, frozen: bool) -> None:
    """Into training mode, the norms' statistics as they are where frozen."""
    net.train()
    if frozen:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def step(net: nn.Module, rgb: Tensor, truth: Tensor, optimizer: torch.optim.Optimizer, device: str) -> Terms:
    """One optimiser step; returns the named losses and the IoU."""
    with torch.autocast(device, torch.bfloat16):
        logits = net(rgb)
    terms = measure(logits.float(), truth)
    total = torch.stack([term for name, term in terms.items() if name != MEAN_IU]).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()
    return {k: float(v.detach()) for k, v in terms.items()}


def measure(logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """The named losses between logits and a true matte, both (N, 1, H, W), and the mean IU."""
    return {**losses.matte_losses(logits, truth), MEAN_IU: mean_iu(logits.detach() > 0, truth > 0.5)}


def mean_iu(found: Tensor, true: Tensor) -> Tensor:
    """Mean IU of person and background (Long et al. 2015) of each picture, averaged; masks (N, 1, H, W)."""
    axes = (1, 2, 3)
    person = ((found & true).sum(axes), (found | true).sum(axes))
    scene = ((~(found | true)).sum(axes), (~(found & true)).sum(axes))
    # A class that is in neither mask counts as right.
    return torch.stack(
        [torch.where(whole > 0, both / whole.clamp(min=1), 1.0) for both, whole in (person, scene)]
    ).mean()


@torch.no_grad()
def update_average(mean: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Exponential average of the weights and of the norms' statistics."""
    for ours, theirs in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)
