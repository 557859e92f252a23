"""A trained style that another network imitates."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from livestyle.errors import UserError
from livestyle.nets.export.shipped import load_shipped
from livestyle.nets.tensors import as_batch
from livestyle.render.stylizer import style_card
from livestyle.train.photos import Sample
from livestyle.train.ranks import mixed


class Teacher:
    """A trained network to imitate; it paints each sample once.

    Args:
        net: float (N, 3, H, W) in [0, 1] to the same; device: as PyTorch calls it.
    """

    def __init__(self, net: nn.Module, device: str) -> None:
        self._net, self._device = net.to(device).to(memory_format=torch.channels_last), device
        self._painted: dict[int, Tensor] = {}  # uint8 (3, H, W), by the samples' seeds

    @torch.no_grad()
    def __call__(self, samples: list[Sample]) -> Tensor:
        """Return its pictures of samples, float (N, 3, H, W) in [0, 1]."""
        if fresh := [sample for sample in samples if sample.seed not in self._painted]:
            with mixed(self._device):
                painted = self._net(as_batch([sample.image for sample in fresh], self._device))
            for sample, picture in zip(fresh, (painted.float().clamp(0, 1) * 255).round().byte(), strict=True):
                self._painted[sample.seed] = picture
        return torch.stack([self._painted[sample.seed] for sample in samples]).float() / 255


def load_teacher(style: str, models: Path | None, device: str) -> Teacher:
    """Load the style to imitate.

    Args:
        style: a name or file; models: a folder of models that takes precedence; device: as PyTorch calls it.

    Raises:
        UserError: there is no such style, or it has no weights for PyTorch.
    """
    card = style_card(style, models)
    try:
        net = load_shipped(card.net, card.kind, card.path(".safetensors"), card.width).net
    except (KeyError, RuntimeError, SafetensorError):
        raise UserError(f"The style '{style}' cannot teach.", "Name one that has its .safetensors.") from None
    return Teacher(net, device)
