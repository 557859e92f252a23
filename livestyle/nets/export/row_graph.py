"""A SlimNet as an ONNX graph that takes its style as an input: one file for all pictures.

An engine replaces that input by constants before it compiles, and computes as fast as a style of its own file.
"""

from typing import Any

import numpy as np
from onnx import GraphProto, helper

from livestyle.nets.architectures.style_rows import row_parts
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.export.graph import SlimGraph
from livestyle.nets.export.shipped import IR, OPSET

ROW, RANGES, MAP = "row", "ranges", "map"  # inputs, and what the names of the maps that are quantized begin with


class RowGraph(SlimGraph):
    """Build the graph of a SlimNet with two more inputs, float32.

    `row` has the scales and shifts of its norms. `ranges` has the largest value of each map that is quantized; a map
    is called `map{number of its range}.{number among the maps of this range}`.

    Args:
        net: the network; its own norms are ignored.
    """

    def __init__(self, net: SlimNet) -> None:
        super().__init__(net, {"": (0.0, 1.0)})
        self._maps = dict[str, list[str]]()  # that are quantized, by the convolution that reads them
        parts = row_parts(net)
        sizes = [part.numel() for part in parts.values()]
        self._numbers, self._parts = sum(sizes), {name: f"{ROW}.{name}" for name in parts}
        sizes_name = self.constant(sizes)
        self.nodes.append(helper.make_node("Split", [ROW, sizes_name], list(self._parts.values()), axis=0))

    def norm_part(self, name: str) -> str:
        """Return the name of a part of the row."""
        return self._parts[name]

    def quantization(self, source: str, name: str) -> list[str]:
        """Return the names of a scale that comes from the map's range, and of a zero point."""
        maps = self._maps.setdefault(name, [])
        number, is_unsigned = list(self._maps).index(name), self._operation_of(source) == "Relu"
        maps.append(source)
        largest = self.add("Gather", RANGES, self.constant(number))
        step = self.add("Mul", largest, self.constant(1 / (255 if is_unsigned else 127), np.float32))
        return [step, self.constant(0, np.uint8 if is_unsigned else np.int8)]

    def finish(self, name: str, vectors: Any = None) -> GraphProto:
        """Return the graph, with the names of the inputs and of the maps."""
        graph = super().finish(name, {ROW: self._numbers, RANGES: len(self._maps)})
        sources = [maps for maps in self._maps.values()]
        names = {s: f"{MAP}{n}.{i}" for n, maps in enumerate(sources) for i, s in enumerate(maps)}
        for node in graph.node:
            for ends in (node.input, node.output):
                ends[:] = [names.get(end, end) for end in ends]
        return graph

    def _operation_of(self, value: str) -> str:
        return next(str(node.op_type) for node in self.nodes if value in node.output)


def row_model(net: SlimNet) -> Any:
    """Return the ONNX model of a SlimNet that takes rows; see `RowGraph`."""
    graph = RowGraph(net).build()
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
