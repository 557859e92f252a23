"""What others see while the filter fails, is stuck, or is late."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from support.pictures import draw_card

from livestyle.config.look import Look, look_of
from livestyle.config.settings import Settings
from livestyle.image.types import Frame, Image, Matte
from livestyle.live import guard
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.guard import Guard
from livestyle.live.privacy import Privacy
from livestyle.live.shown import placeholder, with_pause_sign
from livestyle.matting.jumps import Jumps
from livestyle.matting.matte import Matting
from livestyle.render.filter import Filter, NextFrame, Pending, no_next_frame

SIZE = 64, 48
COLOUR = look_of(Settings(background="color:#804020"), "")
BYPASS = look_of(Settings(background="none"), "")


class Numbered(Filter):
    """A filter whose pictures are as bright as the index of their frame. On some frames it is stuck until `go_on`."""

    def __init__(self, stuck: set[int]) -> None:
        super().__init__(Settings())
        self.stuck, self.entered, self.go_on = stuck, threading.Event(), threading.Event()

    def __call__(self, frame: Frame, look: Look, next_frame: NextFrame = no_next_frame) -> Image:
        if frame.index in self.stuck:
            self.entered.set()
            assert self.go_on.wait(30)
        return np.full((*SIZE[::-1], 3), frame.index, np.uint8)


@pytest.fixture
def timeouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Record each timeout for a picture. No time passes: a filter that is stuck is noticed at once."""
    waits: list[float] = []

    def is_done(job: Future[Any], seconds: float) -> bool:
        waits.append(seconds)
        filter = FILTERS[-1]
        while not (job.done() or (filter.entered.is_set() and not filter.go_on.is_set())):
            futures.wait([job], 0.001)
        return job.done()

    monkeypatch.setattr(guard, "is_done", is_done)
    yield waits
    FILTERS.clear()


CALL = Privacy(is_call=True)
FILTERS: list[Numbered] = []


def guarded(controls: Controls, stuck: set[int], say: Callable[[str], None] = lambda _: None) -> tuple[Guard, Numbered]:
    FILTERS.append(Numbered(stuck))
    return Guard(FILTERS[-1], SIZE, controls, say, is_live=True), FILTERS[-1]


def frame(index: int, is_blank: bool = False) -> Frame:
    return Frame(draw_card(*SIZE), index, index / 30, is_blank=is_blank)


def number(picture: Image) -> int:
    """Return the index of the frame in a picture, or -1 for a placeholder."""
    return -1 if (picture == placeholder(SIZE)).all() else int(picture[-1, -1, 0])


def test_while_the_filter_is_stuck_the_last_picture_is_shown_with_a_pause_sign(timeouts: list[float]) -> None:
    said: list[str] = []
    render, filter = guarded(make_controls(COLOUR, privacy=CALL), {3}, said.append)
    shown = [render(frame(n)) for n in range(6)]
    assert [number(one.picture) for one in shown] == [0, 1, 2, 2, 2, 2]
    assert [one.is_old for one in shown] == [False] * 3 + [True] * 3
    assert (shown[3].picture == with_pause_sign(shown[2].picture)).all()
    assert not (shown[3].picture == shown[2].picture).all()
    assert timeouts == [guard.STUCK_TIMEOUT_S] * 6
    with pytest.raises(TimeoutError):  # who wants a matte does not wait either
        render.matte(shown[3].frame)
    filter.go_on.set()
    after = [render(frame(n)) for n in range(6, 9)]  # the late one is not lost, and nothing is out of order
    assert [number(one.picture) for one in after] == [3, 7, 8]
    assert len([line for line in said if "late" in line]) == 1
    filter.close()


def test_before_the_first_picture_a_placeholder_is_shown(timeouts: list[float]) -> None:
    render, filter = guarded(make_controls(COLOUR, privacy=CALL), {0})
    assert [number(render(frame(n)).picture) for n in range(3)] == [-1] * 3
    filter.go_on.set()
    assert [number(render(frame(n)).picture) for n in (3, 4)] == [0, 4]
    filter.close()


@pytest.mark.parametrize(("before", "after"), [(BYPASS, COLOUR), (COLOUR, BYPASS)])
def test_a_picture_of_another_look_is_never_shown_late(before: Look, after: Look, timeouts: list[float]) -> None:
    """Neither the late picture nor the one before it: they may show what is to be hidden now."""
    controls = make_controls(before, privacy=CALL)
    render, filter = guarded(controls, {2})
    assert [number(render(frame(n)).picture) for n in range(3)] == [0, 1, 1]
    controls.look = after
    assert number(render(frame(3)).picture) == -1
    filter.go_on.set()
    assert [number(render(frame(n)).picture) for n in range(4, 7)] == [-1, 5, 6]
    filter.close()


def test_panic_and_a_camera_that_is_away_hide_a_late_picture(timeouts: list[float]) -> None:
    controls = make_controls(COLOUR, privacy=CALL)
    render, filter = guarded(controls, {1})
    assert [number(render(frame(n)).picture) for n in range(2)] == [0, 0]
    assert number(render(frame(2, is_blank=True)).picture) == -1
    controls.press("panic")
    assert number(render(frame(3)).picture) == -1
    controls.press("confirm")
    assert number(render(frame(4)).picture) == 0
    filter.go_on.set()
    filter.close()


def test_outside_a_call_and_for_clips_the_filter_may_take_its_time(timeouts: list[float]) -> None:
    for is_call, is_live in ((False, True), (True, False)):
        controls = make_controls(COLOUR, privacy=Privacy(is_call))
        with Numbered(set()) as filter:
            render = Guard(filter, SIZE, controls, lambda _: None, is_live=is_live)
            assert [number(render(frame(n)).picture) for n in range(3)] == [0, 1, 2]
    assert not timeouts


def test_the_thread_ends_with_the_run(timeouts: list[float]) -> None:
    render, filter = guarded(make_controls(COLOUR, privacy=CALL), set())
    render(frame(0))
    threads = [thread for thread in threading.enumerate() if thread.name == "render"]
    assert threads
    del render
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    filter.close()


def test_without_memory_for_the_pause_sign_the_placeholder_is_shown(
    timeouts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(picture: Image) -> Image:
        raise MemoryError

    monkeypatch.setattr(guard, "with_pause_sign", none_left)
    render, filter = guarded(make_controls(COLOUR, privacy=CALL), {1})
    assert [number(render(frame(n)).picture) for n in range(2)] == [0, -1]
    filter.go_on.set()
    filter.close()


@pytest.mark.parametrize(
    ("values", "is_valid"),
    [((0.0, 1.0), True), ((0.2, 0.2), True), ((np.nan, 0.5), False), ((0.0, 1.5), False), ((-0.5, 1.0), False),
     ((np.inf, 0.0), False)],
)  # fmt: skip
def test_an_invalid_matte_is_refused(values: tuple[float, float], is_valid: bool) -> None:
    matte = np.full((24, 32), values[1], np.float32)
    matte[3, 4] = values[0]
    matting = Matting(lambda image: matte)
    if is_valid:
        assert matting(draw_card(*SIZE)).shape == SIZE[::-1]
    else:
        with pytest.raises(RuntimeError, match=r"0\.\.1"):
            matting(draw_card(*SIZE))


def filled(share: float) -> Matte:
    matte = np.zeros((10, 100), np.float32)
    matte[:, : round(share * 100)] = 1
    return matte


def passes(jumps: Jumps, share: float, at: float) -> bool:
    try:
        jumps.check(filled(share), at)
    except RuntimeError:
        return False
    return True


def test_only_a_person_who_moves_closer_gradually_may_fill_the_picture() -> None:
    near = [0.3 + 0.01 * n for n in range(71)]  # at 30 fps: 2.4 s
    jumps = Jumps()
    assert all(passes(jumps, share, n / 30) for n, share in enumerate(near))
    assert all(passes(jumps, 1.0, (71 + n) / 30) for n in range(60))  # and stays there
    assert not passes(jumps, 1.0, 30.0)  # after a gap in time it is a jump


@pytest.mark.parametrize("before", [[], [0.3] * 60, [0.9, 0.95], [0.0] * 9 + [0.85]])
def test_a_jump_to_the_whole_picture_is_refused_for_as_long_as_it_lasts(before: list[float]) -> None:
    jumps = Jumps()
    assert all(passes(jumps, share, n / 30) for n, share in enumerate(before))
    assert not any(passes(jumps, 1.0, (len(before) + n) / 30) for n in range(60))
    assert passes(jumps, 0.4, (len(before) + 60) / 30)
    assert passes(jumps, 0.0, (len(before) + 61) / 30)


def test_a_frame_that_failed_leaves_nothing_to_the_next() -> None:
    """Its parts that still run are awaited, and no matte from before it is kept for a picture after it."""
    stop, ended = threading.Event(), threading.Event()
    calls = iter(range(10))

    def segment(image: Image) -> Matte:
        if next(calls) == 1:
            raise RuntimeError("on purpose")
        return np.zeros((24, 32), np.float32)

    def linger() -> None:
        assert stop.wait(30)
        ended.set()

    with Filter(Settings()) as filter:
        filter.matting = Matting(segment)
        filter(frame(0), COLOUR)
        with pytest.raises(RuntimeError, match="on purpose"):
            filter(frame(1), COLOUR)
        assert not filter._mattes._newest
        filter._current = Pending(frame(1), COLOUR, None, filter._pool.submit(linger))  # type: ignore[arg-type]
        threading.Timer(0.05, stop.set).start()
        filter(frame(2), COLOUR)
        assert ended.is_set()
