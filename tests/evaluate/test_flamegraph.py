"""Where the time goes: weighed by CPU time, down to the layers, and drawn as wide as it took."""

import re
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed import flamegraph as flame
from livestyle.evaluate.speed.bench import BenchOptions, bench
from livestyle.evaluate.speed.roofline import net_runs
from livestyle.matting.refine import refine
from livestyle.nets.engine import choose_engine
from livestyle.types import Stop

on_linux = pytest.mark.skipif(not flame.THREADS_FOLDER.exists(), reason="this system does not tell what threads spend")
stacks = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple), st.floats(0.01, 5), min_size=1, max_size=12
)


@on_linux
def test_work_counts_and_waiting_does_not() -> None:
    """A thread refines mattes, another one waits; only the first costs."""
    over = threading.Event()
    waiter = threading.Thread(target=over.wait)
    waiter.start()
    gray, matte = draw_card(640, 480)[..., 0], draw_card(160, 120)[..., 0].astype("float32") / 255
    start = time.process_time()
    with flame.Sampler() as sampler:
        while time.process_time() - start < 0.5:
            refine(matte, gray)
    spent = time.process_time() - start
    over.set()
    waiter.join()
    work = sum(seconds for stack, seconds in sampler.costs.items() if "refine.refine" in stack)
    assert 0 < work <= sum(sampler.costs.values()) <= spent + 0.1  # what the sampler itself and others took is left out
    lines = [stack[-1] for stack in sampler.costs if "refine.refine" in stack]
    assert any(line in (Path(flame.PACKAGE) / "matting" / "refine.py").read_text("utf-8") for line in lines)


def test_short_work_is_not_told_as_waiting() -> None:
    """Time spent between two samples belongs to what was seen in either."""
    sampler, work = flame.Sampler(), ("filter._matte", "segment.refine")
    for spent, stack in ((1.0, work), (1.5, (flame.WAITING,)), (1.75, (flame.WAITING,)), (2.75, work)):
        sampler.note({7: spent}, {7: stack})
    assert sampler.costs == {work: 1.5, (flame.WAITING,): 0.25}


@on_linux
def test_a_net_is_parted_into_its_layers() -> None:
    works = net_runs(Settings(), ["the_scream"], choose_engine("cpu"), draw_card(64, 48), (64, 48))
    costs = {("filter._matte", flame.NET): 1.0, ("filter._stylize", flame.NET): 2.0, ("live.drive", "line"): 3.0}
    parted = flame.with_layers(costs, works)
    assert sum(parted.values()) == pytest.approx(6)
    for outer, net, seconds in (("filter._matte", "unet", 1), ("filter._stylize", "the_scream", 2)):
        layers = {stack: spent for stack, spent in parted.items() if stack[0] == outer}
        assert sum(layers.values()) == pytest.approx(seconds)
        assert all(stack[-1].endswith(f" of {net}") for stack in layers)
        assert any("Convolution" in stack[2] for stack in layers)
    assert parted["live.drive", "line"] == 3.0


@given(stacks, st.integers(1, 50))
def test_frames_are_as_wide_as_their_time(costs: dict[tuple[str, ...], float], frames: int) -> None:
    total = sum(costs.values())
    boxes = list(flame.lay_out(sorted(costs.items()), 0, 0.0, flame.WIDTH_PX / total))
    for depth, left, width, _ in boxes:
        assert -1e-6 <= left <= left + width <= flame.WIDTH_PX + 1e-6
        if depth:
            assert any(d == depth - 1 and x <= left + 1e-6 and left + width <= x + w + 1e-6 for d, x, w, _ in boxes)
    for first in {stack[0] for stack in costs}:
        share = sum(spent for stack, spent in costs.items() if stack[0] == first) / total
        (width,) = [box[2] for box in boxes if box[0] == 0 and box[3] == first]
        assert width == pytest.approx(flame.WIDTH_PX * share)
    told = flame.costliest(costs, frames, rows=10**3)
    assert sum(row["ms_per_frame"] for row in told) == pytest.approx(1000 * total / frames, rel=0.01, abs=0.1)
    assert sum(row["share"] for row in told) == pytest.approx(1, abs=0.01)


def test_the_picture_is_whole_whatever_lines_hold(tmp_path: Path) -> None:
    flame.draw_flame({("a.<lambda>", 'x = "<&>" * 3'): 1.0, ("b",): 0.5}, 10, tmp_path / "f.svg")
    root = ElementTree.fromstring((tmp_path / "f.svg").read_text("utf-8"))
    titles = [element.text or "" for element in root.iter() if element.tag.endswith("title")]
    assert 'x = "<&>" * 3: 100.00 ms, 66.7%' in titles
    assert len(titles) == 3


@pytest.mark.parametrize(("name", "message"), [("f.png", ".svg"), ("none/f.svg", "no folder")])
def test_a_picture_that_cannot_be_is_refused_first(tmp_path: Path, name: str, message: str) -> None:
    if flame.THREADS_FOLDER.exists():
        with pytest.raises(UserError, match=re.escape(message)):
            flame.check_flame(tmp_path / name)


@on_linux
def test_a_profile_of_a_bench(tmp_path: Path) -> None:
    settings = Settings(background="blur", device="cpu", quality="balanced")
    job = BenchOptions("demo", (160, 90), 0.5, profile=tmp_path / "f.svg", children=0)
    told = bench(settings, job, Stop(), lambda _: None, lambda *_: None)
    assert sum(row["share"] for row in told["profile"]) > 0.5
    drawn = (tmp_path / "f.svg").read_text("utf-8")
    assert "of unet" in drawn
    assert "driver.Session.run" in drawn or "driver.run" in drawn  # Python 3.10 knows no qualified names
    assert "flamegraph." not in drawn
