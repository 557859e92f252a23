"""What the measurements measure: which frames, at what pace, beside what; and what they tell of it."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.cli import main as cli
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.charts import draw_baseline
from livestyle.evaluate.speed import baseline as naive
from livestyle.evaluate.speed import cores, jpeg_frames
from livestyle.evaluate.speed.baseline import RANDOM, STAGES, Baseline, Timings
from livestyle.evaluate.speed.bench import BenchOptions, bench, compare, merge
from livestyle.evaluate.speed.cores import OtherLoad, allowed_cores, idle_seconds, limited_to, occupied
from livestyle.evaluate.speed.jpeg_frames import (
    MIN_FRAMES,
    Jpeg,
    JpegFrames,
    decode,
    encode,
    load_jpegs,
    there_and_back,
)
from livestyle.image.types import Image
from livestyle.live.report import Report
from livestyle.types import Stop

SMALL = (160, 90)
PLAIN = Settings(background="color:#204060", quality="balanced", device="cpu")
on_linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not let")


@given(st.integers(0, 1000), st.integers(1, 50))
def test_frames_go_there_and_back(index: int, length: int) -> None:
    here, then = there_and_back(index, length), there_and_back(index + 1, length)
    assert 0 <= here < length
    assert abs(here - then) <= 1


def test_frames_are_the_clips_own_as_a_webcam_sends_them() -> None:
    jpegs = [encode(draw_card(64, 48, seed)) for seed in range(3)]
    frames = list(islice(JpegFrames(jpegs, (64, 48), first=1), 6))
    assert [frame.index for frame in frames] == list(range(6))
    for frame, at in zip(frames, (1, 2, 2, 1, 0, 0), strict=True):
        assert (frame.image == decode(jpegs[at])).all()
    assert np.abs(frames[0].image.astype(int) - draw_card(64, 48, 1)).mean() < 6
    assert len(load_jpegs("demo", (32, 18))) == 120


class Clock:
    """A clock that moves while somebody sleeps, and 4 ms while a frame is decoded."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def decode(self, jpeg: Jpeg) -> Image:
        self.now += 0.004
        return decode(jpeg)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jpeg_frames, "time", clock)
    monkeypatch.setattr(jpeg_frames, "decode", clock.decode)
    return clock


JPEG = encode(draw_card(16, 16))


def test_a_camera_sends_frames_at_its_pace_and_latency_counts_from_before_the_decoding(clock: Clock) -> None:
    frames = list(islice(JpegFrames([JPEG], (16, 16), pace=100), 5))
    assert [frame.time for frame in frames] == pytest.approx([index / 100 for index in range(5)])
    assert [frame.captured for frame in frames] == pytest.approx([100 + index / 100 for index in range(5)])
    without = next(iter(JpegFrames([JPEG], (16, 16))))
    assert clock.now - without.captured == pytest.approx(0.004)


def test_frames_end_after_their_time_but_for_the_least(clock: Clock) -> None:
    for pace, seconds, count in ((None, 0, MIN_FRAMES), (None, 0.1, 25), (50, 0.099, 5)):
        assert len(list(JpegFrames([JPEG], (16, 16), pace=pace, seconds=seconds))) == count


def test_the_load_of_other_processes_is_what_neither_idled_nor_was_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"monotonic": 10.0, "process_time": 5.0, "idle": 100.0}
    times = {name: lambda name=name: now[name] for name in ("monotonic", "process_time")}
    monkeypatch.setattr(cores, "time", SimpleNamespace(**times))
    monkeypatch.setattr(cores, "idle_seconds", lambda: now["idle"])
    monkeypatch.setattr(cores, "allowed_cores", lambda: [0, 1])
    others = OtherLoad()
    now |= {"monotonic": 12.0, "process_time": 6.0, "idle": 101.0}  # of four seconds one was ours, and one nobody's
    assert others.share() == 0.5
    now["idle"] = None  # type: ignore[assignment]
    assert others.share() is None


@on_linux
def test_the_system_says_how_long_cores_idled() -> None:
    assert (idle_seconds() or 0.0) > 0


@on_linux
def test_cores_are_chosen_and_given_back() -> None:
    before = allowed_cores()
    with limited_to(1):
        assert allowed_cores() == before[:1]
        code = "import os; print(sorted(os.sched_getaffinity(0)))"
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert child.stdout.strip() == str(before[:1])
    assert allowed_cores() == before
    with pytest.raises(UserError, match="cores"), limited_to(10**6):
        pass


@on_linux
def test_a_core_is_taken_and_given_back() -> None:
    def spinners() -> list[Path]:
        mine = Path(f"/proc/self/task/{os.getpid()}/children")
        return [Path(f"/proc/{child}") for child in mine.read_text().split()]

    before = spinners()
    with occupied(1):
        (spinner,) = set(spinners()) - set(before)
        assert os.sched_getaffinity(int(spinner.name)) == {allowed_cores()[-1]}
    assert not spinner.exists()


def test_a_bench_at_a_cameras_pace_beside_other_work() -> None:
    told: list[float] = []
    job = BenchOptions("demo", SMALL, 0.5, pace=20, busy=1 if hasattr(os, "sched_setaffinity") else 0, children=1)
    result = bench(PLAIN, job, Stop(), lambda _: None, lambda done, _: told.append(done))
    assert 1 <= result["frames"] <= 10
    assert result["first_frame_s"] > 0
    assert 0 < result["filter_ms"]["p50"] <= result["filter_ms"]["p95"]
    assert result["cuda_graphs"] is False
    assert told == sorted(told)
    assert result["others_share"] is None or 0 <= result["others_share"] <= 1


def test_several_reports_add_up() -> None:
    told = {"frames": 3, "seconds": 1.0, "fps": 3.0, "size": (2, 2), "device": "d", "engine": "e", "segmenter": "s",
            "background": "b", "person": "p", "dropped": 1, "first_frame_s": 0.0, "latency_ms": {"p50": 1.0},
            "stages_ms": {"read": 1.0}, "cpu_ms_per_frame": 5.0, "rss_mb": 1.0, "style_size": (2, 2),
            "matte_size": (1, 1), "segment_share": 1.0, "stylize_share": 1.0, "stylize_area": 1.0}  # fmt: skip
    reports = [Report(**{**told, "fps": fps, "latency_ms": {"p50": fps / 2}}) for fps in (3.0, 9.0, 4.0)]
    whole = merge(reports)
    assert (whole.frames, whole.seconds, whole.dropped) == (9, 3.0, 3)
    assert (whole.fps, whole.latency_ms, whole.engine) == (4.0, {"p50": 2.0}, "e")


def test_a_ratio_is_the_median_over_the_rounds() -> None:
    ours = [SimpleNamespace(fps=fps, cpu_ms_per_frame=10.0) for fps in (10.0, 30.0, 50.0)]
    naive = [Timings(2, 2.0, 0.4, [900.0, 1100.0], {name: [1.0, 3.0] for name in STAGES})] * 3
    told = compare(ours, naive, {"segmenter": "x"})  # type: ignore[arg-type]
    assert (told["ratio"], told["naive_fps"], told["naive_cpu_ms_per_frame"]) == (30.0, 1.0, 200.0)
    assert told["naive"]["ratios"] == [10.0, 30.0, 50.0]
    assert told["naive"]["cpu_ratio"] == 20.0
    assert told["naive"]["stages_ms"]["stylize"] == 2.0
    assert told["naive_latency_ms"]["p50"] == 1000.0


def test_against_the_naive_recipe(tmp_path: Path) -> None:
    """It runs in turn with ours, on the same frames, and says what only times."""
    job = BenchOptions("demo", (96, 54), 0.5, baseline=True, children=0)
    facts = bench(PLAIN, job, Stop(), lambda _: None, lambda *_: None)
    assert facts["ratio"] == sorted(facts["naive"]["ratios"])[2]
    assert facts["naive_fps"] > 0
    assert facts["naive_cpu_ms_per_frame"] > 0
    assert facts["naive"]["style_weights"] == RANDOM
    assert facts["naive"]["frames"] >= len(facts["naive"]["ratios"]) == 5
    assert set(facts["naive"]["stages_ms"]) == set(facts["stages_ms"])
    assert type(facts["naive"]["torch"]) is str  # a string of PyTorch's own would bring PyTorch into our process
    assert json.loads(json.dumps(facts))["naive"] == facts["naive"]
    draw_baseline(facts, tmp_path / "c.png")
    assert (tmp_path / "c.png").is_file()


class Ended(Baseline):
    """A recipe that is ended by Ctrl-C in its second stretch."""

    def __init__(self, stop: Stop, after: int) -> None:
        self.stop, self.left, self.facts = stop, after, {}

    def __enter__(self) -> "Ended":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, first: int, seconds: float) -> Timings:
        self.left -= 1
        if self.left < 0:
            self.stop.set()
        return Timings(1, 1.0, 1.0, [1.0], {name: [1.0] for name in STAGES})


@pytest.mark.parametrize("whole", [0, 1])
def test_a_comparison_that_is_ended_tells_of_whole_rounds(monkeypatch: pytest.MonkeyPatch, whole: int) -> None:
    stop, job = Stop(), BenchOptions("demo", (32, 18), 0.1, baseline=True, children=0)
    monkeypatch.setattr("livestyle.evaluate.speed.bench.Baseline", lambda *_: Ended(stop, whole))
    try:
        told = bench(PLAIN, job, stop, lambda _: None, lambda *_: None)
    except KeyboardInterrupt:
        assert not whole
    else:
        assert len(told["naive"]["ratios"]) == whole > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--against", "theirs"], "theirs"),
        (["--against", "naive", "--pace", "30"], "--pace"),
        (["--against", "naive", "--model-file", "gone.tflite"], "gone.tflite"),
        (["--chart", "c.png"], "--against"),
        (["--against", "naive", "--chart", "none/c.png"], "none"),
        (["--cores", "1000000"], "1000000 cores"),
        (["--busy-cores", "1000000"], "1000000 cores"),
    ],
)
def test_what_cannot_be_measured_is_refused_first(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_pytorch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naive, "has_package", lambda name: name != "torch")
    with pytest.raises(UserError, match="torch"):
        naive.check_baseline(None)


FACTS: dict[str, object] = {
    "size": (640, 360), "fps": 40.0, "cpu_ms_per_frame": 30.0, "latency_ms": {"p50": 20.0, "p95": 25.0},
    "stages_ms": dict.fromkeys(STAGES, 1.0), "engine": "OpenVINO", "segmenter": "unet", "background": "great_wave",
    "person": "none", "first_frame_s": 0.5, "rss_mb": 300.0, "dropped": 0, "others_share": 0.2, "ratio": 25.0,
    "naive_fps": 1.6, "naive_cpu_ms_per_frame": 900.0, "naive_latency_ms": {"p50": 600.0, "p95": 650.0},
    "naive": {"stages_ms": dict.fromkeys(STAGES, 100.0), "cpu_ratio": 30.0},
    "peak": {"gops": {"int8": 1000.0, "bf16": None}, "nets": [
        {"name": "unet", "kind": "segmenter", "size": [352, 192], "gop": 1.7, "cpu_ms": 5.0, "gops": 340.0,
         "share": 0.34}]},
}  # fmt: skip


def test_what_is_typed_is_measured_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    jobs = []
    monkeypatch.setattr(
        "livestyle.evaluate.speed.bench.bench", lambda settings, job, *_: jobs.append((settings, job)) or FACTS
    )
    model = tmp_path / "a.tflite"
    words = ["bench", "--against", "naive", "--peak", "--size", "320x180", "--seconds", "3", "--model-file", str(model)]
    assert cli.run([*words, "--chart", str(tmp_path / "c.png")]) == 0
    settings, job = jobs[0]
    assert job == BenchOptions("demo", (320, 180), 3.0, baseline=True, model_file=model, peak=True)
    assert settings.model_file is None  # it is MediaPipe's, not our segmenter's
    assert (tmp_path / "c.png").is_file()
    told = capsys.readouterr()
    assert all(word in told.out for word in ("livestyle", "naive", "40.0", "1.6", "352x192", "34%"))
    assert "25.0 times" in told.err
    assert "other processes took 20%" in told.err
    assert cli.run(["bench", "--json", "--pace", "30", "--busy-cores", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["ratio"] == 25.0
    assert jobs[1][1] == BenchOptions("demo", (640, 360), 10.0, pace=30.0, busy=1)
