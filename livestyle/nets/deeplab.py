"""The person segmenter: DeepLabv3+ (Chen et al. 2018) on MobileNetV2 (Sandler et al. 2018)."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets.blocks import ConvNorm

MULTIPLE = 16  # height and width of the input must be multiples of this
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
# expansion, output channels, stride, dilation of the 17 inverted-residual blocks. The last stage keeps
# stride 16 and dilates instead, as DeepLab does.
BLOCKS = [
    (1, 16, 1, 1),
    *[(6, 24, s, 1) for s in (2, 1)],
    *[(6, 32, s, 1) for s in (2, 1, 1)],
    *[(6, 64, s, 1) for s in (2, 1, 1, 1)],
    *[(6, 96, 1, 1)] * 3,
    *[(6, 160, 1, d) for d in (1, 2, 2)],
    (6, 320, 1, 2),
]
FINE, LOW_LEVEL = 0, 2  # blocks whose outputs, at strides 2 and 4, the decoder takes


class InvertedResidual(nn.Module):
    """Expand, depthwise 3x3, project."""

    def __init__(self, cin: int, cout: int, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        wide = cin * expansion
        self.skip = stride == 1 and cin == cout
        self.body = nn.Sequential(
            ConvNorm(cin, wide, 1, act=nn.ReLU6),
            ConvNorm(wide, wide, 3, stride, dilation=dilation, groups=wide, act=nn.ReLU6),
            ConvNorm(wide, cout, 1, act=None),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.skip else y


class MobileNetV2(nn.Module):
    """The encoder at output stride 16.

    Shape: float (N, 3, H, W) RGB in [0, 1] to maps of 16 channels at stride 2, 24 at stride 4, 320 at stride 16.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2, act=nn.ReLU6)
        self.blocks = nn.ModuleList()
        channels = 32
        for expansion, cout, stride, dilation in BLOCKS:
            self.blocks.append(InvertedResidual(channels, cout, stride, dilation, expansion))
            channels = cout
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem((rgb - self.mean) / self.std)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps[FINE], maps[LOW_LEVEL], x


def separable(cin: int, cout: int, dilation: int = 1) -> nn.Sequential:
    """Depthwise 3x3, then pointwise, each with norm and ReLU."""
    return nn.Sequential(ConvNorm(cin, cin, 3, dilation=dilation, groups=cin), ConvNorm(cin, cout, 1))


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated separable convolutions, and the picture's mean."""

    def __init__(self, cin: int, cout: int, rates: tuple[int, ...] = (3, 6, 9)) -> None:
        # Half of the paper's rates: its maps are 33 wide and more, these 9 to 16.
        super().__init__()
        self.branches = nn.ModuleList([ConvNorm(cin, cout, 1), *(separable(cin, cout, r) for r in rates)])
        self.pooled = nn.Conv2d(cin, cout, 1)
        self.project = ConvNorm(cout * (len(rates) + 2), cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.relu(self.pooled(x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        y: Tensor = self.project(torch.cat([*(branch(x) for branch in self.branches), mean], 1))
        return y


class DeepLab(nn.Module):
    """DeepLabv3+ with a second, finer skip at stride 2, since hair is lost at stride 4 of a small input.

    Shape: float (N, 3, H, W) in [0, 1] to logits (N, 1, H, W), positive for person; H and W multiples of 16.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.encoder = MobileNetV2()
        self.pyramid = AtrousPyramid(320, width)
        self.low_level, self.fine = ConvNorm(24, 32, 1), ConvNorm(16, 16, 1)
        self.decode_low = nn.Sequential(separable(width + 32, 96), separable(96, 64))
        self.decode_fine = separable(64 + 16, 32)
        self.classify = nn.Conv2d(32, 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        fine, low, deep = self.encoder(rgb)
        x = up(self.pyramid(deep), 4)
        x = up(self.decode_low(torch.cat([x, self.low_level(low)], 1)), 2)
        x = self.decode_fine(torch.cat([x, self.fine(fine)], 1))
        return up(self.classify(x), 2)


def up(x: Tensor, factor: int) -> Tensor:
    """Bilinear enlargement by a whole factor."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def load_encoder(net: DeepLab, path: Path) -> None:
    """Start the encoder from ImageNet weights (`mobilenetv2.safetensors`, convolution 0 and norm 1 in each pair).

    Raises:
        UserError: the file is not there.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"There is no encoder {path}.", "Give the folder of mobilenetv2.safetensors with --perceptual.")
    names = {"0": "conv", "1": "norm"}
    weights = {}
    for key, value in load_file(path).items():
        *head, pair, leaf = key.split(".")
        weights[".".join([*head, names.get(pair, pair), leaf])] = value.float()
    net.encoder.load_state_dict({key: weights[key] for key in net.encoder.state_dict()})
