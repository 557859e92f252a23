"""The state of a training in one safetensors file: networks, optimizer, facts."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.files import locked, save_tensors, write_error

Figures = dict[str, float | int | str]

RESTART_HINT = "Remove it to begin anew, or choose another folder for runs."


def save_checkpoint(path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer, facts: Figures) -> None:
    """Write networks, the optimizer's state and facts, whole or not at all.

    Args:
        path: of the file; its folder is created.
        nets: by the prefix that their tensors get.
        optimizer: of them.
        facts: for instance the `seconds` trained and the `images` seen.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clones = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
        save_tensors(path, clones, {"facts": json.dumps(facts)})
    except OSError as error:
        raise write_error(path, error) from None


def load_checkpoint(
    path: Path, nets: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote.

    Args:
        path: of the file.
        nets: filled in place, by the prefix of their tensors.
        optimizer: filled in place; None leaves its state in the file.

    Returns:
        The facts.

    Raises:
        UserError: the file is damaged, or holds other networks.
    """
    facts = load_facts(path)
    with safe_open(path, "pt") as file:
        tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    try:
        for name, net in nets.items():
            net.load_state_dict({k: tensors[f"{name}.{k}"] for k in net.state_dict()})
    except (KeyError, RuntimeError):
        raise UserError(f"{path} is the training of another net.", RESTART_HINT, "runs") from None
    if optimizer:
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, leaf = key.split(".")
                state.setdefault(int(index), {})[leaf] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return facts


def load_weights(path: Path, net: nn.Module, part: str) -> None:
    """Copy the weights of a checkpoint, or of a shipped model, into a network.

    `is_folded` tells whether the network's norms must be folded first.

    Args:
        path: a checkpoint or a model's safetensors.
        net: filled in place.
        part: prefix of the network's tensors in a checkpoint.

    Raises:
        UserError: there is no such file, or it holds another network.
    """
    if not path.is_file():
        raise UserError(f"There are no weights {path}.", "Give a checkpoint, or a model's .safetensors.", "start")
    try:
        with safe_open(path, "pt") as file:
            prefix = f"{part}." if "facts" in (file.metadata() or {}) else ""
            net.load_state_dict({key: file.get_tensor(prefix + key).float() for key in net.state_dict()})
    except (SafetensorError, RuntimeError):
        raise UserError(f"{path} does not hold this net.", "Give weights of the same architecture.", "start") from None


def is_folded(path: Path | None) -> bool:
    """Return whether a file holds a network whose norms are folded into its convolutions.

    Args:
        path: a checkpoint or a model's safetensors; False for None and for a file that is not there.

    Raises:
        UserError: the file cannot be read.
    """
    if path is None or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return not any(".norm." in key for key in file.keys())  # noqa: SIM118
    except SafetensorError:
        raise UserError(f"{path} does not hold a net that can be read.", "Give another file.") from None


def load_facts(path: Path) -> dict[str, Any]:
    """Return the facts of a checkpoint; those of a new training where there is no file.

    Raises:
        UserError: the file is damaged, or is no checkpoint.
    """
    if not path.is_file():
        return {"seconds": 0.0, "images": 0}
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not a whole checkpoint.", RESTART_HINT, "runs") from None
    return facts


def is_finite(nets: dict[str, nn.Module]) -> bool:
    """Return whether all weights are finite numbers."""
    return all(bool(tensor.isfinite().all()) for net in nets.values() for tensor in net.state_dict().values())


@contextmanager
def exclusive(checkpoint: Path) -> Iterator[None]:
    """Keep other processes from training to this checkpoint meanwhile.

    Raises:
        UserError: another process trains to it, or the folder cannot be written to.
    """
    lock = checkpoint.with_name(f".{checkpoint.stem}.lock")
    with ExitStack() as held:
        try:
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            acquired = held.enter_context(locked(lock, wait=False))
        except OSError as error:
            raise write_error(checkpoint, error) from None
        if acquired is None:
            raise UserError(
                f"Another process trains to {checkpoint}.",
                "Wait until it has ended, or choose another folder for runs.",
                "runs",
            )
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file
                lock.unlink()
