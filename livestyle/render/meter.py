"""How long the stages of a frame take, and how often each of them ran."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

REMEMBERED = 5000  # timings of a stage


class Meter:
    """Milliseconds per stage: the newest few thousand, and how often each stage ran."""

    def __init__(self) -> None:
        self.stages: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self.runs: Counter[str] = Counter()  # and on how many frames any style was "painted", the person "cut out"
        self.areas: deque[float] = deque(maxlen=REMEMBERED)  # of what styles painted, as shares of the picture

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.stages[name].append((time.perf_counter() - start) * 1000)
        self.runs[name] += 1

    def reset(self) -> None:
        """Begin anew."""
        for record in (self.stages, self.runs, self.areas):
            record.clear()

    def newest(self, name: str) -> float:
        """What a stage took last, 0 where it never ran."""
        return self.stages[name][-1] if self.stages.get(name) else 0.0

    def median(self, name: str) -> float:
        """Median of a stage, 0 where it never ran."""
        return round(float(np.median(self.stages[name])), 3) if self.stages.get(name) else 0.0
