"""Automatic quality under scripted load: by events alone, no clock and no machine."""

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestyle.config.quality import LADDER, START, Quality
from livestyle.live.autoquality import EASY, LATE, SETTLE, AutoQuality

FPS, SIZE = 30, (1280, 720)
INTERVAL = 1 / FPS


class Machine:
    """Runs frames whose times follow from the quality: so many seconds for a million pixels painted, and for the rest.

    A frame that takes longer than the camera's interval makes the camera drop those that come meanwhile.
    """

    def __init__(self, auto: AutoQuality, painting: float, rest: float) -> None:
        self.auto, self.painting, self.rest = auto, painting, rest
        self.time, self._since, self.late = 0.0, 0, 0

    def run(self, seconds: float) -> list[Quality]:
        """The quality of each frame of some seconds."""
        end, seen = self.time + seconds, []
        while self.time < end:
            quality = self.auto.quality
            paints = self._since >= quality.carry
            self._since = 0 if paints else self._since + 1
            styles = self.painting * quality.pixels(SIZE) / 1e6 if paints else 0.0
            self.auto.feed(self.time, styles + self.rest, styles)
            self.late += styles + self.rest > INTERVAL
            self.time += INTERVAL
            seen.append(quality)
        return seen


def load(quality: Quality, machine: Machine) -> float:
    """The mean share of an interval that frames take."""
    return (machine.painting * quality.pixels(SIZE) / 1e6 / (1 + quality.carry) + machine.rest) / INTERVAL


def changes(seen: Iterable[Quality]) -> Iterator[tuple[Quality, Quality]]:
    seen = list(seen)
    return ((a, b) for a, b in itertools.pairwise(seen) if a is not b)


def test_it_steps_down_within_a_second_when_the_processor_is_taken_and_up_again_when_it_is_free() -> None:
    machine = Machine(AutoQuality(INTERVAL, SIZE), painting=0.05, rest=0.01)
    calm = machine.run(3)
    machine.painting, machine.rest = 0.15, 0.015
    busy = machine.run(1)
    assert load(machine.auto.quality, machine) <= 0.95 < load(calm[-1], machine)
    assert busy.index(machine.auto.quality) <= FPS
    assert not list(changes(machine.run(30)))  # and stays there
    machine.painting, machine.rest = 0.05, 0.01
    assert machine.run(3 * EASY)[-1] is calm[-1]


def test_a_fast_machine_goes_up_and_a_slow_one_goes_to_the_bottom() -> None:
    assert Machine(AutoQuality(INTERVAL, SIZE), painting=0.005, rest=0.002).run(60)[-1] is LADDER[-1]
    assert Machine(AutoQuality(INTERVAL, SIZE), painting=1.0, rest=0.03).run(5)[-1] is LADDER[0]


@settings(max_examples=25, deadline=None)
@given(painting=st.floats(0.001, 1), rest=st.floats(0.001, 0.03))
def test_under_an_even_load_it_comes_to_rest_and_meets_the_rate_where_any_step_does(
    painting: float, rest: float
) -> None:
    machine = Machine(AutoQuality(INTERVAL, SIZE), painting, rest)
    machine.run(200)
    last = machine.run(60)
    assert len(list(changes(last))) <= 2  # one try to go up, taken back, in a minute at most
    possible = [quality for quality in LADDER if load(quality, machine) <= 0.85]
    assert load(last[-1], machine) <= 0.95 or not possible


def test_steps_up_that_had_to_be_taken_back_come_ever_more_rarely() -> None:
    """A machine that has less than it seems to: each step up proves too much."""
    auto = AutoQuality(INTERVAL, SIZE)
    time, ups = 0.0, []
    for _ in range(FPS * 400):
        level = LADDER.index(auto.quality)
        busy = 0.3 if level <= START else 1.2
        auto.feed(time, busy * INTERVAL, 0.1 * busy * INTERVAL)
        time += INTERVAL
        if LADDER.index(auto.quality) > max(level, START):
            ups.append(time)
    gaps = [b - a for a, b in itertools.pairwise(ups)]
    assert len(gaps) >= 3
    assert all(b >= 1.5 * a for a, b in itertools.pairwise(gaps[:3]))


@pytest.mark.parametrize("late", [1, int(LATE * FPS) - 2])
def test_a_hiccup_changes_nothing(late: int) -> None:
    auto = AutoQuality(INTERVAL, SIZE)
    for frame in range(100):
        busy = 2.0 if 50 <= frame < 50 + late else 0.8
        auto.feed(frame * INTERVAL, busy * INTERVAL, 0.5 * busy * INTERVAL)
        if frame < 52 + late:
            assert auto.quality is LADDER[START]


def test_what_warms_up_is_not_counted() -> None:
    auto = AutoQuality(INTERVAL, SIZE)
    for frame in range(SETTLE):
        assert not auto.is_settled
        auto.feed(frame * 1.0, 5.0, 4.0)
    assert auto.is_settled
    assert auto.quality is LADDER[START]
    auto.feed(SETTLE, 0.5 * INTERVAL, 0.4 * INTERVAL)
    assert auto.quality is LADDER[START]
    assert auto.below is LADDER[START - 1]
