"""Muon for convolutions, Adam for all other weights: fewer, better steps where each step is expensive."""

from collections.abc import Callable, Mapping
from itertools import groupby
from types import MappingProxyType

import torch
from torch import Tensor, nn

MUON_RATE_FACTOR = 10.0  # of Adam's learning rate; Muon's steps have the scale of the weights
MOMENTUM = 0.95  # of Muon
ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-8
QUINTIC = 3.4445, -4.7750, 2.0315  # coefficients of the polynomial that brings all singular values near 1


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is made orthogonal (Jordan et al. 2024), for matrices and the kernels of convolutions.

    All directions of change then count equally. Without it, the directions with the largest gradients count most.
    Scales, shifts and the last convolution, `paint`, use Adam (Kingma and Ba 2015).

    Args:
        net: the network to train, or several in a `ModuleDict`.
        rate: learning rate of Adam; Muon's is MUON_RATE_FACTOR times that.
        part_rates: learning rates that take the place of `rate` in parts of it, by the parts' names.
    """

    def __init__(self, net: nn.Module, rate: float, part_rates: Mapping[str, float] = MappingProxyType({})) -> None:
        groups = []
        for part, own in {"": rate, **part_rates}.items():
            kernels, others = list[nn.Parameter](), list[nn.Parameter]()
            for name, p in net.named_parameters():
                path = name.split(".")
                if part == (path[0] if path[0] in part_rates else ""):
                    (kernels if p.ndim > 1 and "paint" not in path else others).append(p)
            groups += [{"params": others, "lr": own}]
            groups += [{"params": kernels, "lr": own * MUON_RATE_FACTOR, "is_muon": True}]
        super().__init__(groups, {"lr": rate, "is_muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step along the gradients that are there. `closure` is not called."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not group["is_muon"]:
                for p in moved:
                    p.sub_(self._adam(p, p.grad), alpha=group["lr"])
                continue
            for _, alike in groupby(sorted(moved, key=lambda p: p.shape), lambda p: p.shape):
                self._orthogonal(list(alike), group["lr"])

    def _orthogonal(self, kernels: list[Tensor], rate: float) -> None:
        """Move kernels of one shape; together they take a third of the time."""
        steps = []
        for p in kernels:
            moment: Tensor = self.state[p].setdefault("moment", torch.zeros_like(p))
            gradient = p.grad
            assert gradient is not None
            moment.lerp_(gradient, 1 - MOMENTUM)
            steps.append(gradient.lerp(moment, MOMENTUM).reshape(len(p), -1))
        rows, columns = steps[0].shape
        longer = max(1.0, rows / columns) ** 0.5
        for p, step in zip(kernels, orthogonal(torch.stack(steps)), strict=True):
            p.sub_(step.view_as(p), alpha=rate * longer)

    def _adam(self, p: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        count = float(state["step"])
        state["mean"].lerp_(gradient, 1 - ADAM_BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - ADAM_BETAS[1])
        spread: Tensor = (state["square"] / (1 - ADAM_BETAS[1] ** count)).sqrt() + ADAM_EPSILON
        mean: Tensor = state["mean"] / (1 - ADAM_BETAS[0] ** count)
        return mean / spread


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Return an approximation of the nearest orthogonal matrix, by Newton-Schulz iterations.

    Args:
        matrix: (..., rows, columns); rounds: of the iteration.

    Returns:
        float32 (..., rows, columns), its singular values in about 0.7..1.2.
    """
    tall = matrix.shape[-2] > matrix.shape[-1]
    x: Tensor = (matrix.mT if tall else matrix).float()
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
