"""Style transfer by optimization (Gatys et al. 2016), as the reference that fast styles are measured against."""

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

STYLE_SIDE_PX = 384  # short side of the painting, which gives strokes of a fair size at 360p
STYLE_WEIGHT = 10.0
MAX_PAIRS = 20  # of steps and gradients, in the history of L-BFGS
REMEMBERED_EVALUATIONS = 4  # a line search ends at one of its last


@dataclass(frozen=True)
class Goal:
    """What a picture is compared with.

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
        """Return the terms content, style and total of a float (1, 3, H, W) picture in [0, 1], of the content image's
        size.
        """
        maps = self.network(batch)
        content, style = losses.content_loss(maps, self.content), losses.style_loss(maps, self.grams)
        return {"content": content, "style": style, "total": content + self.style_weight * style}


@dataclass(frozen=True)
class Pastiche:
    """A picture after some iterations.

    Args:
        iteration: number of L-BFGS iterations.
        losses: content, style and total of the picture, whose values may leave 0..1.
        image: the picture clipped, uint8 (H, W, 3) RGB.
    """

    iteration: int
    losses: dict[str, float]
    image: Image


@torch.no_grad()
def painting_grams(network: LossNetwork, painting: Image) -> dict[str, Tensor]:
    """Return the Gram matrices of a painting, scaled to a short side of STYLE_SIDE_PX.

    Args:
        network: the loss network; painting: uint8 (H, W, 3) RGB of any size.

    Returns:
        float32 (1, C, C) by style layer.
    """
    maps = network(as_batch([fit_short(painting, STYLE_SIDE_PX)], device_of(network)))
    return {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}


@torch.no_grad()
def set_goal(network: LossNetwork, grams: dict[str, Tensor], content: Image) -> Goal:
    """Return the goal of a content image.

    Args:
        network: the loss network; grams: the painting's; content: uint8 (H, W, 3) RGB, at least 16 px to a side.
    """
    maps = network(as_batch([content], device_of(network)), losses.CONTENT_LAYER)
    return Goal(network, grams, {losses.CONTENT_LAYER: maps[losses.CONTENT_LAYER]})


@torch.no_grad()
def measure(goal: Goal, image: Image) -> dict[str, float]:
    """Return the losses of a finished picture of the content image's size, by name."""
    return named(goal.losses(as_batch([image], device_of(goal.network))))


def paint(goal: Goal, start: Image, iterations: int) -> Iterator[Pastiche]:
    """Paint from a start of the content image's size, by torch's L-BFGS with a strong Wolfe line search.

    The pixels may leave 0..1, as in the paper. Johnson et al. 2016 clip them after each iteration, and get higher
    losses.

    Args:
        goal: of the content image; start: uint8 (H, W, 3) RGB; iterations: of L-BFGS.

    Yields:
        The start, then the picture after each iteration.
    """
    picture = as_batch([start], device_of(goal.network)).contiguous().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [picture], max_iter=1, history_size=MAX_PAIRS, line_search_fn="strong_wolfe", tolerance_grad=0
    )
    evaluate = Evaluation(goal, picture)
    yield Pastiche(0, evaluate.losses(), as_image(picture))
    for iteration in range(1, iterations + 1):
        optimizer.step(evaluate)  # type: ignore[no-untyped-call]
        yield Pastiche(iteration, evaluate.losses(), as_image(picture))


class Evaluation:
    """The closure of L-BFGS: loss and gradient at the present picture.

    The last evaluations are remembered. An iteration begins where the line search before it ended, so half of all
    evaluations would repeat.

    Args:
        goal: gives the losses; picture: float (1, 3, H, W), changed by the optimizer.
    """

    def __init__(self, goal: Goal, picture: Tensor) -> None:
        self._goal, self._picture = goal, picture
        self._known: deque[tuple[Tensor, dict[str, Tensor], Tensor]] = deque(maxlen=REMEMBERED_EVALUATIONS)

    def __call__(self) -> Tensor:
        """Return the total, and set the picture's gradient."""
        terms, gradient = self._at()
        self._picture.grad = gradient.clone()
        return terms["total"]

    def losses(self) -> dict[str, float]:
        """Return the named losses as numbers."""
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
