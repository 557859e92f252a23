"""`livestyle live`, `livestyle ctl` and `livestyle video`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from livestyle.cli import ctl as cli_ctl
from livestyle.cli.app import app
from livestyle.cli.console import say, ticker
from livestyle.cli.flags import AsJson, Profile, Session, with_settings
from livestyle.cli.running import frame_count, stopping
from livestyle.config.settings import LOOKS, LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.types import Stop

if TYPE_CHECKING:
    from livestyle.live.report import Report


@app.command(epilog="Example: livestyle live --source 0 --background great_wave --sink window --sink virtual-camera")
@with_settings(without=("refine",))
def live(
    context: typer.Context, settings: Settings, live: LiveSettings, profile: Profile = None, as_json: AsJson = False
) -> None:
    """Run the filter: camera in, window or virtual camera out. Keys are printed at the start."""
    from livestyle.live.first_run import chosen
    from livestyle.live.session import run_session

    session: Session = context.obj
    live, why = chosen(live, session.given)
    if why:
        say(why)
    stop = Stop()
    with stopping(stop), ticker(live.frames) as watch:
        typed = session.typed & set(LOOKS)
        result = run_session(settings, live, session.config, typed, profile, stop, say, watch)
    finish(result, as_json)


app.command("ctl", epilog=cli_ctl.EPILOG)(cli_ctl.ctl)


@app.command(epilog="Example: livestyle video talk.mp4 painted.mp4 --background starry_night")
@with_settings(without=("refine",))
def video(
    source: Annotated[str, typer.Argument(metavar="IN", help="A clip.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The result: .mp4, .mkv or .mov.")],
    settings: Settings,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Filter a clip: every frame, sound and timing kept."""
    from livestyle.live.actions import open_controls
    from livestyle.live.driver import run_video
    from livestyle.video.sources.open import kind_of

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
