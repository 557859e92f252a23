"""CUDA graphs: record a function once, launch it for each frame."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livestyle.render.gpu_pixels import in_use

RUNS_BEFORE_RECORDING = 3
Tensors = dict[str, Tensor]
Function = Callable[[Tensors], Tensors]


class DeviceLink:
    """Upload arrays to a device and download them. On CUDA it uses pinned memory, and uploads do not wait.

    Its owner downloads one frame before it uploads the next one, so that no upload in progress is overwritten.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self._is_cuda = device, device.type == "cuda"
        self._buffers: Tensors = {}

    def upload(self, name: str, array: NDArray[Any]) -> Tensor:
        """Return an array on the device, valid until another one of that name is uploaded."""
        buffer = self._buffers.get(name)
        if buffer is None or tuple(buffer.shape) != array.shape:
            kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
            buffer = self._buffers[name] = torch.empty(array.shape, dtype=kind, pin_memory=self._is_cuda)
        np.copyto(buffer.numpy(), array)
        return buffer.to(self.device, non_blocking=self._is_cuda)

    def download(self, tensors: list[Tensor]) -> list[NDArray[Any]]:
        """Return tensors as the caller's own arrays, after all that the device was asked for before."""
        here = [torch.empty(t.shape, dtype=t.dtype, pin_memory=self._is_cuda) for t in tensors]
        for target, tensor in zip(here, tensors, strict=True):
            target.copy_(tensor, non_blocking=self._is_cuda)
        if self._is_cuda:
            torch.cuda.current_stream(self.device).synchronize()
        return [target.numpy() for target in here]


class CudaGraph:
    """Record a function's kernels once, then launch them as one; from any thread, one at a time.

    Args:
        function: takes named tensors, and makes no choice that depends on their values.
        example: such tensors, which are kept.
        device: a CUDA device.
    """

    _recording = threading.Lock()  # one at a time in a process

    def __init__(self, function: Function, example: Tensors, device: torch.device) -> None:
        self._given = example
        self._constants: list[Tensor] = []
        with self._recording, torch.inference_mode(), torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries choose their kernels and workspaces before it is recorded
                    function(example)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            # Frames go on meanwhile on another thread, which must not spoil the recording.
            in_use.by = self._constants
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._made = function(example)
            in_use.by = None
            torch.cuda.synchronize()

    def takes(self, given: Tensors) -> bool:
        """Return whether it was recorded for tensors of these names."""
        return given.keys() == self._given.keys()

    def __call__(self, given: Tensors) -> Tensors:
        """Return what the function makes of tensors, valid until the next call."""
        for name, tensor in given.items():
            self._given[name].copy_(tensor, non_blocking=True)
        self._graph.replay()
        return dict(self._made)


class Recorded:
    """A function of named tensors. On CUDA it is recorded after its first runs, and launched as a graph from then on.

    Args:
        function: takes and returns named tensors.
        device: where it runs.
        pool: where it is recorded. If that fails, the function is called as before.

    Attributes:
        graph: the recording, None before it is begun.
    """

    def __init__(self, function: Function, device: torch.device, pool: ThreadPoolExecutor) -> None:
        self._function, self._device, self._pool = function, device, pool
        self._names: frozenset[str] = frozenset()
        self._runs = 0
        self.graph: Future[CudaGraph] | None = None

    def __call__(self, given: Tensors) -> Tensors:
        """Return what the function makes of tensors."""
        graph = self.graph.result() if self.is_recorded and self.graph else None
        if graph and graph.takes(given):
            return graph(given)
        made = self._function(given)
        if self._device.type == "cuda" and self.graph is None:
            self._count(given)
        return made

    @property
    def is_recorded(self) -> bool:
        """Whether a recording replaces the function."""
        return self.graph is not None and self.graph.done() and self.graph.exception() is None

    def _count(self, given: Tensors) -> None:
        self._runs = self._runs + 1 if self._names == given.keys() else 1
        self._names = frozenset(given)
        if self._runs == RUNS_BEFORE_RECORDING:
            example = {name: tensor.clone() for name, tensor in given.items()}
            self.graph = self._pool.submit(CudaGraph, self._function, example, self._device)
