"""Convolutions in int8: near the ones that they replace, safe in 16 bits, and only where it pays."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from support.pictures import draw_card

from livestyle.image.pixels import cover
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.card import Card
from livestyle.nets.engine import choose_engine
from livestyle.nets.export.int8 import (
    MIN_CHANNELS,
    MIN_USES,
    RELU6_MAX,
    map_quantization,
    measure_input_ranges,
    quantize_convolutions,
)
from livestyle.nets.export.shipped import Shipped, load_shipped
from livestyle.nets.library import find_nets
from livestyle.render.stylizer import load_style
from livestyle.train.publish import MIN_INT8_PSNR_DB, least_psnr, publish

pytestmark = pytest.mark.torch

PACKAGE = Path(__file__).parents[2] / "models"
STYLES = find_nets("style", PACKAGE)


def model(weight: np.ndarray, groups: int = 1, top: float = RELU6_MAX) -> ModelProto:  # type: ignore[type-arg]
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
    quantize_convolutions(copy.graph)
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
    half_map, half_weight = RELU6_MAX / 255 / 2, np.abs(weight).max((1, 2, 3)) / 63 / 2
    count = channels * side * side
    bound = np.abs(weight).sum((1, 2, 3)) * half_map + count * half_weight * (RELU6_MAX + half_map)
    assert (np.abs(exact - near).max((0, 2, 3)) <= bound * 1.001).all()
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations(after)


@pytest.mark.parametrize(
    ("shape", "groups", "top"),
    [
        ((MIN_CHANNELS, 1, 3, 3), MIN_CHANNELS, RELU6_MAX),  # depthwise
        ((MIN_USES - 1, MIN_CHANNELS, 1, 1), 1, RELU6_MAX),  # few products with each value
        ((MIN_USES, MIN_CHANNELS - 1, 1, 1), 1, RELU6_MAX),  # a narrow map
        ((MIN_USES, MIN_CHANNELS, 1, 1), 1, 5.0),  # another bound
    ],
)
def test_other_convolutions_stay_as_they_are(shape: tuple[int, ...], groups: int, top: float) -> None:
    before = model(np.ones(shape, np.float32), groups, top)
    assert operations(rounded(before)) == {"Clip", "Conv"}


def test_products_of_the_default_segmenter_add_up_in_16_bits() -> None:
    import onnx

    card = next(card for card in find_nets("segmenter").values() if card.default)
    graph = onnx.load(card.path(".onnx")).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    widened = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights = [widened[node.input[1]] for node in graph.node if node.op_type == "Conv" and node.input[1] in widened]
    assert len(weights) >= 20
    assert 2 * 255 * max(int(np.abs(numpy_helper.to_array(values[name]).astype(int)).max()) for name in weights) < 2**15


# Styles


@pytest.mark.parametrize("name", STYLES)
def test_a_shipped_style_paints_in_int8_what_its_net_paints(name: str) -> None:
    card = STYLES[name]
    assert card.figures["precision"] == "int8"
    assert float(card.figures["int8_psnr"]) >= MIN_INT8_PSNR_DB
    kinds = [node.op_type for node in onnx.load(card.path(".onnx")).graph.node]
    assert kinds.count("QuantizeLinear") == 2 * kinds.count("Conv") > 20  # what is read, and weights
    exact, picture = (
        load_shipped(card.net, card.kind, card.path(".safetensors")).net,
        cover(draw_card(320, 180), (320, 184)),
    )
    assert least_psnr(card, exact, [picture]) > 28  # a drawing of flat colours: further than photographs are


def test_a_style_whose_steps_are_taken_out_is_the_net_itself() -> None:
    """Its border too, which is put around the steps."""
    card = next(iter(STYLES.values()))
    net = Shipped(load_shipped(card.net, card.kind, card.path(".safetensors")).net, card.kind)
    picture = draw_card(64, 48)
    painted = load_style(card.name, choose_engine("cpu", "float32"), 640 * 360)(picture)
    expected = net(torch.from_numpy(picture)[None])[0].detach().numpy()
    assert np.abs(painted.astype(int) - expected).max() <= 1


@given(low=st.floats(-1e4, 1e4, allow_subnormal=False), span=st.floats(0, 1e4, allow_subnormal=False))
def test_steps_reach_as_far_as_what_is_read(low: float, span: float) -> None:
    scale, zero = map_quantization((low, low + span), "map").values()
    reach = (0, 255 * scale) if zero.dtype == np.uint8 else (-127 * scale, 127 * scale)
    assert zero == 0
    assert scale > 0
    assert reach[0] - 1e-3 * scale <= low
    assert low + span <= reach[1] * (1 + 1e-6)


def test_ranges_leave_the_rarest_values_out() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))
    picture = torch.rand(1, 3, 400, 400)
    picture[0, 0, 0, 0] = 1e6
    low, high = measure_input_ranges(net, [picture * 0.5, picture])["0.weight"]
    assert 0 <= low < 0.01
    assert 0.95 < high <= 1


def test_a_style_that_int8_would_spoil_stays_in_bf16(tmp_path: Path) -> None:
    """One channel a thousand times louder than the rest: 255 steps for both leave nothing of the rest."""
    torch.manual_seed(0)
    net = SlimNet()
    with torch.no_grad():
        net.join.weight[0] *= 1000
        net.join.bias[0] += 1000  # type: ignore[index]
        net.paint.weight[:, 0] *= 0.001
    card = publish(Card("loud", "style", "loud", "slim", {}, "MIT", "me", "none", "none"), net, tmp_path)
    assert card.figures["precision"] == "bf16"
    nodes = onnx.load(card.path(".onnx")).graph.node
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) == 1  # the picture's bytes
    painted = load_style(str(card.path(".onnx")), choose_engine("cpu"), 640 * 360)(draw_card(64, 48))
    truth = Shipped(load_shipped("slim", "style", card.path(".safetensors")).net, "style")
    expected = truth(torch.from_numpy(draw_card(64, 48))[None])[0].numpy()
    assert np.abs(painted.astype(int) - expected).mean() < 10
