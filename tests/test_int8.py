"""Convolutions in int8: near the ones that they replace, safe in 16 bits, and only where it pays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from livestyle.nets.int8 import CHANNELS, TOP, USES, compute_in_int8
from livestyle.weights import find_cards


def model(weight: np.ndarray, groups: int = 1, top: float = TOP) -> ModelProto:  # type: ignore[type-arg]
    """A clipped map, convolved."""
    nodes = [
        helper.make_node("Clip", ["x", "low", "top"], ["map"], "clip"),
        helper.make_node("Conv", ["map", "weight"], ["y"], "conv", group=groups),
    ]
    values = {"low": np.array(0, np.float32), "top": np.array(top, np.float32), "weight": weight}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in ("x", "y")]
    parts = [numpy_helper.from_array(value, name) for name, value in values.items()]
    return helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], parts), opset_imports=[helper.make_opsetid("", 19)]
    )


def rounded(whole: ModelProto) -> ModelProto:
    """A copy of the model, its convolution in int8 where it pays."""
    copy = ModelProto()
    copy.CopyFrom(whole)
    compute_in_int8(copy.graph)
    checker.check_model(copy)
    return copy


def operations(whole: ModelProto) -> set[str]:
    return {node.op_type for node in whole.graph.node}


@settings(max_examples=20)
@given(st.integers(0, 99), st.sampled_from([(32, 64, 1), (40, 96, 1), (4, 64, 3)]), st.floats(1e-3, 30))
def test_rounding_stays_within_half_a_step(seed: int, shape: tuple[int, int, int], size: float) -> None:
    random = np.random.default_rng(seed)
    out, channels, side = shape
    weight = (size * random.standard_normal((out, channels, side, side))).astype(np.float32)
    x = random.uniform(-2, 8, (1, channels, 5, 6)).astype(np.float32)
    before = model(weight)
    after = rounded(before)
    exact, near = (ReferenceEvaluator(m).run(None, {"x": x})[0] for m in (before, after))
    half_map, half_weight = TOP / 255 / 2, np.abs(weight).max((1, 2, 3)) / 63 / 2
    count = channels * side * side
    bound = np.abs(weight).sum((1, 2, 3)) * half_map + count * half_weight * (TOP + half_map)
    assert (np.abs(exact - near).max((0, 2, 3)) <= bound * 1.001).all()
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations(after)


@pytest.mark.parametrize(
    ("shape", "groups", "top"),
    [
        ((CHANNELS, 1, 3, 3), CHANNELS, TOP),  # depthwise
        ((USES - 1, CHANNELS, 1, 1), 1, TOP),  # few products with each value
        ((USES, CHANNELS - 1, 1, 1), 1, TOP),  # a narrow map
        ((USES, CHANNELS, 1, 1), 1, 5.0),  # another bound
    ],
)
def test_other_convolutions_stay_as_they_are(shape: tuple[int, ...], groups: int, top: float) -> None:
    before = model(np.ones(shape, np.float32), groups, top)
    assert operations(rounded(before)) == {"Clip", "Conv"}


def test_products_of_the_default_segmenter_add_up_in_16_bits() -> None:
    import onnx

    card = next(card for card in find_cards("segmenter").values() if card.default)
    graph = onnx.load(card.path(".onnx")).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    widened = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights = [widened[node.input[1]] for node in graph.node if node.op_type == "Conv" and node.input[1] in widened]
    assert len(weights) >= 20
    assert 2 * 255 * max(int(np.abs(numpy_helper.to_array(values[name]).astype(int)).max()) for name in weights) < 2**15
