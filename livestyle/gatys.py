"""Style transfer by optimisation (Gatys et al. 2016): slow, for any painting, and the yardstick of the fast styles.

With masks inside the loss, each part of a picture has a style of its own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.image import Image, Matte, fit_short
from livestyle.nets import losses
from livestyle.nets.vgg import LossNetwork

STYLE_SIDE = 384  # short side of the painting: its strokes then have the size that they should have at 360p
STYLE_WEIGHT = 10.0
HISTORY = 20  # pairs of steps and gradients that L-BFGS keeps
REMEMBERED = 4  # evaluations; a line search ends at one of its last
RATE = 0.02  # of Adam, in brightness of 0..1
LEAST_SHARE = 1e-4  # of the picture: a smaller part has no style of its own


class Aim(Protocol):
    """What a picture is optimised for: a Goal or a MaskedGoal."""

    @property
    def network(self) -> LossNetwork:
        """The loss network, on the device that computes."""

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """Named terms of a float (1, 3, H, W) picture; "total" is what falls."""


@dataclass(frozen=True)
class Goal:
    """What a pastiche is held against.

    Args:
        network: the loss network, on the device that computes.
        grams: the painting's Gram matrix of each style layer, float32 (1, C, C).
        content: the content image's feature maps of the content layer, float32 (1, C, H / 8, W / 8).
        style_weight: total = content + style_weight * style.
    """

    network: LossNetwork
    grams: dict[str, Tensor]
    content: dict[str, Tensor]
    style_weight: float = STYLE_WEIGHT

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """The terms content, style and total of a float (1, 3, H, W) picture in [0, 1], of the content image's size."""
        maps = self.network(batch)
        content, style = losses.content_loss(maps, self.content), losses.style_loss(maps, self.grams)
        return {"content": content, "style": style, "total": content + self.style_weight * style}


@dataclass(frozen=True)
class Part:
    """A part of the picture, and what it is to look like.

    Args:
        grams: the painting's Gram matrix of each style layer, float32 (1, C, C).
        mask: how far each pixel belongs to the part, float32 (1, 1, H, W) in 0..1.
    """

    grams: dict[str, Tensor]
    mask: Tensor

    @property
    def share(self) -> float:
        """Of the picture, 0..1."""
        return float(self.mask.mean())

    def style_loss(self, maps: dict[str, Tensor]) -> Tensor:
        """As `losses.style_loss`, of the features inside the mask; the same where the mask is whole."""
        terms = [
            (masked_gram(maps[layer], self.mask) - gram).square().sum() / gram.square().sum()
            for layer, gram in self.grams.items()
        ]
        return torch.stack(terms).mean()


@dataclass(frozen=True)
class Weights:
    """total = content * content loss + style * style loss + tv * total variation."""

    content: float = 1.0
    style: float = STYLE_WEIGHT
    tv: float = 0.0


@dataclass(frozen=True)
class MaskedGoal:
    """A goal whose parts have styles of their own, or none: what no part covers keeps the content image's pixels.

    Each part's style counts by its share, so that style against content is the same in a small part as in a large one.

    Args:
        network: as of a Goal.
        parts: at least one.
        image: the content image, float (1, 3, H, W) in [0, 1].
        content: its feature maps of the content layer, float32 (1, C, H / 8, W / 8).
        weights: of the terms.
    """

    network: LossNetwork
    parts: tuple[Part, ...]
    image: Tensor
    content: Tensor
    weights: Weights = Weights()

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """The terms content, style, tv and total of a float (1, 3, H, W) picture in [0, 1]."""
        painted = torch.stack([part.mask for part in self.parts]).sum(0).clamp(max=1)
        seen = torch.lerp(self.image, batch, painted)  # the network sees the pixels that stay beside those that change
        maps = self.network(seen)
        weight = scaled(painted, self.content)
        apart = (maps[losses.CONTENT_LAYER].float() - self.content).square()
        content = (apart * weight).mean() / (self.content.square() * weight).mean()
        shares = [part.share for part in self.parts]
        styles = [part.style_loss(maps) * share for part, share in zip(self.parts, shares, strict=True)]
        style, tv = torch.stack(styles).sum() / sum(shares), losses.tv_loss(seen)
        total = self.weights.content * content + self.weights.style * style + self.weights.tv * tv
        return {"content": content, "style": style, "tv": tv, "total": total}


@dataclass(frozen=True)
class Pastiche:
    """A picture on the way.

    Args:
        iteration: outer iterations of L-BFGS, or steps of Adam, done.
        losses: those of the aim, of the picture as it is optimised, whose values may leave 0..1.
        image: the picture, cut at 0 and 255.
    """

    iteration: int
    losses: dict[str, float]
    image: Image


@torch.no_grad()
def painting_grams(network: LossNetwork, painting: Image) -> dict[str, Tensor]:
    """The Gram matrices of a painting of any size, scaled to a short side of STYLE_SIDE: (1, C, C) by style layer."""
    return grams_as_is(network, fit_short(painting, STYLE_SIDE))


@torch.no_grad()
def grams_as_is(network: LossNetwork, painting: Image) -> dict[str, Tensor]:
    """As `painting_grams`, of a painting at its own size, at least 16 px to a side."""
    maps = network(as_batch([painting], device_of(network)))
    return {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}


def masked_gram(features: Tensor, mask: Tensor) -> Tensor:
    """Channel correlations over the features that a mask weighs, (1, C, h, w) and (1, 1, H, W) to float32 (1, C, C).

    Divided by the mask's mass, so that a part's matrix does not depend on its size.
    """
    weight = scaled(mask, features)
    mass = weight.mean()
    return losses.gram(features * weight.sqrt()) / mass


def scaled(mask: Tensor, features: Tensor) -> Tensor:
    """A mask (1, 1, H, W) averaged down to the size of features (1, C, h, w)."""
    size = features.shape[-2:]
    return mask if mask.shape[-2:] == size else F.interpolate(mask, size, mode="area")


@torch.no_grad()
def set_goal(network: LossNetwork, grams: dict[str, Tensor], content: Image) -> Goal:
    """The goal of a content image, at least 16 px to a side, in the style of a painting's `painting_grams`."""
    maps = network(as_batch([content], device_of(network)), losses.CONTENT_LAYER)
    return Goal(network, grams, {losses.CONTENT_LAYER: maps[losses.CONTENT_LAYER]})


@torch.no_grad()
def set_masked_goal(
    network: LossNetwork, styles: Sequence[tuple[dict[str, Tensor], Matte]], content: Image, weights: Weights
) -> MaskedGoal | None:
    """The goal of a content image, at least 16 px to a side, in several styles.

    Args:
        styles: a painting's Gram matrices and where they hold: 0..1, (H, W) of the content image's size.

    Returns:
        None where none of them holds anywhere.
    """
    device = device_of(network)
    parts = tuple(Part(grams, torch.from_numpy(mask).to(device)[None, None]) for grams, mask in styles)
    parts = tuple(part for part in parts if part.share >= LEAST_SHARE)
    image = as_batch([content], device)
    maps = network(image, losses.CONTENT_LAYER)[losses.CONTENT_LAYER].float()
    return MaskedGoal(network, parts, image, maps, weights) if parts else None


@torch.no_grad()
def measure(goal: Aim, image: Image) -> dict[str, float]:
    """The losses of a finished picture of the content image's size, by name."""
    return named(goal.losses(as_batch([image], device_of(goal.network))))


def paint(goal: Aim, start: Image, iterations: int) -> Iterator[Pastiche]:
    """Paint with L-BFGS from a start of the content image's size; yields it, then the pastiche after each iteration."""
    painter = Painter(goal, start)
    yield painter.now()
    for _ in range(iterations):
        yield painter.step()


def lbfgs(picture: Tensor) -> torch.optim.Optimizer:
    """L-BFGS with strong Wolfe line search (Liu and Nocedal 1989), one outer iteration a step."""
    return torch.optim.LBFGS(
        [picture], max_iter=1, history_size=HISTORY, line_search_fn="strong_wolfe", tolerance_grad=0
    )


def adam(picture: Tensor) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015): more steps for the same loss, a tenth of the memory for what it remembers."""
    return torch.optim.Adam([picture], RATE)


OPTIMIZERS: dict[str, Callable[[Tensor], torch.optim.Optimizer]] = {"lbfgs": lbfgs, "adam": adam}


class Painter:
    """A picture that is optimised step by step, whose state can be kept and taken up again.

    A step of L-BFGS is an outer iteration: a direction, and the few evaluations of the loss that find how far to go.
    The pixels are free to leave 0..1, as in the paper; Johnson et al. 2016 cut them after each iteration, whose losses
    are higher.

    Args:
        goal: what it is optimised for; start: of the content image's size; optimizer: one of OPTIMIZERS.
    """

    def __init__(self, goal: Aim, start: Image, optimizer: str = "lbfgs") -> None:
        self._picture = as_batch([start], device_of(goal.network)).contiguous().requires_grad_()
        self._optimizer = OPTIMIZERS[optimizer](self._picture)
        self._evaluate = Evaluation(goal, self._picture)
        self.iteration = 0

    def now(self) -> Pastiche:
        """The picture so far."""
        return Pastiche(self.iteration, self._evaluate.losses(), as_image(self._picture))

    def step(self) -> Pastiche:
        """The picture after one more iteration."""
        self._optimizer.step(self._evaluate)  # type: ignore[arg-type]
        self.iteration += 1
        return self.now()

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, as tensors by name; `load_state` takes it."""
        kept = {"picture": self._picture.detach().cpu(), "iteration": torch.tensor(self.iteration)}
        for name, value in self._optimizer.state[self._picture].items():
            rows = value if isinstance(value, list) else [value]
            kind = "list" if isinstance(value, list) else "tensor" if isinstance(value, Tensor) else "number"
            known = [torch.as_tensor(row, dtype=None if kind != "number" else torch.float64) for row in rows
                     if row is not None]  # fmt: skip
            kept |= {f"{kind}.{name}.{index}": row.detach().cpu() for index, row in enumerate(known)}
        return {name: value.contiguous().clone() for name, value in kept.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on where another painter of the same goal was when it gave its state."""
        with torch.no_grad():
            self._picture.copy_(state["picture"])
        self.iteration = int(state["iteration"])
        own, device = self._optimizer.state[self._picture], self._picture.device
        lists: dict[str, dict[int, Tensor]] = {}
        for key, value in state.items():
            kind, _, rest = key.partition(".")
            name, _, index = rest.partition(".")
            if kind == "list":
                lists.setdefault(name, {})[int(index)] = value.to(device)
            elif kind == "tensor":
                own[name] = value if name == "step" else value.to(device)  # Adam counts its steps on the CPU
            elif kind == "number":
                own[name] = int(value) if name in {"n_iter", "func_evals"} else float(value)
        own.update({name: [rows[index] for index in sorted(rows)] for name, rows in lists.items() if name != "al"})


class Evaluation:
    """Loss and gradient where the picture is now: the closure of L-BFGS.

    The last few are remembered, because an iteration begins where the line search before it ended, and would evaluate
    the same picture again: half of all the work.
    """

    def __init__(self, goal: Aim, picture: Tensor) -> None:
        self._goal, self._picture = goal, picture
        self._known: deque[tuple[Tensor, dict[str, Tensor], Tensor]] = deque(maxlen=REMEMBERED)

    def __call__(self) -> Tensor:
        """The total, its gradient left in the picture."""
        terms, gradient = self._at()
        self._picture.grad = gradient.clone()
        return terms["total"]

    def losses(self) -> dict[str, float]:
        """The named losses."""
        return named(self._at()[0])

    def _at(self) -> tuple[dict[str, Tensor], Tensor]:
        for place, terms, gradient in self._known:
            if torch.equal(place, self._picture):
                return terms, gradient
        with torch.enable_grad():
            terms = self._goal.losses(self._picture.contiguous(memory_format=torch.channels_last))
            (gradient,) = torch.autograd.grad(terms["total"], self._picture)
        terms = {name: term.detach() for name, term in terms.items()}
        self._known.append((self._picture.detach().clone(), terms, gradient.contiguous()))
        return self._known[-1][1:]


def named(terms: dict[str, Tensor]) -> dict[str, float]:
    """Losses as numbers."""
    return {name: float(term) for name, term in terms.items()}


def device_of(network: LossNetwork) -> torch.device:
    """Where a loss network computes."""
    return next(network.parameters()).device


def as_batch(images: list[Image], device: str | torch.device) -> Tensor:
    """Equal-sized images as float (N, 3, H, W) in [0, 1], channels last."""
    stack = torch.from_numpy(np.ascontiguousarray(np.stack(images))).to(device)
    return (stack.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def as_image(batch: Tensor) -> Image:
    """The first of float (N, 3, H, W) pictures, cut at 0 and 1, as an image."""
    pixels = (batch.detach()[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(pixels.cpu().numpy())
