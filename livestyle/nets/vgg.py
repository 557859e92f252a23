"""The loss network: VGG-19 up to relu5_1 (Simonyan and Zisserman 2014), whole or narrow."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError

CONVOLUTIONS = (2, 2, 4, 4, 1)  # per stage; a 2x2 max pooling stands between the stages
LAYERS = tuple(f"{stage}_{i}" for stage, count in enumerate(CONVOLUTIONS, 1) for i in range(1, count + 1))
WIDTHS = (64, 128, 256, 512, 512)  # channels of each stage
TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)  # where the convolutions are in its list of layers
MEAN_BGR = (103.939, 116.779, 123.68)  # of the original weights, which take BGR in 0..255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's, which take RGB in 0..1
NAMINGS = {  # how a convolution is named in a file: the original weights', torchvision's, a quarter-wide copy's, ours
    "original": {layer: f"conv{layer}" for layer in LAYERS},
    "torchvision": {layer: f"features.{n}" for layer, n in zip(LAYERS, TORCHVISION, strict=True)},
    "narrow": {layer: f"conv{layer.replace('_', '')}" for layer in LAYERS},
    "ours": {layer: f"convs.{layer}" for layer in LAYERS},
}


class LossNetwork(nn.Module):
    """VGG-19 features.

    Shape: float (N, 3, H, W) RGB in [0, 1] to {"relu1_1": (N, C, H, W), ..., "relu5_1": ...}, all post-ReLU and mapped
    linearly where the layer has a tap, up to the layer `until`.

    Args:
        widths: channels of each stage.
        taps: channels of the linear map behind a layer, which makes a narrow network's features as far apart as those
            of the whole one.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS, taps: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1)
        self.convs, self.taps = nn.ModuleDict(), nn.ModuleDict()
        channels = 3
        for layer in LAYERS:
            width = widths[int(layer[0]) - 1]
            self.convs[layer] = nn.Conv2d(channels, width, 3, padding=1)
            channels = width
        for layer, wide in (taps or {}).items():
            self.taps[layer] = nn.Conv2d(widths[int(layer[4]) - 1], wide, 1, bias=False)

    def forward(self, rgb: Tensor, until: str = "relu5_1") -> dict[str, Tensor]:
        x, maps = self.colours(rgb), {}
        for name, conv in self.convs.items():
            if name.endswith("_1") and name != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(conv(x))
            layer = f"relu{name}"
            maps[layer] = self.taps[layer](x) if layer in self.taps else x
            if layer == until:
                break
        return maps

    def conv(self, name: str) -> nn.Conv2d:
        """The convolution "1_1" to "5_1"."""
        return cast(nn.Conv2d, self.convs[name])

    def tap(self, layer: str) -> nn.Conv2d:
        """The linear map behind a layer such as "relu1_1"."""
        return cast(nn.Conv2d, self.taps[layer])

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.conv(f"{stage}_1").out_channels for stage in range(1, 6))


def load_loss_network(path: Path) -> LossNetwork:
    """The whole VGG-19, or the compact one of ours, frozen and in eval mode; which of NAMINGS, its keys tell.

    Raises:
        UserError: the file is not there, or does not hold one.
    """
    net = read_vgg(path)
    if not net.taps and net.widths != WIDTHS:
        raise UserError(f"{path} holds another network than VGG-19.", "Give VGG-19's weights with --loss-network.")
    return net


def read_vgg(path: Path) -> LossNetwork:
    """A VGG-19 of any widths from a safetensors file, frozen and in eval mode.

    Raises:
        UserError: the file is not there, or does not hold one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"There is no loss network {path}.", "Check --loss-network.")
    try:
        return from_tensors(load_file(path))
    except (SafetensorError, KeyError, RuntimeError, StopIteration):
        raise UserError(f"{path} does not hold VGG-19, or not whole.", "Check --loss-network.") from None


def from_tensors(tensors: Mapping[str, Tensor]) -> LossNetwork:
    """A VGG-19 from its tensors in one of NAMINGS.

    Raises:
        KeyError, RuntimeError: they are those of another network, or not all of them.
    """
    naming = next(naming for naming, names in NAMINGS.items() if f"{names['1_1']}.weight" in tensors)
    names = NAMINGS[naming]
    widths = tuple(len(tensors[f"{names[f'{stage}_1']}.weight"]) for stage in range(1, 6))
    taps = {key.split(".")[1]: len(tensor) for key, tensor in tensors.items() if key.startswith("taps.")}
    net = LossNetwork(widths, taps if naming == "ours" else None)
    found = colours(naming, tensors)
    for layer, name in names.items():
        found |= {f"convs.{layer}.{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias")}
    found |= {f"taps.{layer}.weight": tensors[f"taps.{layer}.weight"] for layer in net.taps}
    net.load_state_dict({key: value.float() for key, value in found.items()})
    return net.eval().requires_grad_(False)


def colours(naming: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The 1x1 convolution that turns RGB in 0..1 into what the weights were trained on."""
    std, mean = torch.tensor(STD), torch.tensor(MEAN)
    weight, bias = {
        "original": lambda: (torch.eye(3).flip(0) * 255, -torch.tensor(MEAN_BGR)),
        "torchvision": lambda: (torch.diag(1 / std), -mean / std),
        "narrow": lambda: (tensors["conv0.weight"], tensors["conv0.bias"]),
        "ours": lambda: (tensors["colours.weight"], tensors["colours.bias"]),
    }[naming]()
    return {"colours.weight": weight.reshape(3, 3, 1, 1), "colours.bias": bias}
