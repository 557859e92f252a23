"""The entry point of the command line: runs a command, turns errors into sentences and exit codes."""

import errno
import os
import signal
import sys
import threading
from typing import Any, NoReturn

from typer.main import get_command

from livestyle.cli import config as cli_config
from livestyle.cli import jobs as cli_jobs
from livestyle.cli.app import app, evaluate_app, fold_flags, train_app
from livestyle.cli.console import recorder, say
from livestyle.cli.flags import Session
from livestyle.cli.process import NO_MEMORY, is_scarce, tell_end
from livestyle.config.names import did_you_mean, find_name, plain
from livestyle.config.settings import STAGE
from livestyle.errors import Stuck, UserError

# Each registers its commands, and the help lists them in this order.
# isort: off
from livestyle.cli import live, photo, paint_in, booth, bench, lists, doctor, train, evaluate  # noqa: F401
# isort: on

# Flags that people type for others, made plain.
SYNONYMS = {
    "camera": ("--source",), "input": ("--source",), "output": ("--sink", "--out"), "out": ("--sink",),
    "bg": ("--background",), "look": ("--background",), "model": ("--background", "--models"), "fg": ("--person",),
    "foreground": ("--person",), "resolution": ("--size",), "width": ("--size",), "height": ("--size",),
    "gpu": ("--device",), "overwrite": ("--force",), "alpha": ("--strength",), "record": ("--sink",),
}  # fmt: skip
SPOKEN = {"help": "--help", "version": "--version"}  # words that people type for flags
GRACE = 0.5  # seconds that a thread may take to end


for group, name in (
    (train_app, "train"),
    (evaluate_app, "evaluate"),
    (cli_jobs.app, "jobs"),
    (cli_config.app, "config"),
):
    app.add_typer(group, name=name)
ALONE = {"-h", "--help", "--version", "--install-completion", "--show-completion"}  # flags without a command


def main() -> None:
    """Run the command line; the only place that turns errors into sentences and exit codes."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ALONE):
        arguments.insert(0, "live")
    code = run(arguments)
    recorder.end(code)
    leave(code)


def is_foreign(thread: threading.Thread) -> bool:
    """Return whether a library made a thread."""
    return isinstance(thread, threading._DummyThread)


def leave(code: int) -> NoReturn:
    """End the process: at once where a thread is still inside a library, or stuck there for ever.

    Python's own end would wait for it, or tear it apart, and the library then abort the process.
    """
    left = [t for t in threading.enumerate() if (t.daemon or t.name.startswith(STAGE)) and not is_foreign(t)]
    for thread in left:
        thread.join(GRACE)
    tell_end()
    if any(thread.is_alive() for thread in left):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code: 0 for success, 2 for a user's error, 1 for a fault of ours."""
    if arguments[:1] and arguments[0].lower() in SPOKEN:
        arguments = [*arguments[1:], SPOKEN[arguments[0].lower()]]
    session, command = Session(), get_command(app)
    if {"-h", "--help"} & {*arguments}:
        fold_flags()
    try:
        code = int(command(arguments, prog_name="livestyle", standalone_mode=False, obj=session) or 0)
        sys.stdout.flush()
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
        if is_scarce(error):
            say("\n".join(NO_MEMORY))
            return 2
        say("\n".join(filter(None, (error.problem, error.step, place_of(error, session, command, arguments)))))
        return 2
    except (BrokenPipeError, SystemExit):  # Rich makes one of the other
        return 0
    except Exception as error:
        if is_scarce(error):
            say("\n".join(NO_MEMORY))
            return 2
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            say(f"The name {error.filename} is too long.\nGive a shorter one.")
            return 2
        if getattr(error, "exit_code", None) == 2 and hasattr(error, "format_message"):  # a wrong option
            say(wrong_usage(error, arguments))
            return 2
        if os.environ.get("LIVESTYLE_DEBUG"):
            raise
        say(f"livestyle failed: {type(error).__name__}: {error}\nPlease report it with the output of: livestyle doctor")
        return 1


def wrong_usage(error: Any, arguments: list[str]) -> str:
    """Return what is wrong with a command line that the parser refused, and what shows the right one."""
    words, command = ["livestyle"], get_command(app)
    for word in arguments:
        name = find_name(word, commands_of(command), whole=True)
        if name is None:
            break
        words.append(name)
        command = commands_of(command)[name]
    path, problem = " ".join(words), error.format_message()
    if type(error).__name__ == "NoSuchOption":
        option = error.option_name
        typed = next((word for word in arguments if word.startswith(option)), option).partition("=")[0]
        known = [flag for one in command.params for flag in (*one.opts, *one.secondary_opts)]
        known += sorted(ALONE) if path in ("livestyle", "livestyle live") else []
        near = [flag for flag in SYNONYMS.get(plain(typed), ()) if flag in known]
        problem = f"There is no flag {typed}.{f' Did you mean {near[0]}?' if near else did_you_mean(typed, known)}"
    elif " extra argument" in problem and not any(" " in word for word in arguments):
        problem += ' A name with spaces stands in quotes: "starry night".'
    return f"{problem}\nSee: {path} --help"


def place_of(error: UserError, session: Session, command: Any, arguments: list[str]) -> str:
    """Return where the setting of an error was given: a line of a config file, a flag, or "" if neither is known."""
    values = session.config.values
    if error.field in values and error.field not in session.typed:
        origin = values[error.field].origin
        return "" if origin in error.problem else f"It stands in {origin}."
    for word in arguments:
        command = commands_of(command).get(word, command)
    for parameter in command.params:
        if parameter.name == error.field or f"--{error.field.replace('_', '-')}" in parameter.opts:
            return f"Flag: {parameter.opts[0]}"
    return session.config.blame(error.problem)


def commands_of(command: Any) -> dict[str, Any]:
    """Return the commands of a group by name, or nothing for a command."""
    found: dict[str, Any] = getattr(command, "commands", {})
    return found


if __name__ == "__main__":
    main()
