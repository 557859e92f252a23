"""The styles that a training may start from, and how near they are to a painting."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.export.shipped import load_shipped
from livestyle.nets.library import find_nets
from livestyle.train.ranks import mixed


def style_nets(arch: str, models: Path | None = None) -> dict[str, nn.Module]:
    """Return the networks of all styles of an architecture by name, but for damaged ones, which are no start.

    Args:
        arch: of NETS; models: a folder of models that takes precedence.

    Raises:
        UserError: there is no such folder.
    """
    found: dict[str, nn.Module] = {}
    for card in find_nets("style", models).values():
        if card.net != arch:
            continue
        try:
            found[card.name] = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width).net
        except (UserError, RuntimeError, KeyError, SafetensorError):
            continue
    return found


@torch.no_grad()
def total_losses(
    nets: Mapping[str, nn.Module], batch: Tensor, network: LossNetwork, grams: dict[str, Tensor], style_weight: float
) -> dict[str, float]:
    """Return the sum of content and style loss of what each network paints, by the networks' names.

    Args:
        nets: are moved to the device of `batch`.
        batch: pictures, float (N, 3, H, W) in [0, 1]; network: the loss network, on the same device.
        grams: of the painting, (1, C, C) by style layer; style_weight: of the style loss.
    """
    device, totals = str(batch.device), dict[str, float]()
    with mixed(device):
        content = network(batch, losses.CONTENT_LAYER)
        for name, net in nets.items():
            net = net.to(device).to(memory_format=torch.channels_last)
            maps = network(net(batch).clamp(0, 1).contiguous(memory_format=torch.channels_last))
            total = losses.content_loss(maps, content) + style_weight * losses.style_loss(maps, grams)
            totals[name] = float(total)
    return totals
