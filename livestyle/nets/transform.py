"""Transform nets: one feed-forward pass paints the picture (Johnson, Alahi, Fei-Fei 2016).

All heavy work of ours is dense 3x3 convolutions at a quarter and an eighth of the resolution, where a CPU comes near
its peak; the published net's 9x9 convolutions at full resolution cost it most of its time (docs/measurements.md).
"""

import copy
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.blocks import Border, ConvNorm

# Reflected once around the picture and cut off again, so that the zero padding of the convolutions,
# which reaches this far with any weight, draws no frame.
BORDER = 16
GRAY = 128 / 255  # what lies beyond it, a whole byte: the net is 0 there, and computes on bytes the same
DETAIL = 16  # channels of the picture itself at half resolution, which the head draws its finest strokes along


def instance_norm(channels: int) -> nn.Module:
    """Per picture, with scale and shift (Ulyanov et al. 2016)."""
    return nn.InstanceNorm2d(channels, affine=True)


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, no activation after the sum (Gross and Wilber 2016, as in Johnson's net)."""

    def __init__(self, channels: int, border: Border = "zeros") -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, norm=instance_norm, border=border)
        self.second = ConvNorm(channels, channels, 3, norm=instance_norm, border=border, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


class JohnsonNet(nn.Module):
    """The published net, with instance norm (Ulyanov et al. 2016) for batch norm: the measure of ours.

    Args:
        border: "reflect" mirrors that of every convolution, as the code that most people copy does (PyTorch's example
            fast_neural_style); "zeros" mirrors the picture's once.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), unclamped; H and W multiples of 4.
    """

    def __init__(self, channels: int = 32, blocks: int = 5, border: Border = "zeros") -> None:
        super().__init__()
        layer, self.margin = partial(ConvNorm, norm=instance_norm, border=border), BORDER if border == "zeros" else 0
        wide = 4 * channels
        self.encode = nn.Sequential(
            layer(3, channels, 9), layer(channels, 2 * channels, 3, 2), layer(2 * channels, wide, 3, 2)
        )
        self.trunk = nn.Sequential(*(Residual(wide, border) for _ in range(blocks)))
        self.decode = nn.Sequential(
            nn.Upsample(scale_factor=2), layer(wide, 2 * channels, 3),
            nn.Upsample(scale_factor=2), layer(2 * channels, channels, 3),
        )  # fmt: skip
        self.paint = nn.Conv2d(channels, 3, 9, padding=4, padding_mode=border)

    def forward(self, rgb: Tensor) -> Tensor:
        m, height, width = self.margin, *rgb.shape[2:]
        x = F.pad(rgb - 0.5, (m,) * 4, mode="reflect")
        x = torch.tanh(self.paint(self.decode(self.trunk(self.encode(x)))))
        return x[..., m : m + height, m : m + width] * 0.6 + 0.5


@torch.no_grad()
def start_alike(paint: nn.Conv2d) -> None:
    """Give the four pixels that a shuffle lays side by side the same start: no checkerboard (Aitken et al. 2017)."""
    paint.weight.copy_(paint.weight[::4].repeat_interleave(4, 0))


class SlimNet(nn.Module):
    """The net that ships.

    Un-shuffle by 4, residual blocks, a shuffle by 2, joined with the picture's own detail, a shuffle by 2. With a
    convolution between two shuffles there is no dither, as one by 4 leaves it. The deviations from Johnson's net: pixel
    un-shuffle in place of strided convolutions, instance norm in place of batch norm, and a head that resizes nothing.

    Args:
        channels, blocks: width and depth of the trunk; head: width at half of the resolution.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), unclamped; H and W multiples of 4.
    """

    def __init__(self, channels: int = 48, blocks: int = 4, head: int = 32) -> None:
        super().__init__()
        self.stem = ConvNorm(48, channels, 3, norm=instance_norm)
        self.trunk = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.detail = nn.Conv2d(12, DETAIL, 3, padding=1)
        self.join = nn.Conv2d(channels // 4 + DETAIL, head, 3, padding=1)
        self.paint = nn.Conv2d(head, 12, 3, padding=1)
        start_alike(self.paint)

    def forward(self, rgb: Tensor) -> Tensor:
        x = F.relu(self.join(torch.cat(self.halves(rgb), 1)))
        x = F.pixel_shuffle(self.paint(x), 2) + 0.5
        return x[..., BORDER:-BORDER, BORDER:-BORDER]

    def halves(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """What is joined: the trunk's map, and the picture's own detail."""
        x = F.pad(rgb, (BORDER,) * 4, mode="reflect") - GRAY
        strokes = F.pixel_shuffle(F.relu(self.trunk(self.stem(F.pixel_unshuffle(x, 4)))), 2)
        return strokes, F.relu(self.detail(F.pixel_unshuffle(x, 2)))


@torch.no_grad()
def evened(net: SlimNet, batches: Sequence[Tensor]) -> SlimNet:
    """A copy that computes the same, both halves of what it joins as loud on these pictures: one step does for both.

    (Nagel et al. 2019, cross-layer equalization.)
    """
    net = copy.deepcopy(net)
    heard = [[float(half.abs().max()) for half in net.halves(batch)] for batch in batches]
    strokes, detail = (max(part) for part in zip(*heard, strict=True))
    louder = strokes / max(detail, 1e-6)
    for part in net.detail.parameters():
        part.mul_(louder)
    net.join.weight[:, -DETAIL:].div_(louder)
    return net
