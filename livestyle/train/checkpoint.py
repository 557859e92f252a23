"""The loop that every training runs in: by the clock, resumable, its state in one safetensors file."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.train.curves import MEAN_IU, Curves, Sparingly, Terms

Facts = dict[str, float | int | str]
Step = Callable[[float, int], tuple[int, Terms]]


def save_checkpoint(path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: Facts) -> None:
    """Write the nets, the optimizer's moments and the facts, aside first, then renamed."""
    tensors = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, aside, {"facts": json.dumps(facts)})
    os.replace(aside, path)


def load_checkpoint(
    path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote and return its facts."""
    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    for name, net in nets.items():
        net.load_state_dict({k: tensors[f"{name}.{k}"] for k in net.state_dict()})
    if optimizer:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, leaf = key.split(".")
                state.setdefault(int(index), {})[leaf] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return facts


def load_weights(path: Path, net: nn.Module, part: str) -> None:
    """Take over the weights of a checkpoint's part, or of a shipped file; `is_folded` says for which net.

    Raises:
        UserError: there is no such file, or it holds another net.
    """
    if not path.is_file():
        raise UserError(f"There are no weights {path}.", "Give a checkpoint, or a model's .safetensors, with --from.")
    try:
        with safe_open(path, "pt") as file:
            prefix = f"{part}." if "facts" in (file.metadata() or {}) else ""
            net.load_state_dict({key: file.get_tensor(prefix + key).float() for key in net.state_dict()})
    except (SafetensorError, RuntimeError):
        raise UserError(f"{path} does not hold this net.", "Give weights of the same --arch with --from.") from None


def is_folded(path: Path | None) -> bool:
    """Whether a checkpoint or a shipped file holds a net whose norms are folded into its convolutions."""
    if path is None or not path.is_file():
        return False
    with safe_open(path, "pt") as file:
        return not any(".norm." in key for key in file.keys())  # noqa: SIM118


def load_facts(path: Path) -> dict[str, Any]:
    """The facts alone; of a training that has not begun where there is no checkpoint."""
    if not path.is_file():
        return {"seconds": 0.0, "images": 0}
    with safe_open(path, "pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    return facts


class Clock:
    """How much of a training's minutes has gone, over all its sittings."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.seconds = minutes * 60
        self._start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds trained so far."""
        return time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        return min(1.0, self.spent / self.seconds)


@dataclass(frozen=True)
class Report:
    """How a training stands."""

    progress: float  # 0..1
    images: int
    terms: Terms  # averaged over the last steps


def one_cycle(progress: float, warm: float = 0.03) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down (Smith and Topin 2018)."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return float(0.5 + 0.5 * torch.cos(torch.tensor((progress - warm) / (1 - warm) * torch.pi)))


def train_by_the_clock(
    nets: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    checkpoint: Path,
    minutes: float,
    seed: int,
    step: Step,
    validate: Callable[[], Terms] | None = None,
) -> Iterator[Report]:
    """Step until the minutes are over, going on from the checkpoint where there is one.

    Each learning rate follows `one_cycle` from its first value. A checkpoint and a point of the curves are saved each
    minute and at the end. Chance is seeded anew before each step by the images seen, so that a training that was
    stopped goes on as if it had not been, and validation leaves no trace.

    Args:
        nets: what is saved, by name.
        step: one optimiser step at a progress of 0..1 and a number of images seen; returns how many it saw, and its
            named losses and scores.
        validate: measures the same on other images.
    """
    facts = load_facts(checkpoint)
    if checkpoint.is_file():
        load_checkpoint(checkpoint, nets, optimizer)
    images = int(facts["images"])
    curves, score = Curves(checkpoint, images), Sparingly(validate)
    recent = curves.training
    clock = Clock(minutes, float(facts["seconds"]))
    saved = clock.spent
    peaks = [group["lr"] for group in optimizer.param_groups]
    while clock.progress < 1:
        random.seed(seed + images)
        torch.manual_seed(seed + images)
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * one_cycle(clock.progress)
        seen, terms = step(clock.progress, images)
        images += seen
        recent = {name: 0.95 * recent.get(name, value) + 0.05 * value for name, value in terms.items()}
        if clock.spent - saved > 60 or clock.progress >= 1:
            saved = clock.spent
            curves.add(images, recent, score(always=clock.progress >= 1))
            figures = as_figures(recent, curves.validation)
            save_checkpoint(checkpoint, nets, optimizer, {"seconds": saved, "images": images, **figures})
        yield Report(clock.progress, images, recent)


def as_figures(training: Terms, validation: Terms) -> Facts:
    """What a card says of a training: its last losses, and how it did on images that it was not trained on."""
    losses: Facts = {f"{name}_loss": round(value, 4) for name, value in training.items() if name != MEAN_IU}
    return losses | {f"validation_{name}": round(value, 4) for name, value in validation.items()}
