"""Resumable training state in one safetensors file, and the clock that a training runs by."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

Facts = dict[str, float | int | str]


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
    terms: dict[str, float]  # losses, averaged over the last steps


def facts_of(clock: Clock, images: int, terms: dict[str, float]) -> Facts:
    """What a checkpoint says of itself, and a card of the model."""
    losses: Facts = {f"{name}_loss": round(value, 4) for name, value in terms.items()}
    return {"seconds": clock.spent, "images": images, **losses}


def one_cycle(progress: float, warm: float = 0.03) -> float:
    """Share of the highest learning rate: a linear rise, then half a cosine down (Smith and Topin 2018)."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return float(0.5 + 0.5 * torch.cos(torch.tensor((progress - warm) / (1 - warm) * torch.pi)))
