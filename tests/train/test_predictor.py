"""One network learns many styles: a row of numbers for each, from a table or predicted from the picture."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.cli import run_here
from support.pictures import draw_card

from livestyle.cli.evaluate import read_seconds
from livestyle.config.training import PredictorTrainingSettings
from livestyle.errors import UserError
from livestyle.evaluate import pictures
from livestyle.evaluate.pictures import mean_ratio
from livestyle.image.io import save_image
from livestyle.nets import losses
from livestyle.nets.architectures import style_rows
from livestyle.nets.architectures.style_rows import (
    StyledPaint,
    StylePredictor,
    load_predictor,
    read_maps,
    row_of,
    set_row,
    statistics_of,
)  # fmt: skip
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.card import load_card
from livestyle.nets.fetch import silent_progress
from livestyle.nets.tensors import as_batch
from livestyle.stills.reference import measure, painting_grams, set_goal
from livestyle.train import curves, finetune, loop, predictor, run, style_pictures
from livestyle.train.loop import TrainingStatus
from livestyle.train.painting import LossWeights, paint_terms
from livestyle.train.photos import Feed, Sample, photos_of
from livestyle.train.predictor import PredictorTraining, fit_rows, load_table, train_predictor
from livestyle.train.style_pictures import StyleTargets, even_weights, learnt_pictures, measure_pictures, source_of
from livestyle.types import Display

pytestmark = pytest.mark.torch

SECONDS = 10  # of each step, by a clock that only steps move


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small matrices are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_rows, "HIDDEN_CHANNELS", 16)


@pytest.fixture(scope="module")
def network() -> LossNetwork:
    """A narrow loss network with made-up weights, and taps as the compact one has."""
    torch.manual_seed(1)
    net = LossNetwork((4, 4, 6, 6, 6), dict.fromkeys((*losses.STYLE_LAYERS, losses.CONTENT_LAYER), 5))
    for conv in (net.colours, *net.convs.values()):
        torch.nn.init.kaiming_normal_(conv.weight)  # type: ignore[arg-type]
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net() -> SlimNet:
    torch.manual_seed(2)
    return SlimNet()


@pytest.fixture
def files(tmp_path: Path, net: SlimNet) -> list[Path]:
    """Four pictures of two sources, photos, and weights to start from."""
    for name in ("photos", "pictures"):
        (tmp_path / name).mkdir()
    for number in range(3):
        save_image(tmp_path / f"photos/{number}.jpg", draw_card(100, 90, seed=number))
    save_file(net.state_dict(), tmp_path / "start.safetensors")
    cards = [np.roll(draw_card(120, 100), number, 2) for number in range(4)]
    names = [f"pictures/{name}.png" for name in ("oils_0001", "oils_0002", "oils_0003", "inks_0001")]
    for name, card in zip(names, cards, strict=True):
        save_image(tmp_path / name, card)
    return [tmp_path / name for name in names]


def targets_of(files: list[Path], network: LossNetwork) -> StyleTargets:
    return measure_pictures(files, network, network, files[0].parent / "targets.safetensors")


def job_in(files: list[Path], network: LossNetwork, steps: int = 3, **flags: Any) -> PredictorTraining:
    folder = files[0].parent.parent
    found = {
        "targets": targets_of(files, network), "photos": photos_of(folder / "photos"),
        "held_out": as_batch([draw_card(64, 64)], "cpu"), "network": network, "minutes": steps * SECONDS / 60,
        "checkpoint": folder / "runs/tiny.safetensors", "start": folder / "start.safetensors",
    }  # fmt: skip
    return PredictorTraining(**{**found, **flags})


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train on small squares, by a clock that only steps move."""
    time = SimpleNamespace(now=0.0)

    def timed(descend: Any, *arguments: Any) -> Any:
        time.now += SECONDS
        return descend(*arguments)

    for module in (loop, curves):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.now))
    monkeypatch.setattr(predictor, "CROP_PX", 32)
    monkeypatch.setattr(predictor, "FIT_STEPS", 120)
    monkeypatch.setattr(predictor, "descend", partial(timed, predictor.descend))
    monkeypatch.setattr(curves, "draw", lambda points, path: path.write_bytes(b"a curve"))
    return lambda job: list[TrainingStatus](train_predictor(job))


# Rows


def test_a_network_keeps_its_picture_under_its_own_row(net: SlimNet) -> None:
    row, batch = row_of(net), torch.rand(2, 3, 32, 32)
    assert row.shape == (864,)
    assert torch.allclose(StyledPaint(net, row.expand(4, -1))(batch), net(batch).repeat(2, 1, 1, 1), atol=1e-5)


def test_a_row_paints_alike_whether_it_is_set_or_passed(net: SlimNet) -> None:
    other, batch = SlimNet(), torch.rand(1, 3, 32, 32)
    other.load_state_dict(net.state_dict())
    row = row_of(net) + 0.5 * torch.randn(864)
    set_row(other, row)
    assert torch.equal(row_of(other), row)
    assert torch.allclose(StyledPaint(net, row[None])(batch), other(batch), atol=1e-5)
    assert not torch.allclose(net(batch), other(batch), atol=0.1)


def test_rounds_of_styles_count_as_the_mean_of_each_alone(net: SlimNet, network: LossNetwork, files: list[Path],
                                                          ) -> None:  # fmt: skip
    targets = targets_of(files, network)
    samples = Feed(photos_of(files[0].parent.parent / "photos"), 0).make(range(2), 64)
    rows = row_of(net) + 0.2 * torch.randn(4, 864)

    def terms_of(numbers: list[int]) -> dict[str, torch.Tensor]:
        paint = StyledPaint(net, rows[numbers])
        return paint_terms(paint, network, targets.grams_of(numbers), samples, LossWeights(), "cpu", is_stable=True)

    together, halves = terms_of([0, 1, 2, 3]), [terms_of([0, 1]), terms_of([2, 3])]
    for name, term in together.items():
        assert term.item() == pytest.approx((halves[0][name] + halves[1][name]).item() / 2, rel=0.02, abs=1e-4)


def test_a_hard_style_pulls_no_more_than_an_easy_one(network: LossNetwork) -> None:
    picture = Sample(draw_card(64, 64), np.zeros((64, 64), np.uint8), 0)
    pull = torch.ones(2, 3, 1, 1, requires_grad=True)
    grams = {layer: gram.repeat(2, 1, 1) for layer, gram in painting_grams(network, draw_card(64, 64, seed=1)).items()}
    for gram in grams.values():
        gram[1] /= 100  # nothing comes near it
    seen = {}
    for usual in (0.0, 2.0):
        weights = LossWeights(tv=0, stability=0, usual=usual)
        terms = paint_terms(lambda batch: pull * batch, network, grams, [picture, picture], weights, "cpu", False)
        (gradient,) = torch.autograd.grad(terms["content"] + terms["style"], pull)
        sizes = gradient.abs().sum((1, 2, 3))
        seen[usual] = terms["style"].item(), (sizes[1] / sizes[0]).item()
    assert seen[2.0][0] == pytest.approx(seen[0.0][0])
    assert seen[2.0][1] < seen[0.0][1] / 10


# The pictures


def test_targets_are_what_the_loss_network_sees(network: LossNetwork, files: list[Path]) -> None:
    targets = targets_of(files, network)
    with torch.no_grad():
        batch = as_batch([style_pictures.load_style_picture(files[3])], "cpu")
        maps, raw = network(batch), read_maps(network, batch)
    view = 3 * targets.views
    for layer, gram in targets.grams_of([view]).items():
        assert float((gram - losses.gram(maps[layer])).norm() / gram.norm()) < 0.05
    assert torch.allclose(targets.statistics[view], statistics_of(raw)[0], atol=0.03, rtol=0.03)


def test_pictures_are_measured_once(network: LossNetwork, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    first = targets_of(files, network)
    monkeypatch.setattr(style_pictures, "load_style_picture", lambda file: pytest.fail("measured again"))
    assert torch.equal(targets_of(files, network).statistics, first.statistics)
    with pytest.raises(pytest.fail.Exception):
        targets_of(files[:2], network)
    with pytest.raises(pytest.fail.Exception):
        measure_pictures(files, network, network, files[0].parent / "targets.safetensors", views=1)


def test_pictures_are_left_out_by_name(files: list[Path]) -> None:
    names = files[0].parent.parent / "names.txt"
    names.write_text("oils_0002.png\ninks_0001.png\n")
    assert learnt_pictures([files[0].parent], names) == [files[0], files[2]]
    names.write_text("\n".join(file.name for file in files))
    with pytest.raises(UserError, match="No picture is left"):
        learnt_pictures([files[0].parent], names)


def test_pictures_without_strokes_are_left_out_by_name(network: LossNetwork, files: list[Path]) -> None:
    save_image(dot := files[0].with_name("dot.png"), draw_card(20, 20))
    files[1].write_bytes(b"no picture")
    told, cache = list[str](), files[0].with_name("few.safetensors")
    for _ in range(2):  # measured, then from the cache
        targets = measure_pictures([*files, dot], network, network, cache, warn=told.append)
        assert targets.files == [files[0], *files[2:]]
        assert len(targets.statistics) == 3 * targets.views
    assert told == ["Left out, unreadable or too small: 2 (oils_0002.png, dot.png)"]
    with pytest.raises(UserError, match="None of the pictures"):
        measure_pictures([dot], network, network, cache)


def test_large_sources_do_not_drown_small_ones(files: list[Path]) -> None:
    assert [source_of(file) for file in files] == ["pictures/oils"] * 3 + ["pictures/inks"]
    weights = even_weights(files)
    assert weights[0] < weights[3] < 3 * weights[0]


# Training


def test_a_table_moves_only_the_rows_that_it_sees_and_all_share_a_base(network: LossNetwork, files: list[Path],
                                                                       train: Any) -> None:  # fmt: skip
    job = job_in(files, network, steps=1, is_table=True)
    losses_seen = [report.terms for report in train(job)]
    assert len(losses_seen) == 1
    assert {"content", "style", "grid"} <= set(losses_seen[0])
    rows = load_table(job.checkpoint)
    assert list(rows) == [file.name for file in files]
    assert len({tuple(row[:5].tolist()) for row in rows.values()}) > 1


def test_a_training_goes_on_as_if_it_had_not_stopped(network: LossNetwork, files: list[Path], train: Any) -> None:
    folder = files[0].parent.parent
    whole = train(job_in(files, network, steps=8))
    stopped = job_in(files, network, steps=8, checkpoint=folder / "runs/stopped.safetensors")
    begun = train_predictor(stopped)
    for _ in range(7):  # saved after the seventh
        next(begun)
    begun.close()
    rest = train(stopped)
    assert [report.images for report in rest] == [32]
    assert rest[-1].terms == pytest.approx(whole[-1].terms, rel=1e-3)


def test_a_predictor_begins_with_the_rows_of_a_table(network: LossNetwork, files: list[Path], train: Any) -> None:
    table = job_in(files, network, steps=2, is_table=True, row_rate=0.1)
    train(table)
    job = job_in(files, network, start=table.checkpoint, checkpoint=table.checkpoint.with_name("rows.safetensors"))
    begun = predictor.start_predictor(job, SlimNet())
    wanted = torch.stack(list(load_table(table.checkpoint).values()))
    found = begun(job.targets.statistics[:: job.targets.views]).detach()
    assert float((found - wanted).square().mean()) < 0.8 * float((wanted.mean(0) - wanted).square().mean())
    assert train(job)[-1].images == 12


def test_a_command_trains_and_publishes(network: LossNetwork, files: list[Path], train: Any,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    folder = files[0].parent.parent
    monkeypatch.setattr(run, "open_loss_network", lambda *choice, **_: (network, folder))
    (folder / "gallery").mkdir()
    for number in range(predictor.STYLES):
        save_image(folder / f"gallery/own{number}.png", draw_card(110, 100, seed=number + 9))
    monkeypatch.setattr(predictor, "GALLERY_SHARE", 1.0)
    monkeypatch.setattr(predictor, "OWN_SHARE", 1.0)
    asked = replace(
        PredictorTrainingSettings(), minutes=SECONDS / 60, out=folder / "models", runs=folder / "runs",
        start=str(folder / "start.safetensors"), gallery=folder / "gallery",
    )  # fmt: skip
    display = Display(print, silent_progress)
    file = run.run_predictor_training("any", [folder / "pictures"], folder / "photos", asked, "a command", display)
    card, tensors = load_card(file.parent / "card.json"), load_file(file)
    assert card.path(".safetensors") == file
    assert card.figures["pictures"] == 4 + predictor.STYLES
    assert card.path(".onnx").is_file()
    assert card.figures["images"] == predictor.STYLES
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert {key.split(".")[0] for key in tensors} == {"net", "rows"}
    net, rows = load_predictor(file)
    assert torch.equal(rows.write.bias, tensors["rows.write.bias"].float())
    assert net(torch.rand(1, 3, 32, 32)).isfinite().all()
    own = predictor.load_own(folder / "runs/any.safetensors")
    assert sorted(own) == [f"own{number}.png" for number in range(predictor.STYLES)]
    assert all(row.any() for row in own.values())
    kept = load_file(folder / "runs/any.gallery.safetensors")["rows"]
    assert kept.shape == (predictor.STYLES, len(rows.write.bias))
    more = job_in(files, network, start=folder / "runs/any.safetensors")
    assert not predictor.start_own(more, predictor.OwnRows(3, ())).rows
    again = predictor.start_predictor(job_in(files, network, start=folder / "runs/any.safetensors"), net)
    assert torch.allclose(again.write.bias, rows.write.bias, atol=1e-3)
    with pytest.raises(UserError, match=r"start\.safetensors does not hold a predictor"):
        load_predictor(folder / "start.safetensors")


def test_a_predictor_learns_rows_by_their_statistics() -> None:
    torch.manual_seed(0)
    statistics, one = torch.randn(6, 20), StylePredictor(20, 30)
    one.start(statistics, torch.zeros(30))
    assert not one(statistics).any()
    rows = torch.randn(6, 30)
    fit_rows(one, statistics, rows)
    assert float((one(statistics) - rows).detach().square().mean()) < 0.5


# Evaluation


@pytest.fixture
def measured(network: LossNetwork, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A folder with a predictor, one shipped style, and a fine-tuning that paints nothing; the words of the command."""
    folder = files[0].parent.parent
    one = StylePredictor(targets_of(files, network).statistics.shape[1], 864)
    parts = {"net": SlimNet(), "rows": one}
    tensors = {f"{part}.{key}": value for part, owner in parts.items() for key, value in owner.state_dict().items()}
    save_file(tensors, folder / "any.safetensors")
    monkeypatch.setattr(pictures, "open_loss_network", lambda *choice: (network, folder / "any.safetensors"))
    monkeypatch.setattr(pictures, "shipped_styles", lambda models: {"wave": lambda image: 255 - image})
    monkeypatch.setattr(finetune, "tuned", still)
    return ["evaluate", "pictures", folder / "pictures", "--photos", folder / "photos", "--predictor",
            folder / "any.safetensors"]  # fmt: skip


def still(
    net: SlimNet, picture: Path, seconds: Sequence[float], *more: Any, **flags: Any
) -> Iterator[tuple[torch.nn.Module, int]]:
    """Yield a network that gives the photo back."""
    for number, _ in enumerate(seconds):
        yield torch.nn.Identity(), 10 * number


def test_every_picture_is_held_against_photo_and_shipped_styles(measured: list[Any], files: list[Path]) -> None:
    (files[0].parent / "broken.png").write_bytes(b"no picture")
    done = run_here(*measured, "--seconds", "2,1", "--json")
    found = json.loads(done.stdout)
    assert {key: found[key] for key in ("size", "images")} == {"size": 256, "images": 3}
    assert found["loss_network"]["name"] == "any.safetensors"
    assert list(found["pictures"]) == sorted(file.stem for file in files)
    assert "broken.png" in done.stderr
    for row in found["pictures"].values():
        assert row["nearest_name"] == "wave"
        assert row["painted"] == {"1": 0, "2": 10}
        assert row["after"] == pytest.approx({"1": row["photo"], "2": row["photo"]})
        assert row["instant"] != pytest.approx(row["photo"])


def test_ctrl_c_prints_the_pictures_that_are_done(measured: list[Any], files: list[Path],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def interrupted(net: SlimNet, picture: Path, *more: Any, **flags: Any) -> Any:
        if picture.stem == "oils_0002":
            raise KeyboardInterrupt
        return still(net, picture, *more)

    monkeypatch.setattr(finetune, "tuned", interrupted)
    done = run_here(*measured, "--seconds", "1")
    assert "2 of 4 pictures" in done.stdout
    assert "oils_0001" in done.stdout
    assert "geometric mean" in done.stdout
    with pytest.raises(UserError, match="'soon' is no list of seconds"):
        read_seconds("soon")


def test_a_total_is_that_of_the_yardstick(network: LossNetwork, files: list[Path]) -> None:
    photo, picture = files[0].parent.parent / "photos/0.jpg", draw_card(120, 100)
    judge = pictures.Judge(network, [photo])
    grams = painting_grams(network, picture)
    wanted = measure(set_goal(network, grams, judge.images[0]), 255 - judge.images[0])["total"]
    assert pictures.mean_total(judge(lambda image: 255 - image), grams) == pytest.approx(wanted, rel=1e-3)
    assert mean_ratio({"a": 1.0, "b": 4.0}, {"a": 2.0, "b": 2.0}) == pytest.approx(1)
