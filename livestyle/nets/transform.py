"""Transform nets: one feed-forward pass paints the picture (Johnson, Alahi, Fei-Fei 2016).

All heavy work is dense 3x3 convolutions at a quarter of the resolution, where a CPU comes near its peak;
the published net's 9x9 convolutions at full resolution cost it most of its time (docs/measurements.md).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.blocks import ConvNorm

MULTIPLE = 4  # height and width of the input must be multiples of this
# Reflected once around the picture and cut off again, so that the zero padding of the convolutions,
# which reaches this far with any weight, draws no frame.
BORDER = 16
DETAIL = 16  # channels of the picture itself at half resolution, which the head draws its finest strokes along


def instance_norm(channels: int) -> nn.Module:
    """Per picture, with scale and shift (Ulyanov et al. 2016)."""
    return nn.InstanceNorm2d(channels, affine=True)


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, no activation after the sum (Gross and Wilber 2016, as in Johnson's net)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, 3, norm=instance_norm)
        self.second = ConvNorm(channels, channels, 3, norm=instance_norm, act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


class TransformNet(nn.Module):
    """Un-shuffle by 4, residual blocks, resize by 2, join the picture's own detail, shuffle by 2.

    The deviations from Johnson's net: pixel un-shuffle in place of strided convolutions, instance norm in place of
    batch norm, and a resize before the last shuffle, since shuffling by 4 at once leaves a dither.

    Args:
        channels: width of the trunk.
        blocks: number of residual blocks.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), unclamped; H and W multiples of 4.
    """

    def __init__(self, channels: int = 64, blocks: int = 5) -> None:
        super().__init__()
        self.stem = ConvNorm(48, channels, 3, norm=instance_norm)
        self.trunk = nn.Sequential(*(Residual(channels) for _ in range(blocks)))
        self.detail = nn.Conv2d(12, DETAIL, 3, padding=1)
        self.widen = nn.Conv2d(channels + DETAIL, channels // 2, 3, padding=1)
        self.paint = nn.Conv2d(channels // 2, 12, 3, padding=1)
        # The four pixels that a shuffle lays side by side start alike: no checkerboard (Aitken et al. 2017).
        with torch.no_grad():
            self.paint.weight.copy_(self.paint.weight[::4].repeat_interleave(4, 0))

    def forward(self, rgb: Tensor) -> Tensor:
        x = F.pad(rgb, (BORDER,) * 4, mode="reflect")
        detail = F.relu(self.detail(F.pixel_unshuffle(x - 0.5, 2)))
        x = self.trunk(self.stem(F.pixel_unshuffle(x - 0.5, 4)))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = F.relu(self.widen(torch.cat([x, detail], 1)))
        x = F.pixel_shuffle(self.paint(x), 2) + 0.5
        return x[..., BORDER:-BORDER, BORDER:-BORDER]
