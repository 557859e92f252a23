"""Jobs: command lines that are done in the background, one at a time and last in line for the CPU.

Each has a folder of its own: `job.json` says what it is, `progress.json` how far it is, `log.txt` what it said. A
runner, a process that outlives who started it, does what waits, oldest first, each in a child of its own, and ends. Two
locks, which the system opens when a process ends, however it ends, see to it that no process id has to be believed:

    lock    is held while records are read or changed
    turn    is held by the runner and by the child at work: while it is free, no job runs, whatever its record says
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.errors import UserError
from livestyle.files import atomic_write, locked

WAITING, RUNNING, DONE, FAILED, STOPPED, CANCELLED = "waiting", "running", "done", "failed", "stopped", "cancelled"
ENDED = (DONE, FAILED, STOPPED, CANCELLED)
PROGRESS = "LIVESTYLE_PROGRESS"  # the variable that tells a job's process where to write how far it is
OFTEN = 0.5  # seconds between notes of the progress
ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
NOTIFIERS: dict[str, Callable[[str], list[str]]] = {
    "notify-send": lambda text: ["notify-send", "livestyle", text],
    "osascript": lambda text: ["osascript", "-e", f'display notification {json.dumps(text)} with title "livestyle"'],
}


@dataclass(frozen=True)
class Job:
    """A record.

    Args:
        command: what stands behind `livestyle`; result: the file that it makes.
        state: WAITING, RUNNING, DONE, FAILED, STOPPED (it can be resumed) or CANCELLED.
        created, started, ended: seconds since the epoch.
        pid: of its process while it runs; note: how it ended, or what it says; told: somebody was told of its end.
        progress: the share that is done, in 0..1; seconds_left: once it can be told.
    """

    id: int
    command: tuple[str, ...]
    result: str
    state: str = WAITING
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    note: str = ""
    told: bool = False
    progress: float = 0.0
    seconds_left: float | None = None

    @property
    def sentence(self) -> str:
        """How it stands, for people."""
        more = {
            DONE: f"is done: {self.result}",
            FAILED: f"failed: {self.note}",
            STOPPED: f"stopped. {self.note} Go on with: livestyle jobs resume {self.id}",
            WAITING: "waits for its turn.",
            RUNNING: f"runs, {self.progress:.0%} is done.",
            CANCELLED: f"is cancelled. Go on with: livestyle jobs resume {self.id}",
        }
        return f"Job {self.id} {more[self.state]}"


class Jobs:
    """The jobs of a user, in a folder (default: the user's own, `platformdirs.user_state_dir`).

    Raises:
        UserError: the folder cannot be written, or there is no such job.
    """

    RUNNER = (sys.executable, "-m", "livestyle.live.jobs")

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "jobs"

    def all(self) -> list[Job]:
        """All jobs, oldest first, as far as they are."""
        if not self.folder.is_dir():
            return []
        with self._records() as jobs:
            return jobs

    def find(self, number: int) -> Job:
        """One of them."""
        return _find(self.all(), number)

    def log(self, job: Job) -> str:
        """What it said since it was last started."""
        with suppress(OSError):
            return (self._place(job) / "log.txt").read_text("utf-8", "replace")
        return ""

    def add(self, command: Sequence[str], result: Path) -> Job:
        """Queue a command line (paths in it must be absolute) that makes a file."""
        with self._records():
            taken = [int(place.name) for place in self.folder.iterdir() if place.name.isdecimal()]
            job = Job(max(taken, default=0) + 1, tuple(command), str(result), created=time.time())
            self._place(job).mkdir()
            self._write(job)
        self.wake()
        return job

    def cancel(self, number: int) -> Job:
        """Take it out of the queue, or end its process; what it has done so far stays."""
        with self._records() as jobs:
            job = _find(jobs, number)
            if job.state not in (WAITING, RUNNING, STOPPED):
                raise UserError(f"Job {number} is {job.state}.", "There is nothing to cancel.")
            if job.state == RUNNING and job.pid:
                os.kill(job.pid, signal.SIGTERM)  # the runner has not taken its end in: the number is its own
            return self._write(replace(job, state=CANCELLED, ended=time.time(), pid=None, note="", told=True))

    def resume(self, number: int) -> Job:
        """Queue a job again that has ended early; its command goes on where it was."""
        with self._records() as jobs:
            job = _find(jobs, number)
            if job.state not in (STOPPED, CANCELLED, FAILED):
                raise UserError(f"Job {number} is {job.state}.", "There is nothing to resume.")
            job = self._write(replace(job, state=WAITING, ended=None, note="", told=False))
        self.wake()
        return job

    def clear(self) -> list[Job]:
        """Forget the jobs that are done, failed or cancelled; their pictures stay."""
        with self._records() as jobs:
            gone = [job for job in jobs if job.state in (DONE, FAILED, CANCELLED)]
            for job in gone:
                shutil.rmtree(self._place(job))
            return gone

    def news(self) -> list[Job]:
        """Jobs that have ended and of which nobody has been told yet: told now."""
        if not any(job.state in ENDED and not job.told for job in self.all()):
            return []
        with self._records() as jobs:
            return [self._write(replace(job, told=True)) for job in jobs if job.state in ENDED and not job.told]

    def wake(self) -> None:
        """Start a runner where jobs wait and there is none."""
        if not self.folder.is_dir():
            return
        with self._records() as jobs:
            if self._is_at_work() or all(job.state != WAITING for job in jobs):
                return
            subprocess.Popen(
                [*self.RUNNER, str(self.folder)], **detached(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def run(self) -> None:
        """Be the runner: do what waits, then end; at once where there is another."""
        with ExitStack() as turn:
            with self._records():
                mine = turn.enter_context(locked(self.folder / "turn", wait=False))
            while mine is not None:
                with self._records() as jobs:
                    job = next((job for job in jobs if job.state == WAITING), None)
                    if job is None:
                        return turn.close()  # while the records are held: who adds a job now finds no runner
                    child = self._start(job, mine)
                self._await(job, child)

    def _start(self, job: Job, turn: int) -> "subprocess.Popen[bytes]":
        place = self._place(job)
        (place / "progress.json").unlink(missing_ok=True)
        with (place / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "livestyle", *job.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **detached(last=True, keep=turn),
                env={**os.environ, **ALONE, "LIVESTYLE_CONFIG": "none", PROGRESS: str(place / "progress.json")},
            )  # fmt: skip
        self._write(replace(job, state=RUNNING, started=time.time(), pid=child.pid))
        return child

    def _await(self, job: Job, child: "subprocess.Popen[bytes]") -> None:
        if hasattr(os, "waitid"):  # not taken in yet, so that until the record says so its number is nobody else's
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        else:
            child.wait()
        with self._records() as jobs:
            code = child.wait()
            now = next((other for other in jobs if other.id == job.id), None)
            if now is None or now.state != RUNNING:
                return
            now = self._write(self._judged(now, code))
        notify(now.sentence)

    def _judged(self, job: Job, code: int | None) -> Job:
        """How a job ended whose process is gone: as it said itself, or by its exit code where that is known."""
        said = self._progress(job)
        end, state, note = said.get("code", code), STOPPED, "Its process died."
        if said.get("stopped"):
            note = "Its process was asked to end."
        elif end == 0 and "code" in said:
            state, note = DONE, ""
        elif end is not None and end > 0:
            state, note = FAILED, " ".join(self.log(job).split("\n")[-3:]).strip() or f"exit code {end}"
        elif end is not None and end < 0:
            note = f"Its process was killed (signal {-end})."
        return replace(job, state=state, note=note, ended=time.time(), pid=None)

    @contextmanager
    def _records(self) -> Iterator[list[Job]]:
        """All jobs, which nobody else changes meanwhile; those whose process has died are stopped."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                places = [place for place in self.folder.iterdir() if place.name.isdecimal()]
                jobs = [job for place in sorted(places, key=lambda p: int(p.name)) if (job := self._read(place))]
                if any(job.state == RUNNING for job in jobs) and not self._is_at_work():
                    jobs = [self._write(self._judged(job, None)) if job.state == RUNNING else job for job in jobs]
                yield jobs
        except OSError as error:
            raise UserError(f"{self.folder} cannot be used: {error.strerror or error}.", "Make it writable.") from None

    def _is_at_work(self) -> bool:
        with locked(self.folder / "turn", wait=False) as mine:
            return mine is None

    def _place(self, job: Job) -> Path:
        return self.folder / str(job.id)

    def _read(self, place: Path) -> Job | None:
        """A record with its progress; None where it is none."""
        known = {field.name for field in fields(Job)}
        facts = _load(place / "job.json")
        try:
            given = {name: value for name, value in facts.items() if name in known}
            job = Job(**{**given, "id": int(place.name), "command": tuple(facts["command"])})
        except (KeyError, TypeError):
            return None
        if job.state not in (WAITING, RUNNING, *ENDED):
            return None
        said = self._progress(job)
        left = said.get("seconds_left") if job.state == RUNNING else None
        return replace(
            job, progress=1.0 if job.state == DONE else said.get("progress", 0.0), seconds_left=left,
            note=said.get("note", "") if job.state == RUNNING else job.note,
        )  # fmt: skip

    def _progress(self, job: Job) -> dict[str, Any]:
        return _load(self._place(job) / "progress.json")

    def _write(self, job: Job) -> Job:
        with atomic_write(self._place(job) / "job.json") as part:
            part.write_text(json.dumps(asdict(job), indent=2), "utf-8")
        return job


class ProgressFile:
    """Tells, from inside a job's process, how far it is; without a file it tells nobody."""

    def __init__(self, file: str | None) -> None:
        self._file = Path(file) if file else None
        self._first: tuple[float, float] | None = None
        self._last = self._share = 0.0
        self._facts: dict[str, Any] = {}

    def __call__(self, share: float, note: str) -> None:
        """Tell the share that is done, in 0..1, every OFTEN seconds."""
        now = time.monotonic()
        if self._file is None or now - self._last < OFTEN:
            return
        self._last = now
        if self._first is None or share < self._share:  # a second bar, after that of a download
            self._first = now, share
        (since, done), self._share = self._first, share
        left = round((1 - share) * (now - since) / (share - done), 1) if share > done else None
        self._tell(progress=round(share, 4), note=note, seconds_left=left)

    def stopped(self) -> None:
        """Tell that it was asked to end before it was through."""
        self._tell(stopped=True)

    def end(self, code: int) -> None:
        """Tell the exit code."""
        self._tell(code=code)

    def _tell(self, **facts: Any) -> None:
        if self._file is not None:
            self._facts |= facts
            with suppress(OSError):  # nobody to tell any more: the work goes on
                part = self._file.with_suffix(".part")
                part.write_text(json.dumps(self._facts, indent=2), "utf-8")
                os.replace(part, self._file)


def detached(last: bool = False, keep: int | None = None) -> dict[str, Any]:
    """For Popen: a process that no terminal's Ctrl-C or end reaches; last in line for the CPU; with a lock to keep."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | (subprocess.IDLE_PRIORITY_CLASS if last else 0)}
    more = {"preexec_fn": be_last} if last else {}
    return {"start_new_session": True, "pass_fds": () if keep is None else (keep,), **more}


def be_last() -> None:
    """Last in line for the CPU. Never for a runner: starved in the middle of a record, it would hold all others up."""
    os.nice(19)
    if os.getsid(0) == os.getpid():  # Linux weighs sessions first, and niceness within them alone (sched(7), autogroup)
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def notify(text: str) -> None:
    """A note on the desktop, where there is one."""
    for name, command in NOTIFIERS.items():
        if shutil.which(name):
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command(text), timeout=10, check=False, capture_output=True)
            return


def _find(jobs: list[Job], number: int) -> Job:
    for job in jobs:
        if job.id == number:
            return job
    raise UserError(f"There is no job {number}.", "See: livestyle jobs list")


def _load(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    Jobs(Path(sys.argv[1])).run()
