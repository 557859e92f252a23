"""Engines: the same picture from both, on the shipped models; and devices that are not there."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.errors import UserError
from livestyle.image.pixels import pad_to
from livestyle.image.types import Image
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_nets
from livestyle.nets.openvino_net import MAX_COMPILED_MB, MIN_COMPILED, CompiledCache, memory_mb, threads_for

MODELS = [(kind, name) for kind in ("style", "segmenter") for name in find_nets(kind)]

NEAR = {"style": 32, "segmenter": 40}  # dB: OpenVINO computes styles in int8


def psnr(one: np.ndarray, other: np.ndarray, peak: float) -> float:  # type: ignore[type-arg]
    """Peak signal-to-noise ratio in dB."""
    error = np.square(one.astype(float) - other).mean()
    return float(10 * np.log10(peak**2 / max(error, 1e-12)))


@pytest.mark.parametrize(("kind", "name"), MODELS)
def test_both_engines_give_the_same_picture(kind: str, name: str, person: Image) -> None:
    card = find_nets(kind)[name]
    images = pad_to(person[:144, 200:456], card.multiple)[None]
    one = choose_engine("cpu", precision="float32").load(card)(images)
    other = choose_engine("torch:cpu", precision="float32").load(card)(images)
    assert one.shape == other.shape
    assert psnr(one, other, 255 if kind == "style" else 1) >= NEAR[kind]


@pytest.mark.parametrize(("kind", "name"), MODELS)
def test_the_fast_precision_stays_near_the_exact_one(kind: str, name: str, person: Image) -> None:
    card = find_nets(kind)[name]
    images = pad_to(person[:144, 200:456], card.multiple)[None]
    exact, fast = (choose_engine("cpu", p).load(card)(images) for p in ("float32", "int8"))
    assert psnr(exact, fast, 255 if kind == "style" else 1) >= 30


def test_a_net_takes_any_size_and_keeps_no_memory_of_the_last(person: Image) -> None:
    kind, name = MODELS[0]
    net = choose_engine("cpu").load(find_nets(kind)[name])
    first = net(person[None, :64, :96])
    for side in (32, 48, 64, 80):
        assert net(person[None, :side, :side]).shape[:3] == (1, side, side)
    assert (net(person[None, :64, :96]) == first).all()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "torch:tpu", "mps"])
def test_a_device_that_is_not_there_gets_one_sentence(device: str) -> None:
    import torch

    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(UserError, match=f"'{device.removesuffix(':99').replace('gpu', 'cuda')}'"):
        choose_engine(device)


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    """No child process and no connection while a net is loaded and run."""
    code = """
import os, socket, sys
def forbidden(*_): raise SystemExit("something was to be reported")
os.register_at_fork(before=forbidden)
socket.socket.connect = forbidden
import livestyle
with livestyle.Filter(background="great_wave") as filter, livestyle.open_source("demo") as source:
    filter.paint(next(iter(source)).image)
print("quiet", "openvino_telemetry" in sys.modules)
"""
    environment = {**os.environ, "HOME": str(tmp_path)}  # no consent file from before
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "quiet False\n", done.stderr


def test_signals_arrive_after_a_net_is_dropped_in_another_thread() -> None:
    script = """
import gc, signal, sys, threading
import numpy as np
from livestyle.nets.engine import choose_engine
from livestyle.nets.library import find_nets

heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
card = find_nets("style", None)["great_wave"]
nets = [choose_engine("cpu").load(card)]
nets[0](np.zeros((1, 64, 64, 3), np.uint8))
dropper = threading.Thread(target=lambda: (nets.clear(), gc.collect()))
dropper.start()
dropper.join()
for _ in range(20):
    kept = [bytearray(size) for size in range(1000, 60_000, 500)]  # what was freed is used again
    signal.raise_signal(signal.SIGINT)
    assert kept[0][0] == 0
    assert not any(map(any, kept)), "a signal wrote into somebody's memory"
sys.exit(len(heard) != 20)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from([90, 270, 540, 1080])), min_size=1, max_size=40))
def test_nets_made_ready_stay_within_their_room_and_those_used_last_stay(uses: list[tuple[int, int]]) -> None:
    ready = CompiledCache()
    for net, height in uses:
        shape = (1, height, height * 16 // 9, 3)
        if ready.find(net, shape) is None:
            ready.keep(net, shape, (net, shape))
    there = [key for key in {(net, (1, h, h * 16 // 9, 3)) for net, h in uses} if ready.find(*key)]
    assert len(there) <= MIN_COMPILED or sum(memory_mb(shape) for _, shape in there) <= MAX_COMPILED_MB
    last = list(dict.fromkeys((net, (1, h, h * 16 // 9, 3)) for net, h in reversed(uses)))
    assert set(last[: min(MIN_COMPILED, len(last))]) <= set(there)
    assert len(there) == len(last) or sum(memory_mb(shape) for _, shape in last[: len(there) + 1]) > MAX_COMPILED_MB


def test_a_large_input_takes_more_threads_but_no_more_than_there_are() -> None:
    cores = os.cpu_count() or 1
    assert threads_for((1, 270, 480, 3), 1) == 1
    assert threads_for((1, 540, 960, 3), 1) == min(2, cores)
    assert threads_for((1, 540, 960, 3), cores) == cores
