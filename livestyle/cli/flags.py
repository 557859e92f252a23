"""Flags that several commands share, and the settings that files and variables give them."""

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from livestyle.cli import completion
from livestyle.cli.console import download, say
from livestyle.config.load import Config, load_config, project_file
from livestyle.config.options import key_of
from livestyle.config.settings import LiveSettings, Settings, read_size
from livestyle.types import Size

S, L = Settings(), LiveSettings()
settled = Config()  # what files and variables say, once a command that heeds them runs


def settle(context: typer.Context, profile: str | None) -> str | None:
    """What files and variables say becomes the defaults of a command's flags. Where frames come from and go is `live`'s
    alone."""
    global settled
    if not context.resilient_parsing:
        settled = load_config(profile)
        heeded = set(settled.values) if context.info_name == "live" else {one.name for one in fields(Settings)}
        context.default_map = {name: one.value for name, one in settled.values.items() if name in heeded}
        found = [key_of(name) for name, one in settled.values.items() if one.origin.startswith(str(project_file()))]
        if found:
            say(f"Settings of this folder ({project_file()}): {', '.join(found)}")
    return profile


def parse_size(text: str) -> Size:
    """WxH to (W, H)."""
    try:
        return read_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not {error}.") from None


Background = Annotated[
    str | None,
    typer.Option(
        metavar="LOOK", help="Look of the background (default: the default style).", autocompletion=completion.looks
    ),
]
Person = Annotated[str, typer.Option(
    metavar="LOOK", help="Look of the person.", autocompletion=completion.looks)]  # fmt: skip
Strength = Annotated[float, typer.Option(metavar="0..1", help="Stylized against original.")]
PlaneStrength = Annotated[float | None, typer.Option(metavar="0..1", help="Of this plane alone.")]
KeepColors = Annotated[bool, typer.Option(
    "--keep-colors/--no-keep-colors", help="Style the luminance, keep the original colours.")]  # fmt: skip
Segmenter = Annotated[str | None, typer.Option(
    metavar="NAME", help="See: livestyle list segmenters.", autocompletion=completion.segmenters)]  # fmt: skip
Keep = Annotated[str, typer.Option(metavar="A,B", help="What stays, of segmenters that know more than people.")]
ModelFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of a segmenter that is not ours.")]
PersonCount = Annotated[str, typer.Option(
    help="all, or main: others who walk through count as background.", autocompletion=completion.person_counts,
)]  # fmt: skip
Refine = Annotated[str, typer.Option(help="guided; crf or matting for stills: what draws the matte's edge.")]
AutoLight = Annotated[bool, typer.Option(
    "--auto-light/--no-auto-light", help="Put the person into a new background's light.")]  # fmt: skip
Profile = Annotated[str | None, typer.Option(
    metavar="NAME", is_eager=True, callback=settle, help="Take [profile.NAME] of: livestyle config edit.",
    autocompletion=completion.profiles)]  # fmt: skip
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps or torch:cpu.")]
Quality = Annotated[str, typer.Option(
    help="auto, fast, balanced or best: at what size styles are painted.", autocompletion=completion.qualities,
)]  # fmt: skip
Models = Annotated[Path | None, typer.Option(metavar="DIR", help="A folder of models that goes before all others.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
SizeOption = Annotated[Any, typer.Option(parser=parse_size, metavar="WxH", help="Size of the frames.")]
GatysOption = partial(typer.Option, rich_help_panel="With --method gatys")
LossNetworkFile = Annotated[Path | None, typer.Option(
    "--loss-network", "--perceptual", metavar="FILE",
    help="VGG-19 or VGG-16 as safetensors, or vgg19, vgg16 (torchvision's, fetched; vgg19 is the default), compact.",
)]  # fmt: skip


def settings_from(flags: dict[str, Any]) -> Settings:
    """Return the settings among a command's flags; weights that their segmenter lacks are fetched behind a bar."""
    settings = Settings(**{field.name: flags[field.name] for field in fields(Settings) if field.name in flags})
    if settings.segmenter:
        from livestyle.matting.published import fetch_weights

        fetch_weights(settings, download)
    return settings


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether a flag stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
