"""What the measurements measure: which frames, at what pace, beside what; and what they tell of it."""

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import test_card
from hypothesis import given
from hypothesis import strategies as st

from livestyle.bench import Job, bench
from livestyle.cores import allowed, kept_to, taken
from livestyle.deck import open_deck
from livestyle.encoded import Encoded, decode, encode, encoded, there_and_back
from livestyle.errors import UserError
from livestyle.settings import Settings

SMALL = (160, 90)
PLAIN = Settings(background="color:#204060", quality="balanced", device="cpu")
on_linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let")


@given(st.integers(0, 1000), st.integers(1, 50))
def test_frames_go_there_and_back(index: int, length: int) -> None:
    here, then = there_and_back(index, length), there_and_back(index + 1, length)
    assert 0 <= here < length
    assert abs(here - then) <= 1


def test_frames_are_the_clips_own_as_a_webcam_sends_them() -> None:
    jpegs = [encode(test_card(64, 48, seed)) for seed in range(3)]
    frames = list(islice(Encoded(jpegs, (64, 48), first=1), 6))
    assert [frame.index for frame in frames] == list(range(6))
    for frame, at in zip(frames, (1, 2, 2, 1, 0, 0), strict=True):
        assert (frame.image == decode(jpegs[at])).all()
    assert np.abs(frames[0].image.astype(int) - test_card(64, 48, 1)).mean() < 6
    assert len(encoded("demo", (32, 18))) == 120


def test_a_camera_sends_no_frame_early() -> None:
    start = time.monotonic()
    frames = list(islice(Encoded([encode(test_card(16, 16))], (16, 16), pace=100), 5))
    assert [frame.time >= index / 100 for index, frame in enumerate(frames)] == [True] * 5
    assert all(frame.captured >= start + frame.time for frame in frames)


def test_latency_counts_from_before_the_decoding() -> None:
    before = time.monotonic()
    frame = next(iter(Encoded([encode(test_card(640, 480))], (640, 480))))
    assert before <= frame.captured < time.monotonic()


@on_linux
def test_cores_are_chosen_and_given_back() -> None:
    before = allowed()
    with kept_to(1):
        assert allowed() == before[:1]
        code = "import os; print(sorted(os.sched_getaffinity(0)))"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert child.stdout.strip() == str(before[:1])
    assert allowed() == before
    with pytest.raises(UserError, match="cores"), kept_to(10**6):
        pass


@on_linux
def test_a_core_is_taken_and_given_back() -> None:
    def spinners() -> list[Path]:
        mine = Path(f"/proc/self/task/{os.getpid()}/children")
        return [Path(f"/proc/{child}") for child in mine.read_text().split()]

    before = spinners()
    with taken(1):
        (spinner,) = set(spinners()) - set(before)
        assert os.sched_getaffinity(int(spinner.name)) == {allowed()[-1]}
    assert not spinner.exists()


def test_a_bench_at_a_cameras_pace_beside_other_work() -> None:
    told: list[float] = []
    job = Job("demo", SMALL, 0.5, pace=20, busy=1 if hasattr(os, "sched_setaffinity") else 0)
    result = bench(PLAIN, job, open_deck(PLAIN), lambda _: None, lambda done, _: told.append(done))
    assert 1 <= result.frames + result.dropped <= 11
    assert result.first_frame_s > 0
    assert result.latency_ms["p50"] > 0
    assert told == sorted(told)
