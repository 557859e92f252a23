"""The process of a background job: how it is started, how it reports its progress, how its end is announced."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

PROGRESS_VARIABLE = "LIVESTYLE_PROGRESS"  # the environment variable with the path of a job's progress file
PROGRESS_INTERVAL_S = 0.5  # between two writes of it
NOTIFY_TIMEOUT_S = 10
NOTIFIERS: dict[str, Callable[[str], list[str]]] = {
    "notify-send": lambda text: ["notify-send", "livestyle", text],
    "osascript": lambda text: ["osascript", "-e", f'display notification {json.dumps(text)} with title "livestyle"'],
}


class ProgressFile:
    """Write a job's progress to a file, from inside the job's process. Not thread-safe.

    Args:
        file: path of the file. With None nothing is written.
    """

    def __init__(self, file: str | None) -> None:
        self._file = Path(file) if file else None
        self._first: tuple[float, float] | None = None  # time and share at which the present bar began
        self._last_s = self._share = 0.0
        self._facts: dict[str, Any] = {}

    def __call__(self, share: float, note: str) -> None:
        """Write the progress, unless it was written less than PROGRESS_INTERVAL_S ago.

        Args:
            share: the share that is done, in 0..1.
            note: what the job says of it.
        """
        now = time.monotonic()
        if self._file is None or now - self._last_s < PROGRESS_INTERVAL_S:
            return
        self._last_s = now
        if self._first is None or share < self._share:  # a second bar, after that of a download
            self._first = now, share
        (since, done), self._share = self._first, share
        left = round((1 - share) * (now - since) / (share - done), 1) if share > done else None
        self._write(progress=round(share, 4), note=note, seconds_left=left)

    def stopped(self) -> None:
        """Write that the process was asked to end early."""
        self._write(stopped=True)

    def end(self, code: int) -> None:
        """Write the exit code."""
        self._write(code=code)

    def _write(self, **facts: Any) -> None:
        if self._file is not None:
            self._facts |= facts
            with suppress(OSError):  # the job goes on without a record of its progress
                part = self._file.with_suffix(".part")
                part.write_text(json.dumps(self._facts, indent=2), "utf-8")
                os.replace(part, self._file)


def detached(low_priority: bool = False, inherit: int | None = None) -> dict[str, Any]:
    """Return options for Popen: the process outlives its parent, and no terminal's Ctrl-C reaches it.

    Args:
        low_priority: run it only while the CPU has nothing else to do.
        inherit: descriptor that it keeps open, such as that of a lock; None for none. Windows ignores it.
    """
    if sys.platform == "win32":
        priority = subprocess.IDLE_PRIORITY_CLASS if low_priority else 0
        return {"creationflags": subprocess.DETACHED_PROCESS | priority}
    more = {"preexec_fn": lower_priority} if low_priority else {}
    return {"start_new_session": True, "pass_fds": () if inherit is None else (inherit,), **more}


def lower_priority() -> None:
    """Give this process the lowest CPU priority. A runner never has it: it would hold the records' lock for long."""
    if sys.platform == "win32":
        return
    os.nice(19)
    if os.getsid(0) == os.getpid():  # Linux weighs sessions first, and niceness only within one: sched(7), autogroup
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def notify_desktop(text: str) -> None:
    """Show a desktop notification, if one of NOTIFIERS is installed."""
    for name, command in NOTIFIERS.items():
        if shutil.which(name):
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(command(text), timeout=NOTIFY_TIMEOUT_S, check=False, capture_output=True)
            return


if __name__ == "__main__":  # MODULE: run it at the lowest priority, which a process with many threads cannot set
    lower_priority()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
