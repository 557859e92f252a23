"""The nets and losses: shapes, invariances, and the same function after folding and shipping."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pixel_unshuffle

from livestyle.nets import losses
from livestyle.nets.architectures import classic
from livestyle.nets.architectures.blocks import fold
from livestyle.nets.architectures.transform import DETAIL_CHANNELS, JohnsonNet, SlimNet, equalize
from livestyle.nets.architectures.vgg import WIDTHS, LossNetwork
from livestyle.nets.engine import Engine
from livestyle.nets.export.shipped import NETS, build, load_shipped, ship
from livestyle.nets.openvino_net import OpenVinoNet
from livestyle.train.segmenter import ARCHS
from livestyle.train.style import ARCHS as STYLES

pytestmark = pytest.mark.torch

KINDS = {name: "style" if name in STYLES else "segmenter" for name in NETS}
IN_INT8 = ("unet", "deeplabv3plus")  # the costly convolutions of their ONNX
NARROW = (16, 32, 64, 128, 128)  # of a loss network
WIDTHS_TRIED = {name: 0.125 for name in ("cnn-resnet", "fcn8s", "deeplab-lfov", "segnet")}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def picture(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width)


@pytest.mark.parametrize(("height", "width"), [(24, 24), (64, 96), (40, 104)])
@pytest.mark.parametrize("name", STYLES)
def test_transform_nets_keep_the_size(name: str, height: int, width: int) -> None:
    with torch.no_grad():
        assert build(name).eval()(picture(height, width)).shape == (1, 3, height, width)


@pytest.mark.parametrize("name", STYLES)
def test_transform_nets_draw_no_frame(name: str) -> None:
    """Of a picture that is the same everywhere they make one, up to its border: nothing tells them where that is."""
    with torch.no_grad():
        blocks = pixel_unshuffle(build(name).eval()(torch.full((1, 3, 48, 64), 0.3)), 4)
    torch.testing.assert_close(blocks, blocks[..., :1, :1].expand_as(blocks), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_both_halves_are_made_as_loud_without_a_change() -> None:
    net = SlimNet().eval()
    net.detail.weight *= 0.01
    image = picture(32, 48)
    even = equalize(net, [image])
    torch.testing.assert_close(even(image), net(image), rtol=1e-4, atol=1e-5)
    strokes, detail = even.branches(image)
    assert detail.shape[1] == DETAIL_CHANNELS
    torch.testing.assert_close(strokes.max(), detail.max())


def tried(name: str) -> torch.nn.Module:
    """A net with fresh weights, the wide ones at an eighth."""
    return build(name, WIDTHS_TRIED.get(name, 1.0))


@pytest.mark.parametrize(("height", "width"), [(160, 224), (32, 64)])
@pytest.mark.parametrize("name", ARCHS)
def test_segmenters_give_a_logit_per_pixel(name: str, height: int, width: int) -> None:
    with torch.no_grad():
        assert tried(name).eval()(picture(height, width)).shape == (1, 1, height, width)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
def test_pooling_keeps_the_places_that_torch_keeps(channels: int, height: int, width: int) -> None:
    x = torch.randint(0, 3, (2, channels, 2 * height, 2 * width)).float()  # with many equal maxima
    largest, places = classic.pool(x)
    wanted, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    torch.testing.assert_close(largest, wanted)
    torch.testing.assert_close(
        classic.unpool(largest + 1, places), torch.nn.functional.max_unpool2d(wanted + 1, indices, 2)
    )


@pytest.mark.parametrize("widths", [WIDTHS, NARROW])
def test_loss_networks_halve_the_maps_and_stop_where_told(widths: tuple[int, ...]) -> None:
    net = LossNetwork(widths)
    with torch.no_grad():
        maps = net(picture(64, 48))
        assert list(net(picture(64, 48), "relu2_1")) == ["relu1_1", "relu1_2", "relu2_1"]
    for stage, width in enumerate(widths):
        assert maps[f"relu{stage + 1}_1"].shape == (1, width, 64 >> stage, 48 >> stage)
        assert maps[f"relu{stage + 1}_1"].min() >= 0


@given(st.integers(1, 12), st.integers(1, 9), st.integers(1, 9))
def test_gram_is_symmetric_positive_and_blind_to_the_order_of_pixels(channels: int, height: int, width: int) -> None:
    features = torch.randn(2, channels, height, width)
    gram = losses.gram(features)
    torch.testing.assert_close(gram, gram.mT)
    assert torch.linalg.eigvalsh(gram).min() > -1e-4
    shuffled = features.flatten(2)[..., torch.randperm(height * width)].view_as(features)
    torch.testing.assert_close(losses.gram(shuffled), gram, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gram[0, 0, 0], features[0, 0].square().mean())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_gram_is_right(layout: torch.memory_format) -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(2, 3, 3)
    (losses.gram(features) * weights).sum().backward()
    flat = features.detach().clone().requires_grad_()
    (flat.flatten(2) @ flat.flatten(2).mT / 20 * weights).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(features.grad, flat.grad, rtol=1e-5, atol=1e-6)


def test_a_grid_is_told_from_strokes() -> None:
    wall, dots = torch.full((1, 3, 64, 96), 0.5), torch.zeros(1, 3, 64, 96)
    dots[..., ::4, ::4] = 0.1
    assert losses.grid_loss(wall) == 0
    assert losses.grid_loss(wall + dots).item() == pytest.approx(0.1**2 * 15 / 256, rel=1e-4)
    assert losses.grid_loss(wall + 0.1 * torch.randn(wall.shape)) < 0.3 * losses.grid_loss(wall + dots)
    ramp = torch.linspace(0, 1, 96).expand_as(wall)
    assert losses.grid_loss(ramp) < 0.3 * losses.grid_loss(wall + dots)


def test_gram_survives_half_precision() -> None:
    features = torch.rand(1, 4, 180, 320) * 40
    assert torch.isfinite(losses.gram(features.half())).all()
    torch.testing.assert_close(losses.gram(features.bfloat16()), losses.gram(features), rtol=0.01, atol=0)


def test_losses_are_nought_at_their_goal() -> None:
    net = LossNetwork(NARROW)
    with torch.no_grad():
        maps = net(picture(64, 64))
    targets = {layer: losses.gram(maps[layer]) for layer in losses.STYLE_LAYERS}
    assert losses.style_loss(maps, targets) == 0
    assert losses.content_loss(maps, maps) == 0
    assert losses.tv_loss(torch.full((1, 3, 8, 8), 0.4)) == 0
    truth = torch.zeros(1, 1, 16, 16)
    truth[..., 8:] = 1
    right, wrong = (losses.matte_losses(sign * 20 * (truth - 0.5), truth) for sign in (1, -1))
    assert all(right[name] < 0.05 < wrong[name] for name in right)


def test_content_counts_by_its_place() -> None:
    maps = {losses.CONTENT_LAYER: torch.rand(1, 3, 8, 8) + 1}
    other = {losses.CONTENT_LAYER: maps[losses.CONTENT_LAYER].clone()}
    other[losses.CONTENT_LAYER][..., :4] += 0.5  # apart in the left half alone
    plain = losses.content_loss(other, maps)
    left = torch.ones(1, 1, 64, 64)
    left[..., :32] = 3
    torch.testing.assert_close(losses.content_loss(other, maps, torch.ones(1, 1, 64, 64)), plain)
    torch.testing.assert_close(losses.content_loss(other, maps, left), 3 * plain)
    torch.testing.assert_close(losses.content_loss(other, maps, left.flip(3)), plain)


def settled(name: str) -> torch.nn.Module:
    """A net whose norms have seen something."""
    net = tried(name)
    net.train()
    with torch.no_grad():
        for _ in range(2):
            net(picture(64, 64, 4))
    return net.eval()


@pytest.mark.parametrize("name", NETS)
def test_folding_changes_nothing(name: str) -> None:
    net = settled(name)
    image = picture(64, 96)
    with torch.no_grad():
        before = net(image)
        torch.testing.assert_close(fold(net)(image), before, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(fold(net)(image), before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NETS)
def test_both_shipped_files_are_the_same_function(name: str, tmp_path: Path) -> None:
    weights, onnx = ship(settled(name), KINDS[name], tmp_path, name, ARCHS.get(name, 4))
    torch_net = load_shipped(name, KINDS[name], weights, WIDTHS_TRIED.get(name, 1.0))
    openvino_net = OpenVinoNet(Engine("openvino", "CPU", "", precision="float32"), onnx)
    for height, width in ((32, 64), (64, 96)):
        images = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            ours = torch_net(torch.from_numpy(images)).numpy()
        theirs = openvino_net(images)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        error = np.abs(ours.astype(float) - theirs)
        if name in IN_INT8:
            assert 0 < error.mean() < 0.01
        else:
            assert error.max() <= (1 if KINDS[name] == "style" else 1e-4)


def products_per_pixel(net: torch.nn.Module) -> dict[str, float]:
    """Return the products that each convolution computes for a pixel of the picture."""
    found: dict[str, float] = {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.Conv2d):

            def count(conv: torch.nn.Conv2d, _: object, result: torch.Tensor, name: str = name) -> None:
                found[name] = result.shape[2] * result.shape[3] * conv.weight.numel() / 64**2

            module.register_forward_hook(count)
    with torch.no_grad():
        net(torch.zeros(1, 3, 64, 64))
    return found


def test_the_cost_of_a_transform_net_is_as_its_docstring_says() -> None:
    published, ours = products_per_pixel(JohnsonNet()), products_per_pixel(SlimNet())
    assert sum(ours.values()) == 14_976
    total = sum(published.values())
    assert total == 153_792
    shares = {part: sum(v for k, v in published.items() if k.startswith(part)) / total for part in ("trunk", "decode")}
    assert (round(shares["trunk"], 2), round(shares["decode"], 2)) == (0.60, 0.24)
    assert round((published["encode.0.conv"] + published["paint"]) / total, 2) == 0.10
