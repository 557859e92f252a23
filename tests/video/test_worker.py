"""The background worker: order, room, the end, errors, and that nothing is held on to."""

import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from livestyle.video import worker
from livestyle.video.worker import Caller, DiskWatch, Worker


class Collector:
    """Takes items while a gate is open; fails on one that is told."""

    def __init__(self, bad: int = -1) -> None:
        self.taken, self.bad, self.gate, self.is_finished = list[int](), bad, threading.Event(), False

    def __call__(self, items: Iterator[int]) -> None:
        for item in items:
            assert self.gate.wait(10)
            if item == self.bad:
                raise OSError("the disk is gone")
            self.taken.append(item)
        self.is_finished = True


def test_items_are_done_in_order_and_those_that_wait_are_done_at_the_end() -> None:
    work = Collector()
    worker = Worker(work, "test")
    assert all(worker.put(item) for item in range(50))
    work.gate.set()
    worker.end()
    assert worker.join(10)
    assert work.taken == list(range(50))
    assert work.is_finished
    assert not worker.put(50)
    assert (worker.is_alive, worker.waiting, worker.dropped, worker.error) == (False, 0, 0, None)


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    work = Collector()
    worker = Worker(work, "test", room=3)
    kept = [item for item in range(20) if worker.put(item)]
    assert worker.dropped == 20 - len(kept)
    assert 3 <= len(kept) <= 4  # one may be in work
    work.gate.set()
    worker.end()
    assert worker.join(10)
    assert work.taken == kept


def test_an_error_is_handed_back_and_ends_it() -> None:
    work = Collector(bad=2)
    worker = Worker(work, "test")
    for item in range(9):
        worker.put(item)
    work.gate.set()
    assert worker.join(10)
    assert str(worker.error) == "the disk is gone"
    assert work.taken == [0, 1]
    assert worker.waiting == 0
    assert not worker.put(9)
    assert worker.dropped == 0


def test_who_waits_for_the_end_may_lose_patience() -> None:
    work = Collector()
    worker = Worker(work, "test")
    worker.put(0)
    worker.end()
    assert not worker.join(0.01)
    work.gate.set()
    assert worker.join(10)


def test_what_waits_can_be_dropped() -> None:
    work = Collector()
    worker = Worker(work, "test")
    for item in range(9):
        worker.put(item)
    worker.clear()
    work.gate.set()
    worker.end()
    assert worker.join(10)
    assert work.taken in ([], [0])  # the first may have been in work


def test_it_looks_at_other_things_while_nothing_comes() -> None:
    looks, enough = list[int](), threading.Event()

    def look() -> None:
        looks.append(len(looks))
        if len(looks) == 5:
            enough.set()

    work = Collector()
    work.gate.set()
    worker = Worker(work, "test", idle=look, idle_s=0.001)
    assert enough.wait(10)
    worker.put(7)
    worker.end()
    assert worker.join(10)
    assert work.taken == [7]


def test_it_ends_when_nobody_holds_it() -> None:
    """What was asked for is done before."""
    gate = threading.Event()
    worker = Caller("test")
    thread = worker._thread
    job = worker.start(lambda: gate.wait(10))
    del worker
    gc.collect()
    gate.set()
    thread.join(10)
    assert not thread.is_alive()
    assert job.result()


def test_results_and_errors_come_back() -> None:
    worker = Caller("test")
    assert worker.start(lambda: 6 * 7).result(10) == 42
    with pytest.raises(ZeroDivisionError):
        worker.start(lambda: 1 // 0).result(10)
    assert worker.start(lambda: "on").result(10) == "on"


def test_an_item_is_let_go_of_before_the_next_one_is_waited_for() -> None:
    picture = np.zeros(3)
    held = weakref.ref(picture)
    worker = Caller("test")
    job = worker.start(lambda picture=picture: picture.sum())
    job.result(10)
    del picture, job
    worker.start(lambda: None).result(10)
    assert held() is None


def test_a_disk_is_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [0.0], list[Path]()
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(worker, "is_disk_full", lambda folder: bool(looks.append(folder)) or len(looks) == 2)
    disk = DiskWatch(tmp_path)
    full = []
    for _ in range(9):
        now[0] += 0.3
        full.append(disk.is_full())
    assert looks == [tmp_path, tmp_path]
    assert full.index(True) == 7
