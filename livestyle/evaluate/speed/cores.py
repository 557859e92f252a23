"""Which of the machine's cores a measurement runs on, and which of them another process takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livestyle.errors import UserError

# It ends with whoever started it, whose end of the pipe closes with it.
SPIN = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""


def allowed() -> list[int]:
    """The numbers of the cores that this process may run on.

    Raises:
        UserError: the system does not tell.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise UserError("This system lets no program choose its cores.", "Leave --cores and --busy-cores away.")
    return sorted(os.sched_getaffinity(0))


def check_cores(count: int) -> None:
    """Raises UserError where there are not so many cores."""
    if count > len(allowed()):
        raise UserError(f"There are no {count} cores here, but {len(allowed())}.", "Give a smaller number.")


@contextmanager
def kept_to(count: int | None) -> Iterator[None]:
    """Run on so many cores, None on all; so do threads and processes that start meanwhile.

    Raises:
        UserError: there are not so many, or the system does not let.
    """
    if count is None:
        yield
        return
    check_cores(count)
    before = allowed()
    os.sched_setaffinity(0, before[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def taken(count: int) -> Iterator[None]:
    """Other processes spin meanwhile, each on a core of its own, the last ones first; as many as there are."""
    spinning = []
    try:
        for core in allowed()[::-1][:count] if count else ():
            child = subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE)
            spinning.append(child)
            os.sched_setaffinity(child.pid, {core})
        yield
    finally:
        for child in spinning:
            child.kill()
            child.wait()


class OtherLoad:
    """What other processes take of this one's cores, from now on."""

    def __init__(self) -> None:
        self._start = time.monotonic(), time.process_time(), idle_seconds()

    def share(self) -> float | None:
        """Of the cores' time so far; None where the system does not tell."""
        now = time.monotonic(), time.process_time(), idle_seconds()
        if now[2] is None or self._start[2] is None:
            return None
        all_, ours, idle = (now[0] - self._start[0]) * len(allowed()), now[1] - self._start[1], now[2] - self._start[2]
        return round(min(1.0, max(0.0, 1 - (ours + idle) / all_)), 3) if all_ else 0.0


def idle_seconds() -> float | None:
    """What this process's cores have idled since the start; None where the system does not tell."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    except OSError:
        return None
    names = {f"cpu{core}" for core in allowed()}
    return sum(int(words[4]) + int(words[5]) for words in lines if words[0] in names) / os.sysconf("SC_CLK_TCK")


def ignore_interrupts() -> None:
    """In a process that does a part of the work: whoever waits for it ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
