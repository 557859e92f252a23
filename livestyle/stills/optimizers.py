"""Optimizers of a picture, in steps, with a state that can be saved and resumed."""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

TensorTerms = dict[str, Tensor]  # named losses; "total" is minimized
State = dict[str, Tensor]

MAX_PAIRS = 20  # of steps and gradient changes, in the history of L-BFGS
FIRST_CHANGE = 0.02  # largest change of a pixel in a step without history, in brightness of 0..1
MAX_CHANGE = 0.5  # the same with history
ARMIJO_SHARE = 1e-4  # of the decrease that the slope predicts; a step must reach it (Armijo 1966)
MIN_CURVATURE = 1e-4  # cosine of step and gradient change; pairs below are not kept
MAX_TRIES = 12  # of the line search
ADAM_RATE, ADAM_BETAS = 0.02, (0.9, 0.999)  # learning rate in brightness of 0..1


class PictureOptimizer:
    """A picture that is optimized. Its values may leave 0..1, as in Gatys et al. 2016.

    Args:
        losses: named losses of a float (1, 3, H, W) picture; start: such a picture.
    """

    def __init__(self, losses: Callable[[Tensor], TensorTerms], start: Tensor) -> None:
        self._losses, self.picture, self.iteration, self.evaluations = losses, start, 0, 0
        self.terms, self._gradient = self._evaluate(start)

    def step(self) -> None:
        """Take one step."""
        self.iteration += 1
        self._improve()

    def _improve(self) -> None:
        raise NotImplementedError

    def _evaluate(self, picture: Tensor) -> tuple[TensorTerms, Tensor]:
        """Return the losses of a picture, and the gradient of the total."""
        self.evaluations += 1
        place = picture.contiguous(memory_format=torch.channels_last).detach().requires_grad_()
        with torch.enable_grad():
            terms = self._losses(place)
            (gradient,) = torch.autograd.grad(terms["total"], place)
        return {name: term.detach() for name, term in terms.items()}, gradient.contiguous()

    def state(self) -> State:
        """Return all that the next step depends on. `load_state` of an optimizer with the same losses takes it."""
        terms = {f"terms.{name}": term for name, term in self.terms.items()}
        own = {"picture": self.picture, "gradient": self._gradient, "iteration": torch.tensor(self.iteration)}
        return {name: value.detach().cpu().contiguous() for name, value in (own | terms).items()}

    def load_state(self, state: State) -> None:
        """Resume from the state of another optimizer."""
        device = self.picture.device
        self.picture, self._gradient = state["picture"].to(device), state["gradient"].to(device)
        self.iteration = int(state["iteration"])
        self.terms = {name: state[f"terms.{name}"].to(device) for name in self.terms}


class Lbfgs(PictureOptimizer):
    """L-BFGS (Liu and Nocedal 1989) with a backtracking line search. A step seldom costs more than one evaluation.

    PyTorch's own stops for good where the gradient turns back at once. That happens when a picture starts as its own
    content before a plain wall. Here a pair without curvature is not kept, and a failed line search clears the history.
    """

    def __init__(self, losses: Callable[[Tensor], TensorTerms], start: Tensor) -> None:
        super().__init__(losses, start)
        self._moves: deque[Tensor] = deque(maxlen=MAX_PAIRS)
        self._turns: deque[Tensor] = deque(maxlen=MAX_PAIRS)  # of the gradient, over each step

    def _improve(self) -> None:
        direction = -self._newton()
        slope = float((direction * self._gradient).sum())
        if slope >= 0:
            self._forget()
            direction, slope = -self._gradient, -float(self._gradient.square().sum())
        largest = float(direction.abs().max())
        if largest == 0:
            return
        reach = min(1.0, MAX_CHANGE / largest) if self._moves else FIRST_CHANGE / largest
        for _ in range(MAX_TRIES):
            place = self.picture + reach * direction
            terms, gradient = self._evaluate(place)
            rise = float(terms["total"] - self.terms["total"])
            if rise <= ARMIJO_SHARE * reach * slope:
                return self._move(place, terms, gradient)
            lowest = -slope * reach / (2 * (rise - slope * reach))  # minimum of the parabola through both places
            reach *= min(0.5, max(0.1, lowest))
        self._forget()

    def _newton(self) -> Tensor:
        """Return the gradient times the approximate inverse Hessian (two-loop recursion, Nocedal 1980)."""
        found = self._gradient.clone()
        if not self._moves:
            return found
        shares = []
        for move, turn in zip(reversed(self._moves), reversed(self._turns), strict=True):
            shares.append((move * found).sum() / (move * turn).sum())
            found -= shares[-1] * turn
        found *= (self._moves[-1] * self._turns[-1]).sum() / self._turns[-1].square().sum()
        for move, turn, share in zip(self._moves, self._turns, reversed(shares), strict=True):
            found += (share - (turn * found).sum() / (move * turn).sum()) * move
        return found

    def _move(self, place: Tensor, terms: TensorTerms, gradient: Tensor) -> None:
        move, turn = place - self.picture, gradient - self._gradient
        if float((move * turn).sum()) > MIN_CURVATURE * float(move.norm() * turn.norm()):
            self._moves.append(move)
            self._turns.append(turn)
        self.picture, self.terms, self._gradient = place, terms, gradient

    def _forget(self) -> None:
        self._moves.clear()
        self._turns.clear()

    def state(self) -> State:
        pairs = {"moves": self._moves, "turns": self._turns}
        return super().state() | {
            f"{name}.{number}": row.cpu() for name, rows in pairs.items() for number, row in enumerate(rows)
        }

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._forget()
        for number in range(sum(name.startswith("moves.") for name in state)):
            self._moves.append(state[f"moves.{number}"].to(self.picture.device))
            self._turns.append(state[f"turns.{number}"].to(self.picture.device))


class Adam(PictureOptimizer):
    """Adam (Kingma and Ba 2015): more steps for the same loss, with a tenth of the memory."""

    def __init__(self, losses: Callable[[Tensor], TensorTerms], start: Tensor) -> None:
        super().__init__(losses, start)
        self._mean, self._square = torch.zeros_like(start), torch.zeros_like(start)

    def _improve(self) -> None:
        first, second = ADAM_BETAS
        self._mean = torch.lerp(self._gradient, self._mean, first)
        self._square = torch.lerp(self._gradient.square(), self._square, second)
        mean, square = self._mean / (1 - first**self.iteration), self._square / (1 - second**self.iteration)
        self.picture = self.picture - ADAM_RATE * mean / (square.sqrt() + 1e-8)
        self.terms, self._gradient = self._evaluate(self.picture)

    def state(self) -> State:
        return super().state() | {"mean": self._mean.cpu(), "square": self._square.cpu()}

    def load_state(self, state: State) -> None:
        super().load_state(state)
        self._mean, self._square = (state[name].to(self.picture.device) for name in ("mean", "square"))


OPTIMIZERS: dict[str, type[PictureOptimizer]] = {"lbfgs": Lbfgs, "adam": Adam}
