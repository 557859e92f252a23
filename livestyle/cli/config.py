"""The commands of `livestyle config`."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import Annotated

import typer

from livestyle.cli import completion
from livestyle.cli.app import Commands, examples, literal
from livestyle.cli.console import say, show
from livestyle.config.load import File, Given, load_config, project_file, user_file
from livestyle.config.settings import SETTINGS
from livestyle.config.toml import toml
from livestyle.errors import UserError

app = typer.Typer(
    cls=Commands,
    help="What is settled once instead of typed each time. Without a command: show.",
    invoke_without_command=True,
    epilog=examples(
        "livestyle config edit",
        "livestyle config show --origin",
        "livestyle live --profile meeting",
    ),
)
EDITORS = {"win32": ("notepad",), "darwin": ("nano", "vi")}  # where neither $VISUAL nor $EDITOR says

Profile = Annotated[str | None, typer.Option(metavar="NAME", help=literal("With the tables [profile.NAME]."))]


@app.callback()
def config(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show_()


@app.command(
    "show", epilog=examples("livestyle config show --origin", "livestyle config show --profile meeting --json")
)
def show_(
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value stands.")] = False,
    profile: Profile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show all settings as they hold without flags, as TOML or as a table with the origin of each value."""
    from livestyle.live.actions import ACTIONS
    from livestyle.live.keys import checked_keys

    found = load_config(profile)
    checked_keys(found.keys)
    values = {one.key: found.values.get(name, Given(one.default)) for name, one in SETTINGS.items()}
    if as_json:
        rows = {key: {"value": one.value, "origin": one.origin} for key, one in values.items()}
        bound = {one.name: vars(found.keys.get(one.name, Given(one.key))) for one in ACTIONS}
        return print(json.dumps({**rows, "keys": bound}, indent=2))
    if origin:
        values |= {f"keys.{name}": one for name, one in found.keys.items()}
        return show([{"key": key, "value": toml(one.value), "origin": one.origin} for key, one in values.items()])
    for key, one in values.items():
        print(f"{key} = {toml(one.value)}" if one.value is not None else f"# {key} =")
    if found.keys:
        print("\n".join(["\n[keys]", *(f"{name} = {toml(one.value)}" for name, one in found.keys.items())]))


@app.command(epilog=examples("livestyle config path"))
def path() -> None:
    """Show the path of the user's file, and on the next line that of the current folder's file."""
    print(user_file())
    if project_file().is_file():
        print(project_file())


@app.command(
    "set",
    epilog=examples(
        'livestyle config set background "starry night"',
        "livestyle config set fps 15",
        "livestyle config set sink window,virtual-camera --profile meeting",
        "livestyle config set keys.panic x",
    ),
)
def set_(
    key: Annotated[str, typer.Argument(metavar="KEY", help="See: livestyle config show; or keys.ACTION.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="As of the flag.")],
    profile: Annotated[str | None, typer.Option(
        metavar="NAME", help=literal("Write it into [profile.NAME]."), autocompletion=completion.profiles)] = None,
) -> None:  # fmt: skip
    """Write one setting into the user's own file, which keeps its comments."""
    from livestyle.config.write import write_setting
    from livestyle.live.keys import checked_keys
    from livestyle.matting.published import known_segmenters
    from livestyle.nets.library import style_titles

    known = {"background": style_titles, "person": style_titles, "segmenter": known_segmenters}
    file, line = write_setting(key, value, profile, known, checked_keys)
    say(f"{file} holds now: {line}")


@app.command(epilog=examples("livestyle config edit"))
def edit() -> None:
    """Open the user's own file in $VISUAL or $EDITOR, with all settings in it to choose from; check it afterwards."""
    from livestyle.config.template import write_template
    from livestyle.live.actions import ACTIONS
    from livestyle.live.keys import checked_keys

    file = user_file()
    command = editor()
    if not file.exists():
        write_template(file, {one.name: one.key for one in ACTIONS if one.key and one.name != "style"})
    try:
        done = subprocess.run([*command, str(file)], check=False).returncode
    except OSError as error:
        raise UserError(f"{command[0]} cannot be started: {error.strerror}.", f"Open {file} in any editor.") from None
    if done:
        raise UserError(f"{command[0]} ended with {done}.", f"Open {file} in any editor.")
    checked_keys(File(file).keys)
    say(f"{file} is in order.")


def editor() -> list[str]:
    """Return the command line of the user's editor.

    Raises:
        UserError: there is none.
    """
    for variable in ("VISUAL", "EDITOR"):
        if chosen := os.environ.get(variable, "").strip():
            return shlex.split(chosen, posix=sys.platform != "win32")
    for name in EDITORS.get(sys.platform, ("sensible-editor", "nano", "vi")):
        if shutil.which(name):
            return [name]
    raise UserError("No editor was found.", f"Set $EDITOR, or open {user_file()} in any editor.")
