"""Where a training runs: on one device, or under torchrun on several, whose gradients are averaged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from livestyle.errors import UserError
from livestyle.nets.engine import choose_engine
from livestyle.train.curves import Terms


@dataclass(frozen=True)
class Ranks:
    """The number of this process among those that train together. All of them call each method at the same point.

    Args:
        device: this process's own, as PyTorch calls it.
        rank: its number; 0 decides and writes.
        count: of processes.
    """

    device: str = "cpu"
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process decides, writes and prints."""
        return self.rank == 0

    def lead(self, value: float) -> float:
        """Return the first process's value."""
        if self.count == 1:
            return value
        shared = self._tensor([value])
        distributed.broadcast(shared, 0)
        return float(shared)

    def average(self, terms: Terms) -> Terms:
        """Return named numbers averaged over the processes, which all have the same names."""
        if self.count == 1:
            return terms
        total = self._tensor(list(terms.values()))
        distributed.all_reduce(total)
        return dict(zip(terms, (total / self.count).tolist(), strict=True))

    def average_gradients(self, net: nn.Module) -> None:
        """Replace each gradient by the mean over the processes, where a missing one counts as 0."""
        if self.count == 1:
            return
        wanted = [p for p in net.parameters() if p.requires_grad]
        for p in wanted:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        flat = torch.cat([p.grad.flatten() for p in wanted if p.grad is not None])  # one message, not one per layer
        distributed.all_reduce(flat)
        for p, part in zip(wanted, torch.split(flat, [p.numel() for p in wanted]), strict=True):
            p.grad = (part / self.count).view_as(p)

    def _tensor(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)


def training_device(device: str) -> str:
    """Return the device as PyTorch calls it.

    Raises:
        UserError: there is no such device.
    """
    return "cpu" if device == "cpu" else choose_engine(device).device.lower()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; without torchrun, there is this one alone.

    Args:
        device: as PyTorch calls it; with several processes, each takes a GPU of its own.

    Raises:
        UserError: there are fewer GPUs than processes.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    kind = torch.device(device).type
    if count == 1:
        yield Ranks(device)
        return
    if kind == "cuda":
        local_count, gpu_count = int(os.environ.get("LOCAL_WORLD_SIZE", count)), torch.cuda.device_count()
        if local_count > gpu_count:
            problem = f"There are {gpu_count} GPUs for {local_count} processes."
            raise UserError(problem, f"Use: torchrun --nproc-per-node {gpu_count}")
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Ranks(device, distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def mixed(device: str) -> torch.autocast:
    """Return an autocast to bfloat16 where the device computes that faster; elsewhere one that does nothing."""
    kind = torch.device(device).type
    fast = kind == "cpu" or (kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.autocast(kind, torch.bfloat16, enabled=fast)
