"""The commands of `livestyle config`."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from livestyle.cli.console import say, show
from livestyle.config.load import File, Given, load_config, project_file, user_file
from livestyle.config.options import DEFAULTS, key_of
from livestyle.config.toml import toml
from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.live.actions import ACTIONS

app = typer.Typer(
    help="What is settled once instead of typed each time. Without a command: show.",
    invoke_without_command=True,
    epilog="Examples: livestyle config edit  |  livestyle config show --origin  |  livestyle live --profile meeting",
)
EDITORS = {"win32": ("notepad",), "darwin": ("nano", "vi")}  # where neither $VISUAL nor $EDITOR says
TEMPLATE = """# Settings of livestyle, in TOML. Take the # before a line away to set it. What a flag says goes before.

{settings}
# A profile is taken by --profile NAME:
# [profile.meeting]
# background = "blur"
# sink = ["window", "virtual-camera"]

# Keys of the window, by action: one character, or space, tab, enter, esc.
# [keys]
{keys}"""

Profile = Annotated[str | None, typer.Option(metavar="NAME", help="With the tables [profile.NAME].")]


@app.callback()
def config(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show_()


@app.command(
    "show", epilog="Examples: livestyle config show --origin  |  livestyle config show --profile meeting --json"
)
def show_(
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value stands.")] = False,
    profile: Profile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """All settings as they hold without flags, as TOML; or as a table, with where each value stands."""
    found = load_config(profile)
    values = {name: found.values.get(name, Given(default)) for name, default in DEFAULTS.items()}
    if as_json:
        rows = {key_of(name): {"value": one.value, "origin": one.origin} for name, one in values.items()}
        bound = {one.name: vars(found.keys.get(one.name, Given(one.key))) for one in ACTIONS}
        return print(json.dumps({**rows, "keys": bound}, indent=2))
    if origin:
        values |= {f"keys.{name}": one for name, one in found.keys.items()}
        return show([
            {"key": key_of(name), "value": toml(one.value), "origin": one.origin} for name, one in values.items()
        ])  # fmt: skip
    for name, one in values.items():
        print(f"{key_of(name)} = {toml(one.value)}" if one.value is not None else f"# {key_of(name)} =")
    if found.keys:
        print("\n".join(["\n[keys]", *(f"{name} = {toml(one.value)}" for name, one in found.keys.items())]))


@app.command(epilog="Example: livestyle config path")
def path() -> None:
    """Where the user's own file is, and on the next line the current folder's, where there is one."""
    print(user_file())
    if project_file().is_file():
        print(project_file())


@app.command(epilog="Example: livestyle config edit")
def edit(context: typer.Context) -> None:
    """Open the user's own file in $VISUAL or $EDITOR, with all settings in it to choose from; check it afterwards."""
    file = user_file()
    command = editor()
    if not file.exists():
        _create(file, context)
    try:
        done = subprocess.run([*command, str(file)], check=False).returncode
    except OSError as error:
        raise UserError(f"{command[0]} cannot be started: {error.strerror}.", f"Open {file} in any editor.") from None
    if done:
        raise UserError(f"{command[0]} ended with {done}.", f"Open {file} in any editor.")
    File(file)
    say(f"{file} is in order.")


def editor() -> list[str]:
    """The command line of the user's editor.

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


def _create(file: Path, context: typer.Context) -> None:
    """A first file in which everything stands, commented out, with the words of the flags."""
    commands = vars(context.find_root().command)["commands"]
    words = {one.name: getattr(one, "help", "") for name in ("photo", "live") for one in commands[name].params}
    settings = "".join(
        f"# {key_of(name)} = {toml(value) or '...'}".ljust(40) + f"  # {words.get(name) or ''}".rstrip(" #") + "\n"
        for name, value in DEFAULTS.items()
    )
    keys = "".join(f"# {one.name} = {toml(one.key)}\n" for one in ACTIONS if one.key and one.name != "style")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_text(TEMPLATE.format(settings=settings, keys=keys), "utf-8")
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}.", "Check its folder's rights.") from None
