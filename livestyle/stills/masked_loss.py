"""What a still is optimised for: content, and a style inside a mask (Gatys et al. 2016, masks as in 2017)."""

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

FAINT = 0.1  # of a layer's mean activation
LEAST_SHARE = 1e-4  # of the picture: a smaller part has no style of its own


@dataclass(frozen=True)
class Weights:
    """total = content * content loss + style * style loss + tv * total variation."""

    content: float = 1.0
    style: float = STYLE_WEIGHT
    tv: float = 0.0


@dataclass(frozen=True)
class Layers:
    """Where content and style are compared, such as "relu4_2"."""

    content: tuple[str, ...] = (losses.CONTENT_LAYER,)
    style: tuple[str, ...] = losses.STYLE_LAYERS

    @property
    def deepest(self) -> str:
        """The last that the network must compute."""
        return max(*self.content, *self.style)


@dataclass(frozen=True)
class Lens:
    """A loss network as a still is seen through it.

    Args:
        network: on the device that computes; layers: that are compared.
        factors: of each filter of a layer, float (C,): one over its mean activation where activations are normalised.
        exact: convolve in float32, for tests; else in bfloat16 where the device computes that faster.
    """

    network: LossNetwork
    layers: Layers = Layers()
    factors: Mapping[str, Tensor] | None = None
    exact: bool = False

    def maps(self, batch: Tensor) -> dict[str, Tensor]:
        """The feature maps (1, C, h, w) of a float (1, 3, H, W) picture in [0, 1], before the factors."""
        kind = batch.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=precision(kind) == "bfloat16" and not self.exact):
            maps = self.network(batch, self.layers.deepest)
        return {layer: maps[layer] for layer in {*self.layers.content, *self.layers.style}}

    def gram(self, layer: str, features: Tensor, mask: Tensor | None) -> Tensor:
        """Channel correlations of a layer's features, float32 (1, C, C), inside a mask (1, 1, H, W)."""
        gram = losses.gram(features.float()) if mask is None else masked_gram(features, mask)
        factor = self.factor(layer)
        return gram if factor is None else gram * torch.outer(factor, factor)

    def factor(self, layer: str) -> Tensor | None:
        """Of each filter; None where all are one."""
        return self.factors[layer] if self.factors else None


@dataclass(frozen=True)
class MaskedGoal:
    """A style inside a mask; what the mask does not cover keeps the content image's pixels.

    Args:
        lens: what the losses are seen through.
        grams: the style's Gram matrix of each style layer, float32 (1, C, C).
        mask: how far each pixel is to have the style, float32 (1, 1, H, W) in 0..1.
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
        """The terms content, style, tv and total of a float (1, 3, H, W) picture in [0, 1]."""
        # The network sees what stays beside what changes. Were soft pixels mixed here, too, faint ones would run to the
        # brightest colours for what little shows of them, and leave a fringe.
        seen = torch.where(self.mask > MIN_VISIBLE_ALPHA, batch, self.image)
        maps = self.lens.maps(seen)
        content, style, tv = self.content_loss(maps), self.style_loss(maps), losses.tv_loss(seen)
        total = self.weights.content * content + self.weights.style * style + self.weights.tv * tv
        return {"content": content, "style": style, "tv": tv, "total": total}

    def content_loss(self, maps: dict[str, Tensor]) -> Tensor:
        """Mean squared difference inside the mask over the content's own mean square, averaged over layers."""
        terms = []
        for layer, theirs in self.content.items():
            weight = scaled(self.mask, theirs)
            if (factor := self.lens.factor(layer)) is not None:
                weight = weight * factor.square()[:, None, None]
            apart = (maps[layer].float() - theirs).square()
            terms.append((apart * weight).mean() / (theirs.square() * weight).mean().clamp(min=1e-12))
        return torch.stack(terms).mean()

    def style_loss(self, maps: dict[str, Tensor]) -> Tensor:
        """As `losses.style_loss`, of the features inside the mask; the same where the mask is whole."""
        terms = [
            (self.lens.gram(layer, maps[layer], self.mask) - gram).square().sum() / gram.square().sum()
            for layer, gram in self.grams.items()
        ]
        return torch.stack(terms).mean()


def masked_gram(features: Tensor, mask: Tensor) -> Tensor:
    """Channel correlations over the features that a mask weighs, (1, C, h, w) and (1, 1, H, W) to float32 (1, C, C).

    Divided by the mask's mass, so that a part's matrix does not depend on its size. In float32 whatever the features:
    the difference of two matrices loses what bfloat16 leaves out.
    """
    weight = scaled(mask, features)
    return losses.gram(features.float() * weight.sqrt()) / weight.mean()


def scaled(mask: Tensor, features: Tensor) -> Tensor:
    """A mask (1, 1, H, W) averaged down to the size of features (1, C, h, w)."""
    size = features.shape[-2:]
    return mask if mask.shape[-2:] == size else F.interpolate(mask, size, mode="area")


@torch.no_grad()
def style_grams(lens: Lens, paintings: Sequence[tuple[Image, float]]) -> dict[str, Tensor]:
    """The Gram matrices of paintings at their own sizes, at least 16 px to a side, mixed by weights of sum one."""
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
    """The goal of a content image, at least 16 px to a side, and a mask (H, W) of its size; None if that is empty."""
    device = device_of(lens.network)
    if mask.mean() < LEAST_SHARE:
        return None
    image = as_batch([content], device)
    maps = lens.maps(image)
    theirs = {layer: maps[layer].float() for layer in lens.layers.content}
    return MaskedGoal(lens, grams, torch.from_numpy(mask).to(device)[None, None], image, theirs, weights)


@torch.no_grad()
def normalise(lens: Lens, pictures: Sequence[Image]) -> Lens:
    """The lens with each filter's mean activation over pictures made one (Gatys et al. 2016); ReLU lets a factor pass.

    They took the mean over many photos. A filter that these few hardly wake counts as one with a share FAINT of its
    layer's mean, or it would be multiplied by hundreds of thousands and drown the others.
    """
    seen = [lens.maps(as_batch([picture], device_of(lens.network))) for picture in pictures]
    means = {layer: torch.stack([maps[layer].float().mean((0, 2, 3)) for maps in seen]).mean(0) for layer in seen[0]}
    return replace(lens, factors={layer: 1 / torch.maximum(m, FAINT * m.mean()) for layer, m in means.items()})


def precision(kind: str) -> str:
    """What a kind of device convolves faster in."""
    fast = kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())
    return "bfloat16" if fast else "float32"


def parse_layers(text: str) -> tuple[str, ...]:
    """Layers named as in "conv1_1,conv4_2", "relu4_2" or "4_2".

    Raises:
        UserError: a name that none of them has.
    """
    names = [name.strip().removeprefix("conv").removeprefix("relu") for name in text.split(",")]
    for name in names:
        if not (len(name) == 3 and name[0] in "12345" and name[1] == "_" and name[2] in "1234"):
            raise UserError(
                f"'{name}' is not a layer of VGG.", "Name layers from conv1_1 to conv5_4, parted by commas."
            )
    return tuple(f"relu{name}" for name in dict.fromkeys(names))


def stand_in(layer: str, network: LossNetwork) -> str:
    """A layer itself where the network has it, else the deepest that it has before it."""
    return max(own for own in network.layers if own <= layer)
