"""Networks as they are shipped: norms folded, weights in fp16, pictures as uint8."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from livestyle.files import atomic_write, save_tensors
from livestyle.nets.architectures import classic, deeplab, transform, unet
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.architectures.style_rows import load_predictor, set_row

OPSET, IR = 18, 10  # of ONNX
LEFT_OUT = {"metadata_props", "doc_string", "producer_name", "producer_version"}  # fields of ONNX messages

NETS: dict[str, Callable[[float], nn.Module]] = {  # architectures, built with a width multiplier
    "slim": lambda _: transform.SlimNet(),
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
    """Return a network of NETS with fresh weights."""
    return NETS[name](width)


class Shipped(nn.Module):
    """A network with pictures as uint8.

    Shape: uint8 (N, H, W, 3) RGB to the same for a style, to float32 (N, H, W) in [0, 1] for a segmenter.

    Args:
        net: float (N, 3, H, W) in [0, 1] to a picture, or to logits (N, 1, H, W); kind: "style" or "segmenter".
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
    """Load a shipped network from its safetensors, in eval mode.

    Args:
        name: of NETS; kind: "style" or "segmenter"; path: of the file; width: multiplier of the channels.

    Raises:
        RuntimeError, KeyError, SafetensorError: the file holds something else.
    """
    net = fold(build(name, width))
    net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return Shipped(net.eval(), kind)


def load_styled(path: Path, row: Any) -> Shipped:
    """Load the network of all pictures from a predictor's safetensors, in the style of a row, in eval mode.

    Args:
        path: of the file; row: float32 (numbers,).

    Raises:
        UserError: the file holds something else.
    """
    net, _ = load_predictor(path)
    set_row(net, torch.from_numpy(row))
    return Shipped(net, "style")


def ship(
    net: nn.Module, kind: str, folder: Path, name: str, multiple: int = 4, arch: str = "",
    pictures: Sequence[Tensor] = (),
) -> list[Path]:  # fmt: skip
    """Write a trained network's `name.safetensors` (fp16) and `name.onnx`, which compute the same.

    The ONNX file computes in int8: all convolutions of a SlimNet, the expensive ones of a segmenter.

    Args:
        net: changed in place.
        kind: "style" or "segmenter".
        folder: to write to; it is created.
        name: of the files.
        multiple: of the input's sides.
        arch: of NETS, for the file's metadata, so that it can be loaded without a card; "" leaves it out.
        pictures: float (N, 3, H, W) in [0, 1], such as a style will paint, for the ranges of int8. None for no int8.

    Returns:
        The files written.

    Raises:
        UserError, OSError: they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    net = fold(net.cpu().float())
    half = {k: v.half().contiguous() for k, v in net.state_dict().items()}
    net.load_state_dict({k: v.float() for k, v in half.items()})
    weights, onnx = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    save_tensors(weights, half, {"kind": kind, "net": arch} if arch else None)
    if isinstance(net, transform.SlimNet):
        write_onnx(slim_model(net, pictures), onnx)
    else:
        export_onnx(Shipped(net, kind), onnx, multiple)
    return [weights, onnx]


def slim_model(net: transform.SlimNet, pictures: Sequence[Tensor]) -> Any:
    """Return the ONNX model of a SlimNet, in int8 where there are pictures to measure ranges on."""
    import onnx

    from livestyle.nets.export.graph import slim_graph
    from livestyle.nets.export.int8 import measure_input_ranges

    net = transform.equalize(net, pictures) if pictures else net
    graph = slim_graph(net, measure_input_ranges(net, pictures))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR)


def export_onnx(net: Shipped, path: Path, multiple: int) -> None:
    """Write an ONNX file for any batch and size, expensive convolutions in int8, other large weights in fp16."""
    from livestyle.nets.export.int8 import quantize_convolutions

    example = torch.zeros(2, 160, 256, 3, dtype=torch.uint8)
    axes = {0: torch.export.Dim("n"), 1: multiple * torch.export.Dim("h"), 2: multiple * torch.export.Dim("w")}
    program = torch.onnx.export(
        net.eval(), (example,), dynamo=True, opset_version=OPSET, input_names=["images"], output_names=["result"],
        dynamic_shapes={"images": axes}, verbose=False, optimize=True,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    quantize_convolutions(model.graph)
    write_onnx(model, path)


def write_onnx(model: Any, path: Path) -> None:
    """Write a model, its large weights in fp16, without any trace of where it was made.

    Raises:
        UserError: it cannot be written.
    """
    import onnx

    store_half(model.graph)
    strip(model)
    onnx.checker.check_model(model)
    with atomic_write(path) as part:
        part.write_bytes(model.SerializeToString())


def strip(message: Any) -> None:
    """Clear the metadata, the doc strings and the producer of an ONNX model in place, at every depth.

    PyTorch's exporter writes stack traces there, with the paths of the machine. `onnx.helper.strip_doc_string` keeps
    the metadata, and the pass of `onnx_ir` keeps that of the model and of its values.
    """
    for field, value in message.ListFields():
        if field.name in LEFT_OUT:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                strip(part)


def store_half(graph: Any) -> None:
    """Replace each large float initializer by an fp16 one that is widened when it is loaded, in place.

    That is exact for weights that were fp16 before.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    kept, nodes = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 256:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}_half")
        kept.append(half)
        nodes.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    nodes.extend(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
