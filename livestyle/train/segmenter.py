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
from livestyle.matting.datasets import Pair, fault_line, list_pairs, list_rooms, read_pair
from livestyle.nets import losses
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.export.shipped import build
from livestyle.train.checkpoint import is_folded, load_facts, load_weights
from livestyle.train.curves import MEAN_IU, Terms
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.scenes import Scenes
from livestyle.types import Say, Size

BATCH = 16
SIDE_RATIOS = (16 / 9, 16 / 9, 4 / 3, 1.0, 3 / 4, 3 / 4, 3 / 4)  # width to height of training inputs: webcams, stills
# What can be trained, and the multiple of its input's sides.
ARCHS = {
    "unet": 32, "deeplabv3plus": 16, "cnn-resnet": 8, "fcn8s": 32, "deeplab-lfov": 8, "segnet": 32,
    "deeplabv3-mobilenet": 16,
}  # fmt: skip
INPUT_PX = 288 * 160  # about the area of the input
HELD_OUT, NOTHING = "held-out", "none"  # what to validate on, besides a folder
HOLD_OUT_INTERVAL, MAX_HELD_OUT = 40, 64  # one pair of 40 is held out, at most 64 pairs

Batch = tuple[Tensor, Tensor]  # pictures uint8 (N, H, W, 3), mattes float (N, H, W) in [0, 1]


@dataclass(frozen=True)
class SegmenterTraining:
    """What to train, and how. Every field is a flag of `livestyle train segmenter`.

    Args:
        arch: of ARCHS.
        data: folders of portraits with mattes; rooms: a folder of pictures without people.
        perceptual: the folder of pretrained encoders.
        checkpoint: the file to resume from, and to write.
        minutes: to train, over all runs together.
        init: a checkpoint or model to start from; None starts from the pretrained encoder.
        learning_rate: the highest; the encoder's is half of it.
        pixels: about the area of the input.
        width: multiplier of the channels, for the networks of the literature.
        validate: HELD_OUT, NOTHING, or a folder of pairs.
        pasted: share of the samples with people pasted before another room.
        clean: share of the samples that are not degraded.
        average: decay of the weights' moving average per step. The average is shipped.
        workers: processes that make samples.
        frozen: keep the norms' statistics, which is a quarter faster; for a network that is trained already.
        device: as PyTorch calls it.
        seed: of all chance.
    """

    arch: str
    data: tuple[Path, ...]
    rooms: Path
    perceptual: Path
    checkpoint: Path
    minutes: float = 60.0
    init: Path | None = None
    learning_rate: float = 1e-3
    pixels: int = INPUT_PX
    width: float = 1.0
    validate: str = HELD_OUT
    pasted: float = 0.33
    clean: float = 0.0
    average: float = 0.999
    workers: int = 1
    frozen: bool = False
    device: str = "cpu"
    seed: int = 0


def train_segmenter(job: SegmenterTraining, warn: Say = lambda line: None) -> Iterator[TrainingStatus]:
    """Train, or resume from the checkpoint.

    Args:
        job: what to train; warn: takes messages about data that is left out.

    Yields:
        The status after each step.

    Raises:
        UserError: there is no data or no pretrained encoder, or as `run_training`.
    """
    scenes, held_out = gather_data(job, warn)
    torch.manual_seed(job.seed)
    torch.set_flush_denormal(True)  # denormal gradients made some convolutions ten times slower
    net = open_net(job).to(job.device).to(memory_format=torch.channels_last)
    mean = copy.deepcopy(net)
    groups: list[dict[str, Any]] = [
        {
            "params": [p for name, p in net.named_parameters() if name.startswith("encoder.")],
            "lr": job.learning_rate / 2,
        },
        {"params": [p for name, p in net.named_parameters() if not name.startswith("encoder.")]},
    ]
    optimizer = torch.optim.AdamW(groups, job.learning_rate, weight_decay=1e-2)
    sizes = tuple(input_size((round(1000 * ratio), 1000), job.pixels, ARCHS[job.arch]) for ratio in SIDE_RATIOS)
    batches = load_batches(Batches(scenes, sizes, job.seed), load_facts(job.checkpoint)["images"], job.workers, warn)

    def take_step(_: float, images: int) -> tuple[int, Terms]:
        to_training(net, job.frozen)
        terms = step(net, *to_device(next(batches), job.device), optimizer, job.device)
        update_average(mean, net, min(job.average, 1 - 1 / (images / BATCH + 2)))
        return BATCH, terms

    yield from run_training(Training(
        {"net": net, "mean": mean}, optimizer, job.checkpoint, job.minutes, job.seed, take_step,
        validation(mean, held_out, job, warn), warn,
    ))  # fmt: skip


def open_net(job: SegmenterTraining) -> nn.Module:
    """Return the network with the weights to start from; without norms where those are folded already."""
    net = build(job.arch, job.width)
    if is_folded(job.checkpoint if job.checkpoint.is_file() else job.init):
        net = fold(net)
    pretrained = getattr(getattr(net, "encoder", None), "pretrained", "")
    if job.init:
        load_weights(job.init, net, "mean")
    elif pretrained and not job.checkpoint.is_file():
        net.encoder.load(job.perceptual / f"{pretrained}.safetensors")  # type: ignore[operator, union-attr]
    return net


def gather_data(job: SegmenterTraining, warn: Say) -> tuple[Scenes, list[Pair]]:
    """Return the scenes to train on, and the pairs to validate on.

    Raises:
        UserError: a folder holds nothing usable.
    """
    pairs, held_out = [pair for folder in job.data for pair in list_pairs(folder, warn)], list[Pair]()
    if job.validate == HELD_OUT:
        pairs, held_out = hold_out(pairs)
    elif job.validate != NOTHING:
        held_out = list_pairs(Path(job.validate), warn, held_out=True)
    return Scenes(pairs, list_rooms(list_pictures(job.rooms), warn), job.pasted, clean=job.clean), held_out


def hold_out(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Split off one pair of HOLD_OUT_INTERVAL, at most MAX_HELD_OUT, spread over all pairs.

    Returns:
        The other pairs, and those held out.
    """
    stride = max(HOLD_OUT_INTERVAL, -(-len(pairs) // MAX_HELD_OUT))
    return [pair for n, pair in enumerate(pairs, start=1) if n % stride], pairs[stride - 1 :: stride]


def validation(net: nn.Module, pairs: list[Pair], job: SegmenterTraining, warn: Say) -> Callable[[], Terms] | None:
    """Return a function that scores the network on whole pictures, averaged per picture; None without pairs.

    Args:
        net: to score; pairs: to score on; job: the training; warn: takes a message about unreadable pairs.
    """
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


def load_batches(batches: "Batches", images: int, workers: int, warn: Say) -> Iterator[Batch]:
    """Yield batches from a number of images on. Their processes start with the first batch.

    Args:
        batches: to load.
        images: seen so far.
        workers: number of processes.
        warn: takes a message about unreadable pictures.

    Raises:
        UserError: nothing is left to train on.
    """
    named = set[str]()
    for batch in DataLoader(batches, None, sampler=count(images, BATCH), num_workers=workers):
        if isinstance(batch, UserError):
            raise batch
        pictures, mattes, dropped = batch
        if fresh := [name for name in dropped if name not in named]:
            named.update(fresh)
            warn(fault_line("unreadable", fresh))
        yield pictures, mattes


class Batches(Dataset[tuple[Tensor, Tensor, list[str]] | UserError]):
    """Batches of one random size, by the number of images before them, with the names of all dropped pictures.

    The number seeds the batch, so it is the same in any process and after any interruption. An error is returned, not
    raised, because a worker process would wrap it in its traceback.

    Args:
        scenes: draws the samples; sizes: to choose from; seed: of all batches.
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
    """Return a batch as float pictures (N, 3, H, W) in [0, 1] and mattes (N, 1, H, W), on a device."""
    pictures, mattes = batch[0].to(device), batch[1].to(device)
    rgb = (pictures.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)
    return rgb, mattes[:, None]


def to_training(net: nn.Module, frozen: bool) -> None:
    """Set training mode; where `frozen`, the norms keep their statistics."""
    net.train()
    if frozen:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def step(net: nn.Module, rgb: Tensor, truth: Tensor, optimizer: torch.optim.Optimizer, device: str) -> Terms:
    """Take one optimizer step.

    Args:
        net: to train; rgb: float (N, 3, H, W) in [0, 1]; truth: mattes (N, 1, H, W) in [0, 1].
        optimizer: of the network; device: as PyTorch calls it.

    Returns:
        The named losses and the mean IoU.
    """
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
    """Return the named losses and the mean IoU of logits and a true matte, both (N, 1, H, W)."""
    return {**losses.matte_losses(logits, truth), MEAN_IU: mean_iu(logits.detach() > 0, truth > 0.5)}


def mean_iu(found: Tensor, true: Tensor) -> Tensor:
    """Return the mean IoU of person and background (Long et al. 2015), averaged over pictures.

    Args:
        found, true: bool (N, 1, H, W).
    """
    axes = (1, 2, 3)
    person = ((found & true).sum(axes), (found | true).sum(axes))
    scene = ((~(found | true)).sum(axes), (~(found & true)).sum(axes))
    # A class that neither mask contains counts as right.
    return torch.stack(
        [torch.where(whole > 0, both / whole.clamp(min=1), 1.0) for both, whole in (person, scene)]
    ).mean()


@torch.no_grad()
def update_average(mean: torch.nn.Module, net: torch.nn.Module, keep: float) -> None:
    """Update the moving average of weights and of the norms' statistics.

    Args:
        mean: the average, changed in place; net: the newest weights; keep: share of the average, in 0..1.
    """
    for average, newest in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(newest, 1 - keep)
        else:
            average.copy_(newest)
