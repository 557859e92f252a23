"""Networks in OpenVINO: compile, cache, run."""

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestyle.errors import UserError
from livestyle.nets.card import printable
from livestyle.nets.engine import Engine
from livestyle.nets.onnx_check import check_onnx

MAX_COMPILED_MB, MIN_COMPILED = 160, 4  # memory of the cache, and entries that are kept regardless
NET_MB, PIXEL_MB = 8, 55e-6  # measured memory of an entry, and of each pixel of its input
MAX_GROWTH = 256  # of a value over the input; in the shipped networks it is 32 at most
MIN_INPUT_BYTES = 1 << 20  # smaller inputs count as this large, where more growth does no harm
IMPORTING = threading.Lock()
RESULT_TYPES = {"style": ("u8", 4), "segmenter": ("f32", 3)}  # element type and rank of each kind's result


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry.

    Importing it reports to an analytics server, from a forked child that was seen to hang beside FFmpeg's threads.
    A camera program reports nothing. While `openvino_telemetry` is hidden, OpenVINO takes its own stub, and keeps it.
    """
    with IMPORTING:
        if {"openvino", "openvino_telemetry"}.isdisjoint(sys.modules):
            sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
            try:
                import openvino
            finally:
                del sys.modules["openvino_telemetry"]
    import openvino

    return openvino


@lru_cache(1)
def openvino_core() -> Any:
    """Return OpenVINO's core. There is one for the process, which is never released.

    Its CPU plugin gives the thread that creates it a stack for signals, and frees that with the core, in any thread.
    After that, the next signal, such as Ctrl-C, would crash the first thread.
    """
    ov = import_openvino()
    # Its table of types is made on first use, under two locks. Two threads that do so at once would deadlock.
    ov.Type.u8.to_dtype()
    return ov.Core()


class CompiledCache:
    """The compiled networks, each for one input shape. The least recently used ones are dropped."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, tuple[int, ...]], Any] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, net: object, shape: tuple[int, ...]) -> Any:
        """Return a network's request for a shape; None where it has to be compiled."""
        with self._lock:
            if (net, shape) in self._kept:
                self._kept.move_to_end((net, shape))
            return self._kept.get((net, shape))

    def keep(self, net: object, shape: tuple[int, ...], request: Any) -> None:
        """Keep one more, and drop what exceeds the memory budget."""
        with self._lock:
            self._kept[net, shape] = request
            self._kept.move_to_end((net, shape))
            while len(self._kept) > MIN_COMPILED and sum(memory_mb(shape) for _, shape in self._kept) > MAX_COMPILED_MB:
                self._kept.popitem(last=False)


def memory_mb(shape: tuple[int, ...]) -> float:
    """Return about how many MB a compiled network takes for inputs (N, H, W, 3)."""
    return NET_MB + PIXEL_MB * prod(shape[:3])


COMPILED = CompiledCache()


class OpenVinoNet:
    """An ONNX network, compiled for each input shape.

    Args:
        engine: gives the precision.
        path: of the ONNX file.
        threads: for small inputs.
        kind: "style" or "segmenter", whose result is checked; "" for no check.

    Raises:
        UserError: the file cannot be read, or takes or gives something else.
    """

    def __init__(self, engine: Engine, path: Path, threads: int = 1, kind: str = "") -> None:
        ov = import_openvino()
        check_onnx(path)
        self._path = path
        with self._reading():
            self._model = openvino_core().read_model(path)
            images, result = self._model.inputs[0], self._model.outputs[0]
        if images.get_element_type() != ov.Type.u8 or rank_of(images) != 4:
            raise UserError(f"{path} does not take uint8 pictures (N, H, W, 3).", "Make it with: livestyle train style")
        found = result.get_element_type().get_type_name(), rank_of(result)
        if found != RESULT_TYPES.get(kind, found):
            raise UserError(f"{path} is no {kind}: it gives other results.", "Give another file.")
        # Without pinning: OpenVINO would pin the first thread of every network to the same core.
        self._config = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        self._threads = threads
        if engine.precision != "int8":
            remove_int8(self._model)
        if engine.precision == "float32":
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        self._key = object()  # of COMPILED, which outlives this object

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn OpenVINO's errors, which are of several types, into the file's fault."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = ([line for line in str(error).splitlines() if line.strip()] or ["no reason given"])[-1]
            raise UserError(
                f"{self._path} is not an ONNX net that can be read: {printable(reason)}.", "Give another file."
            ) from None

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Compile for a shape.

        Raises:
            UserError: it cannot be compiled.
        """
        self._request(shape)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if (found := COMPILED.find(self._key, shape)) is not None:
            return found
        with self._reading():
            model = self._model.clone()
            model.reshape(shape)
            check_value_sizes(model)
            config = self._config | {"INFERENCE_NUM_THREADS": threads_for(shape, self._threads)}
            request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
        COMPILED.keep(self._key, shape, request)
        return request

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Run on uint8 (N, H, W, 3) RGB; compile first where the shape is new."""
        request = self._request(images.shape)
        request.infer([np.ascontiguousarray(images)], share_inputs=True)
        result: NDArray[Any] = request.get_output_tensor(0).data.copy()
        return result


def rank_of(port: Any) -> int:
    """Return the number of axes of an input or output; -1 where the network does not say."""
    rank = port.get_partial_shape().rank
    return rank.get_length() if rank.is_static else -1


def check_value_sizes(model: Any) -> None:
    """Check, before anything is computed, that no value between input and result is absurdly large.

    Raises:
        ValueError: one is.
    """
    most = MAX_GROWTH * max(MIN_INPUT_BYTES, prod(model.inputs[0].get_shape()))
    for op in model.get_ops():
        if op.get_output_size() and op.get_output_partial_shape(0).is_static and op.output(0).get_tensor().size > most:
            raise ValueError("what it computes on the way does not fit into memory")


def remove_int8(model: Any) -> None:
    """Remove quantization from a model in place, so that the exact network is left.

    Each quantization is a FakeQuantize and, some nodes later, a Multiply that dequantizes. There may be padding
    between.
    """
    for op in model.get_ordered_ops():
        if op.get_type_name() != "FakeQuantize":
            continue
        last, whole = op, op.input_value(0)
        while last and last.get_type_name() != "Multiply":
            last = next((port.get_node() for port in last.output(0).get_target_inputs()), None)
            if last and last.get_type_name() == "Pad":
                last.input(0).replace_source_output(whole)
                whole = last.output(0)
        if last:
            last.output(0).replace(whole)
    model.validate_nodes_and_infer_types()


# Frames overlap, so two cores are busy with one thread for each network. Two threads of one network would lose a
# seventh by waiting for each other. With more cores, a style takes half of them: it costs three times a matte.
# OpenVINO's threads (TBB) do not spin while they wait.
THREADS = {"style": max(1, min(4, (os.cpu_count() or 1) // 2)), "segmenter": 1}
LARGE_INPUT_PX = 300_000  # above, frames wait for the network, which takes twice the threads


def threads_for(shape: tuple[int, ...], threads: int) -> int:
    """Return the number of threads for inputs (N, H, W, 3): `threads` for small ones."""
    return min(2 * threads, os.cpu_count() or 1) if prod(shape[:3]) > LARGE_INPUT_PX else threads
