"""The commands of `livestyle jobs`."""

import json
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.app import Commands, examples
from livestyle.cli.console import say, show

if TYPE_CHECKING:
    from livestyle.live.jobs import Job, Jobs

app = typer.Typer(
    cls=Commands,
    help="Stills that are painted in the background. Without a command: list.",
    invoke_without_command=True,
    epilog=examples(
        "livestyle jobs",
        "livestyle jobs show 3",
        "livestyle jobs cancel 3",
        "livestyle jobs resume 3",
    ),
)


def parse_number(text: str) -> int:
    """Return a job's number."""
    if not (text.isascii() and text.isdecimal()):
        raise typer.BadParameter(f"'{text}' is not a job's number; see: livestyle jobs list")
    return int(text)


Number = Annotated[Any, typer.Argument(metavar="ID", parser=parse_number, help="See: livestyle jobs list.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, or a list of them.")]


def open_jobs() -> "Jobs":
    """Return the user's jobs."""
    from livestyle.live.jobs import Jobs

    return Jobs()


@app.callback()
def jobs(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list", epilog=examples("livestyle jobs list --json"))
def list_(as_json: AsJson = False) -> None:
    """List the jobs that run, wait or have ended."""
    from livestyle.live.jobs import RUNNING, STOPPED

    store = open_jobs()
    store.start_runner()
    found = store.all()
    if as_json:
        return print(json.dumps([asdict(job) for job in found], indent=2))
    if not found:
        return say("There are no jobs. The key g in the window of livestyle live makes one.")
    show([
        {"job": str(job.id), "state": job.state, "done": f"{job.progress:.0%}", "left": _left(job),
         "result": job.result} for job in found
    ])  # fmt: skip
    for job in found:
        if job.state == STOPPED or (job.note and job.state != RUNNING):
            say(job.sentence)


@app.command("show", epilog=examples("livestyle jobs show 3"))
def show_(number: Number, as_json: AsJson = False) -> None:
    """Show a job and its output."""
    from livestyle.live.jobs import RUNNING

    store = open_jobs()
    job = store.find(number)
    if as_json:
        return print(json.dumps({**asdict(job), "log": store.log(job)}, indent=2))
    _tell(job, as_json)
    say(f"{job.note}\n{_left(job)}".strip() if job.state == RUNNING else "")
    print(f"livestyle {shlex.join(job.command)}\n{store.log(job)}".strip())


@app.command(epilog=examples("livestyle jobs cancel 3"))
def cancel(number: Number, as_json: AsJson = False) -> None:
    """Take a job out of the queue, or end it; the picture so far stays."""
    _tell(open_jobs().cancel(number), as_json)


@app.command(epilog=examples("livestyle jobs resume 3"))
def resume(number: Number, as_json: AsJson = False) -> None:
    """Go on with a job that stopped, failed or was cancelled."""
    _tell(open_jobs().resume(number), as_json)


@app.command(epilog=examples("livestyle jobs clear"))
def clear(as_json: AsJson = False) -> None:
    """Forget the jobs that are done, failed or cancelled; their pictures stay."""
    gone = open_jobs().clear()
    if as_json:
        return print(json.dumps([asdict(job) for job in gone], indent=2))
    say(f"{len(gone)} jobs are forgotten." if len(gone) != 1 else "1 job is forgotten.")


def _tell(job: "Job", as_json: bool) -> None:
    if as_json:
        return print(json.dumps(asdict(job), indent=2))
    say(job.sentence)


def _left(job: "Job") -> str:
    if job.seconds_left is None:
        return ""
    minutes, seconds = divmod(round(job.seconds_left), 60)
    return f"{minutes} min" if minutes >= 2 else f"{60 * minutes + seconds} s"
