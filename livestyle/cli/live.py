"""`livestyle live`, `livestyle ctl` and `livestyle video`."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli import completion
from livestyle.cli import ctl as cli_ctl
from livestyle.cli import flags as shared
from livestyle.cli.app import app
from livestyle.cli.console import say, ticker
from livestyle.cli.flags import (
    AsJson,
    AutoLight,
    Background,
    Device,
    Keep,
    KeepColors,
    L,
    ModelFile,
    Models,
    Person,
    PersonCount,
    PlaneStrength,
    Profile,
    Quality,
    S,
    Segmenter,
    SizeOption,
    Strength,
    is_typed,
    settings_from,
)
from livestyle.cli.running import frame_count, stopping
from livestyle.config.options import LOOKS
from livestyle.config.settings import LiveSettings
from livestyle.errors import UserError
from livestyle.types import Stop

if TYPE_CHECKING:
    from livestyle.live.report import Report


@app.command(epilog="Example: livestyle live --source 0 --background great_wave --sink window --sink virtual-camera")
def live(
    context: typer.Context,
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    background_strength: PlaneStrength = None, person_strength: PlaneStrength = None,
    keep_colors: KeepColors = S.keep_colors, auto_light: AutoLight = S.auto_light,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep,
    person_count: PersonCount = S.person_count, model_file: ModelFile = S.model_file, device: Device = S.device,
    quality: Quality = S.quality, models: Models = S.models,
    source: Annotated[str, typer.Option(metavar="SRC", help="Camera index or path, file, URL, or demo.")] = L.source,
    sink: Annotated[list[str] | None, typer.Option(
        metavar="SINK", help="window (default), virtual-camera[:DEVICE], file:PATH or null; repeatable.")] = None,
    size: SizeOption = None,
    fps: Annotated[float | None, typer.Option(min=1, max=240, help="Rate asked of the camera.")] = L.fps,
    mirror: Annotated[bool | None, typer.Option("--mirror/--no-mirror", help="Mirror the preview only.")] = L.mirror,
    private: Annotated[bool, typer.Option("--private/--no-private", help="A fault shows a placeholder.")] = L.private,
    on_demand: Annotated[bool, typer.Option(
        "--on-demand/--no-on-demand", help="Camera off while nobody watches the virtual one (Linux).")] = L.on_demand,
    frames: Annotated[int | None, typer.Option(min=1, help="End after so many frames.")] = L.frames,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so many seconds.")] = L.seconds,
    stills: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Where the keys s and g save stills (default: livestyle in your pictures).")] = L.stills,
    recordings: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Where the key r records to (default: livestyle in your videos).")] = L.recordings,
    microphone: Annotated[str | None, typer.Option(
        metavar="NAME", help="Heard in recordings and clips: default, or see: livestyle list microphones.",
        autocompletion=completion.microphones)] = L.microphone,
    gatys_style: Annotated[Path | None, typer.Option(
        metavar="PICTURE", help="What the key g paints from: the shipped styles come without their paintings.",
    )] = L.gatys_style,
    profile: Profile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run the filter: camera in, window or virtual camera out. Keys are printed at the start."""
    flags = dict(locals())
    from livestyle.live.session import run_session

    settings = settings_from(flags)
    others = {one.name: flags[one.name] for one in fields(LiveSettings) if one.name != "sinks"}
    target = LiveSettings(sinks=tuple(sink or L.sinks), **others)
    typed = {name for name in LOOKS if is_typed(context, name)}
    stop = Stop()
    with stopping(stop), ticker(frames) as watch:
        result = run_session(settings, target, shared.settled, typed, profile, stop, say, watch)
    finish(result, as_json)


app.command("ctl", epilog=cli_ctl.EPILOG)(cli_ctl.ctl)


@app.command(epilog="Example: livestyle video talk.mp4 painted.mp4 --background starry_night")
def video(
    source: Annotated[str, typer.Argument(metavar="IN", help="A clip.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result: .mp4, .mkv or .mov.")],
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    background_strength: PlaneStrength = None, person_strength: PlaneStrength = None,
    keep_colors: KeepColors = S.keep_colors, auto_light: AutoLight = S.auto_light,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep,
    person_count: PersonCount = S.person_count, model_file: ModelFile = S.model_file, device: Device = S.device,
    quality: Quality = S.quality, models: Models = S.models, profile: Profile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Filter a clip: every frame, sound and timing kept."""
    from livestyle.live.actions import open_controls
    from livestyle.live.driver import run_video
    from livestyle.video.sources.open import kind_of

    settings = settings_from(locals())
    if kind_of(source).name != "video":
        raise UserError(
            f"'{source}' is not a clip.", "Use 'livestyle photo' for pictures, 'livestyle live' for the rest."
        )
    stop = Stop()
    controls = open_controls(settings, stop=stop)
    with stopping(stop), ticker(frame_count(source)) as watch:
        result = run_video(settings, source, out, controls, say, watch)
    finish(result, as_json)


def finish(result: "Report", as_json: bool) -> None:
    """Say how a run went."""
    if as_json:
        return print(json.dumps(asdict(result)))
    say(
        f"{result.frames} frames of {result.size[0]}x{result.size[1]} in {result.seconds:.1f} s, {result.fps:.1f} fps; "
        f"latency {result.latency_ms['p50']:.0f} ms, {result.dropped} dropped; {result.engine}"
    )
