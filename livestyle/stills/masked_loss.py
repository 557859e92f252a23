"""The losses of a still: content, and a style inside a mask (Gatys et al. 2016; masks as in Gatys et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.errors import UserError
from livestyle.image.box import MIN_VISIBLE_ALPHA
from livestyle.image.types import Image, Matte
from livestyle.nets import losses
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.tensors import as_batch, device_of
from livestyle.stills.reference import STYLE_WEIGHT

MIN_ACTIVATION_SHARE = 0.1  # of a layer's mean activation: what an inactive filter counts as
MIN_MASK_SHARE = 1e-4  # of the picture; smaller parts are not painted


@dataclass(frozen=True)
class Weights:
    """Weights of the terms: total = content * content loss + style * style loss + tv * total variation."""

    content: float = 1.0
    style: float = STYLE_WEIGHT
    tv: float = 0.0


@dataclass(frozen=True)
class Layers:
    """Layers at which content and style are compared, such as "relu4_2"."""

    content: tuple[str, ...] = (losses.CONTENT_LAYER,)
    style: tuple[str, ...] = losses.STYLE_LAYERS

    @property
    def deepest(self) -> str:
        """Return the last layer that the network must compute."""
        return max(*self.content, *self.style)


@dataclass(frozen=True)
class Lens:
    """A loss network, and how its features are compared.

    Args:
        network: on the device that computes.
        layers: that are compared.
        factors: float (C,) of each layer: one over each filter's mean activation, where activations are normalized.
            None where they are not.
        exact: convolve in float32, for tests. Otherwise in bfloat16 where the device computes that faster.
    """

    network: LossNetwork
    layers: Layers = Layers()
    factors: Mapping[str, Tensor] | None = None
    exact: bool = False

    def maps(self, batch: Tensor) -> dict[str, Tensor]:
        """Return the compared feature maps, before the factors.

        Args:
            batch: float (1, 3, H, W) in [0, 1].

        Returns:
            (1, C, h, w) by layer.
        """
        kind = batch.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=precision(kind) == "bfloat16" and not self.exact):
            maps = self.network(batch, self.layers.deepest)
        return {layer: maps[layer] for layer in {*self.layers.content, *self.layers.style}}

    def gram(self, layer: str, features: Tensor, mask: Tensor | None) -> Tensor:
        """Return the Gram matrix of features inside a mask.

        Args:
            layer: of the features; features: (1, C, h, w); mask: float32 (1, 1, H, W) in 0..1, None for all.

        Returns:
            float32 (1, C, C).
        """
        gram = losses.gram(features.float()) if mask is None else masked_gram(features, mask)
        factor = self.factor(layer)
        return gram if factor is None else gram * torch.outer(factor, factor)

    def factor(self, layer: str) -> Tensor | None:
        """Return the factors of a layer's filters, float (C,); None where all are one."""
        return self.factors[layer] if self.factors else None


@dataclass(frozen=True)
class MaskedGoal:
    """A style inside a mask. What the mask does not cover keeps the content image's pixels.

    Args:
        lens: the loss network.
        grams: the style's Gram matrix of each style layer, float32 (1, C, C).
        mask: how far each pixel gets the style, float32 (1, 1, H, W) in 0..1.
        image: the content image, float (1, 3, H, W) in [0, 1].
        content: its feature maps of the content layers.
        weights: of the terms.
    """

    lens: Lens
    grams: dict[str, Tensor]
    mask: Tensor
    image: Tensor
    content: dict[str, Tensor]
    weights: Weights = Weights()

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        """Return the terms content, style, tv and total of a float (1, 3, H, W) picture in [0, 1]."""
        # Soft pixels are not mixed here. Faint ones would run to the brightest colours, of which little shows, and
        # leave a fringe.
        composed = torch.where(self.mask > MIN_VISIBLE_ALPHA, batch, self.image)
        maps = self.lens.maps(composed)
        content, style, tv = self.content_loss(maps), self.style_loss(maps), losses.tv_loss(composed)
        total = self.weights.content * content + self.weights.style * style + self.weights.tv * tv
        return {"content": content, "style": style, "tv": tv, "total": total}

    def content_loss(self, maps: dict[str, Tensor]) -> Tensor:
        """Return the mean squared difference inside the mask over the content's own mean square, averaged over layers.

        Args:
            maps: of the picture, by layer.
        """
        terms = []
        for layer, target in self.content.items():
            weight = scaled(self.mask, target)
            if (factor := self.lens.factor(layer)) is not None:
                weight = weight * factor.square()[:, None, None]
            error = (maps[layer].float() - target).square()
            terms.append((error * weight).mean() / (target.square() * weight).mean().clamp(min=1e-12))
        return torch.stack(terms).mean()

    def style_loss(self, maps: dict[str, Tensor]) -> Tensor:
        """Return the squared Gram difference over the style's squared Gram norm, inside the mask, averaged over layers.

        With a mask of ones this is `losses.style_loss`.

        Args:
            maps: of the picture, by layer.
        """
        terms = [
            (self.lens.gram(layer, maps[layer], self.mask) - gram).square().sum() / gram.square().sum()
            for layer, gram in self.grams.items()
        ]
        return torch.stack(terms).mean()


def masked_gram(features: Tensor, mask: Tensor) -> Tensor:
    """Return channel correlations weighted by a mask.

    They are divided by the mask's mass, so that they do not depend on the size of the part. They are computed in
    float32, because differences of bfloat16 matrices are inexact.

    Args:
        features: (1, C, h, w); mask: (1, 1, H, W) in 0..1.

    Returns:
        float32 (1, C, C).
    """
    weight = scaled(mask, features)
    return losses.gram(features.float() * weight.sqrt()) / weight.mean()


def scaled(mask: Tensor, features: Tensor) -> Tensor:
    """Return a mask (1, 1, H, W) averaged down to the size of features (1, C, h, w)."""
    size = features.shape[-2:]
    return mask if mask.shape[-2:] == size else F.interpolate(mask, size, mode="area")


@torch.no_grad()
def style_grams(lens: Lens, paintings: Sequence[tuple[Image, float]]) -> dict[str, Tensor]:
    """Return the mixed Gram matrices of paintings at their own sizes.

    Args:
        lens: the loss network; paintings: uint8 (H, W, 3) RGB, at least 16 px to a side, with weights that sum to 1.

    Returns:
        float32 (1, C, C) by style layer.
    """
    mixture: dict[str, Tensor] = {}
    for painting, share in paintings:
        maps = lens.maps(as_batch([painting], device_of(lens.network)))
        for layer in lens.layers.style:
            mixture[layer] = mixture.get(layer, 0) + share * lens.gram(layer, maps[layer], None)
    return mixture


@torch.no_grad()
def set_masked_goal(
    lens: Lens, grams: dict[str, Tensor], content: Image, mask: Matte, weights: Weights
) -> MaskedGoal | None:
    """Return the goal of a content image; None where its mask is empty.

    Args:
        lens: the loss network.
        grams: the style's, from `style_grams`.
        content: uint8 (H, W, 3) RGB, at least 16 px to a side.
        mask: float32 (H, W) in 0..1.
        weights: of the terms.
    """
    device = device_of(lens.network)
    if mask.mean() < MIN_MASK_SHARE:
        return None
    image = as_batch([content], device)
    maps = lens.maps(image)
    targets = {layer: maps[layer].float() for layer in lens.layers.content}
    return MaskedGoal(lens, grams, torch.from_numpy(mask).to(device)[None, None], image, targets, weights)


@torch.no_grad()
def normalise(lens: Lens, pictures: Sequence[Image]) -> Lens:
    """Return the lens with each filter's mean activation over pictures made one (Gatys et al. 2016).

    The paper took the mean over many photos. Here an inactive filter counts as MIN_ACTIVATION_SHARE of its layer's
    mean. Without that, its factor would be hundreds of thousands.

    Args:
        lens: without factors; pictures: uint8 (H, W, 3) RGB.
    """
    activations = [lens.maps(as_batch([picture], device_of(lens.network))) for picture in pictures]
    means = {
        layer: torch.stack([maps[layer].float().mean((0, 2, 3)) for maps in activations]).mean(0)
        for layer in activations[0]
    }
    least = {layer: MIN_ACTIVATION_SHARE * mean.mean() for layer, mean in means.items()}
    return replace(lens, factors={layer: 1 / torch.maximum(mean, least[layer]) for layer, mean in means.items()})


def precision(kind: str) -> str:
    """Return the precision that a kind of device convolves faster in: "bfloat16" or "float32"."""
    fast = kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if fast else "float32"


def parse_layers(text: str) -> tuple[str, ...]:
    """Return the layers of a text such as "conv1_1,conv4_2", "relu4_2" or "4_2".

    Raises:
        UserError: VGG has no such layer.
    """
    names = [name.strip().removeprefix("conv").removeprefix("relu") for name in text.split(",")]
    for name in names:
        if not (len(name) == 3 and name[0] in "12345" and name[1] == "_" and name[2] in "1234"):
            raise UserError(
                f"'{name}' is not a layer of VGG.", "Name layers from conv1_1 to conv5_4, parted by commas."
            )
    return tuple(f"relu{name}" for name in dict.fromkeys(names))


def stand_in(layer: str, network: LossNetwork) -> str:
    """Return a layer itself where the network has it, else the deepest one before it."""
    return max(own for own in network.layers if own <= layer)
