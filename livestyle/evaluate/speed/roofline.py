"""How near the nets come to what one core can: its peak on large convolutions, and their operations over their time."""

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

PRECISIONS = {"int8": ("u8", "i8"), "bf16": ("bf16",), "f32": ("f32",)}  # and what OpenVINO calls them
CHANNELS, SIDE, LAYERS = 256, 32, 3  # of convolutions that compute all the time and wait for no memory
ROUNDS = 9


@dataclass(frozen=True)
class Work:
    """A net at the size at which it ran, and the billions of operations of one run."""

    card: Card
    net: Net
    picture: Any
    gop: float


@dataclass(frozen=True)
class Watched(Engine):
    """An engine that keeps what its nets were last given."""

    calls: dict[str, tuple[Card, Net, Any]] = field(default_factory=dict)

    def load(self, card: Card) -> Net:
        net = super().load(card)
        return WatchedNet(net, lambda images: self.calls.update({card.name: (card, net, images)}))


@dataclass(frozen=True)
class WatchedNet:
    """A net that shows what it is given."""

    net: Net
    show: Callable[[Any], None]

    def __call__(self, images: Any) -> Any:
        self.show(images)
        return self.net(images)

    def prepare(self, shape: tuple[int, ...]) -> None:
        self.net.prepare(shape)


def check_peak(engine: Engine) -> None:
    """Raises UserError where the nets do not run on the CPU."""
    if engine.name != "openvino":
        raise UserError("The peak is measured with OpenVINO on the CPU.", "Add --device cpu.")


def measure_peak(works: Sequence[Work], tell: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """The core's peaks and what the nets make of them, in turn; medians of CPU time.

    Returns:
        "gops": billions of operations (two per product) a second of one core, by precision, None where it has none;
        "nets": for each its "name", "kind", "size", "gop" and "cpu_ms" per picture, "gops", and "share", that of the
        int8 peak, or of the highest where there is none.
    """
    peaks = {name: peak for name in PRECISIONS if (peak := large_convolutions(name))}
    jobs: list[Callable[[], Any]] = [run for run, _ in peaks.values()]
    jobs += [lambda work=work: work.net(work.picture) for work in works]  # type: ignore[misc]
    spent: list[list[float]] = [[] for _ in jobs]
    for number in range(ROUNDS + 1):
        tell(number / (ROUNDS + 1))
        for job, times in zip(jobs, spent, strict=True):
            start = time.process_time()
            job()
            times.append(time.process_time() - start)
    seconds = [statistics.median(times[1:]) for times in spent]
    found = {name: gop / took for (name, (_, gop)), took in zip(peaks.items(), seconds, strict=False)}
    best = max(found.values())
    return {
        "gops": {name: round(found[name], 1) if name in found else None for name in PRECISIONS},
        "nets": [told(work, took, best) for work, took in zip(works, seconds[len(peaks) :], strict=True)],
    }


def told(work: Work, seconds: float, best: float) -> dict[str, Any]:
    """What the JSON says of a net."""
    height, width = work.picture.shape[1:3]
    rate = work.gop / seconds
    return {
        "name": work.card.name, "kind": work.card.kind, "size": [width, height], "gop": round(work.gop, 3),
        "cpu_ms": round(seconds * 1000, 3), "gops": round(rate, 1), "share": round(rate / best, 3),
    }  # fmt: skip


def works_of(settings: Settings, styles: Sequence[str], engine: Engine, frame: Image, style_size: Size) -> list[Work]:
    """The nets that a frame goes through, at their sizes: the segmenter's, where it is a card's, then the styles'.

    Raises:
        UserError: a style does not run in OpenVINO.
    """
    watched = Watched(engine.name, engine.device, engine.detail, engine.precision)
    load_segmenter(settings, watched)[1](frame)
    for style in styles:
        load_style(style, watched, style_size[0] * style_size[1], settings.models)(fit(frame, style_size))
    return [Work(card, net, images, operations(graph(card, images.shape)) / 1e9)
            for card, net, images in watched.calls.values()]  # fmt: skip


def graph(card: Card, shape: Sequence[int]) -> Any:
    """A card's net as OpenVINO reads it, for inputs of a shape.

    Raises:
        UserError: it has none.
    """
    if not any(name.endswith(".onnx") for name in card.files):
        raise UserError(f"{card.name} does not run in OpenVINO.", "Give a style with an .onnx file.")
    model = openvino_core().read_model(card.path(".onnx"))
    model.reshape(list(shape))
    return model


def operations(model: Any) -> int:
    """Multiplications and additions of a model's convolutions and matrix products, from its static shapes."""
    return 2 * sum(products(node) for node in model.get_ordered_ops())


def products(node: Any) -> int:
    """Products that a node sums up, 0 where it is neither a convolution nor a matrix product."""
    kind = node.get_type_name()
    if kind != "MatMul" and not kind.removesuffix("BackpropData").endswith("Convolution"):
        return 0
    left, right = (list(node.input(number).get_shape()) for number in range(2))
    out = int(np.prod(list(node.output(0).get_shape())))
    if kind == "MatMul":
        return out * int(left[-2] if node.get_attributes()["transpose_a"] else left[-1])
    # Each value that goes out is summed over a window of the channels of its group; transposed, each that comes in
    # is spread so.
    window = int(np.prod(right[2:])) if kind.startswith("Group") else int(np.prod(right[1:]))
    return window * (int(np.prod(left)) if kind.endswith("BackpropData") else out)


def large_convolutions(precision: str) -> tuple[Callable[[], Any], float] | None:
    """What runs convolutions in a precision on one thread, and the billions of operations of a run; None: it cannot."""
    ov = import_openvino()
    from openvino import opset13 as op

    rng, scale = np.random.default_rng(0), np.full((CHANNELS, 1, 1, 1), 1e-3, np.float32)
    door = values = op.parameter([1, CHANNELS, SIDE, SIDE], np.float32)
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
    request, picture = compiled.create_infer_request(), rng.random((1, CHANNELS, SIDE, SIDE), np.float32)
    return lambda: request.infer([picture], share_inputs=True), operations(model) / 1e9


def computes_in(compiled: Any, names: Sequence[str]) -> bool:
    """Whether every convolution of a compiled model runs in one of some precisions."""
    nodes = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    found = [info["runtimePrecision"].astype(str) for info in nodes if info["layerType"].astype(str) == "Convolution"]
    return bool(found) and set(found) <= set(names)
