"""The entry point of the command line: runs a command, turns errors into sentences and exit codes."""

import os
import signal
import sys
import threading
import warnings
from typing import NoReturn

from livestyle import __version__
from livestyle.cli import bench, doctor, evaluate, flags, lists, live, paint_in, photo, train  # noqa: F401  (they register)
from livestyle.cli import config as cli_config
from livestyle.cli import jobs as cli_jobs
from livestyle.cli.app import app, evaluate_app, train_app
from livestyle.cli.console import recorder, say
from livestyle.config.settings import STAGE
from livestyle.errors import Stuck, UserError

GRACE = 0.5  # seconds that a thread may take to end


for group, name in (
    (train_app, "train"),
    (evaluate_app, "evaluate"),
    (cli_jobs.app, "jobs"),
    (cli_config.app, "config"),
):
    app.add_typer(group, name=name)
ALONE = {"-h", "--help", "--install-completion", "--show-completion"}  # flags that stand without a command


def main() -> None:
    """Run the command line; the only place that turns errors into sentences and exit codes."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # the libraries' own chatter
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("QT_LOGGING_RULES", "*=false")
    # One thread for a filter on four cores: as much work is done side by side as there are stages.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", str(max(1, (os.cpu_count() or 1) // 4)))
    warnings.filterwarnings("ignore", module="PIL")  # of pictures whose notes are damaged
    # PyTorch's threads would spin while they wait: beside other work, steps of a training took four times longer.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
        say("\n".join(line for line in (error.problem, error.step, flags.settled.blame(error.problem)) if line))
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
