"""MobileNetV2 (Sandler et al. 2018) as an encoder pretrained on ImageNet."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets.architectures.blocks import ConvNorm

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
CHANNELS = {2: 16, 4: 24, 8: 32, 16: 96, 32: 320}  # of the last map, by stride
TAP_BLOCKS = (0, 2, 5, 12, 16)  # that make those maps


def blocks(stride: int) -> list[tuple[int, int, int, int]]:
    """Return expansion, output channels, stride and dilation of the 17 inverted-residual blocks.

    Args:
        stride: of the deepest map, 32 or 16. At 16 the last stage is dilated instead, as in DeepLab.
    """
    last, wide = (2, 1) if stride == 32 else (1, 2)
    return [
        (1, 16, 1, 1),
        *[(6, 24, s, 1) for s in (2, 1)],
        *[(6, 32, s, 1) for s in (2, 1, 1)],
        *[(6, 64, s, 1) for s in (2, 1, 1, 1)],
        *[(6, 96, 1, 1)] * 3,
        *[(6, 160, s, d) for s, d in ((last, 1), (1, wide), (1, wide))],
        (6, 320, 1, wide),
    ]


class InvertedResidual(nn.Module):
    """Expand, convolve depthwise 3x3, project."""

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
    """The encoder.

    Shape: float (N, 3, H, W) RGB in [0, 1] to its last maps at strides 2, 4, 8, 16 and 32, of CHANNELS channels.

    Args:
        stride: of the deepest map, 32 or 16.
    """

    mean: Tensor
    std: Tensor

    pretrained = "mobilenetv2"

    def __init__(self, stride: int = 32) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2, act=nn.ReLU6)
        self.blocks = nn.ModuleList()
        channels = 32
        for expansion, cout, step, dilation in blocks(stride):
            self.blocks.append(InvertedResidual(channels, cout, step, dilation, expansion))
            channels = cout
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def normalize(self, rgb: Tensor) -> Tensor:
        """Normalize RGB in [0, 1] to ImageNet's zero mean and unit variance."""
        return (rgb - self.mean) / self.std

    def forward(self, rgb: Tensor) -> list[Tensor]:
        x = self.stem(self.normalize(rgb))
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAP_BLOCKS:
                maps.append(x)
        return maps

    def load(self, path: Path) -> None:
        """Load ImageNet weights (`mobilenetv2.safetensors`, where each pair has convolution 0 and norm 1).

        Raises:
            UserError: the file is missing.
        """
        from safetensors.torch import load_file

        if not path.is_file():
            raise UserError(f"There is no encoder {path}.", "Give the folder of mobilenetv2.safetensors.", "perceptual")
        names = {"0": "conv", "1": "norm"}
        weights = {}
        for key, value in load_file(path).items():
            *head, pair, leaf = key.split(".")
            weights[".".join([*head, names.get(pair, pair), leaf])] = value.float()
        self.load_state_dict({key: weights[key] for key in self.state_dict()})


def upsample(x: Tensor, factor: int) -> Tensor:
    """Upsample bilinearly by a whole factor."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
