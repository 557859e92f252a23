"""Style transfer by optimisation (Gatys et al. 2016): slow, for any painting, and the yardstick of the fast styles."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from livestyle.image.pixels import fit_short
from livestyle.image.types import Image
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.tensors import as_batch, as_image, device_of, named

STYLE_SIDE = 384  # short side of the painting: its strokes then have the size that they should have at 360p
STYLE_WEIGHT = 10.0
HISTORY = 20  # pairs of steps and gradients that L-BFGS keeps
REMEMBERED = 4  # evaluations; a line search ends at one of its last


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
class Pastiche:
    """A picture on the way.

    Args:
        iteration: outer iterations of L-BFGS done.
        losses: content, style and total of the picture as it is optimised, whose values may leave 0..1.
        image: the picture, cut at 0 and 255.
    """

    iteration: int
    losses: dict[str, float]
    image: Image


@torch.no_grad()
def painting_grams(network: LossNetwork, painting: Image) -> dict[str, Tensor]:
    """The Gram matrices of a painting of any size, scaled to a short side of STYLE_SIDE: (1, C, C) by style layer."""
    maps = network(as_batch([fit_short(painting, STYLE_SIDE)], device_of(network)))
    return {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}


@torch.no_grad()
def set_goal(network: LossNetwork, grams: dict[str, Tensor], content: Image) -> Goal:
    """The goal of a content image, at least 16 px to a side, in the style of a painting's `painting_grams`."""
    maps = network(as_batch([content], device_of(network)), losses.CONTENT_LAYER)
    return Goal(network, grams, {losses.CONTENT_LAYER: maps[losses.CONTENT_LAYER]})


@torch.no_grad()
def measure(goal: Goal, image: Image) -> dict[str, float]:
    """The losses of a finished picture of the content image's size, by name."""
    return named(goal.losses(as_batch([image], device_of(goal.network))))


def paint(goal: Goal, start: Image, iterations: int) -> Iterator[Pastiche]:
    """Paint from a start of the content image's size; yields it, then the pastiche after each iteration.

    An iteration is an outer one of torch's L-BFGS with strong Wolfe line search: a direction, and the few evaluations
    of the loss that find how far to go. The pixels are free to leave 0..1, as in the paper; Johnson et al. 2016 cut
    them after each iteration, whose losses are higher.
    """
    picture = as_batch([start], device_of(goal.network)).contiguous().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [picture], max_iter=1, history_size=HISTORY, line_search_fn="strong_wolfe", tolerance_grad=0
    )
    evaluate = Evaluation(goal, picture)
    yield Pastiche(0, evaluate.losses(), as_image(picture))
    for iteration in range(1, iterations + 1):
        optimizer.step(evaluate)  # type: ignore[no-untyped-call]
        yield Pastiche(iteration, evaluate.losses(), as_image(picture))


class Evaluation:
    """Loss and gradient where the picture is now: the closure of L-BFGS.

    The last few are remembered, because an iteration begins where the line search before it ended, and would evaluate
    the same picture again: half of all the work.
    """

    def __init__(self, goal: Goal, picture: Tensor) -> None:
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
