"""Muon for convolutions, Adam for all else: where a step is dear, each should be worth more."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

TIMES = 10.0  # as large as Adam's is the rate of Muon, whose steps all have the length that the weights have
MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.999), 1e-8
NEWTON_SCHULZ = 3.4445, -4.7750, 2.0315  # of the quintic that brings all singular values near 1


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is made orthogonal (Jordan et al. 2024), for the kernels of convolutions.

    All directions in which a kernel may change then count alike, not the loudest ones most. Scales, shifts and the last
    convolution, `paint`, go by Adam (Kingma and Ba 2015).

    Args:
        net: what is trained; rate: of Adam, TIMES that of Muon.
    """

    def __init__(self, net: nn.Module, rate: float) -> None:
        kernels, others = list[nn.Parameter](), list[nn.Parameter]()
        for name, p in net.named_parameters():
            (kernels if p.ndim == 4 and not name.startswith("paint") else others).append(p)
        super().__init__([{"params": others, "lr": rate}, {"params": kernels, "lr": rate * TIMES}], {"lr": rate})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients that there are; `closure` is not called."""
        for group, move in zip(self.param_groups, (self._adam, self._orthogonal), strict=True):
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(move(p, p.grad), alpha=group["lr"])

    def _orthogonal(self, p: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[p]
        moment: Tensor = state.setdefault("moment", torch.zeros_like(p))
        moment.lerp_(gradient, 1 - MOMENTUM)
        kernel = gradient.lerp(moment, MOMENTUM).reshape(len(p), -1)
        longer = max(1.0, kernel.shape[0] / kernel.shape[1]) ** 0.5
        step: Tensor = longer * orthogonal(kernel).view_as(p)
        return step

    def _adam(self, p: Tensor, gradient: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        count = float(state["step"])
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        spread: Tensor = (state["square"] / (1 - BETAS[1] ** count)).sqrt() + EPSILON
        mean: Tensor = state["mean"] / (1 - BETAS[0] ** count)
        return mean / spread


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Nearly the orthogonal matrix that is nearest, by Newton and Schulz: its singular values lie in 0.7..1.2."""
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = (matrix.mT if tall else matrix).float()
    x = x / (x.norm() + 1e-7)
    a, b, c = NEWTON_SCHULZ
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
