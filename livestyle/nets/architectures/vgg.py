"""The loss network: VGG-19 or VGG-16 (Simonyan and Zisserman 2014), as deep as its file, at any width."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError

CONVOLUTIONS = (2, 2, 4, 4, 1)  # per stage, as far as losses need VGG-19; 2x2 pooling between the stages
WIDTHS = (64, 128, 256, 512, 512)  # channels of each stage
DEPTHS = {"VGG-19": (2, 2, 4, 4, 4), "VGG-16": (2, 2, 3, 3, 3)}  # convolutions per stage of the whole networks
MEAN_BGR = (103.939, 116.779, 123.68)  # for the original weights, which take BGR in 0..255
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # for torchvision's, which take RGB in 0..1


def layers_of(counts: Sequence[int]) -> tuple[str, ...]:
    """Return the convolutions "1_1", "1_2", "2_1" ... for counts per stage."""
    return tuple(f"{stage}_{i}" for stage, count in enumerate(counts, 1) for i in range(1, count + 1))


def torchvision_names(counts: Sequence[int]) -> dict[str, str]:
    """Return where they are in torchvision's list of layers, which counts ReLUs and poolings, too."""
    layers = layers_of(counts)
    return {layer: f"features.{2 * n + int(layer[0]) - 1}" for n, layer in enumerate(layers)}


LAYERS = layers_of(CONVOLUTIONS)
NAMINGS = {  # names of convolutions in a file: original, torchvision's, a narrow copy's, livestyle's
    "original": {layer: f"conv{layer}" for layer in layers_of(DEPTHS["VGG-19"])},
    "torchvision": torchvision_names(DEPTHS["VGG-19"]),
    "torchvision16": torchvision_names(DEPTHS["VGG-16"]),
    "narrow": {layer: f"conv{layer.replace('_', '')}" for layer in layers_of(DEPTHS["VGG-19"])},
    "ours": {layer: f"convs.{layer}" for layer in layers_of(DEPTHS["VGG-19"])},
}


class LossNetwork(nn.Module):
    """VGG features.

    Shape: float (N, 3, H, W) RGB in [0, 1] to {"relu1_1": (N, C, H, W), ..., "relu5_1": ...}. All maps are after ReLU.
    Where a layer has a tap, its map is mapped linearly.

    Args:
        widths: channels of each stage.
        taps: channels of the linear map behind a layer. It gives a narrow network's features the distances of the whole
            network's.
        layers: its convolutions.
    """

    def __init__(
        self, widths: tuple[int, ...] = WIDTHS, taps: Mapping[str, int] | None = None,
        layers: tuple[str, ...] = LAYERS,
    ) -> None:  # fmt: skip
        super().__init__()
        self.colours = nn.Conv2d(3, 3, 1)
        self.convs, self.taps = nn.ModuleDict(), nn.ModuleDict()
        channels = 3
        for layer in layers:
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
            x = F.relu(conv(x), inplace=True)
            layer = f"relu{name}"
            maps[layer] = self.taps[layer](x) if layer in self.taps else x
            if layer == until:
                break
        return maps

    def conv(self, name: str) -> nn.Conv2d:
        """Return the convolution "1_1" to "5_4"."""
        return cast(nn.Conv2d, self.convs[name])

    def tap(self, layer: str) -> nn.Conv2d:
        """Return the linear map behind a layer such as "relu1_1"."""
        return cast(nn.Conv2d, self.taps[layer])

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the names of its feature maps, "relu1_1" and so on."""
        return tuple(f"relu{name}" for name in self.convs)

    @property
    def name(self) -> str:
        """Return its name for people."""
        return "compact" if self.taps else "VGG-19" if "3_4" in self.convs else "VGG-16"

    @property
    def widths(self) -> tuple[int, ...]:
        """Return the channels of each stage."""
        return tuple(self.conv(f"{stage}_1").out_channels for stage in range(1, 6))


def load_loss_network(path: Path) -> LossNetwork:
    """Load a whole VGG-19 or VGG-16, or the compact network, frozen and in eval mode. Its keys tell which of NAMINGS it
    has.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    net = read_vgg(path)
    if not net.taps and net.widths != WIDTHS:
        raise UserError(f"{path} holds another network than VGG-19.", "Give VGG-19's weights.", "loss_network")
    return net


def read_vgg(path: Path) -> LossNetwork:
    """Load a VGG-19 or VGG-16 of any widths from a safetensors file, frozen and in eval mode.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"There is no loss network {path}.", "Check the name.", "loss_network")
    try:
        return from_tensors(load_file(path))
    except (SafetensorError, KeyError, RuntimeError, StopIteration):
        raise UserError(f"{path} does not hold VGG-19, or not whole.", "Give another file.", "loss_network") from None


def from_tensors(tensors: Mapping[str, Tensor]) -> LossNetwork:
    """Build a VGG-19 or VGG-16, down to the deepest convolution that is there, from tensors in one of NAMINGS.

    Raises:
        KeyError, RuntimeError, StopIteration: they are of another network, or not all that losses need.
    """
    naming = naming_of(tensors)
    names = NAMINGS[naming]
    least = layers_of((2, 2, 3, 3, 1))
    counts = [sum(f"{name}.weight" in tensors for layer, name in names.items() if layer[0] == s) for s in "12345"]
    layers = layers_of(counts)
    if not set(least) <= set(layers) or counts[2] != counts[3]:
        raise KeyError("a convolution is missing")
    widths = tuple(len(tensors[f"{names[f'{stage}_1']}.weight"]) for stage in range(1, 6))
    taps = {key.split(".")[1]: len(tensor) for key, tensor in tensors.items() if key.startswith("taps.")}
    net = LossNetwork(widths, taps if naming == "ours" else None, layers)
    found = colours(naming, tensors)
    for layer in layers:
        found |= {f"convs.{layer}.{part}": tensors[f"{names[layer]}.{part}"] for part in ("weight", "bias")}
    found |= {f"taps.{layer}.weight": tensors[f"taps.{layer}.weight"] for layer in net.taps}
    net.load_state_dict({key: value.float() for key, value in found.items()})
    return net.eval().requires_grad_(False)


def naming_of(tensors: Mapping[str, Tensor]) -> str:
    """Return which of NAMINGS tensors have. torchvision's two differ from VGG-19's eighth convolution on."""
    naming = next(naming for naming, names in NAMINGS.items() if f"{names['1_1']}.weight" in tensors)
    is_16 = naming == "torchvision" and f"{NAMINGS['torchvision16']['4_1']}.weight" in tensors
    return "torchvision16" if is_16 else naming


def colours(naming: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the 1x1 convolution that converts RGB in 0..1 to what the weights were trained on."""
    std, mean = torch.tensor(STD), torch.tensor(MEAN)
    weight, bias = {
        "original": lambda: (torch.eye(3).flip(0) * 255, -torch.tensor(MEAN_BGR)),
        "torchvision": lambda: (torch.diag(1 / std), -mean / std),
        "narrow": lambda: (tensors["conv0.weight"], tensors["conv0.bias"]),
        "ours": lambda: (tensors["colours.weight"], tensors["colours.bias"]),
    }[naming.removesuffix("16")]()
    return {"colours.weight": weight.reshape(3, 3, 1, 1), "colours.bias": bias}
