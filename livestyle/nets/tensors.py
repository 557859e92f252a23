"""Tensors from pictures and back, and devices."""

import numpy as np
import torch
from torch import Tensor

from livestyle.image.types import Image
from livestyle.nets.architectures.vgg import LossNetwork


def named(terms: dict[str, Tensor]) -> dict[str, float]:
    """Return losses as numbers."""
    return {name: float(term) for name, term in terms.items()}


def device_of(network: LossNetwork) -> torch.device:
    """Return the device of a loss network."""
    return next(network.parameters()).device


def as_batch(images: list[Image], device: str | torch.device) -> Tensor:
    """Return uint8 (H, W, C) images of one size as float (N, C, H, W) in [0, 1], channels last in memory."""
    stack = torch.from_numpy(np.ascontiguousarray(np.stack(images))).to(device)
    return (stack.permute(0, 3, 1, 2).float() / 255).contiguous(memory_format=torch.channels_last)


def as_image(batch: Tensor) -> Image:
    """Return the first of float (N, 3, H, W) pictures, clipped to [0, 1], as uint8 (H, W, 3)."""
    pixels = (batch.detach()[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(pixels.cpu().numpy())
