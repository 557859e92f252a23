"""The person segmenter: a U-Net (Ronneberger et al. 2015) on MobileNetV2 with a sub-pixel head (Shi et al. 2016)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.architectures.blocks import ConvNorm
from livestyle.nets.architectures.mobilenet import CHANNELS, MobileNetV2

MULTIPLE = 32  # of the input's sides


class Decode(nn.Module):
    """Upsample by 2, add the encoder's maps of that size, and mix by a 3x3 convolution.

    The sum of two 1x1 convolutions equals one of the joined maps, at a quarter of the cost for the coarse one.

    Args:
        cin: channels of the coarse map; skip: of the encoder's maps; cout: of the result.
    """

    def __init__(self, cin: int, skip: int, cout: int) -> None:
        super().__init__()
        self.coarse, self.fine = ConvNorm(cin, cout, 1, act=None), ConvNorm(skip, cout, 1, act=None)
        self.mix = ConvNorm(cout, cout, 3, act=nn.ReLU6)

    def forward(self, x: Tensor, *skips: Tensor) -> Tensor:
        coarse = F.interpolate(self.coarse(x), scale_factor=2, mode="nearest")
        y: Tensor = self.mix(F.relu6(self.fine(torch.cat(skips, 1)) + coarse))
        return y


class Context(nn.Module):
    """Depthwise context and a pointwise mix, added to the map (ConvNeXt, Liu et al. 2022). It starts as the identity.

    Args:
        channels: of the map; reach: side of the depthwise kernel.
    """

    def __init__(self, channels: int, reach: int = 7) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, channels, reach, padding=reach // 2, groups=channels)
        self.mix = nn.Sequential(nn.Conv2d(channels, 4 * channels, 1), nn.ReLU6(), nn.Conv2d(4 * channels, channels, 1))
        nn.init.zeros_(self.mix[2].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.mix[2].bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # depthwise gradients in bfloat16 take ten times longer
            around = self.look(x.float()).to(x.dtype)
        y: Tensor = x + self.mix(around)
        return y


class MobileUNet(nn.Module):
    """The U-Net.

    Whole bodies are recognized at strides 32 and 16, where 7x7 kernels span most of the picture at little cost. The
    decoder ends at stride 4, where dense convolutions are cheap. It still uses every pixel. The picture and the map of
    stride 2 enter as patches of 4x4 and 2x2, and a shuffle gives the matte. ReLU6 bounds the inputs of expensive
    convolutions to 0..6, so that they can run in int8.

    Shape: float (N, 3, H, W) in [0, 1] to logits (N, 1, H, W), positive for person; H and W multiples of 32.

    Args:
        wide, middle, narrow: channels at strides 32 and 16, 8, and 4.
    """

    def __init__(self, wide: int = 128, middle: int = 96, narrow: int = 64) -> None:
        super().__init__()
        self.encoder = MobileNetV2()
        self.deep, self.pooled = ConvNorm(CHANNELS[32], wide, 1, act=None), nn.Conv2d(CHANNELS[32], wide, 1)
        self.far, self.mid = (nn.Sequential(*(Context(wide) for _ in range(depth))) for depth in (3, 2))
        self.decode16 = Decode(wide, CHANNELS[16], wide)
        self.decode8 = Decode(wide, CHANNELS[8], middle)
        self.pixels, self.fine = ConvNorm(3, 32, 4, 4), ConvNorm(CHANNELS[2], 32, 2, 2)
        self.decode4 = Decode(middle, CHANNELS[4] + 32 + 32, narrow)
        self.classify = nn.Conv2d(narrow, 16, 3, padding=1)

    def forward(self, rgb: Tensor) -> Tensor:
        two, four, eight, sixteen, deep = self.encoder(rgb)
        x = F.relu(self.deep(deep) + self.pooled(deep.mean((2, 3), keepdim=True)))
        x = self.decode8(self.mid(self.decode16(self.far(x), sixteen)), eight)
        x = self.decode4(x, four, self.fine(two), self.pixels(self.encoder.normalize(rgb)))
        return F.pixel_shuffle(self.classify(x), 4)
