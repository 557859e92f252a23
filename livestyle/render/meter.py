"""How long the stages of a frame take, and how often each of them ran."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

MAX_TIMINGS = 5000  # of a stage, the newest


class Meter:
    """Record the stages of frames.

    Attributes:
        stages: the newest timings in ms, by stage.
        runs: how often each stage ran.
        segmented: the number of frames with a new matte.
        stylized: the number of frames with a new painting.
        areas: what styles computed, as shares of the picture.
    """

    def __init__(self) -> None:
        self.stages: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=MAX_TIMINGS))
        self.runs: Counter[str] = Counter()
        self.segmented = self.stylized = 0
        self.areas: deque[float] = deque(maxlen=MAX_TIMINGS)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        yield
        self.stages[name].append((time.perf_counter() - start) * 1000)
        self.runs[name] += 1

    def reset(self) -> None:
        """Forget all that was recorded."""
        for record in (self.stages, self.runs, self.areas):
            record.clear()
        self.segmented = self.stylized = 0

    def newest(self, name: str) -> float:
        """Return the newest timing of a stage in ms, 0 if it never ran."""
        return self.stages[name][-1] if self.stages.get(name) else 0.0

    def median(self, name: str) -> float:
        """Return the median of a stage in ms, 0 if it never ran."""
        return round(float(np.median(self.stages[name])), 3) if self.stages.get(name) else 0.0
