"""How stills are painted by optimisation."""

from dataclasses import dataclass
from pathlib import Path

from livestyle.config.options import row

LOSS_NETWORK = (
    "VGG-19 or VGG-16 as safetensors, or vgg19, vgg16 (torchvision's, fetched; vgg19 is the default), compact."
)
TIMELAPSE = "By optimisation: also a clip of how it comes to be."
TIMELAPSE_FILE = "FILE.mp4|.gif|.webp"
LOSS_NETWORK_FLAGS = ("--loss-network", "--perceptual")
PANEL = "With --method gatys"


@dataclass(frozen=True)
class PaintingSettings:
    """How a still is painted by optimisation. A None leaves it to the preset."""

    method: str = row(
        "fast",
        "fast: feed-forward; gatys: by optimisation, in minutes, in the style of any picture: a LOOK is then "
        "none, the file of a painting, or a style for its painting.",
        choices=("fast", "gatys"),
    )
    preset: str = row("masked", "masked (masks in the loss, coarse to fine), gatys2016 or background2017.", panel=PANEL)
    iterations: int | None = row(
        None, "For each plane, of all scales together (300; gatys2016: 500).", low=1, panel=PANEL
    )
    long_side: int | None = row(
        None, "Of what is painted, px (512); the result has the picture's own size.", low=32, panel=PANEL
    )
    content_weight: float = row(1.0, "How much the picture counts.", low=0, panel=PANEL)
    style_weight: float = row(3.0, "How much the painting counts; above 5 it hides faces.", low=0, panel=PANEL)
    tv_weight: float = row(0.0, "How much smoothness counts.", low=0, panel=PANEL)
    content_layers: str | None = row(None, "Such as conv4_2.", "A,B", panel=PANEL)
    style_layers: str | None = row(None, "Such as conv1_1,conv3_1.", "A,B", panel=PANEL)
    optimizer: str | None = row(None, "lbfgs, or adam, which takes less memory.", panel=PANEL)
    init: str | None = row(None, "content or noise: what to start from.", panel=PANEL)
    seed: int = row(0, "Of the noise.", low=0, panel=PANEL)
    keep_colors_by: str = row(
        "luminance", "luminance, or histogram: the paintings take the picture's colours first.", panel=PANEL
    )
    naive: bool = row(False, "Paint all in each style and cut afterwards, to compare.", flags=("--naive",), panel=PANEL)
    all_parts: bool = row(
        False, "OUT, and beside it OUT-person, OUT-background and OUT-blur.", flags=("--all",), panel=PANEL
    )
    sheet: str | None = row(None, "OUT is one picture of many: weights (content against style) or layers.", panel=PANEL)
    curve: Path | None = row(None, "Draw the losses.", "FILE.png", panel=PANEL)
    timelapse: Path | None = row(None, TIMELAPSE, TIMELAPSE_FILE, panel=PANEL)
    loss_network: Path | None = row(None, LOSS_NETWORK, "FILE", flags=LOSS_NETWORK_FLAGS)


@dataclass(frozen=True)
class PaintInSettings:
    """How a person is painted into a painting. A None leaves it to what is found there."""

    style: str | None = row(
        None,
        "Paint the person in this style (default: the style that was trained on PAINTING; without one, by "
        "optimisation in PAINTING's own, in minutes); picture:FILE paints at once, a FILE alone by optimisation.",
        "NAME|PICTURE",
    )
    x: float | None = row(
        None, "Left of the person: 0..1 of the painting's width, else pixels (default: least is hidden)."
    )
    y: float | None = row(None, "Top of the person, alike (default: on the ground).")
    height: float | None = row(None, "Of the person, alike (default: a sensible one).")
    blend: str = row("harmonize", "harmonize: near the surroundings' colours; poisson: no seam; alpha: as it is.")
    rgba: bool = row(False, "The person alone, in place, with transparency.", flags=("--rgba",))
    iterations: int = row(300, "By optimisation: how many.", low=1)
    long_side: int = row(512, "By optimisation: px of what is painted.", low=32)
    timelapse: Path | None = row(None, TIMELAPSE, TIMELAPSE_FILE)
    loss_network: Path | None = row(None, LOSS_NETWORK, "FILE", flags=LOSS_NETWORK_FLAGS)
