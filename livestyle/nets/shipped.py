"""Nets as they are shipped: norms folded, weights in fp16, and a uint8 door for the picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from livestyle.nets import classic, deeplab, transform, unet
from livestyle.nets.blocks import fold

NETS: dict[str, Callable[[float], nn.Module]] = {  # of a width multiplier
    "transform": lambda _: transform.TransformNet(),
    "twoscale": lambda _: transform.TwoScaleNet(),
    "johnson": lambda _: transform.JohnsonNet(),
    "unet": lambda _: unet.MobileUNet(),
    "deeplabv3plus": lambda _: deeplab.DeepLab(),
    "cnn-resnet": classic.CnnResNet,
    "fcn8s": classic.Fcn8s,
    "deeplab-lfov": classic.DeepLabLfov,
    "segnet": classic.SegNet,
    "deeplabv3-mobilenet": classic.DeepLabV3MobileNet,
}


def build(name: str, width: float = 1.0) -> nn.Module:
    """A net of NETS with fresh weights."""
    return NETS[name](width)


class Shipped(nn.Module):
    """A net behind its door.

    Shape: uint8 (N, H, W, 3) RGB to uint8 (N, H, W, 3) RGB for a style, float32 (N, H, W) in [0, 1] for a segmenter.
    """

    def __init__(self, net: nn.Module, kind: str) -> None:
        super().__init__()
        self.net, self.kind = net, kind

    def forward(self, images: Tensor) -> Tensor:
        dtype = next(self.net.parameters()).dtype
        y: Tensor = self.net(images.permute(0, 3, 1, 2).to(dtype) / 255).float()
        if self.kind == "segmenter":
            return torch.sigmoid(y)[:, 0]
        return (y.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def load_shipped(name: str, kind: str, path: Path, width: float = 1.0) -> Shipped:
    """A shipped net from its safetensors, in eval mode."""
    net = fold(build(name, width))
    net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return Shipped(net.eval(), kind)


def ship(net: nn.Module, kind: str, folder: Path, name: str, multiple: int = 4, arch: str = "") -> list[Path]:
    """Write a trained net's `name.safetensors` (fp16) and `name.onnx`, both holding the same folded weights.

    A style's convolutions are rounded to 255 steps per output channel, which the ONNX stores as int8: half the size,
    with no difference to the eye. A segmenter's stay fp16, but for the ONNX's costly ones (`nets.int8`).

    Args:
        multiple: of the input's sides, which the net asks for.
        arch: of NETS; the file says it, so that it can be told without a card.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net = fold(net.cpu().float())
    if kind == "style":
        round_weights(net)
    half = {k: v.half().contiguous() for k, v in net.state_dict().items()}
    net.load_state_dict({k: v.float() for k, v in half.items()})
    weights, onnx = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    save_file(half, weights, {"kind": kind, "net": arch} if arch else None)
    export_onnx(Shipped(net, kind), onnx, multiple)
    return [weights, onnx]


@torch.no_grad()
def round_weights(net: nn.Module) -> None:
    """Bring every convolution's weights to multiples of a 127th of their output channel's largest."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            step = module.weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12) / 127
            module.weight.copy_((module.weight / step).round() * step)


def export_onnx(net: Shipped, path: Path, multiple: int) -> None:
    """One ONNX file for any batch and size, its large weights stored small and widened when loaded.

    A segmenter's costly convolutions are computed in int8.
    """
    import onnx

    from livestyle.nets.int8 import compute_in_int8

    example = torch.zeros(2, 160, 256, 3, dtype=torch.uint8)
    axes = {0: torch.export.Dim("n"), 1: multiple * torch.export.Dim("h"), 2: multiple * torch.export.Dim("w")}
    program = torch.onnx.export(
        net.eval(), (example,), dynamo=True, opset_version=18, input_names=["images"], output_names=["result"],
        dynamic_shapes={"images": axes}, verbose=False, optimize=True,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    if net.kind == "segmenter":
        compute_in_int8(model.graph)
    store_small(model.graph, to_int8 if net.kind == "style" else to_half)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


Small = Callable[[Any, str], tuple[list[Any], list[Any]]]  # of values and a name: initialisers, and nodes


def store_small(graph: Any, small: Small) -> None:
    """Turn each large float initialiser into smaller ones and the node that widens them again."""
    import numpy as np
    from onnx import numpy_helper

    kept, nodes = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 256:
            kept.append(tensor)
            continue
        parts, widen = small(values, tensor.name)
        kept.extend(parts)
        nodes.extend(widen)
    nodes.extend(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)


def to_half(values: Any, name: str) -> tuple[list[Any], list[Any]]:
    """fp16: exact where the weights were fp16 before."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    half = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
    return [half], [helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT)]


def to_int8(values: Any, name: str) -> tuple[list[Any], list[Any]]:
    """int8 with a scale per output channel: exact where `round_weights` went before.

    A product, not DequantizeLinear: that OpenVINO takes for leave to compute in int8, at 24 dB from the net.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    scale = np.maximum(np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True), 1e-12) / 127
    steps, wide = np.round(values / scale).astype(np.int8), f"{name}_wide"
    parts = [numpy_helper.from_array(steps, f"{name}_steps"), numpy_helper.from_array(scale, f"{name}_scale")]
    cast = helper.make_node("Cast", [parts[0].name], [wide], to=TensorProto.FLOAT)
    return parts, [cast, helper.make_node("Mul", [wide, parts[1].name], [name])]
