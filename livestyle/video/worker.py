"""A background worker: items are done in turn on a thread of their own, so that who gives them never waits."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from livestyle.files import is_disk_full

T = TypeVar("T")
Result = TypeVar("Result")
DISK_CHECK_S = 1.0  # between looks at the free space


class Worker(Generic[T]):
    """A daemon thread that does items in the order in which they are put. The process does not wait for it.

    It ends when `work` returns or raises, after `end`, or when nobody holds the worker any more.

    Args:
        work: called once, on the thread, with an iterator over the items. It blocks until there is one, and stops at
            the end.
        name: of the thread.
        room: number of items that may wait, beyond which new ones are dropped; None for no limit.
        idle: called on the thread before each item, and every `idle_s` seconds while there is none; None for nothing.
        idle_s: seconds.
    """

    def __init__(
        self,
        work: Callable[[Iterator[T]], None],
        name: str,
        room: int | None = None,
        idle: Callable[[], None] | None = None,
        idle_s: float = 1.0,
    ) -> None:
        self._queue = queue = _Queue[T](room)
        self._thread = threading.Thread(target=queue.serve, args=(work, idle, idle_s), name=name, daemon=True)
        self._thread.start()
        weakref.finalize(self, queue.end)

    @property
    def error(self) -> Exception | None:
        """What `work` raised."""
        return self._queue.error

    @property
    def dropped(self) -> int:
        """The number of items for which there was no room."""
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """The number of items that wait."""
        return len(self._queue.items)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def put(self, item: T) -> bool:
        """Have an item done, and return True. Where there is no room, or the end has come, drop it and return False."""
        return self._queue.put(item)

    def end(self) -> None:
        """Take no more items. Those that wait are done. This never waits."""
        self._queue.end()

    def clear(self) -> None:
        """Drop all items that wait."""
        self._queue.clear()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended, and return whether it has.

        Args:
            timeout_s: seconds to wait at most; None for as long as it takes.
        """
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class Caller(Worker[Callable[[], None]]):
    """A worker that calls functions and hands their results back.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        super().__init__(_call_each, name)

    def start(self, job: Callable[[], Result]) -> "Future[Result]":
        """Call `job` after the jobs before it, and return its result or its error as a future."""
        future: Future[Result] = Future()

        def fulfil() -> None:
            try:
                future.set_result(job())
            except BaseException as error:  # raised again where the result is taken
                future.set_exception(error)

        self.put(fulfil)
        return future


def _call_each(jobs: Iterator[Callable[[], None]]) -> None:
    for job in jobs:
        job()
        del job  # and with it its frame, while the next job is waited for


class _Queue(Generic[T]):
    """What a worker and its thread share. The thread must not hold the worker, or the worker would live for ever."""

    def __init__(self, room: int | None) -> None:
        self._room, self._is_ending, self._changed = room, False, threading.Condition()
        self.items: deque[T] = deque()
        self.error: Exception | None = None
        self.dropped = 0

    def put(self, item: T) -> bool:
        with self._changed:
            if self._is_ending:
                return False
            if self._room is not None and len(self.items) >= self._room:
                self.dropped += 1
                return False
            self.items.append(item)
            self._changed.notify()
            return True

    def end(self) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify()

    def clear(self) -> None:
        with self._changed:
            self.items.clear()

    def serve(self, work: Callable[[Iterator[T]], None], idle: Callable[[], None] | None, idle_s: float) -> None:
        """Run the thread."""
        try:
            work(self._each(idle, idle_s))
        except Exception as error:  # handed back to who asks
            self.error = error
        self.end()
        self.clear()

    def _each(self, idle: Callable[[], None] | None, idle_s: float) -> Iterator[T]:
        while True:
            if idle:
                idle()
            with self._changed:
                self._changed.wait_for(lambda: self.items or self._is_ending, idle_s if idle else None)
                if self.items:
                    item = self.items.popleft()
                elif self._is_ending:
                    return
                else:
                    continue
            yield item
            del item  # which may be large, while the next one is waited for


class DiskWatch:
    """Tell when a disk is nearly full, without asking the system for every frame.

    Args:
        folder: on the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._checked = time.monotonic()

    def is_full(self) -> bool:
        """Return whether too little space is free. Between looks, which are DISK_CHECK_S apart, return False."""
        now = time.monotonic()
        if now - self._checked < DISK_CHECK_S:
            return False
        self._checked = now
        return is_disk_full(self.folder)
