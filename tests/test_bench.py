"""What the measurements measure: which frames, at what pace, beside what; and what they tell of it."""

import json
import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import test_card
from hypothesis import given
from hypothesis import strategies as st
from test_cli import livestyle

from livestyle import naive
from livestyle.bench import Job, bench, compare, together
from livestyle.cores import allowed, kept_to, taken
from livestyle.deck import open_deck
from livestyle.encoded import Encoded, decode, encode, encoded, there_and_back
from livestyle.errors import UserError
from livestyle.live import Report
from livestyle.naive import RANDOM, STAGES, Stretch
from livestyle.nets.transform import JohnsonNet
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
    assert 1 <= result["frames"] + result["dropped"] <= 11
    assert result["first_frame_s"] > 0
    assert result["latency_ms"]["p50"] > 0
    assert told == sorted(told)


def test_several_reports_add_up() -> None:
    told = {"frames": 3, "seconds": 1.0, "fps": 3.0, "size": (2, 2), "device": "d", "engine": "e", "segmenter": "s",
            "background": "b", "person": "p", "dropped": 1, "first_frame_s": 0.0, "latency_ms": {"p50": 1.0},
            "stages_ms": {"read": 1.0}, "cpu_ms_per_frame": 5.0, "rss_mb": 1.0, "style_size": (2, 2),
            "matte_size": (1, 1), "segment_share": 1.0, "stylize_share": 1.0, "stylize_area": 1.0}  # fmt: skip
    reports = [Report(**{**told, "fps": fps, "latency_ms": {"p50": fps / 2}}) for fps in (3.0, 9.0, 4.0)]
    whole = together(reports)
    assert (whole.frames, whole.seconds, whole.dropped) == (9, 3.0, 3)
    assert (whole.fps, whole.latency_ms, whole.engine) == (4.0, {"p50": 2.0}, "e")


def test_a_ratio_is_the_median_over_the_rounds() -> None:
    ours = [SimpleNamespace(fps=fps, cpu_ms_per_frame=10.0) for fps in (10.0, 30.0, 50.0)]
    naive = [Stretch(2, 2.0, 0.4, [900.0, 1100.0], {name: [1.0, 3.0] for name in STAGES})] * 3
    told = compare(ours, naive, {"segmenter": "x"})  # type: ignore[arg-type]
    assert (told["ratio"], told["naive_fps"], told["naive_cpu_ms_per_frame"]) == (30.0, 1.0, 200.0)
    assert told["naive"]["ratios"] == [10.0, 30.0, 50.0]
    assert told["naive"]["cpu_ratio"] == 20.0
    assert told["naive"]["stages_ms"]["stylize"] == 2.0
    assert told["naive_latency_ms"]["p50"] == 1000.0


def test_the_published_net_keeps_the_size_whatever_its_border() -> None:
    picture = torch.rand(1, 3, 32, 48)
    for border in ("zeros", "reflect"):
        with torch.no_grad():
            assert JohnsonNet(4, 1, border).eval()(picture).shape == picture.shape


def test_against_the_naive_recipe_as_typed(tmp_path: Path) -> None:
    """It runs in turn with ours, on the same frames, and says what only times."""
    command = ["bench", "--against", "naive", "--size", "96x54", "--seconds", "0.5", "--background", "color:#204060"]
    facts = json.loads(livestyle(*command, "--chart", tmp_path / "c.png", "--json").stdout)
    assert facts["ratio"] == sorted(facts["naive"]["ratios"])[2]
    assert facts["naive_fps"] > 0
    assert facts["naive_cpu_ms_per_frame"] > 0
    assert facts["naive"]["style_weights"] == RANDOM
    assert facts["naive"]["frames"] >= len(facts["naive"]["ratios"]) == 5
    assert set(facts["naive"]["stages_ms"]) == set(facts["stages_ms"])
    assert facts["rss_mb"] < 500  # PyTorch is in the other process
    assert (tmp_path / "c.png").is_file()


def test_a_comparison_that_cannot_be_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, message in (
        (["--against", "theirs"], "theirs"),
        (["--against", "naive", "--pace", "30"], "--pace"),
        (["--against", "naive", "--model-file", "gone.tflite"], "gone.tflite"),
        (["--chart", "c.png"], "--against naive"),
        (["--against", "naive", "--chart", "none/c.png"], "none"),
    ):
        assert message in livestyle("bench", "--seconds", "0.5", *words, code=2).stderr
    monkeypatch.setattr(naive, "has_package", lambda name: name != "torch")
    with pytest.raises(UserError, match="torch"):
        naive.check_naive(None)
