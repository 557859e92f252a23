"""What a run is asked to do. All defaults of the program stand here. No heavy imports: `--help` reads this."""

from dataclasses import dataclass
from pathlib import Path

from livestyle.types import Size

PERSON_COUNTS = ("all", "main")
TRAINABLE = ("unet", "deeplabv3plus", "cnn-resnet", "fcn8s", "deeplab-lfov", "segnet", "deeplabv3-mobilenet")
STYLE_ARCHS = ("slim", "johnson")
STAGE = "stage"  # what the names of the threads that compute frames begin with
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class Settings:
    """How pictures are rendered; the same flags on every command that renders."""

    background: str | None = None  # a LOOK; None is the default style
    person: str = "none"
    strength: float = 1.0
    background_strength: float | None = None
    person_strength: float | None = None
    keep_colors: bool = False
    segmenter: str | None = None  # None is the default segmenter
    keep: str = "person"  # what stays: names of classes, parted by commas
    person_count: str = "all"  # or "main": the others count as background
    model_file: Path | None = None  # weights of a segmenter that is not ours
    refine: str = "guided"  # what draws the matte's edge along the picture's; "crf" is for stills
    auto_light: bool = False  # put the person into the light of a new background
    device: str = "auto"
    quality: str = "auto"
    models: Path | None = None  # a folder of models that goes before all others


@dataclass(frozen=True)
class LiveSettings:
    """Where frames come from and go."""

    source: str = "0"
    sinks: tuple[str, ...] = ("window",)
    size: Size | None = None  # None leaves it to the source
    fps: float | None = None
    mirror: bool | None = None  # of the preview; None: where the source is a camera
    private: bool = False
    on_demand: bool = False  # the camera rests while nobody watches the virtual one
    frames: int | None = None
    seconds: float | None = None
    stills: Path | None = None  # None: a folder among the user's pictures
    recordings: Path | None = None  # None: a folder among the user's videos
    microphone: str | None = None  # that recordings and clips hear; "default" is the system's
    gatys_style: Path | None = None  # what stills are painted from where a style's own painting is not known


def read_size(text: str) -> Size:
    """WxH to (W, H).

    Raises:
        ValueError: it is no size; what one looks like.
    """
    width, _, height = text.lower().partition("x")
    sides = [int(side) if side.isascii() and side.isdecimal() and len(side) < 6 else 0 for side in (width, height)]
    if not all(0 < side <= LARGEST_SIDE for side in sides):
        raise ValueError("a size such as 640x360")
    return sides[0], sides[1]
