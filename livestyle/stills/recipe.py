"""How a still is painted: every option, and its presets."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from livestyle.config.names import unknown
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.stills.masked_loss import Layers, Weights, parse_layers
from livestyle.stills.optimizers import OPTIMIZERS
from livestyle.stills.style_images import MIN_SIDE_PX, Blend, style_pictures
from livestyle.types import Size

METHOD = 1  # raised when results of a recipe change, so that no older state is resumed
INITS = ("content", "noise")
COLOR_METHODS = ("", "luminance", "histogram")


@dataclass(frozen=True)
class Recipe:
    """How a still is painted.

    Args:
        styles: style pictures of "background" and "person", where they have some.
        iterations: of each plane, over all scales.
        long_side: of what is painted, in pixels; at most the picture's own.
        scales: at most. Each is twice as large as the one before.
        weights: of the losses.
        layers: that the losses compare.
        normalised: make each filter's mean activation one.
        optimizer: one of OPTIMIZERS.
        init: one of INITS.
        seed: of the noise.
        keep_colors: one of COLOR_METHODS: the style's luminance with the picture's colours, or recoloured paintings.
        strengths: of each plane, painted against original, in 0..1; 1 by default.
        naive: paint the whole picture in each style and composite, instead of masking the loss.
        network: the loss network that the recipe was made for; any other works, too.
    """

    styles: Mapping[str, Blend]
    iterations: int = 300
    long_side: int = 512
    scales: int = 3
    weights: Weights = field(default_factory=Weights)
    layers: Layers = field(default_factory=Layers)
    normalised: bool = False
    optimizer: str = "lbfgs"
    init: str = "content"
    seed: int = 0
    keep_colors: str = ""
    strengths: Mapping[str, float] = field(default_factory=dict)
    naive: bool = False
    network: str = "vgg19"

    def check(self) -> None:
        """Check the options.

        Raises:
            UserError: one of them is wrong.
        """
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS, field="optimizer")
        if self.init not in INITS:
            raise unknown("start", self.init, INITS, field="init")
        if self.keep_colors not in COLOR_METHODS:
            methods = " or ".join(COLOR_METHODS[1:])
            raise UserError(f"Colours are not kept by '{self.keep_colors}'.", f"Choose {methods}.")
        if not self.styles:
            raise UserError("Nothing is to be painted.", "Give a style or a painting.", "background")
        for strength in self.strengths.values():
            if not 0 <= strength <= 1:
                raise UserError(f"A strength of {strength:g} is not between 0 and 1.", "Choose a number from 0 to 1.")

    @property
    def is_whole(self) -> bool:
        """Return whether one painting serves both planes, so that no matte is needed."""
        return len(self.styles) == 2 and len(set(self.styles.values())) == 1 and len(set(self.strengths.values())) < 2

    def digest(self, *parts: object) -> str:
        """Return a SHA-256 of all that the picture depends on, with the contents of the style pictures.

        Args:
            parts: what else it depends on.
        """
        pictures = {plane: [(sha256(p), w) for p, w in blend] for plane, blend in self.styles.items()}
        text = json.dumps([METHOD, asdict(self) | {"styles": pictures}, parts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


PRESETS: dict[str, dict[str, Any]] = {
    "masked": {},  # masks in the loss, coarse to fine
    # Gatys et al. 2016: one scale, from noise.
    "gatys2016": {"iterations": 500, "scales": 1, "init": "noise", "normalised": True},
    # Portrait Segmentation and Background Stylization, 2017: VGG-16, content from a deep layer.
    "background2017": {"scales": 1, "layers": Layers(content=("relu5_2",)), "normalised": True, "network": "vgg16"},
}


def recipe_from(settings: Settings, flags: Mapping[str, Any]) -> Recipe:
    """Return the preset of a command's flags, with the options that are given instead of its own.

    Args:
        settings: looks and strengths; flags: by name, None where not given.

    Raises:
        UserError: there is no such preset or style picture, or an option is wrong.
    """
    preset = flags["preset"]
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS, field="preset")
    given = {name: flags[name] for name in ("iterations", "long_side", "optimizer", "init", "seed", "naive")}
    chosen = PRESETS[preset] | {name: value for name, value in given.items() if value is not None}
    layers = chosen.get("layers", Layers())
    for kind in ("content", "style"):
        if named := flags[f"{kind}_layers"]:
            layers = replace(layers, **{kind: parse_layers(named)})
    strengths = {"background": settings.background_strength, "person": settings.person_strength}
    return Recipe(**chosen | {
        "styles": style_pictures(settings.background, settings.person, settings.models),
        "weights": Weights(flags["content_weight"], flags["style_weight"], flags["tv_weight"]),
        "layers": layers,
        "keep_colors": flags["keep_colors_by"] if settings.keep_colors else "",
        "strengths": {plane: settings.strength if own is None else own for plane, own in strengths.items()},
    })  # fmt: skip


def scales_of(size: Size, recipe: Recipe) -> list[tuple[Size, int]]:
    """Return the sizes at which a picture is painted, coarse to fine, with the iterations of each.

    Raises:
        UserError: the finest has a side under MIN_SIDE_PX.
    """
    shrink = min(1.0, recipe.long_side / max(size))
    found = [
        (round(size[0] * shrink / 2**octave), round(size[1] * shrink / 2**octave))
        for octave in range(min(recipe.scales, recipe.iterations))
    ]
    found = [size for size in found if min(size) >= MIN_SIDE_PX]
    if not found:
        raise UserError(
            f"A picture of {size[0]}x{size[1]} is too small to paint at a long side of {recipe.long_side}.",
            f"Both sides must come to {MIN_SIDE_PX} px: give a larger picture, or a longer side.",
            "long_side",
        )
    each, rest = divmod(recipe.iterations, len(found))
    return [(size, each + (number < rest)) for number, size in enumerate(reversed(found))]
