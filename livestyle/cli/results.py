"""The results of commands: where they go, and what is said of them."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.console import say
from livestyle.cli.flags import Session
from livestyle.config.outputs import Target, digest_of
from livestyle.errors import UserError

if TYPE_CHECKING:
    from livestyle.config.look import Look
    from livestyle.config.settings import Settings
    from livestyle.stills.batch import StylizedStill

BESIDE = "beside IN as NAME.LOOK.EXT"  # where a result goes without OUT
NOT_OF_THE_COMMAND = ("out", "sink", "force", "as_json", "profile")  # parameters that change no picture

Force = Annotated[bool, typer.Option("--force", metavar="", help="Replace a result that is there already.")]


def target_of(context: typer.Context, out: str | None, word: str = "") -> Target:
    """Return where the results of a command go.

    Args:
        context: of the command, which has a flag `--force`.
        out: as typed; None for a name beside the input.
        word: of that name.
    """
    given = {name: value for name, value in context.params.items() if name not in NOT_OF_THE_COMMAND}
    parts = [context.command_path, *(part for name in sorted(given) for part in (name, *flat(given[name])))]
    return Target(out, word, digest_of(*parts), bool(context.params.get("force")))


def flat(value: Any) -> Sequence[Any]:
    """Return the values of a parameter."""
    return value if isinstance(value, list | tuple) else (value,)


def already(result: object) -> str:
    """Return what is said of a result that this very command finished before."""
    return f"{result} is finished already: this very command made it. To make it anew, add --force."


def refuse_styles(source: str, out: str | None) -> None:
    """Refuse the name of a style in place of an input or output.

    Args:
        source, out: as typed.

    Raises:
        UserError: one of them is the name of a style.
    """
    from livestyle.config.names import find_name
    from livestyle.nets.library import style_titles

    for place, word in (("IN", source), ("OUT", out)):
        if word is None or Path(word).exists() or Path(word).suffix or set(word) & {"/", os.sep}:
            continue
        if name := find_name(word, style_titles()):
            raise UserError(f"'{word}' stands in the place of {place}, and is a style.", f"Write: --style {name}")


def tell_look(look: "Look", session: Session) -> None:
    """Say which look was used, and whether nobody asked for one."""
    typed = session.given & {"background", "person"}
    say(f"Look: {look}{'' if typed else ' (the default)'}")


def tell_next(command: str, source: object, look: "Look", settings: "Settings") -> None:
    """Say what may be tried next: the same with the next style."""
    from livestyle.nets.library import style_titles

    names = [name for name in style_titles(settings.models) if name != look.background.text]
    later = [name for name in names if name > look.background.text] or names
    if later:
        say(f"Next, try: livestyle {command} {shlex.quote(str(source))} --style {later[0]}")


def tell(done: "Sequence[StylizedStill]", target: Target, source: Path) -> None:
    """Say what was written, what was there already, and what could not be done. Keep a single result on record.

    Args:
        done: the stills; target: where they went; source: the picture or folder that they came from.

    Raises:
        UserError: nothing could be done.
    """
    problems = [still.problem for still in done if still.problem]
    old = [still for still in done if still.is_old]
    if len(problems) == len(done):
        raise UserError(f"None of {len(done)} pictures could be done. {problems[0].problem}", problems[0].step)
    if not source.is_dir():
        say(already(done[0].result) if old else f"{done[0].result}")
        target.remember(done[0].result)
    else:
        there = f", {len(old)} skipped (there already)" if old else ""
        say(f"{done[0].result.parent}: {len(done) - len(problems) - len(old)} pictures{there}")
    for problem in problems:
        say(f"Warning: {problem.problem} It was left out.")
