"""Background jobs: command lines that run one at a time, at the lowest CPU priority.

Each job has a folder. In it, `job.json` is its record, `progress.json` its progress and `log.txt` its output. A runner
is a process that outlives the one that started it. It runs the waiting jobs, oldest first, each in a child process, and
then ends.

No process ID has to be trusted, thanks to two lock files. The system releases them when their processes end:

    lock    is held while records are read or changed
    turn    is held by the runner and by the job that runs. While it is free, no job runs, whatever its record says.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.errors import UserError
from livestyle.files import atomic_write, locked
from livestyle.live.job_process import PROGRESS_VARIABLE, detached, notify_desktop

WAITING, RUNNING, DONE, FAILED, STOPPED, CANCELLED = "waiting", "running", "done", "failed", "stopped", "cancelled"
ENDED = (DONE, FAILED, STOPPED, CANCELLED)
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Job:
    """The record of a job.

    Args:
        id: number of the job, from 1 on.
        command: the arguments of `livestyle`.
        result: path of the file that it makes.
        state: WAITING, RUNNING, DONE, FAILED, STOPPED (it can be resumed) or CANCELLED.
        created: when, as started and ended are: in seconds since the epoch.
        pid: of its process while it runs.
        note: why it ended, or its own words while it runs.
        told: its end was reported to the user.
        progress: the share that is done, in 0..1.
        seconds_left: an estimate, while it runs; None before there is one.
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
        """The state in a sentence, for people."""
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
    """The jobs of a user. Any thread and any process may use them.

    Args:
        folder: of their records; None is the user's own, in `platformdirs.user_state_dir`.

    Raises:
        UserError: by any method, if the folder cannot be written, or if there is no such job.
    """

    RUNNER = (sys.executable, "-m", "livestyle.live.jobs")

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "jobs"

    def all(self) -> list[Job]:
        """Return all jobs with their progress, oldest first."""
        if not self.folder.is_dir():
            return []
        with self._records() as jobs:
            return jobs

    def find(self, number: int) -> Job:
        """Return the job of a number."""
        return _find(self.all(), number)

    def log(self, job: Job) -> str:
        """Return what a job printed since it was last started."""
        with suppress(OSError):
            return (self._folder_of(job) / "log.txt").read_text("utf-8", "replace")
        return ""

    def add(self, command: Sequence[str], result: Path) -> Job:
        """Queue a job, start a runner if there is none, and return the job.

        Args:
            command: the arguments of `livestyle`. Paths must be absolute.
            result: the file that the job makes.
        """
        with self._records():
            taken = [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]
            job = Job(max(taken, default=0) + 1, tuple(command), str(result), created=time.time())
            self._folder_of(job).mkdir()
            self._write(job)
        self.start_runner()
        return job

    def cancel(self, number: int) -> Job:
        """Remove a job from the queue, or end its process. Its result so far stays.

        Raises:
            UserError: it has ended already.
        """
        with self._records() as jobs:
            job = _find(jobs, number)
            if job.state not in (WAITING, RUNNING, STOPPED):
                raise UserError(f"Job {number} is {job.state}.", "There is nothing to cancel.")
            if job.state == RUNNING and job.pid:
                os.kill(job.pid, signal.SIGTERM)  # it is not reaped yet, so no other process has this ID
            return self._write(replace(job, state=CANCELLED, ended=time.time(), pid=None, note="", told=True))

    def resume(self, number: int) -> Job:
        """Queue a job that ended early once more. Its command continues from what is there.

        Raises:
            UserError: it did not end early.
        """
        with self._records() as jobs:
            job = _find(jobs, number)
            if job.state not in (STOPPED, CANCELLED, FAILED):
                raise UserError(f"Job {number} is {job.state}.", "There is nothing to resume.")
            job = self._write(replace(job, state=WAITING, ended=None, note="", told=False))
        self.start_runner()
        return job

    def clear(self) -> list[Job]:
        """Delete the records of jobs that are done, failed or cancelled, and return them. Their results stay."""
        with self._records() as jobs:
            cleared = [job for job in jobs if job.state in (DONE, FAILED, CANCELLED)]
            for job in cleared:
                shutil.rmtree(self._folder_of(job))
            return cleared

    def pop_ended(self) -> list[Job]:
        """Return the jobs that have ended and were not reported yet, and mark them as reported."""
        if not any(job.state in ENDED and not job.told for job in self.all()):
            return []
        with self._records() as jobs:
            return [self._write(replace(job, told=True)) for job in jobs if job.state in ENDED and not job.told]

    def start_runner(self) -> None:
        """Start a runner process if jobs wait and none is running."""
        if not self.folder.is_dir():
            return
        with self._records() as jobs:
            if self._is_turn_taken() or all(job.state != WAITING for job in jobs):
                return
            subprocess.Popen(
                [*self.RUNNER, str(self.folder)], **detached(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def run(self) -> None:
        """Run the waiting jobs in this process, until none waits. Return at once if there is another runner."""
        with ExitStack() as turn:
            with self._records():
                lock = turn.enter_context(locked(self.folder / "turn", wait=False))
            while lock is not None:
                with self._records() as jobs:
                    job = next((job for job in jobs if job.state == WAITING), None)
                    if job is None:
                        return turn.close()  # before the records are released: who adds a job then starts a runner
                    child = self._start(job, lock)
                self._wait_for(job, child)

    def _start(self, job: Job, lock: int) -> "subprocess.Popen[bytes]":
        folder = self._folder_of(job)
        (folder / "progress.json").unlink(missing_ok=True)
        environment = {"LIVESTYLE_CONFIG": "none", PROGRESS_VARIABLE: str(folder / "progress.json")}
        with (folder / "log.txt").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "livestyle", *job.command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **detached(low_priority=True, inherit=lock),
                env={**os.environ, **SINGLE_THREADED, **environment},
            )  # fmt: skip
        self._write(replace(job, state=RUNNING, started=time.time(), pid=child.pid))
        return child

    def _wait_for(self, job: Job, child: "subprocess.Popen[bytes]") -> None:
        """Wait until a job's process ends, record its end, and announce it."""
        if hasattr(os, "waitid"):  # do not reap it: its ID stays its own until the record says that it ended
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        else:
            child.wait()
        with self._records() as jobs:
            code = child.wait()
            now = next((other for other in jobs if other.id == job.id), None)
            if now is None or now.state != RUNNING:
                return
            now = self._write(self._with_end(now, code))
        notify_desktop(now.sentence)

    def _with_end(self, job: Job, code: int | None) -> Job:
        """Return the record of a job whose process has ended.

        Args:
            code: exit code of the process; None if it is not known. What the process wrote of its end goes first.
        """
        written = self._progress(job)
        code, state, note = written.get("code", code), STOPPED, "Its process died."
        if written.get("stopped"):
            note = "Its process was asked to end."
        elif code == 0 and "code" in written:
            state, note = DONE, ""
        elif code is not None and code > 0:
            state, note = FAILED, " ".join(self.log(job).split("\n")[-3:]).strip() or f"exit code {code}"
        elif code is not None and code < 0:
            note = f"Its process was killed (signal {-code})."
        return replace(job, state=state, note=note, ended=time.time(), pid=None)

    @contextmanager
    def _records(self) -> Iterator[list[Job]]:
        """Lock the records, and yield all jobs, oldest first. Those whose process has died are STOPPED."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                numbers = sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())
                jobs = [job for number in numbers if (job := self._read(self.folder / str(number)))]
                if any(job.state == RUNNING for job in jobs) and not self._is_turn_taken():
                    jobs = [self._write(self._with_end(job, None)) if job.state == RUNNING else job for job in jobs]
                yield jobs
        except OSError as error:
            raise UserError(f"{self.folder} cannot be used: {error.strerror or error}.", "Make it writable.") from None

    def _is_turn_taken(self) -> bool:
        with locked(self.folder / "turn", wait=False) as lock:
            return lock is None

    def _folder_of(self, job: Job) -> Path:
        return self.folder / str(job.id)

    def _read(self, folder: Path) -> Job | None:
        """Return the record in a folder, with its progress; None if there is no valid one."""
        known = {field.name for field in fields(Job)}
        facts = _load(folder / "job.json")
        try:
            given = {name: value for name, value in facts.items() if name in known}
            job = Job(**{**given, "id": int(folder.name), "command": tuple(facts["command"])})
        except (KeyError, TypeError):
            return None
        if job.state not in (WAITING, RUNNING, *ENDED):
            return None
        written = self._progress(job)
        if job.state == RUNNING:
            job = replace(job, note=written.get("note", ""))
        return replace(
            job,
            progress=1.0 if job.state == DONE else written.get("progress", 0.0),
            seconds_left=written.get("seconds_left") if job.state == RUNNING else None,
        )

    def _progress(self, job: Job) -> dict[str, Any]:
        return _load(self._folder_of(job) / "progress.json")

    def _write(self, job: Job) -> Job:
        with atomic_write(self._folder_of(job) / "job.json") as part:
            part.write_text(json.dumps(asdict(job), indent=2), "utf-8")
        return job


def _find(jobs: list[Job], number: int) -> Job:
    for job in jobs:
        if job.id == number:
            return job
    raise UserError(f"There is no job {number}.", "See: livestyle jobs list")


def _load(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or {} if there is none."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


if __name__ == "__main__":
    Jobs(Path(sys.argv[1])).run()
