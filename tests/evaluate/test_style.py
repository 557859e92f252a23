"""The losses of a style, and the optimisation that it is held against; in a small picture and a made-up network."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from support.pictures import draw_card

from livestyle import errors
from livestyle.cli import main as cli
from livestyle.config.settings import Settings
from livestyle.errors import UserError, pip_install
from livestyle.evaluate import style as evaluate_style
from livestyle.evaluate.style import StyleScore, StyleTest, equal_iterations, spread
from livestyle.files import sha256
from livestyle.image.io import save_image
from livestyle.image.types import Image
from livestyle.nets.architectures.vgg import LossNetwork, load_loss_network
from livestyle.nets.library import find_card
from livestyle.stills import reference as gatys
from livestyle.stills.reference import Goal, Pastiche, measure, paint, painting_grams, set_goal

pytestmark = pytest.mark.torch

KEYS = [
    "style", "style_loss", "content_loss", "total_loss", "gatys_iterations", "images", "size", "loss_network",
    "reference",
]  # fmt: skip
SIZE = 64


@pytest.fixture(autouse=True)
def small_paintings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gatys, "STYLE_SIDE_PX", SIZE)


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a loss network of few channels, its weights made up. A tap makes it one of livestyle's own."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    net = LossNetwork((8, 8, 12, 12, 12), {"relu1_1": 8})
    torch.nn.init.dirac_(net.colours.weight)
    for conv in net.convs.values():
        torch.nn.init.kaiming_normal_(conv.weight)
    save_file(net.state_dict(), folder / "vgg19.safetensors")
    return folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a painting and three photos; the cache is in it, too."""
    (tmp_path / "photos").mkdir()
    save_image(tmp_path / "painting.png", np.ascontiguousarray(draw_card(90, 80, seed=9)[::-1, ::-1]))
    for n in range(3):
        save_image(tmp_path / "photos" / f"{n}.png", draw_card(100 + 10 * n, 80, seed=n))
    monkeypatch.setattr(evaluate_style, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The iterations of each optimisation that was begun."""
    begun: list[int] = []

    def counted(goal: Goal, start: Image, iterations: int) -> Iterator[Pastiche]:
        begun.append(iterations)
        return paint(goal, start, iterations)

    monkeypatch.setattr(evaluate_style, "paint", counted)
    return begun


def silent(*_: object) -> None:
    """Nobody watches."""


def evaluate(
    place: Path,
    nets: Path | None,
    iterations: int = 2,
    models: Path | None = None,
    watch: Any = silent,
    **other: object,
) -> tuple[StyleScore, list[str]]:
    """The score of a shipped style, and what was said."""
    said: list[str] = []
    test = StyleTest("great_wave", place / "painting.png", place / "photos", SIZE, iterations)
    test = replace(test, **other)  # type: ignore[arg-type]
    score = evaluate_style.evaluate_style(Settings(device="cpu", models=models), test, nets, said.append, watch)
    return score, said


def test_a_reference_is_measured_on_the_same_photos(place: Path, nets: Path) -> None:
    score, _ = evaluate(place, nets, reference="the_scream")
    alone, _ = evaluate(place, nets, style="the_scream")
    assert alone.reference is None
    assert score.reference == {
        "style": "the_scream", "total_loss": alone.total_loss,
        "ratio": pytest.approx(score.total_loss / alone.total_loss, abs=1e-3),
    }  # fmt: skip


def test_a_folder_of_models_without_the_style_is_told(place: Path, nets: Path) -> None:
    wave = find_card("style", "great_wave").folder
    assert wave
    shutil.copytree(wave, place / "models/styles/great_wave")
    words = "has no style"
    assert words in evaluate(place, nets, style="the_scream", models=place / "models")[1][0]
    for style in ("great_wave", str(wave / "great_wave.onnx")):
        assert not any(words in line for line in evaluate(place, nets, style=style, models=place / "models")[1])


@pytest.fixture
def goal(nets: Path) -> Goal:
    """Of a picture of SIZE, in the style of its mirror image in other colours."""
    network = load_loss_network(nets / "vgg19.safetensors")
    painting = np.ascontiguousarray(draw_card(SIZE, SIZE)[::-1, :, ::-1])
    return set_goal(network, painting_grams(network, painting), draw_card(SIZE, SIZE))


@pytest.mark.parametrize(
    ("loss", "iterations"),
    [(12, 0), (10, 0), (8, 0.5), (6, 1), (5.5, 1.25), (4, 2), (3, 3.5), (2, 4), (1, 4)],
)
def test_iterations_lie_on_a_straight_line_between_points(loss: float, iterations: float) -> None:
    assert equal_iterations([10, 6, 4, 4, 2], loss) == pytest.approx(iterations)


def test_a_curve_that_rises_again_is_met_where_it_first_falls() -> None:
    assert equal_iterations([10, 4, 8, 2], 7) == pytest.approx(0.5)
    assert equal_iterations([3], 1) == equal_iterations([3], 5) == 0


@pytest.mark.parametrize(
    ("there", "taken"),
    [(1, [0]), (8, [0, 1, 2, 3, 4, 5, 6, 7]), (9, [0, 1, 2, 3, 4, 5, 6, 7]), (20, [0, 2, 5, 7, 10, 12, 15, 17])],
)
def test_photos_are_spread_evenly(there: int, taken: list[int]) -> None:
    paths = [Path(str(n)) for n in range(there)]
    assert spread(paths, 8) == [paths[n] for n in taken]


def test_the_optimisation_falls_from_the_content_image(goal: Goal) -> None:
    start = draw_card(SIZE, SIZE)
    steps = list(paint(goal, start, 3))
    assert [step.iteration for step in steps] == [0, 1, 2, 3]
    assert (steps[0].image == start).all()
    assert steps[0].losses["content"] == pytest.approx(0, abs=1e-9)
    totals = [step.losses["total"] for step in steps]
    assert totals == sorted(totals, reverse=True)
    assert totals[3] < 0.95 * totals[0]
    for step in steps:
        assert step.losses["total"] == pytest.approx(step.losses["content"] + 10 * step.losses["style"])
        assert (step.image.shape, step.image.dtype) == ((SIZE, SIZE, 3), np.uint8)


def test_no_picture_is_evaluated_twice(goal: Goal) -> None:
    seen: list[bytes] = []
    losses = Goal.losses

    def counted(self: Goal, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(batch.detach().contiguous().numpy().tobytes())
        return losses(self, batch)

    with patch.object(Goal, "losses", counted):
        list(paint(goal, draw_card(SIZE, SIZE), 3))
    assert len(seen) == len(set(seen)) >= 4


def test_losses_vanish_for_the_content_image_and_for_the_painting(nets: Path) -> None:
    network = load_loss_network(nets / "vgg19.safetensors")
    painting = draw_card(gatys.STYLE_SIDE_PX, gatys.STYLE_SIDE_PX)
    goal = set_goal(network, painting_grams(network, painting), painting)
    assert measure(goal, painting) == pytest.approx({"content": 0, "style": 0, "total": 0}, abs=1e-6)


def test_the_score_is_the_mean_over_the_photos_and_the_curves_are_cached(
    place: Path, nets: Path, painted: list[int]
) -> None:
    score, said = evaluate(place, nets)
    assert list(vars(score)) == KEYS
    assert painted == [2, 2, 2]
    assert score.total_loss == pytest.approx(score.content_loss + 10 * score.style_loss, abs=2e-4)
    assert (score.images, score.size) == (3, SIZE)
    assert 0 <= score.gatys_iterations <= 2
    assert score.loss_network == {"name": "vgg19.safetensors", "sha256": sha256(nets / "vgg19.safetensors")}
    assert "3 of the 8" in said[0]
    entries = sorted((place / "cache" / "gatys").iterdir())
    assert len(entries) == 3
    for entry in entries:
        curve = json.loads(entry.read_text())["total"]
        assert len(curve) == 3
        assert curve == sorted(curve, reverse=True)

    assert evaluate(place, nets)[0] == score
    assert len(evaluate(place, nets, iterations=1)[0].loss_network) == 2
    assert painted == [2, 2, 2]
    evaluate(place, nets, iterations=3)
    assert painted == [2, 2, 2, 3, 3, 3]


def test_a_run_that_was_stopped_goes_on(place: Path, nets: Path, painted: list[int]) -> None:
    def stops(share: float, note: str) -> None:
        if note.startswith("photo 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(place, nets, watch=stops)
    assert len(list((place / "cache" / "gatys").iterdir())) == 2
    shown: list[float] = []
    score, _ = evaluate(place, nets, watch=lambda share, note: shown.append(share))
    assert painted == [2, 2, 2, 2]
    assert shown == [0, 0.5, 1]
    assert score.images == 3


def test_a_broken_entry_and_another_painting_are_computed_anew(place: Path, nets: Path, painted: list[int]) -> None:
    score, _ = evaluate(place, nets, iterations=1)
    entries = sorted((place / "cache" / "gatys").iterdir())
    entries[0].write_text('{"total": [1')
    entries[1].write_text("[]")
    assert evaluate(place, nets, iterations=1)[0] == score
    assert painted == [1] * 5
    evaluate(place, nets, iterations=1, painting=place / "photos" / "1.png")
    assert painted == [1] * 8


@pytest.mark.parametrize(
    ("curve", "iterations", "words"), [([1e-9, 1e-10], 0.0, "higher loss"), ([1e9, 1e8], 1.0, "lower loss than 1 iter")]
)
def test_a_style_beyond_the_curve_is_said_to_be(
    place: Path, nets: Path, curve: list[float], iterations: float, words: str
) -> None:
    with patch.object(evaluate_style, "gatys_curves", lambda trials, *_: [curve] * len(trials)):
        score, said = evaluate(place, nets, iterations=1)
    assert score.gatys_iterations == iterations
    assert words in said[-1]


def test_what_is_missing_is_named(place: Path, nets: Path, painted: list[int]) -> None:
    empty = place / "empty"
    empty.mkdir()
    (place / "file").write_text("")
    for name, weights in (("words", b"words"), ("other", save({"conv1_1.weight": torch.zeros(2)}))):
        (place / name).mkdir()
        (place / name / "vgg19.safetensors").write_bytes(weights)
    for words, loss_network, other in (
        ("no style 'nowave'", nets, {"style": "nowave"}),
        ("no file .*gone.png", nets, {"painting": place / "gone.png"}),
        ("file is not a picture", nets, {"painting": place / "file"}),
        ("no pictures in .*empty", nets, {"photos": empty}),
        ("no folder .*gone", nets, {"photos": place / "gone"}),
        ("no loss network .*empty", empty, {}),
        ("words.*does not hold VGG-19", place / "words", {}),
        ("other.*does not hold VGG-19", place / "other", {}),
    ):
        with pytest.raises(UserError, match=words):
            evaluate(place, loss_network, **other)
    with (
        patch.object(evaluate_style, "cache_folder", lambda: place / "file"),
        pytest.raises(UserError, match="written"),
    ):
        evaluate(place, nets)
    assert not painted


def test_a_style_as_typed(
    place: Path, nets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "style", "great_wave", "--style-image", place / "painting.png", "--photos", place / "photos"]
    more = ["--perceptual", nets, "--size", SIZE, "--iterations", 1, "--device", "cpu"]
    assert cli.run([*map(str, command + more), "--json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert list(found) == KEYS
    assert found["style"] == "great_wave"
    assert "3 of the 8" in shown.err
    assert cli.run([*map(str, command + more)]) == 0
    table = capsys.readouterr().out
    assert all(word in table for word in ("total loss", f"{found['total_loss']}", found["loss_network"]["sha256"]))
    monkeypatch.setattr(errors, "has_package", lambda name: name != "torch")
    assert cli.run([*map(str, command + more)]) == 2
    assert f"Measuring a style needs the package torch.\nRun: {pip_install('torch')}" in capsys.readouterr().err
