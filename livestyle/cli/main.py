"""The command line: with `console` the only place that prints, and the only one that ends the process."""

import _thread
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from livestyle import __version__
from livestyle.cli import completion
from livestyle.cli import config as cli_config
from livestyle.cli import ctl as cli_ctl
from livestyle.cli import jobs as cli_jobs
from livestyle.cli.console import bar, download, recorder, say, show, ticker
from livestyle.config.load import Config, load_config, project_file
from livestyle.config.options import LOOKS, key_of
from livestyle.config.settings import STAGE, STYLE_ARCHS, TRAINABLE, LiveSettings, Settings, Size, read_size
from livestyle.errors import Stuck, UserError
from livestyle.live.reload import Reload, load_last, save_last
from livestyle.nets import library as weights

if TYPE_CHECKING:
    from livestyle.evaluate.style import NetworkScore, StyleScore
    from livestyle.live.controls import Deck
    from livestyle.live.driver import Report
    from livestyle.stills.batch import Still
    from livestyle.train.checkpoint import Report as TrainReport

S, L = Settings(), LiveSettings()
STOP = 5.0  # seconds after Ctrl-C for which a frame may still be in the making
GRACE = 0.5  # seconds that a thread may take to end
settled = Config()  # what files and variables say, once a command that heeds them runs

app = typer.Typer(
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""A webcam filter that paints the background, the person, or both, while you talk.

    A LOOK is [b]none[/b], a style ([b]livestyle list styles[/b]), [b]A+B@0.3[/b], a style file PATH.onnx or
    PATH.safetensors, [b]blur:0.7[/b], [b]bokeh:0.7[/b], [b]color:#204060[/b], [b]image:PATH[/b] or [b]video:PATH[/b].

    Without a command: [b]livestyle live[/b].""",
    epilog="""Examples: [b]livestyle[/b]  |  [b]livestyle live --background blur --sink virtual-camera[/b]  |
    [b]livestyle live --source demo[/b]  |  [b]livestyle video in.mp4 out.mp4 --background starry_night[/b]""",
)
train_app = typer.Typer(help="Train a style or a segmenter (needs livestyle\\[torch]).", no_args_is_help=True)
app.add_typer(train_app, name="train")
evaluate_app = typer.Typer(help="Measure how good the models are.", no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(cli_jobs.app, name="jobs")
app.add_typer(cli_config.app, name="config")


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
    """The Settings among a command's flags."""
    return Settings(**{field.name: flags[field.name] for field in fields(Settings) if field.name in flags})


def is_typed(context: typer.Context, name: str) -> bool:
    """Whether a flag stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


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
    from livestyle.live.controls import open_deck
    from livestyle.live.driver import run_live
    from livestyle.live.server import Control
    from livestyle.live.snapshots import Album

    settings = settings_from(flags)
    typed = {name for name in LOOKS if is_typed(context, name)}
    is_named = bool(typed or settled.values.keys() & set(LOOKS))
    is_call = private or any(text.startswith("virtual-camera") for text in sink or L.sinks)
    start = settings if is_named else remembered(settings, is_call)
    others = {one.name: flags[one.name] for one in fields(LiveSettings) if one.name != "sinks"}
    target = LiveSettings(sinks=tuple(sink or L.sinks), **others)
    album = Album(settings, target.stills, target.gatys_style)
    deck = open_deck(start, album, {name: one.value for name, one in settled.keys.items()})
    deck.is_call = is_call
    if start != settings:
        deck.tell(f"As you left it: {deck.look}")
    before = replace(deck.look, bypass=False)
    reload = Reload(deck, settings, weights.find_card("style", None, settings.models).name, profile, typed, say)
    with stopping(deck), ticker(frames) as watch, album, Control(deck.press, deck.status, reload) as control:
        if control.door is None:
            say(f"'livestyle ctl' does not reach this run: {control.problem}.")
        elif control.door.name != "1":
            say(f"Another filter runs; this one answers to: livestyle ctl --filter {control.door.name}")
        result = run_live(start, target, deck, say, watch)
    after = replace(deck.look, bypass=False)
    if not is_named and after != before:
        save_last(after)
    for line in album.news():
        say(line)
    finish(result, as_json)


def remembered(settings: Settings, is_call: bool = False) -> Settings:
    """The settings with the look that the last run ended with, if it was chosen there and its styles are still here; in
    a call none that shows the room."""
    from livestyle.config.look import look_of, parse_plane
    from livestyle.render.stylizer import style_card

    last = replace(settings, **load_last())
    try:
        for text in (last.background, last.person):
            for style, _ in parse_plane(text).styles if text else ():
                style_card(style, settings.models)
    except UserError:
        return settings
    return settings if is_call and last.background and look_of(last, "").is_bare else last


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
    from livestyle.live.controls import open_deck
    from livestyle.live.driver import run_video
    from livestyle.video.sources.open import kind_of

    settings = settings_from(locals())
    if kind_of(source).name != "video":
        raise UserError(
            f"'{source}' is not a clip.", "Use 'livestyle photo' for pictures, 'livestyle live' for the rest."
        )
    deck = open_deck(settings)
    with stopping(deck), ticker(frame_count(source)) as watch:
        result = run_video(settings, source, out, deck, say, watch)
    finish(result, as_json)


@app.command(
    epilog="""Examples: livestyle photo holidays/ painted/ --background great_wave --person none  |
    livestyle photo me.jpg me.png --background bokeh:0.7  |
    livestyle photo me.jpg me.png --method gatys --background wave.jpg --person scream.jpg+night.jpg@0.3"""
)
def photo(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, or a folder, which is created.")],
    method: Annotated[str, typer.Option(help="fast: feed-forward; gatys: by optimisation, in minutes, in the style of "
                                        "any picture: a LOOK is then none or the file of a painting.")] = "fast",
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    background_strength: PlaneStrength = None, person_strength: PlaneStrength = None,
    keep_colors: KeepColors = S.keep_colors, segmenter: Segmenter = S.segmenter, keep: Keep = S.keep,
    person_count: PersonCount = S.person_count, model_file: ModelFile = S.model_file, refine: Refine = S.refine,
    auto_light: AutoLight = S.auto_light, device: Device = S.device,
    quality: Quality = S.quality, models: Models = S.models, profile: Profile = None,
    preset: Annotated[str, GatysOption(
        help="masked (masks in the loss, coarse to fine), gatys2016 or background2017.")] = "masked",
    iterations: Annotated[int | None, GatysOption(
        min=1, help="For each plane, of all scales together (300; gatys2016: 500).")] = None,
    long_side: Annotated[int | None, GatysOption(
        min=32, help="Of what is painted, px (512); the result has the picture's own size.")] = None,
    content_weight: Annotated[float, GatysOption(min=0, help="How much the picture counts.")] = 1.0,
    style_weight: Annotated[float, GatysOption(
        min=0, help="How much the painting counts; above 5 it hides faces.")] = 3.0,
    tv_weight: Annotated[float, GatysOption(min=0, help="How much smoothness counts.")] = 0.0,
    content_layers: Annotated[str | None, GatysOption(metavar="A,B", help="Such as conv4_2.")] = None,
    style_layers: Annotated[str | None, GatysOption(
        metavar="A,B", help="Such as conv1_1,conv2_1,conv3_1,conv4_1,conv5_1.")] = None,
    optimizer: Annotated[str | None, GatysOption(help="lbfgs, or adam, which takes less memory.")] = None,
    init: Annotated[str | None, GatysOption(help="content or noise: what to start from.")] = None,
    seed: Annotated[int, GatysOption(min=0, help="Of the noise.")] = 0,
    keep_colors_by: Annotated[str, GatysOption(
        help="luminance, or histogram: the paintings take the picture's colours first.")] = "luminance",
    naive: Annotated[bool, GatysOption(
        "--naive", help="Paint all in each style and cut afterwards, to compare.")] = False,
    all_: Annotated[bool, GatysOption(
        "--all", help="OUT, and beside it OUT-person, OUT-background and OUT-blur.")] = False,
    sheet: Annotated[str | None, GatysOption(
        help="OUT is one picture of many: weights (content against style) or layers.")] = None,
    curve: Annotated[Path | None, GatysOption(metavar="FILE.png", help="Draw the losses.")] = None,
    loss_network: LossNetworkFile = None,
) -> None:  # fmt: skip
    """Stylize a still, or every picture of a folder.

    With gatys, OUT is the picture so far; Ctrl-C leaves it whole, and the same command goes on from there.
    """
    from livestyle.live.controls import open_deck
    from livestyle.stills import batch as stills

    if method not in ("fast", "gatys"):
        raise UserError(f"There is no method '{method}'.", "Choose fast or gatys.")
    flags = dict(locals())
    if method == "gatys":  # whose looks are files of paintings
        flags |= {name: getattr(S, name) for name in ("background", "person") if not is_typed(context, name)}
    settings = settings_from(flags)
    if method == "fast":
        return write(*stills.photo(settings, source, out, open_deck(settings).look))
    need_torch("Painting by optimisation", ("torch", "safetensors", *(["matplotlib"] if curve else [])))
    paint(settings, source, out, flags)


def paint(settings: Settings, source: Path, out: Path, flags: dict[str, Any]) -> None:
    """Paint stills by optimisation, each behind a bar."""
    from livestyle.config.look import NONE, Look
    from livestyle.live.controls import Deck
    from livestyle.stills import batch as stills
    from livestyle.stills.ablations import SHEETS, paint_sheet
    from livestyle.stills.gatys import Studio
    from livestyle.stills.loss_curve import check_curve
    from livestyle.stills.recipe import recipe_from

    if settings.quality != S.quality:
        say("--quality has no say with --method gatys: --long-side has.")
    jobs, deck, done = stills.pairs(source, out), Deck(Look(NONE)), []
    sheet, curve = flags["sheet"], flags["curve"]
    if sheet and sheet not in SHEETS:
        raise UserError(f"There is no sheet '{sheet}'.", f"Choose {' or '.join(SHEETS)}.")
    if curve:
        check_curve(curve)
        if len(jobs) > 1 or sheet:
            raise UserError("--curve draws the losses of one picture.", "Leave it away, or give one picture.")
    notes = {"Software": f"livestyle {__version__}", "livestyle-command": command_line()}
    studio = Studio(settings, recipe_from(settings, flags), flags["loss_network"], say, notes, flags["all_"])
    with stopping(deck):
        for picture, result in jobs:
            try:
                with bar(picture.name, 1.0) as update:
                    finished = (
                        paint_sheet(studio, sheet, picture, result, deck.over, update)
                        if sheet
                        else studio.paint(picture, result, deck.over, update, curve)
                    )
            except UserError as problem:
                if len(jobs) == 1:
                    raise
                done.append(stills.Still(picture, result, problem))
                continue
            done.append(stills.Still(picture, result))
            if not finished:
                return say(f"{result}, as far as it came: the same command goes on from there.")
    tell(done)


@app.command(
    "paint-in",
    epilog="""Examples: livestyle paint-in me.jpg starry_night.jpg me_there.jpg  |
    livestyle paint-in me.jpg wheat_field.jpg out.png --x 0.6 --height 0.5 --blend poisson --auto-light  |
    livestyle paint-in me.jpg my_painting.jpg out.png --style great_wave""",
)
def paint_in_(
    portrait: Annotated[Path, typer.Argument(metavar="PORTRAIT", help="A picture with a person.")],
    painting: Annotated[Path, typer.Argument(metavar="PAINTING", help="The picture to be in.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result, of the painting's size.")],
    style: Annotated[str | None, typer.Option(
        metavar="NAME|PICTURE", help="Paint the person in this style (default: the style that was trained on PAINTING; "
                                     "without one, by optimisation in PAINTING's own, in minutes).")] = None,
    x: Annotated[float | None, typer.Option(
        help="Left of the person: 0..1 of the painting's width, else pixels (default: least is hidden).")] = None,
    y: Annotated[float | None, typer.Option(help="Top of the person, alike (default: on the ground).")] = None,
    height: Annotated[float | None, typer.Option(help="Of the person, alike (default: a sensible one).")] = None,
    blend: Annotated[str, typer.Option(
        help="harmonize: near the surroundings' colours; poisson: no seam; alpha: as it is.")] = "harmonize",
    rgba: Annotated[bool, typer.Option("--rgba", help="The person alone, in place, with transparency.")] = False,
    auto_light: AutoLight = S.auto_light,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, person_count: PersonCount = S.person_count,
    model_file: ModelFile = S.model_file, refine: Refine = S.refine, device: Device = S.device,
    models: Models = S.models, profile: Profile = None,
    iterations: Annotated[int, typer.Option(min=1, help="By optimisation: how many.")] = 300,
    long_side: Annotated[int, typer.Option(min=32, help="By optimisation: px of what is painted.")] = 512,
    loss_network: LossNetworkFile = None,
) -> None:  # fmt: skip
    """Paint a person into a painting: cut out, in its style, placed on its ground."""
    from livestyle.config.look import NONE, Look
    from livestyle.image.pixels import load_srgb, save_image
    from livestyle.live.controls import Deck
    from livestyle.stills import paint_in

    settings = settings_from(locals())
    paint_in.check(portrait, painting, out, Path(style) if style else None, blend, rgba)
    pictures = load_srgb(portrait), load_srgb(painting)
    stylize: Any = style or paint_in.shipped_style(painting, models)
    source = painting if stylize is None else Path(stylize)
    if paint_in.is_picture(source):
        need_torch("Painting by optimisation", ("torch", "safetensors"))
        deck = Deck(Look(NONE))
        with stopping(deck), bar(portrait.name, 1.0) as update:
            stylize = paint_in.gatys_stylizer(settings, portrait, source, out, loss_network, iterations, long_side,
                                              deck.over, say, update)  # fmt: skip
        if stylize is None:
            return say(f"Stopped: the same command goes on from there. {out} is not written.")
    painter = paint_in.PaintIn(settings, stylize, blend)
    painter.prepare(*pictures)
    result = painter(*pictures, paint_in.Where(x, y, height), rgba)
    save_image(out, result.image)
    parts = ", ".join(f"{name} {value:.2f}" for name, value in result.seconds.items() if name != "all")
    say(f"{out}: {result.seconds['all']:.2f} s ({parts})")


@app.command(epilog="Example: livestyle matte portrait.jpg cutout.png --cutout")
def matte(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A picture, a clip, or a folder of pictures.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result; of a folder, a folder of NAME.png.")],
    cutout: Annotated[bool, typer.Option("--cutout", help="The person as RGBA, not the grey matte.")] = False,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, person_count: PersonCount = S.person_count,
    model_file: ModelFile = S.model_file,
    refine: Refine = S.refine, device: Device = S.device, models: Models = S.models, profile: Profile = None,
) -> None:  # fmt: skip
    """The person's matte: 8-bit grey, 255 is person."""
    from livestyle.config.look import NONE, Look
    from livestyle.live.controls import Deck
    from livestyle.stills import batch as stills

    settings = settings_from(locals())
    if not stills.is_clip(source):
        return write(*stills.matte(settings, source, out, cutout))
    if cutout:
        raise UserError("A clip holds no transparency.", "Leave --cutout away, or give a picture.")
    deck = Deck(Look(NONE))
    with stopping(deck), ticker(frame_count(str(source))) as watch:
        frames = stills.matte_clip(settings, source, out, deck, say, watch)
    say(f"{out}: {frames} frames")


@app.command(
    epilog="""Examples: livestyle bench --size 1280x720 --seconds 20 --json  |
    livestyle bench --against naive --chart stages.png  |  livestyle bench --peak  |
    livestyle bench --pace 30 --busy-cores 1  |  livestyle bench --grid cost/"""
)
def bench(
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    segmenter: Segmenter = S.segmenter, device: Device = S.device, quality: Quality = "balanced",
    models: Models = S.models,
    source: Annotated[str, typer.Option(metavar="CLIP", help="A clip with a person.")] = "demo",
    size: SizeOption = "640x360",
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to measure.")] = 10.0,
    pace: Annotated[float | None, typer.Option(
        metavar="FPS", min=1, max=1000, help="Frames come at this rate, as from a camera, and those that are not taken "
                                             "in time are dropped (default: as fast as can be).")] = None,
    busy_cores: Annotated[int, typer.Option(metavar="N", min=0, help="So many are taken by other processes.")] = 0,
    cores: Annotated[int | None, typer.Option(metavar="N", min=1, help="Run on so many (default: on all).")] = None,
    against: Annotated[str | None, typer.Option(
        metavar="naive", help="In turn with the plain recipe that tutorials give: torchvision's DeepLabv3 on "
                              "MobileNetV3, the published transform net in eager PyTorch, NumPy, one loop.")] = None,
    model_file: Annotated[Path | None, typer.Option(
        metavar="FILE", help="MediaPipe's selfie model, for the naive recipe; without --against, weights of a "
                             "segmenter that is not ours.")] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the stages of both.")] = None,
    peak: Annotated[bool, typer.Option(
        "--peak", help="What a core can at most, and the nets' share of it (on the CPU).")] = False,
    profile: Annotated[Path | None, typer.Option(
        metavar="FILE.svg", help="A flame graph of where the CPU time goes, down to the layers of the nets (Linux).",
    )] = None,
    grid: Annotated[Path | None, typer.Option(
        metavar="DIR", help="The cost from 320x180 to 1920x1080, with 0 to 2 styles, on 1 and 2 cores, and what limits "
                            "it, as cost.json, cost.md and cost.png (24 times --seconds, and some).")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure the whole pipeline on real frames, from JPEG decoding to an I420 sink."""
    from livestyle.evaluate.speed.cores import kept_to

    if against not in (None, "naive"):
        raise UserError(f"There is no recipe '{against}'.", "Choose --against naive.")
    with kept_to(cores):  # before anything counts them
        from livestyle.evaluate.charts import check_chart, draw_naive
        from livestyle.evaluate.speed import bench as benchmark
        from livestyle.live.controls import open_deck

        if chart and not against:
            raise UserError("--chart draws the naive recipe beside ours.", "Add --against naive.")
        if chart:
            check_chart(chart)
        settings = settings_from(locals() | {"model_file": None if against else model_file})
        if grid:
            return measure_grid(settings, source, seconds, grid, as_json)
        job = benchmark.Job(source, size, seconds, pace, busy_cores, against == "naive", model_file, peak, profile)
        deck = open_deck(settings)
        with stopping(deck), bar("measuring", job.total) as update:
            facts = benchmark.bench(settings, job, deck, say, update)
    if chart:
        draw_naive(facts, chart)
    tell_speed(facts, as_json)


def measure_grid(settings: Settings, source: str, seconds: float, folder: Path, as_json: bool) -> None:
    """Measure the cost as work grows, and write its table and chart."""
    from livestyle.config.look import NONE, Look
    from livestyle.evaluate.charts import check_chart, draw_cost
    from livestyle.evaluate.speed import scaling as cost
    from livestyle.files import written_aside
    from livestyle.live.controls import Deck

    folder.mkdir(parents=True, exist_ok=True)
    check_chart(folder / "cost.png")
    deck, rows = Deck(Look(NONE)), []
    with stopping(deck), bar("measuring", cost.rows_of(cost.SIZES)) as update:
        for row in cost.measure_cost(settings, source, cost.SIZES, seconds):
            rows.append(row)
            update(len(rows), "x".join(map(str, row["size"])))
            if deck.over.is_set():
                return say("Stopped: nothing was written.")
    facts = cost.cost_facts(settings, rows)
    draw_cost(facts, folder / "cost.png")
    for name, text in (("cost.json", json.dumps(facts, indent=1)), ("cost.md", cost.markdown(rows))):
        with written_aside(folder / name) as part:
            part.write_text(text, "utf-8")
    if as_json:
        return print(json.dumps(facts))
    show(cost.table(rows), facts["machine"])


def tell_speed(facts: dict[str, Any], as_json: bool) -> None:
    """Say what a bench measured."""
    if as_json:
        return print(json.dumps(facts))
    rows = [speed_row("livestyle", facts)]
    if "naive" in facts:
        naive = {**facts, "fps": facts["naive_fps"], "cpu_ms_per_frame": facts["naive_cpu_ms_per_frame"],
                 "latency_ms": facts["naive_latency_ms"], "stages_ms": facts["naive"]["stages_ms"]}  # fmt: skip
        rows.append(speed_row("naive", naive))
    show(rows, f"{facts['engine']}; segmenter {facts['segmenter']}; {facts['background']} / {facts['person']}")
    others = facts["others_share"]
    say(f"first styled frame after {facts['first_frame_s']:.2f} s; {facts['rss_mb']:.0f} MB; {facts['dropped']} dropped"
        f"{f'; other processes took {others:.0%} of the cores' if others else ''}")  # fmt: skip
    if "naive" in facts:
        say(f"{facts['ratio']:.1f} times the frames a second of the naive recipe, {facts['naive']['cpu_ratio']:.1f} "
            f"times less CPU time")  # fmt: skip
    if "profile" in facts:
        show([{"CPU time of a frame": row["name"], "ms": f"{row['ms_per_frame']:.2f}", "share": f"{row['share']:.1%}"}
              for row in facts["profile"]])  # fmt: skip
    if "peak" in facts:
        gops = ", ".join(f"{name} {rate:.0f}" for name, rate in facts["peak"]["gops"].items() if rate)
        show(
            [peak_row(net) for net in facts["peak"]["nets"]], f"a core's peak, billions of operations a second: {gops}"
        )


def speed_row(name: str, facts: dict[str, Any]) -> dict[str, str]:
    """A row of the table of a bench."""
    figures = {"fps": facts["fps"], "CPU_ms": facts["cpu_ms_per_frame"]}
    figures |= {f"latency_{mark}": facts["latency_ms"][mark] for mark in ("p50", "p95")} | facts["stages_ms"]
    return {"x".join(map(str, facts["size"])): name, **{key: f"{value:.1f}" for key, value in figures.items()}}


def peak_row(net: dict[str, Any]) -> dict[str, str]:
    """A row of the table of nets beside the peak."""
    return {
        "net": net["name"], "size": "x".join(map(str, net["size"])), "billions_of_operations": f"{net['gop']:.2f}",
        "CPU_ms": f"{net['cpu_ms']:.1f}", "billions_a_second": f"{net['gops']:.0f}",
        "share_of_the_peak": f"{net['share']:.0%}",
    }  # fmt: skip


@evaluate_app.command("segmenters", epilog="Example: livestyle evaluate segmenters --data pairs/ --chart table.png")
def evaluate_segmenters_(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Pairs of NAME.jpg and NAME.png (255 is person).")],
    only: Annotated[str, typer.Option(metavar="A,B", help="Only these.")] = "",
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the table, too.")] = None,
    refine: Refine = S.refine, device: Device = S.device, models: Models = S.models, as_json: AsJson = False,
) -> None:  # fmt: skip
    """The table of segmentation metrics, for every segmenter."""
    from livestyle.evaluate import segmenters as evaluate
    from livestyle.evaluate.charts import check_chart

    if chart:
        check_chart(chart)
    with bar("pictures", 1.0) as update:
        names = [name for name in only.split(",") if name]
        images, table = evaluate.evaluate_segmenters(
            settings_from(locals()), data, names, lambda name, done: update(done, name)
        )  # fmt: skip
    if chart:
        evaluate.draw_segmenters(table, images, chart)
    if as_json:
        return print(
            json.dumps({"data": str(data), "images": images, "segmenters": evaluate.with_published(table)})
        )  # fmt: skip
    show(evaluate.printed_segmenters(table), f"{images} pictures")
    for line in [
        *evaluate.footnotes(table),
        *(f"{name}: {row}" for name, row in table.items() if isinstance(row, str)),
    ]:
        say(line)


@evaluate_app.command("stability", epilog="Example: livestyle evaluate stability talk.mp4 --background starry_night")
def evaluate_stability_(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A clip with a person, or demo.")],
    background: Background = S.background, strength: Strength = S.strength, keep_colors: KeepColors = S.keep_colors,
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, model_file: ModelFile = S.model_file,
    device: Device = S.device, quality: Quality = S.quality, models: Models = S.models,
    frames: Annotated[int, typer.Option(min=2, help="How many, from the start.")] = 120,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """How steady the styled picture and the mattes are, beside the same without memory of the frames before."""
    from livestyle.evaluate.segmenters import evaluate_stability

    settings = settings_from(locals())
    with ticker(frames) as watch:
        row = evaluate_stability(settings, clip, frames, say, watch)
    if as_json:
        return print(json.dumps(row))
    show([{"figure": key.replace("_", " "), "value": f"{value:.6g}"} for key, value in row.items()])


@evaluate_app.command("mattes", epilog="Example: livestyle evaluate mattes --data pairs/ --rooms rooms/")
def evaluate_mattes_(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Pairs of NAME.jpg and NAME.png (255 is person).")],
    rooms: Annotated[Path, typer.Option(metavar="DIR", help="Pictures without people.")],
    segmenter: Segmenter = S.segmenter, keep: Keep = S.keep, model_file: ModelFile = S.model_file,
    device: Device = S.device, models: Models = S.models,
    clips: Annotated[int, typer.Option(min=1, help="How many clips to make.")] = 12,
    frames: Annotated[int, typer.Option(min=2, help="Of each clip.")] = 45,
    seed: Annotated[int, typer.Option(min=0)] = 0, as_json: AsJson = False,
) -> None:  # fmt: skip
    """How steady and how right mattes of moving people are; on clips made of portraits and rooms."""
    from livestyle.evaluate.segmenters import evaluate_mattes

    settings = settings_from(locals())
    with bar("clips", 1.0) as update:
        kinds = evaluate_mattes(settings, data, rooms, clips, frames, seed, update)
    if as_json:
        made = {"data": str(data), "rooms": str(rooms), "clips": clips, "frames": frames, "seed": seed}
        return print(json.dumps({**made, "kinds": kinds}))
    rows = [(f"{kind}, {side.replace('_', ' ')}", row) for kind, sides in kinds.items() for side, row in sides.items()]
    show([{f"{clips} clips": name, **{k: f"{v:.4f}" for k, v in row.items()}} for name, row in rows])


Side = Annotated[int, typer.Option(min=32, max=2048, help="Side of the squares cut from the photos.")]


@evaluate_app.command(
    "style",
    epilog="Example: livestyle evaluate style my_wave --style-image wave.jpg --photos photos/",
)
def evaluate_style_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A style, or a style file.")],
    style_image: Annotated[Path, typer.Option(metavar="PICTURE", help="The painting that it was made from.")],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="Photos that it was not made from; 8 are taken.")],
    loss_network: LossNetworkFile = None, size: Side = 256,
    iterations: Annotated[int, typer.Option(min=1, help="Of the optimisation that it is held against.")] = 100,
    reference: Annotated[str | None, typer.Option(
        metavar="STYLE", help="Another style of the same painting, as of --arch johnson, to be held against.")] = None,
    device: Device = S.device, models: Models = S.models, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Style and content loss on photos, and the iterations of Gatys et al. 2016 that they equal (minutes; cached)."""
    need_torch("Measuring a style", ("torch", "safetensors"))
    from livestyle.evaluate.style import evaluate_style

    settings = settings_from(locals())
    with bar("Gatys", 1.0) as update:
        score = evaluate_style(
            settings, name, style_image, photos, loss_network, size, iterations, say, update, reference
        )
    show_score(score, as_json)


@evaluate_app.command(
    "loss-network", epilog="Example: livestyle evaluate loss-network --style-image wave.jpg --photos photos/"
)
def evaluate_loss_network_(
    style_image: Annotated[list[Path], typer.Option(metavar="PICTURE", help="A painting; repeatable, taken in turn.")],
    photos: Annotated[Path, typer.Option(metavar="DIR", help="Photos to paint.")],
    loss_network: LossNetworkFile = Path("compact"),
    judge: Annotated[Path, typer.Option(metavar="FILE", help="What tells how good it is.")] = Path("vgg19"),
    images: Annotated[int, typer.Option(min=1, help="How many of the photos.")] = 3,
    size: Side = 256,
    iterations: Annotated[int, typer.Option(min=1, help="Of each optimisation.")] = 30,
    keep: Annotated[Path | None, typer.Option(
        metavar="DIR", help="Keep the pictures: the photo, the network's, the judge's.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", models: Models = S.models,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """How close the compact loss network's results come to VGG-19's own: the loss of both, as VGG-19 sees them."""
    need_torch("Measuring a loss network", ("torch", "safetensors"))
    from livestyle.evaluate.style import evaluate_loss_network, spread
    from livestyle.nets.loss_network import open_loss_network
    from livestyle.train.photos import list_pictures

    both = [open_loss_network(choice, device, say, models) for choice in (loss_network, judge)]
    chosen = spread(list_pictures(photos), images)
    with bar("Gatys", 1.0) as update:
        score = evaluate_loss_network(both[0], both[1], style_image, chosen, size, iterations, update, keep)
    show_score(score, as_json)


@evaluate_app.command(
    "leak", epilog="Example: livestyle evaluate leak me.jpg --background wave.jpg --person scream.jpg --iterations 60"
)
def evaluate_leak_(
    portrait: Annotated[Path, typer.Argument(metavar="PICTURE", help="A picture with a person.")],
    background: Annotated[str, typer.Option(metavar="PICTURE", help="The background's style.")],
    person: Annotated[str, typer.Option(metavar="PICTURE", help="The person's style.")],
    loss_network: LossNetworkFile = None, segmenter: Segmenter = S.segmenter,
    iterations: Annotated[int, typer.Option(min=1, help="Of each plane.")] = 60,
    long_side: Annotated[int, typer.Option(min=32, help="Of what is painted, px.")] = 320,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep masked.png and naive.png there.")] = None,
    device: Device = S.device, models: Models = S.models, as_json: AsJson = False,
) -> None:  # fmt: skip
    """The style loss of each plane against its own and the other's style: masks in the loss against cutting after."""
    need_torch("Painting by optimisation", ("torch", "safetensors"))
    from tempfile import TemporaryDirectory

    from livestyle.evaluate.style_leak import measure_leak
    from livestyle.stills.gatys import Studio
    from livestyle.stills.recipe import Recipe
    from livestyle.stills.style_images import style_pictures

    settings, recipe = settings_from(locals()), Recipe(style_pictures(background, person), iterations, long_side)
    studio = Studio(settings, recipe, loss_network, say)
    with TemporaryDirectory() as folder, bar("painting", 1.0) as update:
        rows = measure_leak(studio, portrait, out or Path(folder), update)
    if as_json:
        facts = {"picture": str(portrait), "iterations": iterations, "long_side": long_side}
        return print(json.dumps({**facts, "planes": rows}))
    show([{key: f"{v:.4f}" if isinstance(v, float) else str(v) for key, v in row.items()} for row in rows])


def show_score(score: "StyleScore | NetworkScore", as_json: bool) -> None:
    """A table of figures, or a JSON object."""
    if as_json:
        return print(json.dumps(asdict(score)))
    values = {k: " ".join(map(str, v.values())) if isinstance(v, dict) else str(v) for k, v in asdict(score).items()}
    show([{"figure": k.replace("_", " "), "value": value} for k, value in values.items() if value != "None"])


@app.command("list", epilog="Example: livestyle list styles --json")
def list_(
    what: Annotated[str, typer.Argument(
        metavar="WHAT", help="styles, segmenters, loss-networks, cameras, microphones or sinks.")],
    models: Models = S.models, profile: Profile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What there is, where it comes from, under which licence and data terms."""
    rows = LISTS[what](models) if what in LISTS else None
    if rows is None:
        raise UserError(f"There is no list of '{what}'.", f"Choose from: {', '.join(LISTS)}.")
    if as_json:
        return print(json.dumps(rows, indent=2))
    if not rows:
        return print(f"no {what} found")
    _show_list(rows)


def _show_list(rows: list[dict[str, Any]]) -> None:
    """Names stand whole, for they are what is typed; the terms of the data below, once where they are the same."""
    terms: dict[str, list[str]] = {}
    for row in rows:
        terms.setdefault(row.get("data", ""), []).append(row["name"])
    notes = ["* the default"] if any(row.get("default") for row in rows) else []
    notes += [
        f"Training data{'' if len(names) == len(rows) else ' of ' + ', '.join(names)}: {data}"
        for data, names in terms.items() if data
    ]  # fmt: skip
    columns = [key for key in rows[0] if key not in {"default", "data"}]
    starred = [row | {"name": row["name"] + " *" * row.get("default", False)} for row in rows]
    show([{key: str(row[key]) for key in columns} for row in starred], notes=notes, align="left")


def _cards(kind: str, models: Path | None) -> list[dict[str, Any]]:
    from livestyle.nets.library import find_cards

    shown = ("name", "title", "default", "license", "source", "data")
    return [{key: getattr(card, key) for key in shown} for card in find_cards(kind, models).values()]


def _segmenters(models: Path | None) -> list[dict[str, Any]]:
    from livestyle.matting.published import SEGMENTERS, state

    settings, cards = Settings(models=models), _cards("segmenter", models)
    foreign = [
        {"name": name, "title": f"{one.title} ({state(name, settings)})", "default": False,
         "license": one.license, "source": one.source, "data": one.data}
        for name, one in SEGMENTERS.items() if name not in {card["name"] for card in cards}
    ]  # fmt: skip
    untrained = [
        {"name": name, "title": "not trained here", "default": False,
         "license": "yours", "source": f"livestyle train segmenter {name}", "data": "yours"}
        for name in TRAINABLE if name not in {row["name"] for row in (*cards, *foreign)}
    ]  # fmt: skip
    return [*cards, *foreign, *untrained]


def _camera_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sources.open import list_cameras

    return [{"name": d, "title": n, "license": "", "source": d} for d, n in list_cameras().items()]


def _microphone_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sound import microphones

    return [{"name": name, "title": name, "license": "", "source": "PortAudio"} for name in microphones()]


def _sink_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sinks.open import SINKS

    made_by = {
        "virtual-camera": ("GPL-2.0", "pyvirtualcam"),
        "file": ("BSD-3-Clause", "PyAV"),
        "window": ("Apache-2.0", "OpenCV"),
    }
    rows = []
    for name, kind in SINKS.items():
        license, source = made_by.get(name, ("MIT", "livestyle"))
        rows.append({"name": name, "title": f"{kind.form}: {kind.words}", "license": license, "source": source})
    return rows


LISTS: dict[str, Callable[[Path | None], list[dict[str, Any]]]] = {
    "styles": lambda models: _cards("style", models), "segmenters": _segmenters,
    "loss-networks": lambda models: _cards("loss-network", models), "cameras": _camera_rows,
    "microphones": _microphone_rows, "sinks": _sink_rows,
}  # fmt: skip


@app.command(epilog="Examples: livestyle doctor  |  livestyle doctor --json  |  livestyle doctor --bundle report.zip")
def doctor(
    as_json: AsJson = False,
    bundle: Annotated[Path | None, typer.Option(
        metavar="FILE.zip", help="Write what a bug report needs, without pictures and names.")] = None,
) -> None:  # fmt: skip
    """What this machine has and lacks, and the exact command that mends it."""
    from livestyle.cli.diagnose.checks import examine

    checks = examine()
    if bundle:
        from livestyle.cli.diagnose.bundle import write_bundle

        write_bundle(bundle, checks)
        say(f"Wrote {bundle}: look into it before you send it.")
    if as_json:
        return print(json.dumps({"checks": [asdict(check) for check in checks]}, indent=2))
    for check in checks:
        print(
            f"{'ok  ' if check.ok else 'LACK'}  {check.name}: {check.detail}"
            + (f"\n      -> {check.fix}" if check.fix else "")
        )


Perceptual = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pretrained networks.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Models folder to write to (default: your own).")]
Runs = Annotated[Path, typer.Option(metavar="DIR", help="Where checkpoints lie; the same command goes on from them.")]
PhotosFolder = Annotated[Path | None, typer.Option(
    metavar="DIR", help="A few hundred photos of anything (default: a small built-in set).")]  # fmt: skip
MyPhotos = Annotated[bool, typer.Option(
    "--my-photos", help="Look for photos in your own pictures folder; they stay on this machine.")]  # fmt: skip
PeopleWeight = Annotated[float, typer.Option(
    min=0, help="How much people's looks count, beside all else's: more keeps faces, less paints them.")]  # fmt: skip
StillWeight = Annotated[float, typer.Option(min=0, help="Weight of what keeps successive frames alike.")]
Rate = Annotated[float, typer.Option(min=1e-6, max=1, help="Highest learning rate.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures in each step, in each process.")]
StyleLicense = Annotated[str, typer.Option("--license", help="Of the weights.")]
StyleData = Annotated[str, typer.Option("--data", help="What the photos are, and their terms.")]
TrainDevice = Annotated[str, typer.Option("--device", help="cpu, cuda or mps.")]
Train = Annotated[float, typer.Option(min=0.05, help="How long to train, over all sittings.")]


@train_app.command(
    "style",
    epilog="""Examples: livestyle train style wave.jpg my_wave --photos photos/  |
    livestyle train style wave.jpg my_wave --my-photos --minutes 40  |
    livestyle train style wave.jpg my_wave --photos photos/ --device cuda --minutes 2  |
    torchrun --nproc-per-node 4 -m livestyle train style wave.jpg my_wave --photos photos/ --device cuda""",
)
def train_style_(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The painting; at least 128x128.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The style's name.")],
    photos: PhotosFolder = None, my_photos: MyPhotos = False, minutes: Train = 20.0,
    loss_network: LossNetworkFile = None, out: Out = None, runs: Runs = Path("runs"),
    start: Annotated[str, typer.Option("--from", metavar="FILE", help="Checkpoint or model to start from; nearest: of "
                                       "the styles that there are the most alike; none.")] = "nearest",
    teacher: Annotated[str, typer.Option(metavar="STYLE", help="A style of the same painting, as of --arch johnson, "
                                         "whose pictures are learnt from first.")] = "",
    arch: Annotated[str, typer.Option(help="slim, or johnson, the published one.")] = "slim",
    people: PeopleWeight = 3.0, still: StillWeight = 50.0, rate: Rate = 2e-3, batch: Batch = 2,
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    license: StyleLicense = "yours",
    origin: Annotated[str, typer.Option(help="Who painted it, and its terms.")] = "",
    data: StyleData = "",
    default: Annotated[bool, typer.Option("--default", help="Make it the default style.")] = False,
    device: TrainDevice = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Train a transform net to paint like a picture. Resumable: the same command goes on.

    RUNS/NAME.preview.png shows the style so far and RUNS/NAME.curves.png its losses, new each minute.
    """
    if arch not in STYLE_ARCHS:
        raise UserError(f"There is no architecture '{arch}'.", f"Choose from: {', '.join(STYLE_ARCHS)}.")
    need_torch()
    from livestyle.nets.library import user_folder
    from livestyle.nets.loss_network import open_loss_network, quicker
    from livestyle.train.photos import people_finder, photos_of
    from livestyle.train.publish import StyleFacts, publish_style, reserve
    from livestyle.train.ranks import joined, training_device
    from livestyle.train.style import StyleTraining, load_painting, train_style

    models = out or user_folder()
    reserve(name, models)  # what is wrong is said before anything is fetched
    load_painting(picture)
    found = photos_of(photos, my_photos, people_finder() if people != 1 else None)
    with joined(training_device(device)) as ranks:
        tell = say if ranks.first else lambda line: None
        if photos is None and not my_photos:
            tell(f"Trains on {found.where}: a few hundred photos give better results (--photos DIR or --my-photos).")
        network, _ = open_loss_network(loss_network, ranks.device, tell)
        job = StyleTraining(
            picture, found, network, runs / f"{name}.safetensors", None if teacher else quicker(network), arch, minutes,
            teacher, start, people_weight=people, still_weight=still, learning_rate=rate, batch=batch,
            models=out if out and out.is_dir() else None, ranks=ranks, seed=seed,
        )  # fmt: skip
        follow(train_style(job, tell), ranks.first)
        if not ranks.first:
            return
    facts = StyleFacts(name, title or name, origin or str(picture.absolute()), license, data, default)
    publish_style(job, facts, models, command_line(), demo_picture())
    say(f"{name} is in {models}; try: livestyle live --background {name}")


@train_app.command(
    "segmenter", epilog="Example: livestyle train segmenter unet --data pairs/ --rooms rooms/ --perceptual nets/"
)
def train_segmenter_(
    arch: Annotated[str, typer.Argument(help="unet, deeplabv3plus, cnn-resnet, fcn8s, deeplab-lfov, segnet or "
                                        "deeplabv3-mobilenet.")],
    data: Annotated[list[Path], typer.Option(
        metavar="DIR", help="Pairs of NAME.jpg and NAME.png (255 is person), or AISegment, EG1800 or Supervisely "
                            "Person as published; repeatable.")],
    rooms: Annotated[Path, typer.Option(metavar="DIR", help="Pictures without people.")],
    perceptual: Perceptual, minutes: Train = 60.0, out: Out = None, runs: Runs = Path("runs"),
    start: Annotated[Path | None, typer.Option("--from", metavar="FILE", help="Checkpoint to start from.")] = None,
    rate: Annotated[float, typer.Option(min=1e-6, max=1, help="Highest learning rate.")] = 1e-3,
    pixels: Annotated[int, typer.Option(min=64 * 64, help="About the area of the input.")] = 288 * 160,
    width: Annotated[float, typer.Option(
        min=0.05, max=1, help="Multiplier of the channels of the literature's networks; 0.25 trains on a CPU.")] = 1.0,
    pasted: Annotated[float, typer.Option(min=0, max=0.9, help="Share of people moved before another room.")] = 0.33,
    clean: Annotated[float, typer.Option(
        min=0, max=1, help="Share of pictures left without blur, noise and other light.")] = 0.0,
    frozen: Annotated[bool, typer.Option(
        "--frozen", help="Keep the norms' statistics: a quarter faster, for going on from a trained net.")] = False,
    validate: Annotated[str, typer.Option(
        metavar="DIR", help="Pairs for the validation curve; held-out: some of the data; none.")] = "held-out",
    title: Annotated[str, typer.Option(help="What people read.")] = "",
    license: Annotated[str, typer.Option(help="Of the weights.")] = "yours",
    origin: Annotated[str, typer.Option(help="Who trained it, from what.")] = "",
    terms: Annotated[str, typer.Option(help="What the data are, and their terms.")] = "",
    default: Annotated[bool, typer.Option("--default", help="Make it the default segmenter.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Train a person segmenter. Resumable: the same command goes on."""
    need_torch()
    from livestyle.matting.published import SEGMENTERS
    from livestyle.nets.library import Card, user_folder
    from livestyle.train.publish import load_trained, publish
    from livestyle.train.segmenter import ARCHS, SegmenterTraining, train_segmenter

    if arch not in ARCHS:
        problem = f"'{arch}' comes as it is." if arch in SEGMENTERS else f"There is no architecture '{arch}'."
        raise UserError(problem, f"To train, choose from: {', '.join(ARCHS)}.")
    checkpoint, models = runs / f"{arch}.safetensors", out or user_folder()
    job = SegmenterTraining(
        arch, tuple(data), rooms, perceptual, checkpoint, minutes, start, rate, pixels, width, validate, pasted, clean,
        frozen=frozen, device=device, seed=seed,
    )  # fmt: skip
    follow(train_segmenter(job, say))
    net, facts = load_trained(checkpoint, arch, "mean", width)
    terms = terms or ", ".join(map(str, data))
    card = Card(arch, "segmenter", title or arch, arch, {}, license, origin or "your own", terms, command_line(), facts,
                multiple=ARCHS[arch], pixels=pixels, width=width, default=default)  # fmt: skip
    publish(card, net, models)
    say(f"{arch} is in {models}; try: livestyle live --segmenter {arch}")


@train_app.command(
    "loss-network",
    epilog="Example: livestyle train loss-network --photos photos/ --paintings paintings/ --out models/",
)
def train_loss_network_(
    photos: Annotated[Path, typer.Option(metavar="DIR", help="A few hundred photos of anything.")],
    paintings: Annotated[Path, typer.Option(metavar="DIR", help="A few dozen paintings.")],
    loss_network: LossNetworkFile = Path("vgg19"), minutes: Train = 25.0, out: Out = None, runs: Runs = Path("runs"),
    rate: Annotated[float, typer.Option(min=1e-7, max=1, help="Highest learning rate.")] = 6e-5,
    license: Annotated[str, typer.Option(help="Of the weights.")] = "yours",
    origin: Annotated[str, typer.Option(help="Whose network it was distilled from, and its terms.")] = "",
    data: Annotated[str, typer.Option(help="What the pictures are, and their terms.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu", seed: int = 0,
) -> None:  # fmt: skip
    """Distil the compact loss network from VGG-19, and measure it. Resumable: the same command goes on."""
    need_torch()
    from livestyle.evaluate.style import evaluate_loss_network
    from livestyle.nets.library import Card, user_folder
    from livestyle.nets.loss_network import open_loss_network
    from livestyle.train import loss_network as distillation

    teacher, file = open_loss_network(loss_network, device, say)
    job = distillation.LossNetworkTraining(
        photos, paintings, teacher, runs / "compact.safetensors", minutes, rate, distillation.WIDTHS, device, seed
    )
    follow(distillation.train_loss_network(job))
    net, facts = distillation.load_distilled(job)
    held, (images, size, iterations) = distillation.divide(job)[1], distillation.JUDGED
    both = (net.to(device), job.checkpoint), (teacher, file)
    with bar("Gatys", 1.0) as update:
        score = evaluate_loss_network(*both, held.paintings, held.photos[:images], size, iterations, update)
    facts |= {"gatys_loss_ratio": score.ratio, "gatys_iterations": score.gatys_iterations}
    title = "Compact VGG-19: the loss network where the whole one is not at hand"
    data = data or f"{photos}, {paintings}"
    card = Card("compact", "loss-network", title, "vgg19", {}, license, origin or str(file), data, command_line(),
                facts, default=True)  # fmt: skip
    say(f"{distillation.publish_loss_network(card, net, out or user_folder())}: what is made with it has {score.ratio} "
        f"times the loss of what is made with {file.name}")  # fmt: skip


def need_torch(
    what: str = "Training", names: Iterable[str] = ("torch", "onnx", "onnxscript", "safetensors", "matplotlib")
) -> None:
    """Some commands need an extra."""
    from livestyle.nets.engine import has_package

    for name in names:
        if not has_package(name):
            raise UserError(f"{what} needs the package {name}.", "Run: pip install 'livestyle[torch]'")


def demo_picture() -> Any:
    """A frame of the demo clip."""
    from livestyle.video.sources.open import open_source

    with open_source("demo") as source:
        return next(iter(source)).image


def command_line() -> str:
    """The command as typed, for a model's card."""
    return shlex.join(["livestyle", *sys.argv[1:]])


def follow(reports: "Iterable[TrainReport]", shown: bool = True) -> None:
    """Run a training, its progress shown or not."""
    with bar("training", 1.0) if shown else weights.silently("training", 1.0) as update:
        for now in reports:
            losses = ", ".join(f"{name} {value:.3f}" for name, value in now.terms.items())
            update(now.progress, f"{now.images} images, {losses}")


def write(count: int, stills: "Iterable[Still]") -> None:
    """Write stills behind a bar; say what was written, and which could not be.

    Raises:
        UserError: none could be.
    """
    done = []
    with bar("pictures", count) as update:
        for still in stills:
            done.append(still)
            update(len(done), still.picture.name)
    tell(done)


def tell(done: "Sequence[Still]") -> None:
    """Say what was written, and which could not be.

    Raises:
        UserError: none could be.
    """
    problems = [still.problem for still in done if still.problem]
    if len(problems) == len(done):
        raise UserError(f"None of {len(done)} pictures could be done. {problems[0].problem}", problems[0].step)
    say(f"{done[0].result}" if len(done) == 1 else f"{done[0].result.parent}: {len(done) - len(problems)} pictures")
    for problem in problems:
        say(f"Warning: {problem.problem} It was left out.")


def frame_count(source: str) -> int | None:
    """Frames of a clip, where its header tells; opening it early also answers a wrong name at once."""
    from livestyle.video.sources.open import open_source

    with open_source(source) as opened:
        return opened.total


@contextmanager
def stopping(deck: "Deck") -> Iterator[None]:
    """Ctrl-C and termination end the run in good order, leaving a filter that is stuck; a second Ctrl-C at once."""
    late = threading.Event()

    def stop(number: int, _: Any) -> None:
        if late.is_set():
            late.clear()
            if deck.driving:
                raise Stuck(f"The filter did not answer for {STOP:g} s and was left; what was written is whole.")
        elif deck.over.is_set():
            raise KeyboardInterrupt
        else:
            deck.over.set()
            recorder.stopped()
            timer.start()

    def nudge() -> None:
        late.set()
        if hasattr(signal, "pthread_kill"):  # which ends what the first thread waits for
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()

    timer = threading.Timer(STOP, nudge)
    timer.daemon = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def finish(result: "Report", as_json: bool) -> None:
    """Say how a run went."""
    if as_json:
        return print(json.dumps(asdict(result)))
    say(
        f"{result.frames} frames of {result.size[0]}x{result.size[1]} in {result.seconds:.1f} s, {result.fps:.1f} fps; "
        f"latency {result.latency_ms['p50']:.0f} ms, {result.dropped} dropped; {result.engine}"
    )


ALONE = {"-h", "--help", "--install-completion", "--show-completion"}  # flags that stand without a command


def main() -> None:
    """Run the command line; the only place that turns errors into sentences and exit codes."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # the libraries' own chatter
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("QT_LOGGING_RULES", "*=false")
    # PyTorch's threads would spin while they wait: beside other work, steps of a training took four times longer.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    weights.progress = download
    keep_memory()
    arguments = sys.argv[1:]
    if "--version" in arguments[:1]:
        print(f"livestyle {__version__}")
        sys.exit(0)
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ALONE):
        arguments.insert(0, "live")
    code = run(arguments, known)
    recorder.end(code)
    leave(code)


def is_foreign(thread: threading.Thread) -> bool:
    """Whether a library made it."""
    return isinstance(thread, threading._DummyThread)


def leave(code: int) -> NoReturn:
    """End the process: at once where a thread is still inside a library, or stuck there for ever.

    Python's own end would wait for it, or tear it apart, and the library then abort the process.
    """
    left = [t for t in threading.enumerate() if (t.daemon or t.name.startswith(STAGE)) and not is_foreign(t)]
    for thread in left:
        thread.join(GRACE)
    if any(thread.is_alive() for thread in left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def keep_memory() -> None:
    """Have glibc keep freed memory: handing it back and faulting it in again took half the time of small steps."""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        import ctypes

        mmap_max, trim_threshold, arena_max = -4, -1, -8  # of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(arena_max, 2)  # each arena keeps its own: 40 MB less than with one for each thread


def run(arguments: list[str], known: set[str]) -> int:
    """The exit code of a command line: 0 done, 2 the user can mend it, 1 a fault of ours."""
    try:
        code = int(app(arguments, prog_name="livestyle", standalone_mode=False) or 0)
        if code == 128 + signal.SIGINT:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt
        return code
    except Stuck as error:
        say(f"{error}\nPlease report it with the output of: livestyle doctor")
        return 1
    except KeyboardInterrupt:
        recorder.stopped()
        say("Stopped.")
        return 0
    except UserError as error:
        say("\n".join(line for line in (error.problem, error.step, settled.blame(error.problem)) if line))
        return 2
    except BrokenPipeError:
        return 0
    except MemoryError:
        say("There is not enough memory for this.\nGive a smaller picture or size.")
        return 2
    except Exception as error:
        if getattr(error, "exit_code", None) == 2 and hasattr(error, "format_message"):  # a wrong option
            command = f"livestyle {arguments[0]}" if arguments[0] in known else "livestyle"
            say(f"{error.format_message()}\nSee: {command} --help")
            return 2
        if os.environ.get("LIVESTYLE_DEBUG"):
            raise
        say(f"livestyle failed: {type(error).__name__}: {error}\nPlease report it with the output of: livestyle doctor")
        return 1


if __name__ == "__main__":
    main()
