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
from livestyle.nets.blocks import fold
from livestyle.nets.shipped import build
from livestyle.nets.vgg import LossNetwork, load_loss_network
from livestyle.train.checkpoint import Report, is_folded, load_weights, train_by_the_clock

ARCHS = {"twoscale": 8, "transform": 4, "johnson": 4}  # what can be trained, and the multiple of its input's sides
CROPS = (160, 256)  # sides of the training pictures: of the first half, where more steps are worth more, and the rest
MOST = 480  # short side that a photo is scaled to, at most; at least that of the crop
STILL_EVERY = 3  # steps: the temporal term costs as much as half of the rest
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
    arch: str = "twoscale"
    minutes: float = 25.0
    init: Path | None = None  # a checkpoint of another style to start from
    style_weight: float = 10.0
    tv_weight: float = 5.0
    still_weight: float = 50.0  # of what keeps successive frames alike
    learning_rate: float = 2e-3
    device: str = "cpu"
    seed: int = 0


def train_style(job: StyleTraining) -> Iterator[Report]:
    """Train, or go on from the checkpoint; yields after each step."""
    pictures = list_pictures(job.photos)
    torch.manual_seed(job.seed)
    net = start(job).to(job.device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), job.learning_rate)
    network = load_loss_network(job.perceptual, "vgg19").to(job.device).to(memory_format=torch.channels_last)
    grams = painting_grams(network, load_image(job.picture))

    def one(progress: float, images: int) -> tuple[int, dict[str, float]]:
        side = CROPS[progress >= 0.5]
        batch = as_batch([random_crop(load_image(random.choice(pictures)), side) for _ in range(BATCH)], job.device)
        still = images // BATCH % STILL_EVERY == 0
        return BATCH, step(net, network, grams, batch, optimizer, job, still)

    yield from train_by_the_clock({"net": net}, optimizer, job.checkpoint, job.minutes, job.seed, one)


def start(job: StyleTraining) -> nn.Module:
    """The net with the weights that the training starts from."""
    net = build(job.arch)
    if is_folded(job.checkpoint if job.checkpoint.is_file() else job.init):
        net = fold(net)
    if job.init:
        load_weights(job.init, net, "net")
    return net.train()


def step(
    net: nn.Module, network: LossNetwork, targets: dict[str, Tensor], batch: Tensor,
    optimizer: torch.optim.Optimizer, job: StyleTraining, still: bool,
) -> dict[str, float]:  # fmt: skip
    """One optimiser step on a batch (N, 3, H, W) in [0, 1], with the temporal term or not; returns the named losses."""
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
    if job.still_weight and still:
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


def random_crop(image: Image, side: int) -> Image:
    """A square at a random scale, mirrored half of the time."""
    image = fit_short(image, random.randint(side, MOST))
    h, w = image.shape[:2]
    y, x = random.randint(0, h - side), random.randint(0, w - side)
    crop = image[y : y + side, x : x + side]
    return cv2.flip(crop, 1).astype(np.uint8) if random.random() < 0.5 else crop
