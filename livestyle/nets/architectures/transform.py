"""Transform networks: one feed-forward pass paints the picture (Johnson, Alahi, Fei-Fei 2016).

The published network computes 153,792 products for each pixel. Its residual blocks take 60 % of them, the two
convolutions after upsampling 24 %, and the two 9x9 convolutions 10 %. SlimNet computes 14,976 products for each pixel,
in dense 3x3 convolutions at a quarter and at half of the resolution.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.architectures.blocks import ConvNorm

DETAIL_CHANNELS = 16  # of the picture itself at half resolution, which guide the finest strokes


class InstanceNorm(nn.InstanceNorm2d):
    """A norm per picture, with scale and shift (Ulyanov et al. 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:  # as a batch norm, which copies no channels-last map
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return super().forward(x)


def instance_norm(channels: int) -> nn.Module:
    """Return a norm per picture."""
    return InstanceNorm(channels, affine=True)


def convolution(cin: int, cout: int, size: int, stride: int = 1, act: type[nn.Module] | None = nn.ReLU) -> ConvNorm:
    """Return a convolution with instance norm and reflected border.

    With zeros at the border, a network knows where the picture ends. It draws a frame there, which style losses reward.
    """
    return ConvNorm(cin, cout, size, stride, norm=instance_norm, act=act, border="reflect")


def plain_convolution(cin: int, cout: int, size: int = 3) -> nn.Conv2d:
    """Return the same without a norm."""
    return nn.Conv2d(cin, cout, size, padding=size // 2, padding_mode="reflect")


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, without activation after the sum (Gross and Wilber 2016, as in Johnson's
    net).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels, 3)
        self.second = convolution(channels, channels, 3, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


class JohnsonNet(nn.Module):
    """The published network, as the reference.

    It has instance norm (Ulyanov et al. 2016) for batch norm, and reflected borders, as in PyTorch's example
    fast_neural_style.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), not clipped; H and W multiples of 4.

    Args:
        channels: of the first convolution; blocks: residual ones.
    """

    def __init__(self, channels: int = 32, blocks: int = 5) -> None:
        super().__init__()
        wide = 4 * channels
        self.encode = nn.Sequential(
            convolution(3, channels, 9), convolution(channels, 2 * channels, 3, 2),
            convolution(2 * channels, wide, 3, 2),
        )  # fmt: skip
        self.trunk = nn.Sequential(*(Residual(wide) for _ in range(blocks)))
        self.decode = nn.Sequential(
            nn.Upsample(scale_factor=2), convolution(wide, 2 * channels, 3),
            nn.Upsample(scale_factor=2), convolution(2 * channels, channels, 3),
        )  # fmt: skip
        self.paint = plain_convolution(channels, 3, 9)

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.tanh(self.paint(self.decode(self.trunk(self.encode(rgb - 0.5))))) * 0.6 + 0.5


@torch.no_grad()
def init_subpixels(paint: nn.Conv2d) -> None:
    """Give the four pixels of a shuffle the same initial weights, against checkerboards (ICNR, Aitken et al. 2017)."""
    paint.weight.copy_(paint.weight[::4].repeat_interleave(4, 0))


class SlimNet(nn.Module):
    """The network that is shipped.

    It un-shuffles by 4, runs residual blocks, shuffles by 2, joins the picture's own detail, and shuffles by 2. A
    convolution between two shuffles avoids the dither that a shuffle by 4 leaves. It differs from Johnson's network in
    three ways. Pixel un-shuffling replaces strided convolutions, instance norm replaces batch norm, and the head does
    not resize.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), not clipped; H and W multiples of 4.

    Args:
        channels, blocks: width and depth of the trunk; head: channels at half of the resolution.
    """

    def __init__(self, channels: int = 48, blocks: int = 4, head: int = 32) -> None:
        super().__init__()
        self.stem = convolution(48, channels, 3)
        self.trunk = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.detail = plain_convolution(12, DETAIL_CHANNELS)
        self.join = plain_convolution(channels // 4 + DETAIL_CHANNELS, head)
        self.paint = plain_convolution(head, 12)
        init_subpixels(self.paint)

    def forward(self, rgb: Tensor) -> Tensor:
        x = F.relu(self.join(torch.cat(self.branches(rgb), 1)))
        return F.pixel_shuffle(self.paint(x), 2) + 0.5

    def branches(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is joined: the trunk's map, and the picture's own detail."""
        x = rgb - 0.5
        strokes = F.pixel_shuffle(F.relu(self.trunk(self.stem(F.pixel_unshuffle(x, 4)))), 2)
        return strokes, F.relu(self.detail(F.pixel_unshuffle(x, 2)))


@torch.no_grad()
def equalize(net: SlimNet, batches: Sequence[Tensor]) -> SlimNet:
    """Return a copy that computes the same, with joined maps of equal range, so that they share a quantization.

    Cross-layer equalization (Nagel et al. 2019).

    Args:
        net: the network; batches: float (N, 3, H, W) in [0, 1], to measure the ranges.
    """
    net = copy.deepcopy(net)
    ranges = [[float(half.abs().max()) for half in net.branches(batch)] for batch in batches]
    strokes, detail = (max(part) for part in zip(*ranges, strict=True))
    ratio = strokes / max(detail, 1e-6)
    for part in net.detail.parameters():
        part.mul_(ratio)
    net.join.weight[:, -DETAIL_CHANNELS:].div_(ratio)
    return net
