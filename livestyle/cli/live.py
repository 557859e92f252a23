"""`livestyle live`, `livestyle ctl` and `livestyle video`."""

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli import completion
from livestyle.cli import ctl as cli_ctl
from livestyle.cli.app import app, examples
from livestyle.cli.console import say, ticker
from livestyle.cli.flags import AsJson, Profile, Session, with_settings
from livestyle.cli.results import BESIDE, Force, already, refuse_styles, target_of, tell_look, tell_next
from livestyle.cli.running import frame_count, stopping
from livestyle.config.outputs import Target, look_word
from livestyle.config.settings import LOOKS, LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.types import Stop

if TYPE_CHECKING:
    from livestyle.live.report import Report


@app.command(
    epilog=examples(
        "livestyle live starry_night",
        "livestyle live --background picture:mona.jpg",
        "livestyle live --source 0 --background great_wave --sink window --sink virtual-camera",
    )
)
@with_settings(without=("refine",))
def live(
    context: typer.Context,
    settings: Settings,
    live: LiveSettings,
    look: Annotated[list[str] | None, typer.Argument(
        metavar="[LOOK]", help="Look of the background.", autocompletion=completion.looks)] = None,
    force: Force = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run the filter: camera in, window or virtual camera out. Keys are printed at the start."""
    from livestyle.live.first_run import chosen
    from livestyle.live.session import run_session
    from livestyle.render.looks import look_from

    session: Session = context.obj
    if look:
        settings = with_background(settings, " ".join(look), session)
    look_from(settings)  # what is wrong with it is said before anything else
    live, why = chosen(live, session.given)
    if why:
        say(why)
    targets = [target_of(context, text.partition(":")[2]) for text in live.sinks if text.startswith("file:")]
    finished = [old for target in targets if (old := finished_before(target, live.source)) is not None]
    if targets and len(finished) == len(targets):
        return again(targets[0], finished[0], as_json)
    stop = Stop()
    with stopping(stop), ticker(live.frames) as watch:
        typed = session.typed & set(LOOKS)
        result = run_session(settings, live, session.config, typed, profile, stop, say, watch)
    for target in targets:
        keep(target, Path(target.out or ""), result, stop)
    finish(result, as_json)


def with_background(settings: Settings, look: str, session: Session) -> Settings:
    """Return settings with the look that stands after the command.

    Raises:
        UserError: a flag gives the background, too.
    """
    if "background" in session.typed:
        step = f'Leave one away. A name with spaces stands in quotes: "{settings.background} {look}"'
        raise UserError(f"The background is given twice: '{look}' and '{settings.background}'.", step)
    session.typed |= {"background"}
    return replace(settings, background=look)


app.command("ctl", epilog=cli_ctl.EPILOG)(cli_ctl.ctl)


@app.command(
    epilog=examples("livestyle video talk.mp4", "livestyle video talk.mp4 painted.mp4 --background starry_night")
)
@with_settings(without=("refine",))
def video(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="A clip.")],
    settings: Settings,
    out: Annotated[str | None, typer.Argument(
        metavar="[OUT]", help=f"The result: .mp4, .mkv or .mov (default: {BESIDE}, as .mp4).")] = None,
    force: Force = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Filter a clip: every frame, sound and timing kept."""
    from livestyle.live.actions import open_controls
    from livestyle.live.driver import run_video
    from livestyle.video.sources.open import kind_of

    refuse_styles(source, out)
    if Path(source).is_dir():
        raise UserError(f"{source} is a folder.", f"For the pictures in it: livestyle photo {shlex.quote(source)}")
    if kind_of(source).name != "video":
        raise UserError(
            f"'{source}' is not a clip.", "Use 'livestyle photo' for pictures, 'livestyle live' for the rest."
        )
    stop = Stop()
    controls = open_controls(settings, stop=stop)
    look = controls.look
    with stopping(stop), ticker(frame_count(source)) as watch:
        target = target_of(context, out, look_word(look.background.text, look.person.text))
        path, is_old = target.file(source, ".mp4")
        if is_old:
            return again(target, path, as_json)
        result = run_video(settings, source, path, controls, say, watch)
    keep(target, path, result, stop)
    tell_look(look, context.obj)
    if stop.is_set():
        say(f"Stopped: {path} holds the clip as far as it came.")
    finish(result, as_json)
    if not as_json:
        tell_next("video", source, look, settings)


def finished_before(target: Target, source: str) -> Path | None:
    """Return the file of a sink if this very command finished it before. What a camera sees never comes again.

    Raises:
        UserError: another file is there and may not be replaced, or the folder is missing.
    """
    from livestyle.video.sources.open import kind_of

    path, is_old = target.file(source, ".mp4")
    if is_old and kind_of(source).name == "camera":
        raise UserError(f"{path} is there already.", "Give another name, or have it replaced.", "force")
    return path if is_old else None


def keep(target: Target, path: Path, result: "Report", stop: Stop) -> None:
    """Keep a finished clip on record."""
    if not stop.is_set():
        target.remember(path, asdict(result))


def again(target: Target, path: Path, as_json: bool) -> None:
    """Say that a clip is finished already, and how it went."""
    say(already(path))
    if as_json:
        print(json.dumps(target.recall(path)))


def finish(result: "Report", as_json: bool) -> None:
    """Say how a run went."""
    if as_json:
        return print(json.dumps(asdict(result)))
    say(
        f"{result.frames} frames of {result.size[0]}x{result.size[1]} in {result.seconds:.1f} s, {result.fps:.1f} fps; "
        f"latency {result.latency_ms['p50']:.0f} ms, {result.dropped} dropped; {result.engine}"
    )
