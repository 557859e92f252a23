"""The start of the compact loss network, in closed form: channels of the whole one, refitted by least squares.

Of each layer, the channels that explain the others best are kept. The next convolution reads all channels from those
(channel pruning, He et al. 2017).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork

LAYERS = (*losses.STYLE_LAYERS, losses.CONTENT_LAYER)  # where losses compare features
MAX_PLACES, REFIT_ROUNDS = 40_000, 5  # of the least squares of a convolution
RIDGE, REFIT_RIDGE = 1e-2, 1e-3  # regularization, as a share of the mean second moment


def build_narrow(widths: tuple[int, ...], teacher: LossNetwork) -> LossNetwork:
    """Build a narrow network whose taps have the teacher's channels. Its colour map is the teacher's, and frozen."""
    net = LossNetwork(widths, {layer: teacher.widths[int(layer[4]) - 1] for layer in LAYERS})
    net.colours.load_state_dict(teacher.colours.state_dict())
    net.colours.requires_grad_(False)
    for conv in trainable(net):
        parametrize.register_parametrization(conv, "weight", Whitened(conv), unsafe=True)
    return net


def trainable(net: LossNetwork) -> list[nn.Conv2d]:
    """Return the convolutions that the training changes."""
    return [*map(net.conv, net.convs), *map(net.tap, net.taps)]


class Whitened(nn.Module):
    """Parametrize a convolution's weights for whitened input channels, in units of the output.

    VGG's activations are large, positive and correlated. Adam's steps, equal for each weight, would add up in the mean
    of the channels and undo the start.

    Args:
        conv: the convolution, unchanged until `set`.
    """

    white: Tensor
    colour: Tensor
    unit: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer("white", torch.eye(conv.in_channels))
        self.register_buffer("colour", torch.eye(conv.in_channels))
        self.register_buffer("unit", torch.ones(()))

    def set(self, moment: Tensor, unit: Tensor) -> None:
        """Set the statistics.

        Args:
            moment: second moments of the input channels, (C, C); unit: root mean square of the output, ().
        """
        values, vectors = torch.linalg.eigh(moment.double())
        roots = (values.clamp(min=0) + RIDGE * values.mean()).sqrt()
        self.white.copy_((vectors / roots) @ vectors.T)
        self.colour.copy_((vectors * roots) @ vectors.T)
        self.unit.copy_(unit)

    def forward(self, weight: Tensor) -> Tensor:
        return self.unit * torch.einsum("oiyx,ij->ojyx", weight, self.white)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return torch.einsum("oiyx,ij->ojyx", weight, self.colour) / self.unit


@torch.no_grad()
def init_narrow(teacher: LossNetwork, widths: tuple[int, ...], pictures: Tensor) -> LossNetwork:
    """Return the start of a training.

    Args:
        teacher: the whole network; widths: channels of the stages; pictures: float (N, 3, H, W) in [0, 1].
    """
    net = build_narrow(widths, teacher).to(pictures.device)
    teacher_map = narrow_map = teacher.colours(pictures)
    lift = torch.eye(3, device=pictures.device)  # from narrow features to the teacher's
    for name in teacher.convs:
        conv, narrow = teacher.conv(name), net.conv(name)
        if name.endswith("_1") and name != "1_1":
            teacher_map, narrow_map = F.max_pool2d(teacher_map, 2), F.max_pool2d(narrow_map, 2)
        wanted = conv(teacher_map)
        teacher_map = F.relu(wanted)
        chosen = select_channels(teacher_map, narrow.out_channels)
        weight = torch.einsum("otyx,ts->osyx", conv.weight[chosen], lift)
        weight, bias = refit(weight, conv.get_parameter("bias")[chosen], narrow_map, wanted[:, chosen])
        narrow.bias = nn.Parameter(bias)
        set_whitened(narrow, weight, narrow_map, wanted[:, chosen])
        narrow_map = F.relu(narrow(narrow_map))
        lift = least_squares(narrow_map, teacher_map)
        if f"relu{name}" in net.taps:
            set_whitened(net.tap(f"relu{name}"), lift[..., None, None], narrow_map, teacher_map)
    return net


def set_whitened(conv: nn.Conv2d, weight: Tensor, features: Tensor, output: Tensor) -> None:
    """Set a convolution's weights and their parametrization.

    Args:
        conv: changed in place; weight: (O, C, h, w); features: its input; output: its wanted output.
    """
    x = rows(features)
    conv.parametrizations.weight[0].set(x.T @ x / len(x), output.square().mean().sqrt())  # type: ignore
    conv.weight = weight  # through `Whitened.right_inverse`


def refit(weight: Tensor, bias: Tensor, features: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight and bias near the given ones whose output after ReLU is nearer to the wanted one.

    Solve least squares over a sample of places, repeatedly. Where both outputs are below 0, the error counts as 0.

    Args:
        weight: (O, C, 3, 3); bias: (O,); features: the input (N, C, H, W); wanted: the output (N, O, H, W).
    """
    at = torch.randperm(features.shape[0] * features.shape[2] * features.shape[3])[:MAX_PLACES]
    x = torch.cat([patches(features, at), torch.ones(len(at), 1, device=features.device)], 1)
    z = rows(wanted)[at]
    solution = torch.cat([weight.permute(1, 2, 3, 0).flatten(0, 2), bias[None]])
    moment = x.T @ x
    ridge = REFIT_RIDGE * moment.diagonal()[:-1].mean() * torch.ones(len(moment), device=x.device)
    ridge[-1] = 0
    factor = torch.linalg.cholesky((moment + ridge.diag()).double())
    for _ in range(REFIT_ROUNDS):
        got = x @ solution
        error = torch.where((z < 0) & (got < 0), 0.0, z.clamp(min=0) - got.where(z > 0, got.clamp(min=0)))
        solution += torch.cholesky_solve((x.T @ error).double(), factor).float()
    out, into, height, width = weight.shape
    return solution[:-1].view(into, height, width, out).permute(3, 0, 1, 2), solution[-1]


def patches(features: Tensor, at: Tensor) -> Tensor:
    """Return what a 3x3 convolution sees at flat places of (N, C, H, W): (places, 9 C)."""
    c, h, w = features.shape[1:]
    padded = F.pad(features, (1, 1, 1, 1))
    number, y, x = at // (h * w), at // w % h, at % w
    grid = torch.arange(3, device=features.device)
    windows = padded[number[:, None, None], :, y[:, None, None] + grid[:, None], x[:, None, None] + grid]
    return windows.permute(0, 3, 1, 2).reshape(len(at), c * 9)


def select_channels(features: Tensor, count: int) -> Tensor:
    """Choose, one by one, the channels from which the others follow best linearly.

    Args:
        features: (N, C, H, W); count: how many.

    Returns:
        int64 (count,).
    """
    flat = rows(features)
    left = (flat.T @ flat).double()  # second moments that the chosen channels do not explain
    chosen: list[int] = []
    for _ in range(count):
        explained = left.square().sum(0) / left.diagonal().clamp(min=1e-9 * float(left.trace()) + 1e-30)
        explained[chosen] = -1
        best = int(explained.argmax())
        chosen.append(best)
        left = left - torch.outer(left[:, best], left[best]) / left[best, best].clamp(min=1e-30)
    return torch.tensor(chosen, device=features.device)


def least_squares(source: Tensor, target: Tensor) -> Tensor:
    """Return the matrix (C target, C source) that maps feature maps to others with the least squared error."""
    x, y = rows(source), rows(target)
    moment = (x.T @ x).double()
    moment += RIDGE * moment.diagonal().mean() * torch.eye(len(moment), device=x.device)
    solution: Tensor = torch.linalg.solve(moment, (x.T @ y).double())
    return solution.T.float()


def rows(features: Tensor) -> Tensor:
    """Flatten (N, C, H, W) to (N H W, C)."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
