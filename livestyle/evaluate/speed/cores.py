"""The cores that a measurement runs on, and those that other processes occupy."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livestyle.errors import UserError

# It ends with the process that started it, because its end of the pipe is closed then.
SPIN_SCRIPT = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""


def allowed_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on.

    Raises:
        UserError: the system does not give them.
    """
    if not hasattr(os, "sched_getaffinity"):
        raise UserError("This system lets no program choose its cores.", "Leave them to it.", "cores")
    return sorted(os.sched_getaffinity(0))


def check_cores(count: int) -> None:
    """Check that there are so many cores.

    Raises:
        UserError: there are fewer.
    """
    if count > len(allowed_cores()):
        raise UserError(f"There are no {count} cores here, but {len(allowed_cores())}.", "Give a smaller number.")


@contextmanager
def limited_to(count: int | None) -> Iterator[None]:
    """Run on `count` cores, or on all for None. Threads and processes that start meanwhile do so, too.

    Raises:
        UserError: there are fewer, or the system does not allow it.
    """
    if count is None:
        yield
        return
    check_cores(count)
    before = allowed_cores()
    os.sched_setaffinity(0, before[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def occupied(count: int) -> Iterator[None]:
    """Occupy `count` cores by other processes, the last cores first, at most as many as there are."""
    spinning = []
    try:
        for core in allowed_cores()[::-1][:count] if count else ():
            child = subprocess.Popen([sys.executable, "-c", SPIN_SCRIPT], stdin=subprocess.PIPE)
            spinning.append(child)
            os.sched_setaffinity(child.pid, {core})
        yield
    finally:
        for child in spinning:
            child.kill()
            child.wait()


class OtherLoad:
    """The load of other processes on this one's cores, from its creation on."""

    def __init__(self) -> None:
        self._start = time.monotonic(), time.process_time(), idle_seconds()

    def share(self) -> float | None:
        """Return their share of the cores' time so far, in 0..1; None where the system does not give it."""
        now = time.monotonic(), time.process_time(), idle_seconds()
        if now[2] is None or self._start[2] is None:
            return None
        total = (now[0] - self._start[0]) * len(allowed_cores())
        own, idle = now[1] - self._start[1], now[2] - self._start[2]
        return round(min(1.0, max(0.0, 1 - (own + idle) / total)), 3) if total else 0.0


def idle_seconds() -> float | None:
    """Return how long this process's cores have idled since the system started; None where it does not say."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    except OSError:
        return None
    names = {f"cpu{core}" for core in allowed_cores()}
    return sum(int(words[4]) + int(words[5]) for words in lines if words[0] in names) / os.sysconf("SC_CLK_TCK")


def ignore_interrupts() -> None:
    """Ignore Ctrl-C, in a process whose parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
