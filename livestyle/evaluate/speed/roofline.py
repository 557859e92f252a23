"""How close the networks come to the peak of one core: its rate on large convolutions, and their own rates.

The roofline model is by Williams et al. (2009). Here it has one roof, the arithmetic.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.pixels import fit
from livestyle.image.types import Image
from livestyle.matting.segmenter import load_segmenter
from livestyle.nets.card import Card
from livestyle.nets.engine import Engine, Net
from livestyle.nets.openvino_net import import_openvino, openvino_core
from livestyle.render.stylizer import load_style
from livestyle.types import Size

PRECISIONS = {"int8": ("u8", "i8"), "bf16": ("bf16",), "f32": ("f32",)}  # and OpenVINO's names
CHANNELS, SIDE_PX, LAYERS = 256, 32, 3  # of convolutions that are limited by arithmetic, not by memory
ROUNDS = 9


@dataclass(frozen=True)
class NetRun:
    """A network and the input of one run.

    Args:
        card, net: the network; picture: uint8 (1, H, W, 3); gop: billions of operations of one run.
    """

    card: Card
    net: Net
    picture: Any
    gop: float


@dataclass(frozen=True)
class RecordingEngine(Engine):
    """An engine that records the last input of each network.

    Args:
        calls: card, network and input, by the network's name.
    """

    calls: dict[str, tuple[Card, Net, Any]] = field(default_factory=dict)

    def load(self, card: Card) -> Net:
        net = super().load(card)
        return RecordingNet(net, lambda images: self.calls.update({card.name: (card, net, images)}))


@dataclass(frozen=True)
class RecordingNet:
    """A network that shows its input to a function."""

    net: Net
    show: Callable[[Any], None]

    def __call__(self, images: Any) -> Any:
        self.show(images)
        return self.net(images)

    def prepare(self, shape: tuple[int, ...]) -> None:
        self.net.prepare(shape)


def check_peak(engine: Engine) -> None:
    """Check that the networks run on the CPU.

    Raises:
        UserError: they do not.
    """
    if engine.name != "openvino":
        raise UserError("The peak is measured with OpenVINO on the CPU.", "Choose cpu.", "device")


def measure_peak(works: Sequence[NetRun], watch: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """Measure the peaks of a core and the rates of networks, in turn, by the median of the CPU time.

    Args:
        works: the networks; watch: takes the progress in 0..1.

    Returns:
        "gops": billions of operations (two per product) a second of one core, by precision; None where it has none.
        "nets": of each its "name", "kind", "size", "gop", "cpu_ms" per picture, "gops" and "share" of the highest peak.
    """
    peaks = {name: peak for name in PRECISIONS if (peak := large_convolutions(name))}
    jobs: list[Callable[[], Any]] = [run for run, _ in peaks.values()]
    jobs += [lambda work=work: work.net(work.picture) for work in works]  # type: ignore[misc]
    spent: list[list[float]] = [[] for _ in jobs]
    for number in range(ROUNDS + 1):
        watch(number / (ROUNDS + 1))
        for job, times in zip(jobs, spent, strict=True):
            start = time.process_time()
            job()
            times.append(time.process_time() - start)
    seconds = [statistics.median(times[1:]) for times in spent]
    found = {name: gop / took for (name, (_, gop)), took in zip(peaks.items(), seconds, strict=False)}
    best = max(found.values())
    return {
        "gops": {name: round(found[name], 1) if name in found else None for name in PRECISIONS},
        "nets": [net_facts(work, took, best) for work, took in zip(works, seconds[len(peaks) :], strict=True)],
    }


def net_facts(work: NetRun, seconds: float, best: float) -> dict[str, Any]:
    """Return what the JSON object says of a network.

    Args:
        work: the network; seconds: of one run; best: the highest peak, in billions of operations a second.
    """
    height, width = work.picture.shape[1:3]
    rate = work.gop / seconds
    return {
        "name": work.card.name, "kind": work.card.kind, "size": [width, height], "gop": round(work.gop, 3),
        "cpu_ms": round(seconds * 1000, 3), "gops": round(rate, 1), "share": round(rate / best, 3),
    }  # fmt: skip


def net_runs(settings: Settings, styles: Sequence[str], engine: Engine, frame: Image, style_size: Size) -> list[NetRun]:
    """Return the networks that a frame passes through: the segmenter's, where it has a card, then the styles'.

    Args:
        settings: segmenter and models.
        styles: names.
        engine: that runs them.
        frame: uint8 (H, W, 3) RGB.
        style_size: at which styles are computed.

    Raises:
        UserError: a style does not run in OpenVINO.
    """
    watched = RecordingEngine(engine.name, engine.device, engine.detail, engine.precision)
    load_segmenter(settings, watched)[1](frame)
    for style in styles:
        load_style(style, watched, style_size[0] * style_size[1], settings.models)(fit(frame, style_size))
    return [NetRun(card, net, images, operations(read_graph(card, images.shape)) / 1e9)
            for card, net, images in watched.calls.values()]  # fmt: skip


def read_graph(card: Card, shape: Sequence[int]) -> Any:
    """Return a card's network as OpenVINO reads it, for inputs of a shape.

    Raises:
        UserError: it has no ONNX file.
    """
    if not any(name.endswith(".onnx") for name in card.files):
        raise UserError(f"{card.name} does not run in OpenVINO.", "Give a style with an .onnx file.")
    model = openvino_core().read_model(card.path(".onnx"))
    model.reshape(list(shape))
    return model


def operations(model: Any) -> int:
    """Return the multiplications and additions of a model's convolutions and matrix products, for its static shapes."""
    return 2 * sum(products(node) for node in model.get_ordered_ops())


def products(node: Any) -> int:
    """Return the number of products of a node; 0 where it is neither a convolution nor a matrix product."""
    kind = node.get_type_name()
    if kind != "MatMul" and not kind.removesuffix("BackpropData").endswith("Convolution"):
        return 0
    left, right = (list(node.input(number).get_shape()) for number in range(2))
    out = int(np.prod(list(node.output(0).get_shape())))
    if kind == "MatMul":
        return out * int(left[-2] if node.get_attributes()["transpose_a"] else left[-1])
    # Each output value is a sum over a window of its group's channels. Transposed, each input value enters so many.
    window = int(np.prod(right[2:])) if kind.startswith("Group") else int(np.prod(right[1:]))
    return window * (int(np.prod(left)) if kind.endswith("BackpropData") else out)


def large_convolutions(precision: str) -> tuple[Callable[[], Any], float] | None:
    """Build convolutions that run in a precision on one thread.

    Args:
        precision: of PRECISIONS.

    Returns:
        A function that runs them, and the billions of operations of a run; None where the processor lacks the
            precision.
    """
    ov = import_openvino()
    from openvino import opset13 as op

    rng, scale = np.random.default_rng(0), np.full((CHANNELS, 1, 1, 1), 1e-3, np.float32)
    door = values = op.parameter([1, CHANNELS, SIDE_PX, SIDE_PX], np.float32)
    for _ in range(LAYERS):
        steps = rng.integers(-63, 64, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
        if precision == "int8":
            weights = op.multiply(op.convert(op.constant(steps), "f32"), op.constant(scale))
            values = op.fake_quantize(values, *(op.constant(np.float32(end)) for end in (0, 2.55, 0, 2.55)), 256)
        else:
            weights = op.constant(steps * scale)
        values = op.relu(op.convolution(values, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    model = ov.Model([values], [door], precision)
    config = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    hint = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    compiled = openvino_core().compile_model(model, "CPU", config | hint)
    if not computes_in(compiled, PRECISIONS[precision]):
        return None
    request, picture = compiled.create_infer_request(), rng.random((1, CHANNELS, SIDE_PX, SIDE_PX), np.float32)
    return lambda: request.infer([picture], share_inputs=True), operations(model) / 1e9


def computes_in(compiled: Any, names: Sequence[str]) -> bool:
    """Return whether every convolution of a compiled model runs in one of some precisions."""
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    found = [info["runtimePrecision"].astype(str) for info in nodes if info["layerType"].astype(str) == "Convolution"]
    return bool(found) and set(found) <= set(names)
