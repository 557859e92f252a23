"""CUDA graphs: record a function once, launch it for each frame."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livestyle.render.gpu_pixels import used

AFTER = 3  # frames of one program before it is recorded
Tensors = dict[str, Tensor]
Function = Callable[[Tensors], Tensors]


class Link:
    """The way to a device and back; on CUDA through pinned memory, without waiting on the way up.

    Its owner waits for one frame (`down`) before it sends another one up, so that what is sent is never overwritten.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self._is_cuda = device, device.type == "cuda"
        self._sent: Tensors = {}

    def up(self, name: str, array: NDArray[Any]) -> Tensor:
        """An array on the device; good until another one of that name."""
        sent = self._sent.get(name)
        if sent is None or tuple(sent.shape) != array.shape:
            kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
            sent = self._sent[name] = torch.empty(array.shape, dtype=kind, pin_memory=self._is_cuda)
        np.copyto(sent.numpy(), array)
        return sent.to(self.device, non_blocking=self._is_cuda)

    def down(self, tensors: list[Tensor]) -> list[NDArray[Any]]:
        """Tensors as arrays of the caller's own, after all that was asked of the device before."""
        here = [torch.empty(t.shape, dtype=t.dtype, pin_memory=self._is_cuda) for t in tensors]
        for target, tensor in zip(here, tensors, strict=True):
            target.copy_(tensor, non_blocking=self._is_cuda)
        if self._is_cuda:
            torch.cuda.current_stream(self.device).synchronize()
        return [target.numpy() for target in here]


class CudaGraph:
    """A function's kernels recorded once, then launched as one (CUDA graph); from any thread, one at a time.

    Args:
        function: of named tensors, with no choice that depends on their values; example: such tensors, kept.
    """

    _turn = threading.Lock()  # of recording: one at a time in a process

    def __init__(self, function: Function, example: Tensors, device: torch.device) -> None:
        self._given = example
        self._constants: list[Tensor] = []
        with self._turn, torch.inference_mode(), torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries choose their kernels and make their workspaces before it is recorded
                    function(example)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            # Frames go on meanwhile, from another thread: what that does must not spoil the recording.
            used.by = self._constants
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._made = function(example)
            used.by = None
            torch.cuda.synchronize()

    def takes(self, given: Tensors) -> bool:
        """Whether it was recorded for tensors of these names."""
        return given.keys() == self._given.keys()

    def __call__(self, given: Tensors) -> Tensors:
        """What the function makes of them; good until the next call."""
        for name, tensor in given.items():
            self._given[name].copy_(tensor, non_blocking=True)
        self._graph.replay()
        return dict(self._made)


class Recorded:
    """A function of named tensors; on CUDA recorded aside after its first runs, and launched as one from then on.

    Args:
        pool: where it is recorded. Where that fails, the function goes on as it was.
    """

    def __init__(self, function: Function, device: torch.device, pool: ThreadPoolExecutor) -> None:
        self._function, self._device, self._pool = function, device, pool
        self._names: frozenset[str] = frozenset()
        self._runs = 0
        self.graph: Future[CudaGraph] | None = None

    def __call__(self, given: Tensors) -> Tensors:
        graph = self.graph.result() if self.is_recorded and self.graph else None
        if graph and graph.takes(given):
            return graph(given)
        made = self._function(given)
        if self._device.type == "cuda" and self.graph is None:
            self._count(given)
        return made

    @property
    def is_recorded(self) -> bool:
        """Whether a recording stands in for the function."""
        return self.graph is not None and self.graph.done() and self.graph.exception() is None

    def _count(self, given: Tensors) -> None:
        self._runs = self._runs + 1 if self._names == given.keys() else 1
        self._names = frozenset(given)
        if self._runs == AFTER:
            example = {name: tensor.clone() for name, tensor in given.items()}
            self.graph = self._pool.submit(CudaGraph, self._function, example, self._device)
