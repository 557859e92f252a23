"""Losses of styles (Gatys et al. 2016; Johnson et al. 2016) and of segmenters."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
BLOCK_PX, AVERAGED_BLOCKS = 4, 8  # side of a block that networks shuffle, and blocks of an area that is averaged


class GramProduct(torch.autograd.Function):
    """Compute Gram matrices of channels-last features without copying them.

    The product has the features' own precision. Autograd's own gradient took ten times longer on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        n, c, h, w = features.shape
        flat = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
        if flat.dtype == torch.float16:  # the raw sum would overflow
            flat = flat.float()
        ctx.save_for_backward(flat)
        ctx.shape, ctx.dtype = (n, h, w, c), features.dtype
        return (flat.mT @ flat).float() / (h * w)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (flat,) = ctx.saved_tensors
        n, h, w, c = ctx.shape
        both = ((gradient + gradient.mT) / (h * w)).to(flat.dtype)
        product: Tensor = flat @ both
        return product.view(n, h, w, c).permute(0, 3, 1, 2).to(ctx.dtype)


def gram(features: Tensor) -> Tensor:
    """Return channel correlations divided by H W (Gatys et al. 2016).

    Args:
        features: (N, C, H, W).

    Returns:
        float32 (N, C, C).
    """
    with torch.autocast(features.device.type, enabled=False):
        product: Tensor = GramProduct.apply(features)
    return product


def style_losses(maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return each picture's squared Gram difference over the painting's own squared Gram norm, averaged over
    STYLE_LAYERS.

    Raw activations differ by orders of magnitude between layers. The division makes each count equally.

    Args:
        maps: (N, C, H, W) by layer.
        targets: Gram matrices by layer, (1, C, C) of one painting, or (N, C, C) of a painting for each picture.

    Returns:
        float32 (N,).
    """
    return gram_losses({layer: gram(maps[layer]) for layer in STYLE_LAYERS}, targets)


def gram_losses(grams: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return `style_losses` of pictures whose Gram matrices (N, C, C) are known."""
    terms = [
        (grams[layer] - targets[layer]).square().sum((1, 2)) / targets[layer].square().sum((1, 2))
        for layer in STYLE_LAYERS
    ]
    return torch.stack(terms).mean(0)


def style_loss(maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return `style_losses` averaged over pictures."""
    return style_losses(maps, targets).mean()


def content_losses(maps: dict[str, Tensor], content: dict[str, Tensor], weight: Tensor | None = None) -> Tensor:
    """Return each picture's mean squared difference at CONTENT_LAYER over the content's own mean square.

    Args:
        maps, content: (N, C, H, W) by layer.
        weight: how much each place counts, (N, 1, H, W) at the picture's size; None for 1 everywhere.

    Returns:
        float32 (N,).
    """
    features, target = maps[CONTENT_LAYER].float(), content[CONTENT_LAYER].float()
    error, axes = (features - target).square(), (1, 2, 3)
    if weight is not None:
        error = error * F.interpolate(weight, error.shape[2:], mode="area")
    return error.mean(axes) / target.square().mean(axes)


def content_loss(maps: dict[str, Tensor], content: dict[str, Tensor], weight: Tensor | None = None) -> Tensor:
    """Return `content_losses` averaged over pictures."""
    return content_losses(maps, content, weight).mean()


def tv_loss(images: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, for (N, C, H, W)."""
    dy = (images[..., 1:, :] - images[..., :-1, :]).square().mean()
    dx = (images[..., 1:] - images[..., :-1]).square().mean()
    return dy + dx


def grid_loss(images: Tensor) -> Tensor:
    """Return how much the pixels of a 4x4 block differ by their place in it, for (N, C, H, W).

    Networks that shuffle pixels draw such a grid on even walls. The loss is the variance over the places. Each place is
    averaged over an area of AVERAGED_BLOCKS x AVERAGED_BLOCKS blocks, so that strokes do not count.
    """
    means = F.avg_pool2d(F.pixel_unshuffle(images, BLOCK_PX), AVERAGED_BLOCKS)
    places = means.view(*images.shape[:2], BLOCK_PX**2, -1)
    return places.var(2, unbiased=False).mean()


def matte_losses(logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Return the losses of a segmenter.

    bce counts pixels near the true edge five times. dice is the soft overlap (Milletari et al. 2016) of person and of
    background. l1 corrects soft parts of the matte. laplacian compares edges at four scales (Hou and Liu 2019).

    Args:
        logits, truth: (N, 1, H, W); the truth in [0, 1].
    """
    box = truth.new_full((1, 1, 7, 7), 1 / 49)
    blurred = F.conv2d(truth, box, padding=3)
    # By a convolution: max pooling would cost a tenth of the step.
    weight = 1 + 4 * ((blurred > 0.01) & (blurred < 0.99))
    bce = (weight * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).sum() / weight.sum()
    matte = logits.sigmoid()
    overlap = (soft_dice(matte, truth) + soft_dice(1 - matte, 1 - truth)) / 2
    l1 = (weight * (matte - truth).abs()).sum() / weight.sum()
    return {"bce": bce, "dice": 1 - overlap, "l1": l1, "laplacian": laplacian(matte - truth)}


def soft_dice(matte: Tensor, truth: Tensor) -> Tensor:
    """Return twice the overlap over the sum of both areas, averaged over pictures, for (N, 1, H, W) in [0, 1]."""
    axes = (1, 2, 3)
    return ((2 * (matte * truth).sum(axes) + 1) / (matte.sum(axes) + truth.sum(axes) + 1)).mean()


def laplacian(difference: Tensor, scales: int = 4) -> Tensor:
    """Return the mean absolute value of a difference's Laplacian pyramid. Each scale has twice the weight of the finer
    one.
    """
    total = difference.new_zeros(())
    for scale in range(scales):
        coarse = F.avg_pool2d(difference, 2)
        total = total + 2**scale * (difference - F.interpolate(coarse, difference.shape[2:])).abs().mean()
        difference = coarse
    return total
