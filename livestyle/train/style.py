"""Train a transform net to paint like a picture (Johnson et al. 2016)."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.gatys import as_batch, painting_grams
from livestyle.image import Image, fit_short, load_image
from livestyle.nets import losses
from livestyle.nets.shipped import build
from livestyle.nets.vgg import LossNetwork, load_loss_network
from livestyle.train.checkpoint import Report, load_checkpoint, train_by_the_clock

ARCHS = {"twoscale": 8, "transform": 4, "johnson": 4}  # what can be trained, and the multiple of its input's sides
CROP = 256
NOISE, LIGHT = 0.04, 0.03  # of a second picture beside each: the most noise, and the change of the light
SHIFT, TURN = 3.0, 0.01  # its movement: in pixels, and in radians and shares of the size
BATCH = 2  # small: in a short training more steps are worth more than smoother ones


@dataclass(frozen=True)
class StyleTraining:
    """What to train and how; every field is a flag of `livestyle train style`."""

    picture: Path
    photos: Path
    perceptual: Path
    checkpoint: Path
    arch: str = "transform"
    minutes: float = 25.0
    init: Path | None = None  # a checkpoint of another style to start from
    style_weight: float = 10.0
    tv_weight: float = 5.0
    still_weight: float = 0.0  # of what keeps successive frames alike
    learning_rate: float = 2e-3
    compact_until: float = 0.3  # share of the time on the compact loss network
    device: str = "cpu"
    seed: int = 0


def train_style(job: StyleTraining) -> Iterator[Report]:
    """Train, or go on from the checkpoint; yields after each step."""
    pictures = list_pictures(job.photos)
    torch.manual_seed(job.seed)
    net = build(job.arch).to(job.device).to(memory_format=torch.channels_last)
    if job.init:
        load_checkpoint(job.init, {"net": net})
    optimizer = torch.optim.Adam(net.parameters(), job.learning_rate)
    goals = Goals(job)

    def one(progress: float, _: int) -> tuple[int, dict[str, float]]:
        network, targets = goals.at(progress)
        batch = as_batch([random_crop(load_image(random.choice(pictures))) for _ in range(BATCH)], job.device)
        return BATCH, step(net, network, targets, batch, optimizer, job)

    yield from train_by_the_clock({"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, one)


class Goals:
    """The loss network of each part of a training, and the painting's Gram matrices in it."""

    def __init__(self, job: StyleTraining) -> None:
        self._job, self._name = job, ""
        self._painting = load_image(job.picture)
        self._network: LossNetwork
        self._targets: dict[str, Tensor]

    def at(self, progress: float) -> tuple[LossNetwork, dict[str, Tensor]]:
        """Those for a progress of 0..1; the compact network first."""
        name = "vgg19_16x" if progress < self._job.compact_until else "vgg19"
        if name != self._name:
            self._name = name
            self._network = load_loss_network(self._job.perceptual, name).to(self._job.device)
            self._targets = painting_grams(self._network, self._painting)
        return self._network, self._targets


def step(
    net: nn.Module, network: LossNetwork, targets: dict[str, Tensor], batch: Tensor,
    optimizer: torch.optim.Optimizer, job: StyleTraining,
) -> dict[str, float]:  # fmt: skip
    """One optimiser step on a batch (N, 3, H, W) in [0, 1]; returns the named losses."""
    with torch.autocast(job.device, torch.bfloat16):
        with torch.no_grad():
            content = network(batch, losses.CONTENT_LAYER)
        painted = net(batch)
        maps = network(painted.clamp(-0.1, 1.1))
    terms = {
        "content": losses.content_loss(maps, content),
        "style": job.style_weight * losses.style_loss(maps, targets),
        "tv": job.tv_weight * losses.tv_loss(painted.float()),
        # the picture is cut at 0 and 1: what lies beyond is pulled back
        "range": (painted.float() - painted.float().clamp(0, 1)).square().mean() * 100,
    }
    if job.still_weight:
        terms["still"] = job.still_weight * still_loss(net, batch, painted.float(), job.device)
    total = torch.stack(list(terms.values())).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimizer.step()
    return {k: float(v.detach()) for k, v in terms.items()}


def still_loss(net: nn.Module, batch: Tensor, painted: Tensor, device: str) -> Tensor:
    """How differently a moved, noisy picture is painted, beside the painting moved alike.

    A change of the light may show: what the luma gained is allowed for (Gao et al. 2018, ReCoNet).
    """
    grid = small_motion(len(batch), batch.shape[2:], device)
    seen = (grid.abs() <= 1).all(3)[:, None]
    moved, wanted = (F.grid_sample(x, grid, padding_mode="reflection", align_corners=False) for x in (batch, painted))
    lit = moved * (1 + LIGHT * torch.randn(len(batch), 1, 1, 1, device=device))
    noise = NOISE * torch.rand(len(batch), 1, 1, 1, device=device) * torch.randn_like(batch)
    with torch.autocast(device, torch.bfloat16):
        again = net((lit + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
    gained = (lit - moved).mean(1, keepdim=True)
    error: Tensor = (again - wanted - gained).square() * seen
    return error.mean()


def small_motion(count: int, size: torch.Size, device: str) -> Tensor:
    """Where each pixel comes from, (N, H, W, 2) in -1..1: shifted by some pixels, turned and scaled a little."""
    shift = SHIFT * torch.randn(count, 2) * 2 / torch.tensor([size[1], size[0]])
    angle, scale = TURN * torch.randn(count), 1 + TURN * torch.randn(count)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    affine = torch.cat([turn, shift[..., None]], 2).to(device)
    return F.affine_grid(affine, [count, 1, *size], align_corners=False)


def list_pictures(folder: Path) -> list[Path]:
    """Every JPEG and PNG of a folder, sorted.

    Raises:
        UserError: there is none.
    """
    pictures = sorted(p for p in folder.glob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not pictures:
        raise UserError(f"There are no pictures in {folder}.", "Give a folder of JPEG or PNG photos.")
    return pictures


def random_crop(image: Image) -> Image:
    """A square of CROP px at a random scale, mirrored half of the time."""
    image = fit_short(image, random.randint(CROP, 480))
    h, w = image.shape[:2]
    y, x = random.randint(0, h - CROP), random.randint(0, w - CROP)
    crop = image[y : y + CROP, x : x + CROP]
    return cv2.flip(crop, 1).astype(np.uint8) if random.random() < 0.5 else crop
