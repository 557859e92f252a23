"""The trainers run, resume, and ship what they trained; on tiny made-up data."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.cli import run_here
from support.pictures import draw_card

from livestyle.config.settings import TRAINABLE
from livestyle.errors import UserError
from livestyle.image.io import load_image, save_image
from livestyle.matting.datasets import Pair, list_pairs
from livestyle.nets.architectures.mobilenet import MobileNetV2
from livestyle.nets.architectures.vgg import CONVOLUTIONS
from livestyle.nets.export.shipped import build
from livestyle.train import curves, loop, segmenter
from livestyle.train import scenes as data
from livestyle.train.augment import seat
from livestyle.train.checkpoint import load_checkpoint, save_checkpoint
from livestyle.train.loop import Clock, TrainingStatus, one_cycle
from livestyle.train.publish import load_trained

pytestmark = pytest.mark.torch

NARROW = (16, 32, 64, 128, 128)  # widths of a published quarter of VGG-19, from which segmenters start


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow loss network and an encoder of the real shapes, with made-up weights."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    weights, channels = {"conv0.weight": torch.eye(3).view(3, 3, 1, 1), "conv0.bias": torch.zeros(3)}, 3
    for stage, (width, count) in enumerate(zip(NARROW, CONVOLUTIONS, strict=True), start=1):
        for i in range(1, count + 1):
            weights[f"conv{stage}{i}.weight"] = torch.randn(width, channels, 3, 3) * (2 / (channels * 9)) ** 0.5
            weights[f"conv{stage}{i}.bias"] = torch.zeros(width)
            channels = width
    save_file(weights, folder / "vgg19_16x.safetensors")
    encoder = {}
    for key, value in MobileNetV2().state_dict().items():
        encoder[key.replace(".conv.", ".0.").replace(".norm.", ".1.")] = value
    save_file(encoder, folder / "mobilenetv2.safetensors")
    return folder


def lay_pairs(folder: Path) -> Path:
    """Write two portraits with mattes, which are photos and rooms, too."""
    folder.mkdir()
    for n in range(2):
        save_image(folder / f"p{n}.jpg", draw_card(320, 400, seed=n))
        matte = np.zeros((400, 320), np.uint8)
        matte[100:, 80:240] = 255
        save_image(folder / f"p{n}.png", matte)
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return lay_pairs(tmp_path / "pairs")


def test_an_empty_folder_of_pairs_is_an_error_of_the_user(tmp_path: Path, pairs: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_here("train", "segmenter", "unet", "--data", tmp_path / "empty", "--rooms", pairs,
                    "--perceptual", tmp_path, code=2)  # fmt: skip
    assert "no pairs" in done.stderr


STEPS, SECONDS = 10, 10  # of a short training: saved after the seventh step and at the end


@contextmanager
def counted_steps() -> Iterator[None]:
    """Have the clock of trainings moved by their steps alone."""
    time, step = SimpleNamespace(now=0.0), segmenter.step

    def timed(*arguments: object) -> dict[str, float]:
        time.now += SECONDS
        return step(*arguments)

    stopped = SimpleNamespace(monotonic=lambda: time.now)
    torch.set_num_threads(1)
    with (
        patch.object(loop, "time", stopped),
        patch.object(curves, "time", stopped),
        patch.object(segmenter, "step", timed),
    ):
        yield


def short_training(
    folder: Path, perceptual: Path, runs: str, die_after: int = 0, **flags: object
) -> list[TrainingStatus]:
    """What a segmenter's training of tiny pictures reports after each step, by a clock that only its steps move."""
    job = segmenter.SegmenterTraining(
        "unet", (folder / "pairs",), folder / "pairs", perceptual, folder / runs / "unet.safetensors",
        STEPS * SECONDS / 60, pixels=64 * 64, workers=0, **{"validate": str(folder / "pairs"), **flags},
    )  # fmt: skip
    reports = []
    with counted_steps():
        for report in segmenter.train_segmenter(job):
            reports.append(report)
            if len(reports) == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
    return reports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pairs, and of the trainings with them."""
    folder = tmp_path_factory.mktemp("trainings")
    lay_pairs(folder / "pairs")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, perceptual: Path) -> list[TrainingStatus]:
    """What a training reported that was never stopped. Its files are in `folder / "whole"`."""
    return short_training(folder, perceptual, "whole")


def test_a_segmenter_trains_from_another_and_ships(
    tmp_path: Path, folder: Path, perceptual: Path, pairs: Path, whole: object
) -> None:
    """By the command, and under its name by another command."""
    save_image(pairs / "alone.jpg", draw_card(320, 400))
    with counted_steps():
        done = run_here(
            "train", "segmenter", "unet", "--data", pairs, "--rooms", pairs, "--perceptual", perceptual, "--validate",
            pairs, "--minutes", 0.5, "--pixels", 64 * 64, "--from", folder / "whole/unet.safetensors", "--rate", 1e-4,
            "--runs", tmp_path / "runs", "--out", tmp_path / "models",
        )  # fmt: skip
    assert "Left out, no matte: 1 (alone.jpg)" in done.stderr
    card = json.loads((tmp_path / "models/segmenters/unet/card.json").read_text())
    assert card["figures"]["images"] == 3 * 16
    run_here("matte", pairs / "p0.jpg", tmp_path / "m.png", "--models", tmp_path / "models")
    assert load_image(tmp_path / "m.png").shape == (400, 320, 3)


def figures(reports: list[TrainingStatus]) -> list[dict[str, float]]:
    return [{"images": report.images, **report.terms} for report in reports]


def same(one: list[dict[str, float]], two: list[dict[str, float]]) -> bool:
    return len(one) == len(two) and all(a == pytest.approx(b, rel=1e-3) for a, b in zip(one, two, strict=True))


def test_a_killed_training_goes_on_as_if_it_had_not_been(
    folder: Path, perceptual: Path, whole: list[TrainingStatus]
) -> None:
    rows = figures(whole)
    assert [row["images"] for row in rows] == [16 * (n + 1) for n in range(STEPS)]
    code = "import pathlib, test_segmenter as t; "
    code += f"t.short_training(pathlib.Path({str(folder)!r}), pathlib.Path({str(perceptual)!r}), 'killed', 9)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert same(figures(short_training(folder, perceptual, "killed")), rows[7:])
    one, two = (json.loads((folder / runs / "unet.curves.json").read_text()) for runs in ("whole", "killed"))
    assert [point["images"] for point in one] == [point["images"] for point in two] == [7 * 16, STEPS * 16]
    for line in ("training", "validation"):
        assert same([point[line] for point in one], [point[line] for point in two])


def test_frozen_norms_keep_their_statistics(folder: Path, perceptual: Path, whole: object) -> None:
    first = folder / "whole/unet.safetensors"
    short_training(folder, perceptual, "more", init=first, frozen=True)
    before, after = load_file(first), load_file(folder / "more/unet.safetensors")
    statistics = [key for key in before if key.startswith("mean.") and "running_" in key]
    assert statistics
    for key in statistics:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-4)
    assert not torch.equal(before["mean.classify.weight"], after["mean.classify.weight"])


def test_validation_is_drawn_and_leaves_no_trace(folder: Path, perceptual: Path, whole: list[TrainingStatus]) -> None:
    assert same(figures(whole), figures(short_training(folder, perceptual, "without", validate="none")))
    one, two = (json.loads((folder / runs / "unet.curves.json").read_text()) for runs in ("whole", "without"))
    assert [point["validation"] for point in two] == [{}, {}]
    for point in one:
        assert point["validation"].keys() == point["training"].keys() == {"bce", "dice", "l1", "laplacian", "mean_iu"}
        assert 0 <= point["validation"]["mean_iu"] <= 1
    assert load_image(folder / "whole/unet.curves.png").std() > 1
    _, facts = load_trained(folder / "whole/unet.safetensors", "unet", "mean")
    assert {"minutes", "images", "bce_loss", "validation_loss", "validation_mean_iu"} <= facts.keys()
    assert all(isinstance(value, float | int | str) for value in facts.values())


def test_pictures_that_break_while_training_are_named(pairs: Path) -> None:
    whole = (pairs / "p0.jpg").read_bytes()
    (pairs / "p0.jpg").write_bytes(whole[: len(whole) // 2])
    told: list[str] = []
    scenes = data.Scenes(list_pairs(pairs), sorted(pairs.glob("*.jpg")))
    for workers in (0, 1):
        batches = segmenter.Batches(scenes, ((64, 64),), seed=0)
        list(islice(segmenter.load_batches(batches, 0, workers, told.append), 3))
    assert len(told) == 2
    assert all(line.startswith("Left out, unreadable: 1 (p0.jpg") or "p0.jpg, p0.jpg" in line for line in told)


def test_with_nothing_left_training_ends_with_a_sentence(tmp_path: Path) -> None:
    for workers in (0, 1):
        batches = segmenter.Batches(data.Scenes([], []), ((64, 64),), seed=0)
        with pytest.raises(UserError, match=r"^None of the training pictures can be read\. Give other folders"):
            next(segmenter.load_batches(batches, 0, workers, print))


def test_the_same_batches_come_from_any_number_of_processes(pairs: Path) -> None:
    def batches(images: int, workers: int) -> list[torch.Tensor]:
        scenes = data.Scenes(list_pairs(pairs), sorted(pairs.glob("*.jpg")))
        made = segmenter.load_batches(segmenter.Batches(scenes, ((64, 64), (64, 32)), seed=3), images, workers, print)
        return [pictures for pictures, _ in islice(made, 3)]

    first = batches(0, 0)
    for one, two in zip(first, batches(0, 2), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(first[2], batches(32, 1)[0])


def test_a_fixed_share_is_held_out() -> None:
    pairs = [Pair(Path(f"{n:05}.jpg"), Path(f"{n:05}.png")) for n in range(6400)]
    for count, share in ((39, 0), (40, 1), (2400, 60), (6400, 64)):
        rest, held = segmenter.hold_out(pairs[:count])
        assert len(held) == share
        assert sorted([*rest, *held], key=lambda pair: pair.picture) == pairs[:count]


def test_the_mean_iu_is_that_of_the_metrics() -> None:
    from livestyle.evaluate.metrics import picture_scores

    random = np.random.default_rng(0)
    found, true = random.random((2, 5, 1, 8, 8)) > 0.4
    true[0], found[0] = False, False
    expected = [
        picture_scores(t[0].astype(np.float32), f[0].astype(np.float32)) for f, t in zip(found, true, strict=True)
    ]
    mean = segmenter.mean_iu(torch.from_numpy(found), torch.from_numpy(true))
    assert float(mean) == pytest.approx(np.mean([row["mean_iu_per_image"] for row in expected]))


def test_validation_keeps_to_its_share_of_the_time() -> None:
    time = SimpleNamespace(now=0.0)

    def score() -> dict[str, float]:
        time.now += 3
        return {"bce": 1.0}

    with patch.object(curves, "time", SimpleNamespace(monotonic=lambda: time.now)):
        validate, scored = curves.SparseValidation(score), 0
        for _ in range(60):
            time.now += 60
            scored += bool(validate())
        assert validate(always=True) == {"bce": 1.0}
    assert 10 <= scored <= 0.02 * 3600 / 3


def test_what_is_missing_is_named(tmp_path: Path, pairs: Path) -> None:
    from livestyle.nets.architectures.vgg import load_loss_network

    with pytest.raises(UserError, match="vgg19"):
        load_loss_network(tmp_path / "vgg19.safetensors")
    with pytest.raises(UserError, match="mobilenetv2"):
        MobileNetV2().load(tmp_path / "mobilenetv2.safetensors")
    with pytest.raises(UserError, match="pairs"):
        list_pairs(tmp_path / "runs")


def test_a_checkpoint_restores_net_and_optimiser(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters(), 0.1)

    def step(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimiser.step()

    step(net, optimizer)
    save_checkpoint(tmp_path / "c.safetensors", {"net": net}, optimizer, {"seconds": 1.5, "images": 4})
    other = torch.nn.Linear(3, 2)
    again = torch.optim.Adam(other.parameters(), 0.1)
    assert load_checkpoint(tmp_path / "c.safetensors", {"net": other}, again) == {"seconds": 1.5, "images": 4}
    step(net, optimizer)
    step(other, again)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [one_cycle(n / 100) for n in range(101)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 <= rates[-1] < 0.01 < rates[0] < max(rates) == pytest.approx(1, abs=0.01)
    assert Clock(1, spent=60).progress == 1


@pytest.mark.parametrize("size", [(256, 144), (144, 256)])
def test_training_scenes_are_pictures_with_mattes(pairs: Path, size: tuple[int, int]) -> None:
    random.seed(0)
    scenes = data.Scenes(list_pairs(pairs), sorted(pairs.glob("*.jpg")))
    shares = []
    for image, matte in islice(iter(lambda: scenes.sample(size), None), 60):
        assert image.shape == (size[1], size[0], 3)
        assert image.dtype == np.uint8
        assert matte.shape == (size[1], size[0])
        assert matte.dtype == np.float32
        assert 0 <= matte.min() <= matte.max() <= 1
        shares.append(matte.mean())
    assert 0.1 < np.mean(shares) < 0.8


def test_nobody_floats(pairs: Path) -> None:
    """A pasted person is cut off by the frame's lower edge, not by their picture's."""
    random.seed(1)
    image, matte = data.load_pair(list_pairs(pairs)[0])
    for _ in range(50):
        _, seated = seat(image, matte, (256, 144))
        if seated.max() > 0.5:
            assert seated[-1].max() > 0.4


def test_a_narrow_vgg_starts_from_the_published_one(perceptual: Path) -> None:
    encoder = build("segnet", 0.25).encoder
    before = encoder.stages[4][0].conv.weight.clone()  # type: ignore[index, union-attr, operator]
    encoder.load(perceptual / "vgg19_16x.safetensors")  # type: ignore[operator]
    assert not torch.equal(encoder.stages[4][0].conv.weight, before)  # type: ignore[index, union-attr, arg-type]


def test_the_settings_name_what_can_be_trained() -> None:
    assert set(TRAINABLE) == set(segmenter.ARCHS)
