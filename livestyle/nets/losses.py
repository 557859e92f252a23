"""Style, content and total-variation losses (Gatys et al. 2016; Johnson et al. 2016), and the segmenter's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
CONTENT_LAYER = "relu4_2"
BLOCK, BLOCKS = 4, 8  # pixels of a net's blocks, and how many of them are averaged


class GramProduct(torch.autograd.Function):
    """Gram matrices that read channels-last features where they lie, and hand their gradient back in the same order.

    The product in the features' own precision; autograd's general way took ten times longer on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        n, c, h, w = features.shape
        flat = features.permute(0, 2, 3, 1).reshape(n, h * w, c)
        if flat.dtype == torch.float16:  # whose range the raw sum leaves
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
    """Channel correlations, (N, C, H, W) to float32 (N, C, C), divided by H W."""
    with torch.autocast(features.device.type, enabled=False):
        product: Tensor = GramProduct.apply(features)
    return product


def style_loss(maps: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Squared Gram difference per layer over the painting's own squared Gram norm, averaged.

    Raw activations differ by orders of magnitude between layers; the division gives each an equal say.
    """
    terms = [
        ((gram(maps[layer]) - targets[layer]).square().sum((1, 2)) / targets[layer].square().sum((1, 2))).mean()
        for layer in STYLE_LAYERS
    ]
    return torch.stack(terms).mean()


def content_loss(maps: dict[str, Tensor], content: dict[str, Tensor], weight: Tensor | None = None) -> Tensor:
    """Mean squared difference at relu4_2 over the content's own mean square, of each picture, averaged.

    Args:
        weight: how much each place counts, (N, 1, H, W) at the picture's size; 1 everywhere unless given.
    """
    ours, theirs = maps[CONTENT_LAYER].float(), content[CONTENT_LAYER].float()
    apart, axes = (ours - theirs).square(), (1, 2, 3)
    if weight is not None:
        apart = apart * F.interpolate(weight, apart.shape[2:], mode="area")
    return (apart.mean(axes) / theirs.square().mean(axes)).mean()


def tv_loss(images: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels."""
    dy = (images[..., 1:, :] - images[..., :-1, :]).square().mean()
    dx = (images[..., 1:] - images[..., :-1]).square().mean()
    return dy + dx


def grid_loss(images: Tensor) -> Tensor:
    """How far the pixels of a 4x4 block differ by their place in it alone: what nets that shuffle draw on even walls.

    The variance over the places, each averaged over BLOCKS x BLOCKS blocks, whose strokes lie one way and another.
    """
    means = F.avg_pool2d(F.pixel_unshuffle(images, BLOCK), BLOCKS)
    places = means.view(*images.shape[:2], BLOCK**2, -1)
    return places.var(2, unbiased=False).mean()


def matte_losses(logits: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Named terms between logits and a true matte, both (N, 1, H, W); the truth in [0, 1].

    bce counts pixels near the true edge five times; dice is the soft overlap (Milletari et al. 2016) of person and of
    background; l1 makes the matte itself right where it is soft; laplacian compares edges at four scales (Hou and Liu
    2019).
    """
    box = truth.new_full((1, 1, 7, 7), 1 / 49)
    near = F.conv2d(truth, box, padding=3)
    weight = 1 + 4 * ((near > 0.01) & (near < 0.99))  # a convolution: max pooling costs a tenth of the step
    bce = (weight * F.binary_cross_entropy_with_logits(logits, truth, reduction="none")).sum() / weight.sum()
    matte = logits.sigmoid()
    overlap = (soft_dice(matte, truth) + soft_dice(1 - matte, 1 - truth)) / 2
    l1 = (weight * (matte - truth).abs()).sum() / weight.sum()
    return {"bce": bce, "dice": 1 - overlap, "l1": l1, "laplacian": laplacian(matte - truth)}


def soft_dice(matte: Tensor, truth: Tensor) -> Tensor:
    """Twice the overlap over the sum of both areas, of each picture, averaged."""
    axes = (1, 2, 3)
    return ((2 * (matte * truth).sum(axes) + 1) / (matte.sum(axes) + truth.sum(axes) + 1)).mean()


def laplacian(difference: Tensor, scales: int = 4) -> Tensor:
    """Mean absolute value of the difference's Laplacian pyramid, each scale twice the weight of the finer one."""
    total = difference.new_zeros(())
    for scale in range(scales):
        coarse = F.avg_pool2d(difference, 2)
        total = total + 2**scale * (difference - F.interpolate(coarse, difference.shape[2:])).abs().mean()
        difference = coarse
    return total
