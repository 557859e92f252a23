"""A live session as `livestyle live` runs it: with stills, the server, reloaded config files and the last look."""

from collections.abc import Collection
from dataclasses import replace

from livestyle.config.load import Config
from livestyle.config.look import look_of, parse_plane
from livestyle.config.settings import LOOKS, LiveSettings, Settings
from livestyle.errors import UserError
from livestyle.live.actions import open_controls
from livestyle.live.better import Better
from livestyle.live.booth import Booth
from livestyle.live.driver import run_live
from livestyle.live.keys import checked_keys
from livestyle.live.privacy import Privacy, privacy_of
from livestyle.live.recents import Recents, recents_file
from livestyle.live.reload import Reload, load_last, save_last
from livestyle.live.replay import Replay
from livestyle.live.report import Report
from livestyle.live.server import Server
from livestyle.live.snapshots import Snapshots
from livestyle.nets.library import find_card
from livestyle.render.stylizer import style_card
from livestyle.types import FrameProgress, Say, Stop
from livestyle.video.sinks.open import parse_sinks


def run_session(
    settings: Settings,
    live: LiveSettings,
    config: Config,
    typed: Collection[str],
    profile: str | None,
    stop: Stop,
    say: Say,
    watch: FrameProgress,
    booth: Booth | None = None,
) -> Report:
    """Run the live filter with everything around it, and return the report.

    Args:
        settings: how frames are rendered, from flags and config.
        live: where frames come from and go.
        config: of files and variables.
        typed: fields of the look that flags gave. Files that change do not override them.
        profile: of the config files; None for no profile.
        stop: set it to end the run.
        say: takes messages for people.
        watch: takes the number of frames sent, after each.
        booth: takes pictures; None for the usual one, which waits for its key.

    Raises:
        UserError: something cannot be opened, or the camera went away.
    """
    privacy = privacy_of(live)
    is_named = bool(set(typed) or config.values.keys() & set(LOOKS))
    start = settings if is_named else remembered(settings, privacy)
    controls = open_controls(start, privacy, keys=checked_keys(config.keys), stop=stop, default=settings)
    if start != settings:
        controls.notice(f"As you left it: {controls.look}")
    before = replace(controls.look, bypass=False)
    reload = Reload(controls, settings, find_card("style", None, settings.models).name, profile, typed, say)
    has_window = any(spec.kind.is_window for spec in parse_sinks(live.sinks))
    with (
        Snapshots(settings, live.stills, live.gatys_style) as snapshots,
        booth or Booth(settings, folder=live.stills) as booth,
        Replay(live.gif_seconds, live.stills) as replay,
        Recents(settings.models, recents_file()) as recents,
        Better(settings, live.improve) as better,
        Server(controls.press, controls.status, reload) as server,
    ):
        booth.has_window = has_window
        booth.begin(controls)
        if server.endpoint is None:
            say(f"'livestyle ctl' does not reach this run: {server.problem}.")
        elif server.endpoint.name != "1":
            say(f"Another filter runs; this one answers to: livestyle ctl --filter {server.endpoint.name}")
        result = run_live(settings, live, controls, say, watch, snapshots, (booth, replay, recents, better))
    after = replace(controls.look, bypass=False)
    if not is_named and after != before:
        save_last(after)
    for line in (*snapshots.messages(), *booth.messages(), *replay.messages(), *better.messages()):
        say(line)
    return result


def remembered(settings: Settings, privacy: Privacy) -> Settings:
    """Return the settings with the look at the end of the last run.

    If one of its styles is missing, or if it would show the room in a call, return the settings unchanged.
    """
    last = replace(settings, **load_last())
    try:
        for text in (last.background, last.person):
            for style, _ in parse_plane(text).styles if text else ():
                style_card(style, settings.models)
    except UserError:
        return settings
    return settings if last.background and not privacy.may_start_with(look_of(last, "")) else last
