"""A picture's style gets better while it is worn: in the module, and in the process that a live filter starts."""

import io
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import save_image
from livestyle.nets import losses
from livestyle.nets.architectures.style_rows import StylePredictor, row_of
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.card import Card, save_card
from livestyle.nets.engine import choose_engine
from livestyle.render.stylizer import load_style
from livestyle.stills.reference import painting_grams
from livestyle.train import better, finetune
from livestyle.train.better import Order
from livestyle.train.finetune import (
    Crops,
    FineTuner,
    FineTuning,
    add_frame,
    averaged,
    grams_of,
    hold_out,
    tuned,
)
from livestyle.train.photos import Photos

pytestmark = pytest.mark.torch

SIZE = 32, 24  # of frames


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    """A narrow loss network with made-up weights, and taps as the compact one has."""
    torch.manual_seed(1)
    net = LossNetwork((4, 4, 6, 6, 6), dict.fromkeys((*losses.STYLE_LAYERS, losses.CONTENT_LAYER), 5))
    for conv in (net.colours, *net.convs.values()):
        torch.nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]
    return net.eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("CROP_PX", 32), ("KEPT_CROPS", 3), ("HELD_OUT_SIDE_PX", 32)):
        monkeypatch.setattr(finetune, name, value)


def photos(count: int = 3) -> Photos:
    return Photos([(f"{n}", partial(draw_card, 80, 64, seed=n)) for n in range(count)], "cards")


def job_of(network: LossNetwork, **flags: Any) -> FineTuning:
    torch.manual_seed(2)
    grams = painting_grams(network, draw_card(120, 100, seed=9))
    return FineTuning(SlimNet(), grams, network, photos(), [draw_card(48, 40, seed=7)], **flags)


@pytest.fixture
def run_steps(network: LossNetwork) -> Iterator[Any]:
    """Take steps, and return the fine-tuner."""
    opened = list[FineTuner]()

    def run(count: int, **flags: Any) -> FineTuner:
        opened.append(FineTuner(job_of(network, **flags)))
        for _ in range(count):
            opened[-1].step()
        return opened[-1]

    yield run
    for tuner in opened:
        tuner.close()


def test_the_loss_of_held_out_pictures_falls(run_steps: Any) -> None:
    tuner = run_steps(0)
    before = tuner.loss()
    for _ in range(6):
        terms = tuner.step()
    assert {"content", "style", "grid"} <= set(terms)
    assert tuner.images == 6
    assert tuner.loss() < before


def test_chance_is_seeded_however_fast_workers_are(run_steps: Any) -> None:
    first, second, other = (row_of(run_steps(4, workers=2, seed=seed).net) for seed in (0, 0, 1))
    assert torch.allclose(first, second, atol=1e-4)
    assert not torch.allclose(first, other, atol=1e-4)


def test_an_average_of_weights_forgets_the_start() -> None:
    mean = torch.tensor([100.0])
    for count in range(200):
        mean = averaged(mean, torch.tensor([float(count)]), count)
    assert 150 < mean.item() < 190


def test_crops_are_painted_more_than_once() -> None:
    crops = Crops(photos(), 0)
    taken = [id(crops.take(number).sample.image) for number in range(80)]
    crops.close()
    assert 10 < len(set(taken)) < 40
    assert len(set(taken[:3])) == 3


def test_frames_are_painted_but_for_some_that_are_held_out() -> None:
    frames = [np.full((8, 8, 3), n, np.uint8) for n in range(16)]
    feed = photos()
    held_out = {int(frame[0, 0, 0]) for frame in hold_out(feed, frames)}
    assert held_out == {4, 12}
    counts = Counter(name for name, _ in feed.sources)
    assert counts[finetune.FRAME] == 2 * 14  # in two lights
    assert not held_out & {int(load()[0, 0, 0]) for name, load in feed.sources[3::2]}
    for _ in range(200):
        add_frame(feed, frames[0])
    assert len(feed.sources) == 3 + 2 * finetune.MAX_FRAMES


def test_without_frames_photos_are_held_out() -> None:
    feed = photos(9)
    feed.sources[0] = "broken", lambda: (_ for _ in ()).throw(UserError("broken"))
    assert len(hold_out(feed, [])) == 3
    assert len(feed.sources) == 5


def test_a_mix_has_the_mixed_grams(network: LossNetwork, tmp_path: Path) -> None:
    a, b = tmp_path / "a.png", tmp_path / "b.png"
    for seed, file in enumerate((a, b)):
        save_image(file, draw_card(120, 100, seed=seed))
    first, second = grams_of(f"picture:{a}", network), grams_of(f"picture:{b}", network)
    for layer, gram in grams_of(f"picture:{a}+{b}@0.25", network).items():
        assert torch.allclose(gram, 0.75 * first[layer] + 0.25 * second[layer], rtol=1e-3)


def test_a_network_is_shown_after_each_number_of_seconds(network: LossNetwork, tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", draw_card(120, 100))
    shown = [count for _, count in tuned(SlimNet(), tmp_path / "a.png", [1e-6, 2e-6], network, photos())]
    assert shown == 2 * [finetune.worker_count()]


# The process


@pytest.fixture
def order(network: LossNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An order that can be done, beside a tiny predictor."""
    monkeypatch.setattr(better, "open_loss_network", lambda *choice: (network, tmp_path))
    monkeypatch.setattr(better, "CHECK_INTERVAL_S", 0.0)
    torch.manual_seed(0)
    net, rows = SlimNet(), StylePredictor(20, 864)
    row = row_of(net).numpy()
    monkeypatch.setattr(better, "Predictor", lambda card, models: SimpleNamespace(mix=lambda look: row))
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()} | {
        f"rows.{k}": v for k, v in rows.state_dict().items()
    }
    (folder := tmp_path / "any").mkdir()
    save_file(tensors, file := folder / "any.safetensors")
    save_card(Card("any", "predictor", "Any", "slim", {file.name: sha256(file)}, "?", "?", "?", "?"), folder)
    (tmp_path / "photos").mkdir()
    save_image(tmp_path / "photos/0.png", draw_card(80, 64))
    save_image(tmp_path / "a.png", draw_card(120, 100, seed=9))
    return {"look": f"picture:{tmp_path / 'a.png'}", "folder": str(tmp_path / "out"), "name": "better",
            "width": SIZE[0], "height": SIZE[1], "frames": 9, "minutes": 0.05, "predictor": str(folder),
            "photos": str(tmp_path / "photos")}  # fmt: skip


def lines_of(order: dict[str, Any], frames: int, is_open: bool) -> list[dict[str, Any]]:
    """Send an order and frames, and return what comes back; the stream stays open where that is asked for."""
    out, raw = io.StringIO(), draw_card(*SIZE).tobytes()
    reading, writing = os.pipe()
    os.write(writing, json.dumps(order).encode() + b"\n" + frames * raw)
    if not is_open:
        os.close(writing)
    with os.fdopen(reading, "rb") as stdin:
        better.run(stdin, out)
        if is_open:
            os.close(writing)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_better_weights_are_written_as_a_style(order: dict[str, Any]) -> None:
    lines = lines_of(order, 9, is_open=True)
    assert lines[0] == {"seconds": 0.0, "images": 0, "loss": lines[0]["start_loss"],
                        "start_loss": lines[0]["start_loss"], "saved": None}  # fmt: skip
    saved = [line for line in lines if line["saved"]]
    assert saved
    assert saved[-1]["loss"] < lines[0]["loss"]
    losses_saved = [lines[0]["loss"], *(line["loss"] for line in saved)]
    assert all(after < (1 - better.LEAST_GAIN) * before for before, after in pairwise(losses_saved))
    assert {file.name for file in Path(order["folder"]).iterdir()} == {"better.onnx", "better.safetensors"}
    painted = load_style(saved[-1]["saved"], choose_engine("cpu"), 1 << 20)(draw_card(*SIZE))
    exact = load_style(saved[-1]["saved"].replace(".onnx", ".safetensors"), choose_engine("torch:cpu"), 1 << 20)
    assert np.abs(painted.astype(int) - exact(draw_card(*SIZE))).mean() < 12


def test_it_ends_when_its_parent_does(order: dict[str, Any]) -> None:
    lines = lines_of({**order, "minutes": 60}, 3, is_open=False)
    assert [line["saved"] for line in lines] == [None] * len(lines)
    assert not Path(order["folder"]).exists()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"width": 0}, "no order"),
        ({"look": "picture:nowhere.jpg"}, "There is no file"),
        ({"photos": "/nowhere"}, "nowhere"),
    ],
)
def test_a_fault_is_a_line(order: dict[str, Any], wrong: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch,
                           capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    reading, writing = os.pipe()
    os.write(writing, json.dumps(order | wrong).encode() + b"\n")
    os.close(writing)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reading))
    assert better.main() == 2
    os.close(reading)
    assert words in json.loads(capsys.readouterr().out)["problem"]


def test_an_order_needs_no_more_than_a_look_and_sizes() -> None:
    given = {"look": "picture:a.jpg", "folder": "o", "name": "n", "width": 4, "height": 4}
    assert better.read_order(json.dumps(given).encode()) == Order("picture:a.jpg", "o", "n", 4, 4)
