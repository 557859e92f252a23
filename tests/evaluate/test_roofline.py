"""The peak and the nets' share of it: operations counted right, in the precision that is told."""

from pathlib import Path

import numpy as np
import pytest
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed import roofline as peak
from livestyle.evaluate.speed.bench import BenchOptions, bench
from livestyle.nets.engine import Engine, choose_engine
from livestyle.nets.library import find_card, find_nets
from livestyle.nets.openvino_net import import_openvino
from livestyle.types import Stop

CPU = choose_engine("cpu")


@pytest.mark.parametrize(
    "card", [find_card("style", "great_wave"), find_nets("segmenter")["unet"]], ids=lambda c: c.name
)
def test_operations_are_those_that_torch_counts(card: object) -> None:
    """torch runs the float net, OpenVINO reads the shipped file: they may differ by what was folded, not by more."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from livestyle.nets.export.shipped import load_shipped

    shipped = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width)  # type: ignore[attr-defined]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shipped.net(torch.rand(1, 3, 96, 160))
    counted = peak.operations(peak.read_graph(card, (1, 96, 160, 3)))  # type: ignore[arg-type]
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_products_of_every_kind() -> None:
    import_openvino()
    from openvino import opset13 as op

    x = op.parameter([1, 6, 8, 10], np.float32)

    def weights(*shape: int) -> object:
        return op.constant(np.ones(shape, np.float32))

    flat = [[1, 1], [0, 0], [0, 0], [1, 1]]
    plain = op.convolution(x, weights(4, 6, 3, 3), *flat)
    grouped = op.group_convolution(x, weights(3, 4, 2, 3, 3), *flat)
    wider = op.convolution_backprop_data(x, weights(6, 5, 2, 2), [2, 2])
    product = op.matmul(op.parameter([7, 9], np.float32), weights(9, 11), False, False)
    turned = op.matmul(op.parameter([9, 7], np.float32), weights(9, 11), True, False)
    assert peak.products(plain) == 4 * 6 * 8 * 6 * 9
    assert peak.products(grouped) == 12 * 6 * 8 * 2 * 9
    assert peak.products(wider) == 6 * 8 * 10 * 5 * 4
    assert peak.products(product) == peak.products(turned) == 7 * 9 * 11
    assert peak.products(op.relu(x)) == 0


def test_large_convolutions_compute_in_what_they_are_told_to() -> None:
    run, gop = peak.large_convolutions("f32")  # type: ignore[misc]
    assert gop == pytest.approx(2 * peak.LAYERS * (peak.SIDE_PX * 3 * peak.CHANNELS) ** 2 / 1e9, rel=0.1)
    assert run()
    assert peak.large_convolutions("int8")  # any CPU that OpenVINO runs on


def test_the_nets_of_a_frame_at_their_sizes() -> None:
    works = peak.net_runs(Settings(), ["great_wave", "starry_night"], CPU, draw_card(320, 180), (160, 90))
    assert [work.card.name for work in works] == ["unet", "great_wave", "starry_night"]
    assert works[1].picture.shape[2] == 160
    assert works[1].gop == works[2].gop > 0


def test_what_does_not_run_in_openvino_is_said() -> None:
    with pytest.raises(UserError, match="OpenVINO"):
        peak.check_peak(Engine("torch", "cuda", "a GPU"))


def test_a_style_without_onnx_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(find_card("style", "the_scream").path(".safetensors").read_bytes())
    with pytest.raises(UserError, match=r"\.onnx"):
        peak.net_runs(Settings(), [str(tmp_path / "mine.safetensors")], CPU, draw_card(64, 48), (64, 48))


def test_shares_are_of_the_peak() -> None:
    job = BenchOptions("demo", (96, 54), 0.1, peak=True, children=0)
    told = bench(Settings(device="cpu"), job, Stop(), lambda _: None, lambda *_: None)["peak"]
    assert told["gops"]["int8"] > told["gops"]["f32"] > 0
    assert [net["kind"] for net in told["nets"]] == ["segmenter", "style"]
    for net in told["nets"]:
        assert net["gops"] == pytest.approx(1000 * net["gop"] / net["cpu_ms"], rel=0.05)
        assert net["share"] == pytest.approx(net["gops"] / max(filter(None, told["gops"].values())), abs=0.002)
