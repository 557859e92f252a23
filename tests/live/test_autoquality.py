"""Automatic quality under scripted loads, without a clock."""

import itertools
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livestyle.config.quality import LADDER, START, Quality
from livestyle.live.autoquality import SETTLE_FRAMES, STEP_DOWN_AFTER_S, STEP_UP_AFTER_S, AutoQuality

FPS, SIZE = 30, (1280, 720)
INTERVAL_S = 1 / FPS


class Machine:
    """Run frames whose times follow from the quality.

    Args:
        painting: seconds for a million painted pixels; rest: seconds for all else of a frame.
    """

    def __init__(self, auto: AutoQuality, painting: float, rest: float) -> None:
        self.auto, self.painting, self.rest = auto, painting, rest
        self.time, self._since = 0.0, 0

    def run(self, seconds: float) -> list[Quality]:
        """Return the quality of each frame of some seconds."""
        end, seen = self.time + seconds, []
        while self.time < end:
            quality = self.auto.quality
            paints = self._since >= quality.carry
            self._since = 0 if paints else self._since + 1
            styles = self.painting * quality.pixels(SIZE) / 1e6 if paints else 0.0
            self.auto.feed(self.time, styles + self.rest, styles)
            self.time += INTERVAL_S
            seen.append(quality)
        return seen


def load(quality: Quality, machine: Machine) -> float:
    """Return the mean share of an interval that frames take."""
    return (machine.painting * quality.pixels(SIZE) / 1e6 / (1 + quality.carry) + machine.rest) / INTERVAL_S


def changes(seen: Iterable[Quality]) -> Iterator[tuple[Quality, Quality]]:
    seen = list(seen)
    return ((a, b) for a, b in itertools.pairwise(seen) if a is not b)


def test_it_steps_down_within_a_second_of_a_higher_load_and_up_again_after_it() -> None:
    machine = Machine(AutoQuality(INTERVAL_S, SIZE), painting=0.05, rest=0.01)
    calm = machine.run(3)
    machine.painting, machine.rest = 0.15, 0.015
    busy = machine.run(1)
    assert load(machine.auto.quality, machine) <= 0.95 < load(calm[-1], machine)
    assert busy.index(machine.auto.quality) <= FPS
    assert not list(changes(machine.run(30)))  # and stays there
    machine.painting, machine.rest = 0.05, 0.01
    assert machine.run(3 * STEP_UP_AFTER_S)[-1] is calm[-1]


def test_a_fast_machine_reaches_the_top_and_a_slow_one_the_bottom() -> None:
    assert Machine(AutoQuality(INTERVAL_S, SIZE), painting=0.005, rest=0.002).run(60)[-1] is LADDER[-1]
    assert Machine(AutoQuality(INTERVAL_S, SIZE), painting=1.0, rest=0.03).run(5)[-1] is LADDER[0]


@settings(max_examples=25, deadline=None)
@given(painting=st.floats(0.001, 1), rest=st.floats(0.001, 0.03))
def test_under_an_even_load_it_settles_on_a_quality_that_meets_the_rate_if_any_does(
    painting: float, rest: float
) -> None:
    machine = Machine(AutoQuality(INTERVAL_S, SIZE), painting, rest)
    machine.run(200)
    last = machine.run(60)
    assert len(list(changes(last))) <= 2  # one step up that is taken back, in a minute at most
    possible = [quality for quality in LADDER if load(quality, machine) <= 0.85]
    assert load(last[-1], machine) <= 0.95 or not possible


def test_steps_up_that_are_taken_back_become_rarer() -> None:
    """Each step up costs more than predicted."""
    auto = AutoQuality(INTERVAL_S, SIZE)
    time, ups = 0.0, []
    for _ in range(FPS * 400):
        level = LADDER.index(auto.quality)
        busy = 0.3 if level <= START else 1.2
        auto.feed(time, busy * INTERVAL_S, 0.1 * busy * INTERVAL_S)
        time += INTERVAL_S
        if LADDER.index(auto.quality) > max(level, START):
            ups.append(time)
    gaps = [b - a for a, b in itertools.pairwise(ups)]
    assert len(gaps) >= 3
    assert all(b >= 1.5 * a for a, b in itertools.pairwise(gaps[:3]))


@pytest.mark.parametrize("late", [1, int(STEP_DOWN_AFTER_S * FPS) - 2])
def test_a_short_delay_changes_nothing(late: int) -> None:
    auto = AutoQuality(INTERVAL_S, SIZE)
    for frame in range(100):
        busy = 2.0 if 50 <= frame < 50 + late else 0.8
        auto.feed(frame * INTERVAL_S, busy * INTERVAL_S, 0.5 * busy * INTERVAL_S)
        if frame < 52 + late:
            assert auto.quality is LADDER[START]


def test_frames_during_warm_up_are_not_measured() -> None:
    auto = AutoQuality(INTERVAL_S, SIZE)
    for frame in range(SETTLE_FRAMES):
        assert not auto.is_settled
        auto.feed(frame * 1.0, 5.0, 4.0)
    assert auto.is_settled
    assert auto.quality is LADDER[START]
    auto.feed(SETTLE_FRAMES, 0.5 * INTERVAL_S, 0.4 * INTERVAL_S)
    assert auto.quality is LADDER[START]
    assert auto.below is LADDER[START - 1]
