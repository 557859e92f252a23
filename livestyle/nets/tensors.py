"""Tensors from pictures and back, and devices by name."""

import numpy as np
import torch
from torch import Tensor

from livestyle.image.types import Image
from livestyle.nets.architectures.vgg import LossNetwork


def named(terms: dict[str, Tensor]) -> dict[str, float]:
    """Losses as numbers."""
    return {name: float(term) for name, term in terms.items()}


def device_of(network: LossNetwork) -> torch.device:
    """Where a loss network computes."""
    return next(network.parameters()).device


def as_batch(images: list[Image], device: str | torch.device) -> Tensor:
    """Equal-sized images as float (N, 3, H, W) in [0, 1], channels last."""
    stack = torch.from_numpy(np.ascontiguousarray(np.stack(images))).to(device)
    return (stack.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def as_image(batch: Tensor) -> Image:
    """The first of float (N, 3, H, W) pictures, cut at 0 and 1, as an image."""
    pixels = (batch.detach()[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(pixels.cpu().numpy())
