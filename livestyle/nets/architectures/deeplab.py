"""A person segmenter: DeepLabv3+ (Chen et al. 2018) on MobileNetV2 (Sandler et al. 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.architectures.blocks import ConvNorm
from livestyle.nets.architectures.mobilenet import MobileNetV2, upsample

MULTIPLE = 16  # of the input's sides


def separable(cin: int, cout: int, dilation: int = 1) -> nn.Sequential:
    """Return a depthwise 3x3 and a pointwise convolution, each with norm and ReLU."""
    return nn.Sequential(ConvNorm(cin, cin, 3, dilation=dilation, groups=cin), ConvNorm(cin, cout, 1))


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated separable convolutions, and the picture's mean.

    Args:
        cin, cout: channels; rates: dilations.
    """

    def __init__(self, cin: int, cout: int, rates: tuple[int, ...] = (3, 6, 9)) -> None:
        # Half of the paper's rates, because its maps are at least 33 wide, and these 9 to 16.
        super().__init__()
        self.branches = nn.ModuleList([ConvNorm(cin, cout, 1), *(separable(cin, cout, r) for r in rates)])
        self.pooled = nn.Conv2d(cin, cout, 1)
        self.project = ConvNorm(cout * (len(rates) + 2), cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        y: Tensor = self.project(torch.cat([*(branch(x) for branch in self.branches), mean], 1))
        return y


class DeepLab(nn.Module):
    """DeepLabv3+ with a second, finer skip connection at stride 2, because stride 4 of a small input loses hair.

    Shape: float (N, 3, H, W) in [0, 1] to logits (N, 1, H, W), positive for person; H and W multiples of 16.

    Args:
        width: channels of the pyramid.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.encoder = MobileNetV2(16)
        self.pyramid = AtrousPyramid(320, width)
        self.low_level, self.fine = ConvNorm(24, 32, 1), ConvNorm(16, 16, 1)
        self.decode_low = nn.Sequential(separable(width + 32, 96), separable(96, 64))
        self.decode_fine = separable(64 + 16, 32)
        self.classify = nn.Conv2d(32, 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        fine, low, _, _, deep = self.encoder(rgb)
        x = upsample(self.pyramid(deep), 4)
        x = upsample(self.decode_low(torch.cat([x, self.low_level(low)], 1)), 2)
        x = self.decode_fine(torch.cat([x, self.fine(fine)], 1))
        return upsample(self.classify(x), 2)
