"""`livestyle booth`."""

import json
from dataclasses import replace

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.console import say
from livestyle.cli.flags import AsJson, Profile, Session, with_settings
from livestyle.cli.running import stopping
from livestyle.config.booth import BoothSettings
from livestyle.config.settings import LOOKS, LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.types import Stop


@app.command(
    epilog=examples(
        "livestyle booth --background starry_night",
        "livestyle booth --pictures 6 --layout grid --no-date",
        "livestyle booth --source demo --sink null --stills booth",
    )
)
@with_settings(without=("refine", "quality", "on_demand", "frames", "seconds", "recordings", "microphone"))
def booth(
    context: typer.Context, settings: Settings, live: LiveSettings, asked: BoothSettings, profile: Profile = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take pictures after a countdown, each painted, and lay them out as a strip."""
    from livestyle.live.booth import Booth
    from livestyle.live.first_run import can_open_window
    from livestyle.live.session import run_session

    session: Session = context.obj
    if "sink" not in session.given and not can_open_window():
        live = replace(live, sinks=("null",))
    stop = Stop()
    with stopping(stop), Booth(settings, asked, live.stills, ends_run=True) as taken:
        run_session(
            settings, live, session.config, session.typed & set(LOOKS), profile, stop, say, lambda _: None, taken
        )
    if not taken.strip:
        raise UserError("There is no strip: the booth ended too soon.", "Start it again.")
    if as_json:
        print(json.dumps({"strip": str(taken.strip), "pictures": [str(path) for path in taken.saved]}))
