"""Choose the inference engine and the device."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from livestyle.config.names import unknown
from livestyle.errors import UserError, has_package, pip_install
from livestyle.nets.card import Card


class Net(Protocol):
    """A network that can be run."""

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]: ...

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Compile for inputs of a shape, which takes longer than running; from any thread."""


DEVICES = ("auto", "cpu", "cuda", "mps", "torch:cpu")
PRECISIONS = ("int8", "half", "float32")  # int8 where a network's file says so; bfloat16 or float16; for tests


@dataclass(frozen=True)
class Engine:
    """The software and device that run networks.

    Args:
        name: "openvino" or "torch".
        device: as the engine calls it.
        detail: for people.
        precision: of PRECISIONS, the coarsest that networks may use. A coarser one is never slower.
    """

    name: str
    device: str
    detail: str
    precision: str = "int8"

    def load(self, card: Card) -> Net:
        """Load a card's network.

        Raises:
            UserError: a file is missing, damaged or of another network, or a package is missing.
        """
        from livestyle.nets.load import LOADERS  # a cycle at the top of the file

        return LOADERS[self.name](self, card)


def choose_engine(device: str = "auto", precision: str = "int8") -> Engine:
    """Return the engine of a device.

    Args:
        device: one of DEVICES, cuda:N, or gpu for cuda or mps.
        precision: of PRECISIONS.

    Raises:
        UserError: there is no such device, or this machine lacks it.
    """
    device = device.strip().lower()
    if device == "gpu":
        device = "mps" if sys.platform == "darwin" else "cuda"
    if device == "auto":
        device = _best_device()
    if device == "cpu":
        return Engine("openvino", "CPU", f"OpenVINO on {cpu_name()}", precision)
    kind = device.removeprefix("torch:").partition(":")[0]
    if kind not in {"cpu", "cuda", "mps"}:
        raise unknown("device", device, DEVICES, "Choose auto, cpu, cuda, cuda:N, mps or torch:cpu.", "device")
    if not has_package("torch"):
        raise UserError(f"The device '{device}' needs PyTorch.", f"Run: {pip_install('torch')}")
    import torch

    target = device.removeprefix("torch:")
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here[kind]:
        raise UserError(f"PyTorch finds no '{kind}' device here.", "Choose cpu, or see: livestyle doctor", "device")
    if kind == "cuda" and torch.device(target).index not in {None, *range(torch.cuda.device_count())}:
        raise UserError(f"There is no '{target}'; PyTorch finds {torch.cuda.device_count()}.", "Choose another.")
    label = torch.cuda.get_device_name(target) if kind == "cuda" else kind.upper()
    return Engine("torch", target, f"PyTorch on {label}", precision)


def _best_device() -> str:
    """Return a GPU where one seems to be and PyTorch is installed. PyTorch is not imported to find out, which takes
    seconds.
    """
    if has_package("torch"):
        if os.path.exists("/dev/nvidia0"):
            return "cuda"
        if sys.platform == "darwin" and platform.machine() == "arm64":
            return "mps"
    return "cpu"


def cpu_name() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
