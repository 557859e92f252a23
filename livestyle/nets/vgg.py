"""The loss network: VGG-19 up to relu5_1 (Simonyan and Zisserman 2014), whole or compact.

`vgg19` is the published network. `vgg19_16x` has a quarter of its channels, so a sixteenth of its work
(Collaborative Distillation, Wang et al., CVPR 2020): good for the first part of a training.
"""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livestyle.errors import UserError

CONVOLUTIONS = (2, 2, 4, 4, 1)  # per stage; a 2x2 max pooling stands between the stages
WIDTHS = {"vgg19": (64, 128, 256, 512, 512), "vgg19_16x": (16, 32, 64, 128, 128)}
MEAN_BGR = (103.939, 116.779, 123.68)  # of the original weights, which take BGR in 0..255


class LossNetwork(nn.Module):
    """Frozen VGG-19 features.

    Shape: float (N, 3, H, W) RGB in [0, 1] to {"relu1_1": (N, C, H, W), ..., "relu5_1": ...}, all post-ReLU,
    up to the layer `until`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.compact = name != "vgg19"
        self.colours = nn.Conv2d(3, 3, 1)
        self.convs = nn.ModuleDict()
        channels = 3
        for stage, (width, count) in enumerate(zip(WIDTHS[name], CONVOLUTIONS, strict=True), start=1):
            for i in range(1, count + 1):
                mode: Literal["reflect", "zeros"] = "reflect" if self.compact else "zeros"
                self.convs[f"{stage}_{i}"] = nn.Conv2d(channels, width, 3, padding=1, padding_mode=mode)
                channels = width

    def forward(self, rgb: Tensor, until: str = "relu5_1") -> dict[str, Tensor]:
        x, maps = self.colours(rgb), {}
        for name, conv in self.convs.items():
            if name.endswith("_1") and name != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(conv(x))
            maps[f"relu{name}"] = x
            if f"relu{name}" == until:
                break
        return maps


def load_loss_network(folder: Path, name: str) -> LossNetwork:
    """Load `folder/name.safetensors`, frozen and in eval mode.

    Raises:
        UserError: the file is not there, or does not hold that network.
    """
    from safetensors import SafetensorError

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise UserError(f"There is no loss network {path}.", "Give its folder with --perceptual.")
    try:
        net = _load(path, LossNetwork(name))
    except (SafetensorError, KeyError, RuntimeError):
        raise UserError(f"{path} does not hold the network {name}.", "Give another with --perceptual.") from None
    return net.eval().requires_grad_(False)


def _load(path: Path, net: LossNetwork) -> LossNetwork:
    """Take over the published weights, whose names are others."""
    from safetensors.torch import load_file

    weights = {key: value.float() for key, value in load_file(path).items()}
    if net.compact:
        weights["colours.weight"], weights["colours.bias"] = weights["conv0.weight"], weights["conv0.bias"]
        source = {key: "conv" + key.replace("_", "") for key in net.convs}
    else:
        weights["colours.weight"] = (torch.eye(3).flip(0) * 255).view(3, 3, 1, 1)
        weights["colours.bias"] = -torch.tensor(MEAN_BGR)
        source = {key: f"conv{key}" for key in net.convs}
    for key, old in source.items():
        for part in ("weight", "bias"):
            weights[f"convs.{key}.{part}"] = weights[f"{old}.{part}"]
    net.load_state_dict({key: weights[key] for key in net.state_dict()})
    return net
