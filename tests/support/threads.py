"""Threads and handles of the process."""

import os
import threading
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one thread in each of several processes is faster than several in each
    os.environ.setdefault("OMP_NUM_THREADS", "1")


class Held:
    """The threads and handles of this process at the start of a test."""

    _folder = Path("/proc/self/fd")

    def __init__(self) -> None:
        self._threads, self._handles = set(threading.enumerate()), self._count()

    def more(self) -> tuple[set[threading.Thread], int]:
        """Return the threads, and the number of handles, that are new since then."""
        return set(threading.enumerate()) - self._threads, max(0, self._count() - self._handles)

    def _count(self) -> int:
        return sum(1 for _ in self._folder.iterdir()) if self._folder.is_dir() else 0
