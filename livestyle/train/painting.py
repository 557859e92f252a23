"""The losses of a network that paints: content, style, smoothness, and steadiness of successive frames."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.tensors import as_batch
from livestyle.train.photos import Sample
from livestyle.train.ranks import mixed

GRID_WEIGHT = 1000  # a grid that is just visible then costs a tenth of the other losses
MAX_NOISE, LIGHT_CHANGE = 0.04, 0.03  # of the second picture, in brightness of 0..1
SHIFT_PX, TURN = 3.0, 0.01  # of the second picture: standard deviation of its shift, and of turn (rad) and zoom

Paint = Callable[[Tensor], Tensor]  # float (N, 3, H, W) in [0, 1] to as many pictures, or to several rounds of them


@dataclass(frozen=True)
class LossWeights:
    """How much the losses of painting count, beside a content weight of 1.

    Args:
        style, tv: of these losses; people: of people's content; stability: of the temporal loss.
        usual: the usual sum of content and style. Each picture's counts by this over its own sum, so that all change by
            the same factor, however hard their styles are. 0 lets all count alike.
    """

    style: float = 10.0
    people: float = 3.0
    tv: float = 5.0
    stability: float = 50.0
    usual: float = 0.0


def paint_terms(
    paint: Paint, network: LossNetwork, grams: dict[str, Tensor], samples: list[Sample], weights: LossWeights,
    device: str, is_stable: bool, content: Tensor | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Return the named, weighted losses of what is painted of samples of one size.

    People's content counts more than other content, because a face with a star on its nose is no face.

    Args:
        paint: the network; where it paints several rounds of the samples, one after another, each picture counts.
        network: the loss network; grams: (1, C, C) by style layer, or (N, C, C) for N pictures in N styles.
        samples: to paint; weights: of the losses; device: as PyTorch calls it; is_stable: add the temporal loss.
        content: what `content_of` returns for the samples, where it is known.
    """
    batch = as_batch([sample.image for sample in samples], device)
    people = as_batch([sample.people[..., None] for sample in samples], device)
    content = content_of(network, batch) if content is None else content
    with mixed(device):
        painted = paint(batch)
        maps = network(painted.clamp(-0.1, 1.1))
    painted, rounds = painted.float(), len(painted) // len(batch)
    content, people = (torch.cat([x] * rounds) for x in (content, people))  # `repeat` would not keep channels last
    contents = losses.content_losses(maps, {losses.CONTENT_LAYER: content}, 1 + (weights.people - 1) * people)
    styles = weights.style * losses.style_losses(maps, grams)
    if weights.usual:
        counts = weights.usual / (contents + styles).detach()
        contents, styles = (scale_gradient(term, counts) for term in (contents, styles))
    terms = {
        "content": contents.mean(),
        "style": styles.mean(),
        "tv": weights.tv * losses.tv_loss(painted),
        "grid": GRID_WEIGHT * losses.grid_loss(painted),
        # The picture is clipped to 0..1, so values outside have no other gradient.
        "range": (painted - painted.clamp(0, 1)).square().mean() * 100,
    }
    if weights.stability and is_stable:
        terms["still"] = weights.stability * stability_loss(paint, batch, painted, [s.seed for s in samples])
    return terms


@torch.no_grad()
def content_of(network: LossNetwork, batch: Tensor) -> Tensor:
    """Return the loss network's maps that content is compared in, for (N, 3, H, W) in [0, 1]."""
    with mixed(str(batch.device)):
        content: Tensor = network(batch, losses.CONTENT_LAYER)[losses.CONTENT_LAYER]
    return content


def scale_gradient(x: Tensor, factor: Tensor) -> Tensor:
    """Return the same numbers, with a gradient multiplied by a factor."""
    return factor * x + (1 - factor) * x.detach()


def stability_loss(paint: Paint, batch: Tensor, painted: Tensor, seeds: list[int]) -> Tensor:
    """Return how much the painting of a moved, noisy picture differs from the moved painting.

    A change of light may show: the gain in luma is subtracted (Gao et al. 2018, ReCoNet).

    Args:
        paint: the network.
        batch: float (N, 3, H, W) in [0, 1]; painted: what `paint` makes of it, in one round or several.
        seeds: of each picture's movement, light and noise.
    """
    device, rounds = str(batch.device), len(painted) // len(batch)
    parts = [disturbance(seed, batch.shape[2:]) for seed in seeds]
    affine, light, noise = (torch.stack(part).to(device) for part in zip(*parts, strict=True))
    grid = F.affine_grid(affine, [len(batch), 1, *batch.shape[2:]], align_corners=False)
    grids = grid.repeat(rounds, 1, 1, 1)
    moved = F.grid_sample(batch, grid, padding_mode="reflection", align_corners=False)
    wanted = F.grid_sample(painted, grids, padding_mode="reflection", align_corners=False)
    relit = moved * light
    with mixed(device):
        again = paint((relit + noise).clamp(0, 1).contiguous(memory_format=torch.channels_last)).float()
    gain = (relit - moved).mean(1, keepdim=True).repeat(rounds, 1, 1, 1)
    error: Tensor = (again - wanted - gain).square() * (grids.abs() <= 1).all(3)[:, None]
    return error.mean()


def disturbance(seed: int, size: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a small movement, a change of light and noise.

    Args:
        seed: of all three; size: (H, W).

    Returns:
        An affine map (2, 3) from output to input places in -1..1, a factor (1, 1, 1), and noise (3, H, W).
    """
    chance = torch.Generator().manual_seed(seed)
    shift = SHIFT_PX * torch.randn(2, generator=chance) * 2 / torch.tensor([size[1], size[0]])
    turn, stretch, light = torch.randn(3, generator=chance)
    angle, scale = TURN * turn, 1 + TURN * stretch
    cos, sin = scale * angle.cos(), scale * angle.sin()
    affine = torch.stack([torch.stack([cos, -sin, shift[0]]), torch.stack([sin, cos, shift[1]])])
    noise = MAX_NOISE * torch.rand(1, generator=chance) * torch.randn(3, *size, generator=chance)
    return affine, (1 + LIGHT_CHANGE * light).view(1, 1, 1), noise
