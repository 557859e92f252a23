"""Transform nets: one feed-forward pass paints the picture (Johnson, Alahi, Fei-Fei 2016).

All heavy work of ours is dense 3x3 convolutions at a quarter and an eighth of the resolution, where a CPU comes near
its peak; the published net's 9x9 convolutions at full resolution cost it most of its time (docs/measurements.md).
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.nets.blocks import Affine, Border, ConvNorm

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


CONTRAST = 0.22  # standard deviation of luma that a picture is brought to, about that of photographs
FLAT = 0.02  # the least that a picture's own is taken for: an even wall stays even


def even_contrast(rgb: Tensor) -> Tensor:
    """A picture (N, 3, H, W) with its mean colour moved to 0 and its contrast to CONTRAST."""
    gray = rgb.mean(1, keepdim=True)
    return (rgb - rgb.mean((2, 3), keepdim=True)) * (CONTRAST / (gray.std((2, 3), keepdim=True) + FLAT))


class Branch(nn.Module):
    """Two 3x3 convolutions around a skip, which they start by changing little."""

    def __init__(self, channels: int, layer: Callable[..., ConvNorm], styles: int) -> None:
        super().__init__()
        self.first = layer(channels, channels, 3)
        self.second = layer(channels, channels, 3, norm=partial(Affine, scale=0.2, styles=styles), act=None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


class TwoScaleNet(nn.Module):
    """Strokes at a quarter of the resolution, what they make up at an eighth.

    Johnson's net takes its independence of contrast from instance norms, whose statistics cost time and jump from frame
    to frame; here the picture's contrast is evened out once, and learned scales, which fold away, stand in their place.
    Un-shuffle by 4, four blocks at half of that, back and joined, a block; two shuffles by 2, the picture's own detail
    joined between them. Every convolution mirrors its border: no frame.

    Args:
        fine, coarse: width at a quarter and at an eighth of the resolution; depth: blocks at an eighth.
        styles: how many share the convolutions, each with scales of its own.

    Shape: float (N, 3, H, W) in [0, 1] to (N, 3, H, W), unclamped; H and W multiples of 8, at least 16.
    """

    def __init__(self, fine: int = 48, coarse: int = 96, depth: int = 4, styles: int = 1) -> None:
        super().__init__()
        layer = partial(ConvNorm, norm=partial(Affine, styles=styles), border="reflect")
        self.stem, self.down = layer(48, fine, 3), layer(fine, coarse, 3, 2)
        self.deep = nn.Sequential(*(Branch(coarse, layer, styles) for _ in range(depth)))
        self.narrow = layer(coarse, fine, 1, act=None)
        self.up, self.after = layer(2 * fine, fine, 3), Branch(fine, layer, styles)
        self.mix, self.detail = layer(fine, fine, 3), layer(12, 8, 3)
        self.paint = layer(fine // 4 + 8, 12, 3, act=None)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ConvNorm):
                    nn.init.kaiming_normal_(module.conv.weight)
            start = self.paint.conv.weight
            start.copy_(start[::4].repeat_interleave(4, 0) / 2)

    def forward(self, rgb: Tensor) -> Tensor:
        x = even_contrast(rgb)
        fine = self.stem(F.pixel_unshuffle(x, 4))
        coarse = F.interpolate(self.narrow(self.deep(self.down(fine))), scale_factor=2, mode="nearest")
        fine = self.after(self.up(torch.cat([coarse, fine], 1)))
        half = torch.cat([F.pixel_shuffle(self.mix(fine), 2), self.detail(F.pixel_unshuffle(x, 2))], 1)
        return F.pixel_shuffle(self.paint(half), 2) + 0.5


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


class Widen(nn.Conv2d):
    """A 3x3 convolution over a map twice its size (each value repeated) joined with one that is of that size.

    Args:
        low, high: channels of the first map and of the second; out: of the result.

    Shape: (N, low, H, W) and (N, high, 2H, 2W) to (N, out, 2H, 2W).
    """

    def __init__(self, low: int, high: int, out: int) -> None:
        super().__init__(low + high, out, 3, padding=1)
        self.low = low

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), detail], 1))


class SplitWiden(nn.Module):
    """The same sum in less than half of the products: neither the large map nor the joined one is ever made."""

    def __init__(self, whole: Widen) -> None:
        super().__init__()
        weight, bias = whole.weight.detach(), whole.bias
        assert bias is not None
        out, joined = weight.shape[:2]
        self.rise = nn.ConvTranspose2d(whole.low, out, 4, 2, 1, bias=False)
        self.beside = nn.Conv2d(joined - whole.low, out, 3, padding=1)
        # A value repeated 2x2, then convolved: each of the four spreads the kernel, turned round, one place further.
        kernel = weight[:, : whole.low].flip(2, 3)
        spread = sum(F.pad(kernel, (x, 1 - x, y, 1 - y)) for x in (0, 1) for y in (0, 1))
        self.rise.weight = nn.Parameter(torch.as_tensor(spread).transpose(0, 1).contiguous())
        self.beside.weight, self.beside.bias = nn.Parameter(weight[:, whole.low :].clone()), bias

    def forward(self, x: Tensor, detail: Tensor) -> Tensor:
        y: Tensor = self.rise(x) + self.beside(detail)
        return y


def split_widens(net: nn.Module) -> nn.Module:
    """A copy of a net that computes the same faster, for a CPU; its weights have other names."""
    net = copy.deepcopy(net)
    for name, module in list(net.named_modules()):
        if isinstance(module, Widen):
            net.set_submodule(name, SplitWiden(module))
    return net


@torch.no_grad()
def start_alike(paint: nn.Conv2d) -> None:
    """Give the four pixels that a shuffle lays side by side the same start: no checkerboard (Aitken et al. 2017)."""
    paint.weight.copy_(paint.weight[::4].repeat_interleave(4, 0))


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
        self.widen = Widen(channels, DETAIL, channels // 2)
        self.paint = nn.Conv2d(channels // 2, 12, 3, padding=1)
        start_alike(self.paint)

    def forward(self, rgb: Tensor) -> Tensor:
        x = F.pad(rgb, (BORDER,) * 4, mode="reflect")
        detail = F.relu(self.detail(F.pixel_unshuffle(x - 0.5, 2)))
        x = self.trunk(self.stem(F.pixel_unshuffle(x - 0.5, 4)))
        x = F.relu(self.widen(x, detail))
        x = F.pixel_shuffle(self.paint(x), 2) + 0.5
        return x[..., BORDER:-BORDER, BORDER:-BORDER]


class SlimNet(nn.Module):
    """The net that ships: half of the cost of a TransformNet, by a narrower trunk and a head that resizes nothing.

    Un-shuffle by 4, residual blocks, a shuffle by 2, joined with the picture's own detail, a shuffle by 2. With a
    convolution between two shuffles there is no dither, as one by 4 leaves it. It learns fastest from the pictures that
    a trained net of any kind paints (Hinton et al. 2015, distillation), before the loss network refines them.

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
