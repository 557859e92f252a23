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
from livestyle.nets.card import shown
from livestyle.nets.engine import Engine
from livestyle.nets.onnx_check import check_onnx

ROOM, LEAST = 160, 4  # MB that nets made ready for a size of input may take together; so many stay ready even so
WEIGHTS, PER_PIXEL = 8, 55e-6  # MB that one takes: of its own, and for each pixel of its input (docs/measurements.md)
GROWTH = 256  # times the bytes of the input that a value on the way may take; in our nets it is 32 at most
MANY = 1 << 20  # bytes of an input, below which more growth is no harm


IMPORTING = threading.Lock()

RESULTS = {"style": ("u8", 4), "segmenter": ("f32", 3)}  # type and axes of what a net of each kind gives


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
    """OpenVINO's core, one for the process, which is never let go.

    Its CPU plugin gives the thread that makes it a stack for signals, and frees that with the core, from whatever
    thread: the next signal, such as Ctrl-C, would then crash the first one.
    """
    ov = import_openvino()
    # Its table of types is made on first use by whoever holds two locks then: two threads at once would hang for ever.
    ov.Type.u8.to_dtype()
    return ov.Core()


class Ready:
    """Owns the requests of all nets, each compiled for one shape of input: those used last, as far as there is room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, tuple[int, ...]], Any] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, net: object, shape: tuple[int, ...]) -> Any:
        """A net's request for a shape; None where it has to be compiled."""
        with self._lock:
            if (net, shape) in self._kept:
                self._kept.move_to_end((net, shape))
            return self._kept.get((net, shape))

    def keep(self, net: object, shape: tuple[int, ...], request: Any) -> None:
        """Keep one more, and let go of what there is no room for."""
        with self._lock:
            self._kept[net, shape] = request
            self._kept.move_to_end((net, shape))
            while len(self._kept) > LEAST and sum(cost_of(shape) for _, shape in self._kept) > ROOM:
                self._kept.popitem(last=False)


def cost_of(shape: tuple[int, ...]) -> float:
    """About how many MB a net takes that is made ready for (N, H, W, 3)."""
    return WEIGHTS + PER_PIXEL * prod(shape[:3])


READY = Ready()


class OpenVinoNet:
    """An ONNX net, compiled for each input size it meets."""

    def __init__(self, engine: Engine, path: Path, threads: int = 1, kind: str = "") -> None:
        ov = import_openvino()
        check_onnx(path)
        self._path = path
        with self._reading():
            self._model = openvino_core().read_model(path)
            door, result = self._model.inputs[0], self._model.outputs[0]
        if door.get_element_type() != ov.Type.u8 or axes_of(door) != 4:
            raise UserError(f"{path} does not take uint8 pictures (N, H, W, 3).", "Make it with: livestyle train style")
        found = result.get_element_type().get_type_name(), axes_of(result)
        if found != RESULTS.get(kind, found):
            raise UserError(f"{path} is no {kind}: it gives other results.", "Give another file.")
        # Not pinned: OpenVINO would put the first thread of every net onto the same core, and the others idle.
        self._config = {"NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        self._threads = threads
        if engine.precision != "int8":
            compute_unrounded(self._model)
        if engine.precision == "float32":
            self._config["INFERENCE_PRECISION_HINT"] = "f32"
        self._key = object()  # in READY, which outlives it

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What OpenVINO cannot make of a file is the file's fault; it raises several kinds of errors."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = ([line for line in str(error).splitlines() if line.strip()] or ["no reason given"])[-1]
            raise UserError(
                f"{self._path} is not an ONNX net that can be read: {shown(reason)}.", "Give another file."
            ) from None

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Compile for a shape."""
        self._request(shape)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if (found := READY.find(self._key, shape)) is not None:
            return found
        with self._reading():
            model = self._model.clone()
            model.reshape(shape)
            check_sizes(model)
            config = self._config | {"INFERENCE_NUM_THREADS": threads_for(shape, self._threads)}
            request = openvino_core().compile_model(model, "CPU", config).create_infer_request()
        READY.keep(self._key, shape, request)
        return request

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        request = self._request(images.shape)
        request.infer([np.ascontiguousarray(images)], share_inputs=True)
        result: NDArray[Any] = request.get_output_tensor(0).data.copy()
        return result


def axes_of(door: Any) -> int:
    """How many axes a net's input or result has; -1 where the net does not say."""
    rank = door.get_partial_shape().rank
    return rank.get_length() if rank.is_static else -1


def check_sizes(model: Any) -> None:
    """See, before anything is computed, that no value between input and result is absurdly large.

    Raises:
        ValueError: one is.
    """
    most = GROWTH * max(MANY, prod(model.inputs[0].get_shape()))
    for op in model.get_ops():
        if op.get_output_size() and op.get_output_partial_shape(0).is_static and op.output(0).get_tensor().size > most:
            raise ValueError("what it computes on the way does not fit into memory")


def compute_unrounded(model: Any) -> None:
    """Take the int8 steps out of a model: what is left is the net itself.

    Each is a FakeQuantize, into steps, then up to a Multiply, back from them; a border may be put around the steps.
    """
    for op in model.get_ordered_ops():
        if op.get_type_name() != "FakeQuantize":
            continue
        last, whole = op, op.input_value(0)
        while last and last.get_type_name() != "Multiply":
            last = next((door.get_node() for door in last.output(0).get_target_inputs()), None)
            if last and last.get_type_name() == "Pad":
                last.input(0).replace_source_output(whole)
                whole = last.output(0)
        if last:
            last.output(0).replace(whole)
    model.validate_nodes_and_infer_types()


# Frames overlap, so that two cores are busy with a thread for each net; what two threads of a net wait for one another
# would cost a seventh. With more cores a style, three times as dear as a matte, takes half of them. OpenVINO's threads
# (TBB) do not spin while they wait, and leave room for others.
THREADS = {"style": max(1, min(4, (os.cpu_count() or 1) // 2)), "segmenter": 1}
LARGE = 300_000  # pixels of an input, above which a net is what a frame waits for, and takes twice the threads


def threads_for(shape: tuple[int, ...], threads: int) -> int:
    """How many a net takes for (N, H, W, 3), of which it takes `threads` for a small one."""
    return min(2 * threads, os.cpu_count() or 1) if prod(shape[:3]) > LARGE else threads
