"""Segmentation networks of the literature, with a multiplier of their width.

All take float RGB (N, 3, H, W) in [0, 1] and give logits (N, 1, H, W), positive for person. A batch norm follows each
convolution. Of the papers, only SegNet's has that; without it, networks need long schedules.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets.architectures.blocks import ConvNorm
from livestyle.nets.architectures.mobilenet import MEAN, STD, upsample
from livestyle.nets.architectures.vgg import read_vgg

VGG16_COUNTS = (2, 2, 3, 3, 3)  # convolutions per stage
WIDTHS = (64, 128, 256, 512, 512)
PRETRAINED = {1.0: "vgg19", 0.25: "vgg19_16x"}  # by width; the stages of VGG-19 begin like those of VGG-16


def scale_channels(channels: int, width: float) -> int:
    """Return channels times a width, rounded to a multiple of 8."""
    return max(8, round(channels * width / 8) * 8)


class Vgg(nn.Module):
    """Stages of 3x3 convolutions (Simonyan and Zisserman 2014).

    Args:
        counts: convolutions per stage; width: multiplier of WIDTHS; dilations: per stage.
    """

    def __init__(self, counts: tuple[int, ...], width: float, dilations: tuple[int, ...] = (1, 1, 1, 1, 1)) -> None:
        super().__init__()
        self.pretrained = PRETRAINED.get(width, "")
        self.colours = nn.Conv2d(3, 3, 1)
        std = torch.tensor(STD)
        normalize = {"weight": torch.diag(1 / std)[..., None, None], "bias": -torch.tensor(MEAN) / std}
        self.colours.load_state_dict(normalize)
        self.stages, self.channels, cin = nn.ModuleList(), [], 3
        for count, cout, dilation in zip(counts, WIDTHS, dilations, strict=False):
            cout = scale_channels(cout, width)
            shapes = [(cin if i == 0 else cout, cout) for i in range(count)]
            self.stages.append(nn.Sequential(*(ConvNorm(a, b, 3, dilation=dilation) for a, b in shapes)))
            self.channels.append(cout)
            cin = cout

    def load(self, path: Path) -> None:
        """Load the convolutions of the published VGG-19 of this width that are here, too.

        Raises:
            UserError: the file is missing.
        """
        source = read_vgg(path)
        self.colours.load_state_dict(source.colours.state_dict())
        for s, stage in enumerate(self.stages, start=1):
            blocks = [block for block in stage.modules() if isinstance(block, ConvNorm)]
            for i, block in enumerate(blocks, start=1):
                if f"{s}_{i}" in source.convs:
                    block.conv.load_state_dict({"weight": source.convs[f"{s}_{i}"].weight})


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016)."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNorm(cin, cout, 3), ConvNorm(cout, cout, 3, act=None))
        self.shortcut = ConvNorm(cin, cout, 1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class CnnResNet(nn.Module):
    """Three VGG stages, a residual head at stride 8, bilinear upsampling (Portrait Segmentation and Background
    Stylization, 2017).
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = Vgg(VGG16_COUNTS[:3], width)
        deep, head = self.encoder.channels[-1], scale_channels(512, width)
        self.head = nn.Sequential(Residual(deep, head), Residual(head, head))
        self.score = nn.Conv2d(head, 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.encoder.colours(rgb)
        for stage in self.encoder.stages:
            x = F.max_pool2d(stage(x), 2)
        return upsample(self.score(self.head(x)), 8)


class Fcn8s(nn.Module):
    """Fully convolutional VGG-16 with the sum of scores at strides 32, 16 and 8 (Long et al. 2015)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = Vgg(VGG16_COUNTS, width)
        channels, full = self.encoder.channels, scale_channels(4096, width)
        self.full = nn.Sequential(
            ConvNorm(channels[4], full, 7), nn.Dropout2d(), ConvNorm(full, full, 1), nn.Dropout2d()
        )  # fmt: skip
        self.score32, self.score16 = nn.Conv2d(full, 1, 1), nn.Conv2d(channels[3], 1, 1)
        self.score8 = nn.Conv2d(channels[2], 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        x, pools = self.encoder.colours(rgb), []
        for stage in self.encoder.stages:
            x = F.max_pool2d(stage(x), 2)
            pools.append(x)
        score = upsample(self.score32(self.full(x)), 2) + self.score16(pools[3])
        return upsample(upsample(score, 2) + self.score8(pools[2]), 8)


class DeepLabLfov(nn.Module):
    """DeepLab with a large field of view (Chen et al. 2015): stride 8, stages 5 and 6 dilated, no CRF."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = Vgg(VGG16_COUNTS, width, dilations=(1, 1, 1, 1, 2))
        full = scale_channels(1024, width)
        self.full = nn.Sequential(
            ConvNorm(self.encoder.channels[4], full, 3, dilation=12), nn.Dropout2d(),
            ConvNorm(full, full, 1), nn.Dropout2d(),
        )  # fmt: skip
        self.score = nn.Conv2d(full, 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        x = self.encoder.colours(rgb)
        for index, stage in enumerate(self.encoder.stages):
            x = F.max_pool2d(stage(x), 3, 2 if index < 3 else 1, 1)
        return upsample(self.score(self.full(x)), 8)


class SegNet(nn.Module):
    """VGG-16 and its mirror image (Badrinarayanan et al. 2017), which upsamples by the places of the maxima.

    A narrow one has VGG-13's two convolutions in each stage.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        counts = VGG16_COUNTS if width == 1 else (2, 2, 2, 2, 2)
        self.encoder = Vgg(counts, width)
        self.decoder = nn.ModuleList()
        channels = self.encoder.channels
        for count, cin, cout in zip(counts[::-1], channels[::-1], [*channels[-2::-1], channels[0]], strict=True):
            shapes = [(cin, cout if i == count - 1 else cin) for i in range(count)]
            self.decoder.append(nn.Sequential(*(ConvNorm(a, b, 3) for a, b in shapes)))
        self.score = nn.Conv2d(channels[0], 1, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        pools: list[Any] = [torch_pool, F.max_unpool2d] if self.training else [pool, unpool]
        shrink, enlarge = pools
        x, places = self.encoder.colours(rgb), []
        for stage in self.encoder.stages:
            x, place = shrink(stage(x), 2)
            places.append(place)
        for stage in self.decoder:
            x = stage(enlarge(x, places.pop(), 2))
        return self.score(x)  # type: ignore[no-any-return]


torch_pool = partial(F.max_pool2d, return_indices=True)


def pool(x: Tensor, _: int = 2) -> tuple[Tensor, list[Tensor]]:
    """Return 2x2 maxima, and four masks of 0 and 1 for the corner of each maximum, the first where several are equal.

    The same as `max_pool2d` with indices, in operations that every engine has. Its gradient is slower, so training uses
    the other.

    Args:
        x: (N, C, H, W), even sides.
    """
    corners = [x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    largest = torch.maximum(torch.maximum(corners[0], corners[1]), torch.maximum(corners[2], corners[3]))
    masks, free = [], torch.ones_like(largest)
    for corner in corners:
        mask = (corner >= largest).to(x.dtype) * free
        free = free - mask
        masks.append(mask)
    return largest, masks


def unpool(x: Tensor, masks: list[Tensor], _: int = 2) -> Tensor:
    """Return twice the size: each value at the place of its maximum, 0 elsewhere (as `max_unpool2d`)."""
    return F.pixel_shuffle(torch.stack([x * mask for mask in masks], 2).flatten(1, 2), 2)


class DeepLabV3MobileNet(nn.Module):
    """torchvision's DeepLabv3 on MobileNetV3-Large (Chen et al. 2017; Howard et al. 2019), for one class.

    Raises:
        UserError: the width is not 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        if width != 1:
            raise UserError("deeplabv3-mobilenet has one width.", "Leave the width away.", "width")
        from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

        self.body = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        logits: Tensor = self.body((rgb - self.mean) / self.std)["out"]
        return logits
