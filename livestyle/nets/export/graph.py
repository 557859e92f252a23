"""A SlimNet as an ONNX graph that takes and gives bytes, with convolutions in int8.

PyTorch's exporter converts the picture to floats before it is un-shuffled, and shuffles floats before they are rounded.
Beside convolutions in int8, that took a quarter of the time.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, TensorProto, helper, numpy_helper
from torch import nn

from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.export.int8 import Quantization, Range, map_quantization, weight_quantization

Floats = NDArray[np.float32]

PADS = [0, 0, 1, 1, 0, 0, 1, 1]  # one pixel around a map


class OnnxGraph:
    """Collect nodes and constants. Methods that add some return the name of their result."""

    def __init__(self) -> None:
        self.nodes, self.values = list[Any](), dict[str, NDArray[Any]]()

    def constant(self, value: Any, kind: type[np.generic] = np.int64) -> str:
        """Add a constant."""
        name = f"c{len(self.values)}"
        self.values[name] = np.asarray(value, kind)
        return name

    def add(self, operation: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add a node."""
        result = result or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))
        return result

    def hold(self, quantization: Quantization) -> list[str]:
        """Add the constants of a quantization, and return their names."""
        self.values |= quantization
        return list(quantization)

    def quantize(self, source: str, quantization: Sequence[str], padded: bool = False) -> str:
        """Quantize a map or constant to int8 and back, and pad it; without a quantization, only pad it.

        Args:
            source: to quantize; quantization: names of its scale and zero point; padded: pad the result.
        """
        if not quantization:
            return self.pad(source) if padded else source
        steps = self.add("QuantizeLinear", source, *quantization, axis=0)
        # Pad before dequantizing: OpenVINO (2026.4) pads dequantized maps wrongly where int8 is signed.
        steps = self.pad(steps) if padded else steps
        return self.add("DequantizeLinear", steps, *quantization, axis=0)

    def pad(self, source: str) -> str:
        """Pad a map by one reflected pixel on each side."""
        return self.add("Pad", source, self.constant(PADS), mode="reflect")

    def convolve(self, source: str, weight: Floats, bias: Floats | None = None, *, exact: bool) -> str:
        """Convolve without padding, with weights in int8 unless `exact`."""
        kernel = self.constant(weight, np.float32)
        if not exact:
            kernel = self.quantize(kernel, self.hold(weight_quantization(self.values[kernel], kernel)))
        return self.add("Conv", source, kernel, *([] if bias is None else [self.constant(bias, np.float32)]))

    def finish(self, name: str, vectors: Mapping[str, int] = MappingProxyType({})) -> GraphProto:
        """Return the graph from `images` to `result`, both uint8 (N, H, W, 3).

        Args:
            name: of the graph; vectors: lengths of more inputs, float32 (length,), by name.
        """
        kind, shape = TensorProto.UINT8, ("n", "h", "w", 3)
        images, result = (helper.make_tensor_value_info(end, kind, shape) for end in ("images", "result"))
        more = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [length]) for end, length in vectors.items()]
        held = [numpy_helper.from_array(value, key) for key, value in self.values.items()]
        return helper.make_graph(self.nodes, name, [images, *more], [result], held)


class SlimGraph(OnnxGraph):
    """Build the graph of a SlimNet.

    Args:
        net: the network.
        ranges: of the inputs of convolutions, by the weight's name (`int8.measure_input_ranges`); empty for no int8.
    """

    def __init__(self, net: SlimNet, ranges: Mapping[str, Range]) -> None:
        super().__init__()
        self._weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}
        self._depth, self._ranges, self._exact = len(net.trunk), ranges, not ranges

    def build(self) -> GraphProto:
        """Return the graph. Build it once."""
        picture = self.add("Transpose", "images", perm=[0, 3, 1, 2])
        detail = self.add("Relu", self.convolve_picture(picture, 2, "detail"))
        # The same sum twice: one copy is quantized while it is written, which saves half of the time to read it again.
        stream = read = self.add("Relu", self.norm(self.convolve_picture(picture, 4, "stem.conv"), "stem"))
        for number in range(self._depth):
            first, second = (f"trunk.{number}.{half}" for half in ("first", "second"))
            inner = self.add("Relu", self.norm(self.convolve_map(read, f"{first}.conv"), first))
            change = self.norm(self.convolve_map(inner, f"{second}.conv"), second)
            stream, read = self.add("Add", stream, change), self.add("Add", change, stream)
        joined = self.join(self.add("Relu", read), detail)
        weight, bias = self.parameters("paint", 2)
        painted = self.convolve(joined, weight * 255, bias * 255 + 127.5, exact=self._exact)
        whole = self.constant(1, np.float32), self.constant(0, np.uint8)
        painted = self.add("DepthToSpace", self.add("QuantizeLinear", painted, *whole), blocksize=2)
        self.add("Transpose", painted, perm=[0, 2, 3, 1], result="result")
        return self.finish("slim")

    def join(self, strokes: str, detail: str) -> str:
        """Join the trunk's map with the picture's detail, as the last convolution's padded input."""
        strokes, detail = (self.quantize(half, self.quantization(half, "join")) for half in (strokes, detail))
        shuffled = self.add("DepthToSpace", strokes, blocksize=2, mode="CRD")
        joined = self.pad(self.add("Concat", shuffled, detail, axis=1))
        joined = self.add("Relu", self.convolve(joined, *self.parameters("join"), exact=self._exact))
        return self.quantize(joined, self.quantization(joined, "paint"), padded=True)

    def convolve_picture(self, picture: str, block: int, name: str) -> str:
        """Convolve the picture, un-shuffled by `block`.

        The bytes are not centred, so the grey of 0.5 is taken off the bias.
        """
        weight = self._weights[f"{name}.weight"]
        bias = self._weights.get(f"{name}.bias", np.float32(0)) - np.float32(0.5) * weight.sum((1, 2, 3))
        blocks = self.pad(self.add("SpaceToDepth", picture, blocksize=block))
        step = self.constant(1 / 255, np.float32), self.constant(0, np.uint8)
        blocks = self.add("DequantizeLinear", blocks, *step)
        return self.convolve(blocks, shuffled(weight, 1, block), bias, exact=self._exact)

    def convolve_map(self, source: str, name: str) -> str:
        """Convolve a map."""
        padded = self.quantize(source, self.quantization(source, name), padded=True)
        return self.convolve(padded, *self.parameters(name), exact=self._exact)

    def quantization(self, source: str, name: str) -> list[str]:
        """Return the names of the quantization of a map that a convolution reads; none where it is exact."""
        return [] if self._exact else self.hold(map_quantization(self._ranges[f"{name}.weight"], source))

    def parameters(self, name: str, block: int = 1) -> list[Floats]:
        """Return a convolution's weight, and its bias where it has one, for an output that is shuffled by `block`."""
        parts = (self._weights[key] for key in (f"{name}.weight", f"{name}.bias") if key in self._weights)
        return [shuffled(part, 0, block) for part in parts]

    def norm(self, source: str, name: str) -> str:
        """Normalize a map per picture."""
        parts = (self.norm_part(f"{name}.norm.{part}") for part in ("weight", "bias"))
        return self.add("InstanceNormalization", source, *parts, epsilon=nn.InstanceNorm2d(1).eps)

    def norm_part(self, name: str) -> str:
        """Return the name of a norm's scales or shifts."""
        return self.constant(self._weights[name], np.float32)


def slim_graph(net: SlimNet, ranges: Mapping[str, Range]) -> GraphProto:
    """Return the graph of a SlimNet; see `SlimGraph`."""
    return SlimGraph(net, ranges).build()


def shuffled(weight: Floats, axis: int, block: int) -> Floats:
    """Reorder a weight's or bias's channels along an axis from PyTorch's order of a shuffle to ONNX's.

    PyTorch keeps each colour's pixels together, ONNX each pixel's colours, as a picture lies in memory.
    """
    before, after = weight.shape[:axis], weight.shape[axis + 1 :]
    parts = weight.reshape(*before, -1, block * block, *after)
    return np.ascontiguousarray(parts.swapaxes(axis, axis + 1).reshape(weight.shape))
