"""A style as a row of numbers: the scales and shifts of a transform network's norms (Dumoulin et al. 2017).

The convolutions are the same for all styles. A SlimNet has 864 such numbers. A small network predicts them from the
statistics of a picture (Ghiasi et al. 2017).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork

READ_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # whose statistics describe a picture
HIDDEN_CHANNELS = 192


def row_parts(net: nn.Module) -> dict[str, nn.Parameter]:
    """Return the scales and shifts of a network's norms, by name, in the order of a row."""
    return {name: p for name, p in net.named_parameters() if ".norm." in name}


def row_of(net: nn.Module) -> Tensor:
    """Return a network's own style, float32 (numbers,)."""
    return torch.cat([p.detach().float() for p in row_parts(net).values()])


@torch.no_grad()
def set_row(net: nn.Module, row: Tensor) -> None:
    """Give a network the style of a row, in place.

    Args:
        net: the network; row: (numbers,).
    """
    for name, values in split_row(net, row).items():
        row_parts(net)[name].copy_(values)


def split_row(net: nn.Module, row: Tensor) -> dict[str, Tensor]:
    """Return the parts of a row (numbers,) by the names of the network's parameters."""
    parts = row_parts(net)
    return dict(zip(parts, torch.split(row, [p.numel() for p in parts.values()]), strict=True))


class StyledPaint:
    """Paint each picture in a style of its own, several rounds of a batch if there are more styles.

    Args:
        net: the transform network; rows: (N, numbers), of the styles.
    """

    def __init__(self, net: nn.Module, rows: Tensor) -> None:
        self._net, self._rows = net, rows

    def __call__(self, batch: Tensor) -> Tensor:
        """Return picture `i % len(batch)` in style i, for all N styles.

        Args:
            batch: float (B, 3, H, W) in [0, 1], where N is a multiple of B.
        """
        return torch.cat([
            torch.func.functional_call(self._net, split_row(self._net, row), batch[i % len(batch)][None])
            for i, row in enumerate(self._rows)
        ])  # fmt: skip


def read_maps(network: LossNetwork, batch: Tensor) -> dict[str, Tensor]:
    """Return a loss network's maps of READ_LAYERS before its taps, for (N, 3, H, W) in [0, 1]."""
    x, maps = network.colours(batch), {}
    for name in network.convs:
        if name.endswith("_1") and name != "1_1":
            x = F.max_pool2d(x, 2)
        x = F.relu(network.conv(name)(x))
        if f"relu{name}" in READ_LAYERS:
            maps[f"relu{name}"] = x
    return maps


def statistics_of(maps: dict[str, Tensor]) -> Tensor:
    """Return the channels' means, then their standard deviations, layer by layer, each to the power of 1/2.

    The root makes the long tails of the distribution over pictures shorter.

    Args:
        maps: (N, C, H, W) by layer.

    Returns:
        float32 (N, 2 * the sum of C).
    """
    parts = []
    for features in maps.values():
        variance, mean = torch.var_mean(features.float(), (2, 3), correction=0)
        parts += [mean, variance.sqrt()]
    return torch.cat(parts, 1).clamp(min=0).sqrt()


class StylePredictor(nn.Module):
    """Predict the row of a picture's style.

    Shape: statistics (N, inputs) to rows (N, numbers).

    Args:
        inputs: length of the statistics; numbers: of a row.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, numbers: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.read = nn.Linear(inputs, HIDDEN_CHANNELS)
        self.write = nn.Linear(HIDDEN_CHANNELS, numbers)
        nn.init.zeros_(self.write.weight)

    def forward(self, statistics: Tensor) -> Tensor:
        x = (statistics - self.mean) / self.deviation
        rows: Tensor = self.write(F.gelu(self.read(x)))
        return rows

    @torch.no_grad()
    def start(self, statistics: Tensor, row: Tensor) -> None:
        """Fit the normalization to pictures, and predict one row for all of them.

        Args:
            statistics: of the pictures, (N, inputs); row: (numbers,).
        """
        self.mean.copy_(statistics.mean(0))
        self.deviation.copy_(statistics.std(0).clamp(min=1e-3 * float(statistics.std())))
        self.write.bias.copy_(row)


def load_predictor(path: Path) -> tuple[SlimNet, StylePredictor]:
    """Load a network and the predictor of its rows, published or as a checkpoint, in eval mode.

    Raises:
        UserError: the file is missing, or holds something else.
    """
    try:
        tensors = {key: tensor.float() for key, tensor in load_file(path).items()}
        numbers, _ = tensors["rows.write.weight"].shape
        net, predictor = SlimNet(), StylePredictor(tensors["rows.read.weight"].shape[1], numbers)
        for part, one in (("net", net), ("rows", predictor)):
            one.load_state_dict({key: tensors[f"{part}.{key}"] for key in one.state_dict()})
    except (OSError, SafetensorError, KeyError, RuntimeError):
        raise UserError(
            f"{path} does not hold a predictor of styles.", "Make one with: livestyle train predictor"
        ) from None
    return net.eval(), predictor.eval()
