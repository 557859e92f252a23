"""What a run is asked to do. Every setting stands here once, with its default. No heavy imports: for `--help`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livestyle.config.options import Setting, read_backdrop, read_look, read_person_look, read_source, row, rows_of
from livestyle.config.quality import BRUSHES, QUALITIES
from livestyle.errors import UserError
from livestyle.types import Color, Size

PERSON_COUNTS = ("all", "main")
TRAINABLE = ("unet", "deeplabv3plus", "cnn-resnet", "fcn8s", "deeplab-lfov", "segnet", "deeplabv3-mobilenet")
STYLE_ARCHS = ("slim", "johnson")
STAGE = "stage"  # what the names of the threads that compute frames begin with
# What is painted.
LOOKS = ("background", "person", "strength", "background_strength", "person_strength", "keep_colors", "brush")


@dataclass(frozen=True)
class Settings:
    """How pictures are rendered; the same flags on every command that renders.

    A None stands for the default style, the default segmenter, the strength of both planes, or the usual folders.
    `extra` holds the settings that plug-ins added to SETTINGS, by name.
    """

    background: str | None = row(
        None,
        "Look of the background (default: the default style).",
        "LOOK",
        flags=("--background", "--style"),
        choices="looks",
        in_project=True,
        reader=read_look,
    )
    person: str = row("none", "Look of the person.", "LOOK", choices="looks", in_project=True, reader=read_person_look)
    strength: float = row(1.0, "Stylized against original.", "0..1", low=0, high=1, in_project=True)
    background_strength: float | None = row(None, "Of this plane alone.", "0..1", low=0, high=1, in_project=True)
    person_strength: float | None = row(None, "Of this plane alone.", "0..1", low=0, high=1, in_project=True)
    keep_colors: bool = row(False, "Style the luminance, keep the original colours.", in_project=True)
    brush: float = row(
        1.0, "How large strokes are: 2 is twice as large.", "0.5..2", low=BRUSHES[0], high=BRUSHES[-1], in_project=True
    )
    segmenter: str | None = row(None, "See: livestyle list segmenters.", "NAME", choices="segmenters", in_project=True)
    keep: str = row("person", "What stays, of segmenters that know more than people.", "A,B", in_project=True)
    person_count: str = row(
        "all", "all, or main: others who walk through count as background.", choices=PERSON_COUNTS, in_project=True
    )
    model_file: Path | None = row(None, "Weights of a segmenter that is not ours.", "FILE")
    refine: str = row("guided", "guided; crf or matting for stills: what draws the matte's edge.", in_project=True)
    auto_light: bool = row(False, "Put the person into a new background's light.", in_project=True)
    backdrop: str = row(
        "white", "Colour behind what is transparent in pictures and clips.", "COLOR", reader=read_backdrop
    )
    keep_location: bool = row(False, "Keep the place where a clip or picture was taken, which is left out otherwise.")
    device: str = row("auto", "auto, cpu, cuda, cuda:N, mps or torch:cpu.")
    quality: str = row(
        "auto",
        "auto, fast, balanced or best: at what size styles are painted.",
        choices=("auto", *QUALITIES),
        in_project=True,
    )
    models: Path | None = row(None, "A folder of models that goes before all others.", "DIR")
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", defaults_of_extra(Settings) | dict(self.extra))

    @property
    def backdrop_rgb(self) -> Color:
        """The colour of `backdrop`, RGB in 0..255.

        Raises:
            UserError: it is no colour.
        """
        from livestyle.config.colors import read_color

        color = read_color(self.backdrop)
        if color is None:
            raise UserError(f"The backdrop '{self.backdrop}' is no colour.", "Write white, #204060 or the like.")
        return color


@dataclass(frozen=True)
class LiveSettings:
    """Where frames come from and go.

    A None leaves size and rate to the source, and stills and recordings to the user's own folders. The preview is
    mirrored where the source is a camera, unless `mirror` says otherwise.
    """

    source: str = row("0", "Camera index or path, file, URL, or demo.", "SRC", reader=read_source)
    sinks: tuple[str, ...] = row(
        ("window",),
        "window (default), virtual-camera, file:PATH or null; repeatable. See: livestyle list sinks.",
        "SINK",
        name="sink",
    )
    size: Size | None = row(None, "Size of the frames.", "WxH", in_project=True)
    fps: float | None = row(None, "Rate asked of the camera.", "1..240", low=1, high=240, in_project=True)
    mirror: bool | None = row(None, "Mirror the preview only.", in_project=True)
    hud: str = row(
        "below",
        "Where the window writes: below the picture, over its lower edge, or off.",
        choices=("below", "over", "off"),
        in_project=True,
    )
    loop: bool | None = row(None, "Play a clip over and over (default: where a window shows it).", in_project=True)
    private: bool = row(False, "A fault shows a placeholder.")
    on_demand: bool = row(False, "Camera off while nobody watches the virtual one (Linux).")
    frames: int | None = row(None, "End after so many frames.", "N", low=1)
    seconds: float | None = row(None, "End after so many seconds.", "S", low=0)
    stills: Path | None = row(None, "Where the keys s, g, e and u save (default: livestyle in your pictures).", "DIR")
    gif_seconds: float = row(
        5.0, "How many last seconds the key u saves as a GIF; 0 keeps none.", "0..20", low=0, high=20
    )
    recordings: Path | None = row(None, "Where the key r records to (default: livestyle in your videos).", "DIR")
    microphone: str | None = row(
        None,
        "Heard in recordings and clips: default, or see: livestyle list microphones.",
        "NAME",
        choices="microphones",
    )
    improve: float = row(
        2.0,
        "Minutes for which the style of a picture gets better while it is shown (needs PyTorch); 0 never.",
        "0..60",
        low=0,
        high=60,
    )
    gatys_style: Path | None = row(
        None, "What the key g paints from where a style has no painting on this machine.", "PICTURE"
    )
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "extra", defaults_of_extra(LiveSettings) | dict(self.extra))


# Looked up whenever a setting is read, so that a plug-in may add a row.
SETTINGS: dict[str, Setting] = rows_of(Settings) | rows_of(LiveSettings)


def rows_for(kind: type) -> dict[str, Setting]:
    """Return the rows of a class of settings, with those that plug-ins added."""
    return {name: one for name, one in SETTINGS.items() if one.room is kind} or rows_of(kind)


def defaults_of_extra(kind: type) -> dict[str, Any]:
    """Return the defaults of the settings that plug-ins added."""
    return {name: one.default for name, one in SETTINGS.items() if one.room is kind and not one.field}
