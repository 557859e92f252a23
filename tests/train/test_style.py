"""Styles are trained from any picture and photos, survive what goes wrong, and are the same on several processes."""

import json
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.cli import run_here
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.image.pixels import fit_matte
from livestyle.image.types import Image, Matte
from livestyle.nets.architectures.transform import SlimNet
from livestyle.nets.architectures.vgg import LossNetwork
from livestyle.nets.card import Card, save_card
from livestyle.train import curves, loop, painting, photos, run, style, teacher
from livestyle.train.checkpoint import Figures, load_facts
from livestyle.train.loop import Training, TrainingStatus, run_training
from livestyle.train.muon import Muon, orthogonal
from livestyle.train.photos import Feed, Photos, people_finder, photos_of
from livestyle.train.publish import load_trained, publish, reserve
from livestyle.train.ranks import Ranks, joined
from livestyle.train.style import QUICK_SHARE, TEACHER_SHARE, StyleTraining, load_painting, train_style

pytestmark = pytest.mark.torch

HERE = Path(__file__).parent
STEPS, SECONDS = 10, 10  # of a short training: saved after the seventh step and at the end


def small_network() -> LossNetwork:
    """A loss network of few channels, its weights made up."""
    torch.manual_seed(1)
    network = LossNetwork((8, 8, 16, 16, 16)).eval().requires_grad_(False)
    for conv in (network.colours, *network.convs.values()):
        torch.nn.init.kaiming_normal_(conv.weight)
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A painting, and a folder of photos."""
    save_image(tmp_path / "painting.png", draw_card(200, 160))
    (tmp_path / "photos").mkdir()
    for n in range(3):
        save_image(tmp_path / f"photos/{n}.jpg", draw_card(320, 240, seed=n))
    return tmp_path


def job_in(folder: Path, name: str = "tiny", **flags: Any) -> StyleTraining:
    found = {
        "picture": folder / "painting.png",
        "photos": photos_of(folder / "photos"),
        "network": small_network(),
        "checkpoint": folder / f"runs/{name}.safetensors",
        "minutes": STEPS * SECONDS / 60,
        "init": "none",
    }
    return StyleTraining(**{**found, **flags})


@contextmanager
def counted_steps(spoil: Any = None) -> Iterator[None]:
    """Train on small squares, by a clock that only steps move.

    `spoil` is called after each step with its number, the net and the losses, and returns the losses.
    """
    time = SimpleNamespace(now=0.0)

    def timed(step: Any, net: torch.nn.Module, *arguments: Any) -> dict[str, float]:
        time.now += SECONDS
        terms: dict[str, float] = step(net, *arguments)
        return spoil(round(time.now / SECONDS), net, terms) if spoil else terms

    stopped = SimpleNamespace(monotonic=lambda: time.now)
    torch.set_num_threads(1)
    with ExitStack() as stack:
        for module, name, value in ((loop, "time", stopped), (curves, "time", stopped), (style, "CROP_PX", 64),
                                    *((style, name, partial(timed, getattr(style, name)))
                                      for name in ("paint_step", "imitate"))):  # fmt: skip
            stack.enter_context(patch.object(module, name, value))
        yield


def short_training(job: StyleTraining, told: list[str] | None = None, die_after: int = 0, spoil: Any = None,
                   ) -> list[TrainingStatus]:  # fmt: skip
    """What a training reports after each step."""
    reports = list[TrainingStatus]()
    with counted_steps(spoil):
        for report in train_style(job, (told if told is not None else []).append):
            reports.append(report)
            if len(reports) == die_after:
                os.kill(os.getpid(), signal.SIGKILL)
    return reports


def losses_of(reports: list[TrainingStatus]) -> list[dict[str, float]]:
    return [{"images": report.images, **report.terms} for report in reports]


def assert_same(one: list[dict[str, float]], two: list[dict[str, float]], share: float = 1e-3) -> None:
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=share)


def is_finite(file: Path) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in load_file(file).values())


# Going on


def test_a_killed_training_goes_on_as_if_it_had_not_been(folder: Path) -> None:
    whole = losses_of(short_training(job_in(folder, "whole")))
    code = "import pathlib, test_style as t; "
    code += f"t.short_training(t.job_in(pathlib.Path({str(folder)!r}), 'killed'), die_after=9)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert_same(losses_of(short_training(job_in(folder, "killed"))), whole[7:])


def test_a_style_trains_resumes_and_ships(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, and under its name by another command."""
    command = ["train", "style", folder / "painting.png", "tiny", "--photos", folder / "photos", "--from", "none",
               "--loss-network", "compact", "--out", folder / "models", "--runs", folder / "runs"]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["livestyle", *map(str, command)])
    with counted_steps(), patch.object(run, "publish_style", lambda *_: folder):  # it would be published again below
        run_here(*command, "--minutes", 0.5)
    assert load_facts(folder / "runs/tiny.safetensors")["images"] == 2 * 3
    with counted_steps():
        run_here(*command, "--minutes", 1)
    card = json.loads((folder / "models/styles/tiny/card.json").read_text())
    assert card["figures"]["images"] == 2 * 6
    assert card["command"].startswith("livestyle train style")
    names = {path.name for path in (folder / "models/styles/tiny").iterdir()}
    assert names == {"card.json", "tiny.onnx", "tiny.safetensors", "thumbnail.png"}
    photo, out = folder / "photos/0.jpg", folder / "painted.png"
    run_here("photo", photo, out, "--background", "tiny", "--person", "tiny", "--models", folder / "models")
    assert np.abs(load_image(out).astype(int) - load_image(photo)).mean() > 5


def test_the_preview_and_the_curves_are_whole_pictures(folder: Path) -> None:
    short_training(job_in(folder))
    preview = load_image(folder / "runs/tiny.preview.png")
    assert preview.shape == (360, 450 + 640, 3)  # the painting, as high as the picture beside it
    assert preview[:, :450].std() > 20 < preview[:, 450:].std()
    assert load_image(folder / "runs/tiny.curves.png").std() > 1
    assert not list((folder / "runs").glob("*.part*"))


def test_another_painting_does_not_go_on_with_a_training(folder: Path) -> None:
    short_training(job_in(folder))
    save_image(folder / "painting.png", draw_card(200, 160, seed=9))
    with pytest.raises(UserError, match="of another painting"):
        short_training(job_in(folder))


def test_a_checkpoint_that_is_damaged_or_of_another_net_is_named(folder: Path) -> None:
    short_training(job_in(folder))
    with pytest.raises(UserError, match=r"tiny\.safetensors is the training of another net\. Remove it"):
        short_training(job_in(folder, arch="johnson"))
    file = folder / "runs/tiny.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"tiny\.safetensors is not a whole checkpoint\. Remove it"):
        short_training(job_in(folder))


# The start


def constant_style(models: Path, name: str, colour: tuple[float, float, float]) -> None:
    """A shipped style that paints everything in one colour."""
    net = SlimNet()
    torch.nn.init.zeros_(net.paint.weight)
    with torch.no_grad():
        net.paint.bias.copy_(torch.tensor(colour).repeat_interleave(4) - 0.5)  # type: ignore[union-attr]
    folder = models / "styles" / name
    folder.mkdir(parents=True)
    save_file({key: value.half() for key, value in net.state_dict().items()}, folder / "w.safetensors")
    files = {"w.safetensors": sha256(folder / "w.safetensors")}
    save_card(Card(name, "style", name, "slim", files, "MIT", "me", "none", "none"), folder)


def test_a_quicker_loss_network_is_for_the_first_part(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, seen = job_in(folder, quick_network=small_network()), list[bool]()
    step = style.paint_step

    def watched(net: torch.nn.Module, network: LossNetwork, *rest: Any) -> dict[str, float]:
        seen.append(network is job.quick_network)
        return step(net, network, *rest)

    monkeypatch.setattr(style, "paint_step", watched)
    short_training(job)
    first = round(QUICK_SHARE * STEPS)
    assert seen == [True] * first + [False] * (STEPS - first)


def test_a_teacher_is_learnt_from_first_and_paints_each_lesson_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant_style(folder / "models", "red", (0.9, 0.1, 0.1))
    monkeypatch.setattr(style, "TEACHER_SAMPLES", 4)
    seen = list[int]()
    net_of = teacher.load_shipped

    def watched(*what: Any) -> Any:
        found = net_of(*what)
        found.net.register_forward_hook(lambda net, given, made: seen.append(len(made)))
        return found

    monkeypatch.setattr(teacher, "load_shipped", watched)
    reports = short_training(job_in(folder, teacher="red", models=folder / "models"))
    first = round(TEACHER_SHARE * STEPS)
    assert [set(report.terms) == {"likeness"} for report in reports] == [True] * first + [False] * (STEPS - first)
    assert reports[first - 1].terms["likeness"] < reports[0].terms["likeness"]
    assert {"content", "style"} <= set(reports[-1].terms)
    assert sum(seen) == 4 < first * 2


def test_a_teachers_border_is_not_learnt(folder: Path) -> None:
    net, job = SlimNet(), job_in(folder)
    still = torch.optim.SGD(net.parameters(), 0.0)
    sample = photos.Sample(draw_card(128, 128), np.zeros((128, 128), np.uint8), 1)
    plain = torch.full((1, 3, 128, 128), 0.5)
    framed, blotted = plain.clone(), plain.clone()
    framed[..., -16:] = 1
    blotted[..., 60:80] = 1
    seen = [
        style.imitate(net, cast(teacher.Teacher, lambda samples, goal=goal: goal), [sample], still, job)["likeness"]
        for goal in (plain, framed, blotted)
    ]
    assert seen[0] == seen[1] != seen[2]


def test_a_teacher_that_is_not_there_is_named(folder: Path) -> None:
    constant_style(folder / "models", "red", (0.9, 0.1, 0.1))
    with pytest.raises(UserError, match="no style 'violet'"):
        short_training(job_in(folder, teacher="violet", models=folder / "models"))
    (folder / "models/styles/red/w.safetensors").unlink()
    with pytest.raises(UserError, match="is missing"):
        short_training(job_in(folder, teacher="red", models=folder / "models"))


def test_a_training_starts_from_the_nearest_style(folder: Path) -> None:
    red = np.full((160, 200, 3), (220, 20, 20), np.uint8)
    save_image(folder / "painting.png", red)
    for name, colour in (("blue", (0, 0, 1)), ("grey", (0.5, 0.5, 0.5)), ("red", (0.9, 0.1, 0.1))):
        constant_style(folder / "models", name, colour)
    told: list[str] = []
    short_training(job_in(folder, init="nearest", models=folder / "models", minutes=SECONDS / 60), told)
    assert any(line.startswith("Starts from red, the nearest of ") for line in told)
    assert load_facts(folder / "runs/tiny.safetensors")["start"] == "red"
    _, facts = load_trained(folder / "runs/tiny.safetensors", "slim", "net")
    assert facts["start"] == "red"


def test_where_no_style_fits_a_training_starts_from_nothing_and_says_so(folder: Path) -> None:
    told: list[str] = []
    short_training(job_in(folder, init="nearest", arch="johnson", minutes=SECONDS / 60), told)
    assert told == ["There is no style of the architecture johnson to start from: this one starts from nothing."]


def test_weights_of_another_net_are_no_start(folder: Path) -> None:
    short_training(job_in(folder, "other", arch="johnson", minutes=SECONDS / 60))
    with pytest.raises(UserError, match="does not hold this net"):
        short_training(job_in(folder, init=str(folder / "runs/other.safetensors")))
    with pytest.raises(UserError, match="There are no weights"):
        short_training(job_in(folder, init=str(folder / "missing.safetensors")))


# Muon


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (16, 16)])
def test_an_orthogonal_step_counts_all_directions_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) @ torch.diag(torch.logspace(0, -1, shape[1]))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.5 < values.min() <= values.max() < 1.3
    assert torch.allclose(orthogonal(torch.stack([2 * matrix, matrix]))[0], orthogonal(matrix), atol=1e-4)


def test_muon_goes_on_from_its_state_and_leaves_frozen_weights_alone() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 2, 3))
    net[1].weight.requires_grad_(False)  # type: ignore[union-attr]
    frozen, x = net[1].weight.clone(), torch.randn(2, 3, 8, 8)  # type: ignore[operator]
    optimizer, losses = Muon(net, 1e-3), []
    for number in range(12):
        if number == 6:
            state, optimizer = optimizer.state_dict(), Muon(net, 1e-3)
            optimizer.load_state_dict(state)
        loss = (net(x) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    assert torch.equal(net[1].weight, frozen)  # type: ignore[arg-type]


# What goes wrong while training


def broken_at(*steps: int, weights: bool = True, loss: float = float("nan")) -> Any:
    """Spoils the weights and the content loss at some steps."""

    def spoil(number: int, net: torch.nn.Module, terms: dict[str, float]) -> dict[str, float]:
        if number not in steps:
            return terms
        if weights:
            next(net.parameters()).data.fill_(float("nan"))
        return {**terms, "content": loss}

    return spoil


def test_a_loss_that_is_no_number_goes_back_to_the_last_good_step(folder: Path) -> None:
    told: list[str] = []
    reports = short_training(job_in(folder), told, spoil=broken_at(5))
    assert len(reports) == STEPS
    assert all(np.isfinite(list(report.terms.values())).all() for report in reports)
    assert told == ["The training broke after 10 images: back to its last good step, at a rate of 0.001."]
    assert is_finite(folder / "runs/tiny.safetensors")
    assert load_facts(folder / "runs/tiny.safetensors")["rate_halved"] == 1


@pytest.mark.parametrize("step", [7, STEPS], ids=["at a minute", "at the end"])
def test_weights_that_are_no_numbers_are_never_saved(folder: Path, step: int) -> None:
    """The loss is still that of the weights before."""
    told: list[str] = []
    short_training(job_in(folder), told, spoil=broken_at(step, loss=1.0))
    assert len(told) == 1
    assert is_finite(folder / "runs/tiny.safetensors")


def test_a_loss_that_explodes_goes_back_and_one_outlier_does_not(folder: Path) -> None:
    told: list[str] = []
    short_training(job_in(folder), told, spoil=broken_at(3, 5, weights=False, loss=1e6))
    assert not told
    reports = short_training(job_in(folder, "other"), told, spoil=broken_at(2, 3, 4, 5, 6, weights=False, loss=1e6))
    assert len(told) == 1
    assert reports[-1].terms["content"] < 100


def test_a_training_that_breaks_again_and_again_ends_with_a_sentence(folder: Path) -> None:
    told: list[str] = []
    with pytest.raises(UserError, match=r"breaks again and again \(5 times in a row.*Choose a lower rate"):
        short_training(job_in(folder), told, spoil=broken_at(*range(2, STEPS)))
    assert len(told) == 4
    assert is_finite(folder / "runs/tiny.safetensors")


def test_any_training_goes_back(tmp_path: Path) -> None:
    """As every trainer does that runs by the clock."""
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 1)
    optimizer, told, time = torch.optim.AdamW(net.parameters(), 0.1), list[str](), SimpleNamespace(now=0.0)

    def step(progress: float, images: int) -> tuple[int, dict[str, float]]:
        time.now += SECONDS
        loss = net(torch.ones(1, 2)).square().sum() * (float("nan") if images == 4 else 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return 1, {"loss": float(loss.detach()), "mean_iu": 0.5}

    with patch.object(loop, "time", SimpleNamespace(monotonic=lambda: time.now)):
        training = Training({"net": net}, optimizer, tmp_path / "c.safetensors", 2, 0, step, warn=told.append)
        reports = list(run_training(training))
    assert len(told) == 1
    assert len(reports) == 12
    assert is_finite(tmp_path / "c.safetensors")
    assert reports[-1].terms["loss"] < reports[0].terms["loss"]


def test_two_trainings_to_one_checkpoint_are_refused(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 1)
    optimizer, file = torch.optim.AdamW(net.parameters()), tmp_path / "runs/c.safetensors"

    def step(progress: float, images: int) -> tuple[int, dict[str, float]]:
        return 1, {"loss": 1.0}

    training = Training({"net": net}, optimizer, file, 2, 0, step)
    one = run_training(training)
    next(one)
    with pytest.raises(UserError, match=r"Another process trains to .*c\.safetensors"):
        next(run_training(training))
    one.close()  # as Ctrl-C does
    assert [path.name for path in file.parent.iterdir()] == ["c.safetensors"]
    next(run_training(training))


def test_weights_that_are_no_numbers_are_not_shipped(tmp_path: Path) -> None:
    net = SlimNet()
    card = Card("bad", "style", "bad", "slim", {}, "MIT", "me", "none", "none")
    with torch.no_grad():
        net.paint.bias[0] = 1e6  # type: ignore[index]  # beyond half precision
    with pytest.raises(UserError, match="weights of bad are not all finite"):
        publish(card, net, tmp_path)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_start_that_is_no_numbers_is_refused(folder: Path) -> None:
    short_training(job_in(folder, "first", minutes=SECONDS / 60))
    file = folder / "runs/first.safetensors"
    tensors = load_file(file)
    tensors["net.paint.bias"].fill_(float("nan"))
    facts: Figures = load_facts(file)
    save_file(tensors, file, {"facts": json.dumps(facts)})
    with pytest.raises(UserError, match="not all finite"):
        short_training(job_in(folder, init=str(file)))
    assert not (folder / "runs/tiny.safetensors").exists()


def test_a_full_disk_is_said(folder: Path) -> None:
    """Really full: files of more than 100 kB cannot be written."""
    code = "import pathlib, resource, signal, test_style as t; "
    code += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    code += f"job = t.job_in(pathlib.Path({str(folder)!r})); "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
    code += "t.short_training(job)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, capture_output=True, text=True)
    assert "UserError" in done.stderr
    assert "tiny.safetensors cannot be written: " in done.stderr
    assert not list((folder / "runs").iterdir())


def test_a_folder_that_cannot_be_written_is_said_before_the_training(folder: Path) -> None:
    (folder / "runs").write_text("a file")
    with pytest.raises(UserError, match=r"tiny\.safetensors cannot be written"):
        short_training(job_in(folder))
    with pytest.raises(UserError, match="cannot be written"):
        reserve("tiny", folder / "runs")
    for name in ("none", "blur", "../tiny", "a+b", "wave.onnx", ""):
        with pytest.raises(UserError, match="cannot be a style's name"):
            reserve(name, folder)


# Photos


def test_photos_that_cannot_be_read_are_named_and_left_out(folder: Path) -> None:
    whole = (folder / "photos/0.jpg").read_bytes()
    (folder / "photos/cut.jpg").write_bytes(whole[: len(whole) // 2])
    save_image(folder / "photos/dot.png", draw_card(8, 8))
    told: list[str] = []
    short_training(job_in(folder), told)
    assert all(line.startswith("Left out, unreadable or too small: ") for line in told)
    text = " ".join(told)
    assert text.count("cut.jpg") == text.count("dot.png") == 1


def test_of_photos_none_of_which_can_be_read_the_folder_is_named(folder: Path) -> None:
    for photo in (folder / "photos").iterdir():
        photo.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"None of the pictures in .*photos can be read"):
        short_training(job_in(folder))


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no pictures in {tmp_path}"):
        photos_of(tmp_path)
    with pytest.raises(UserError, match=f"no folder {tmp_path / 'missing'}"):
        photos_of(tmp_path / "missing")


def test_the_users_own_photos_are_found_in_their_folders(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "photos/2026/.thumbnails").mkdir(parents=True)
    for place in ("2026", "2026/.thumbnails"):
        save_image(folder / f"photos/{place}/one.jpg", draw_card(320, 240))
    monkeypatch.setattr(photos.platformdirs, "user_pictures_dir", lambda: str(folder / "photos"))
    found = photos_of(None, my_photos=True)
    assert [name for name, _ in found.sources] == ["0.jpg", "1.jpg", "2.jpg", "one.jpg"]


def test_the_built_in_set_needs_no_photos() -> None:
    found = photos_of(None)
    assert len(found.sources) == photos.DEMO_FRAMES + photos.SYNTHETIC_PICTURES
    pictures = [found.sources[n][1]() for n in (0, photos.DEMO_FRAMES - 1, photos.DEMO_FRAMES, -1)]
    assert len({picture.tobytes() for picture in pictures}) == 4
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[1] == 640 > picture.shape[0] >= 360
        assert picture.std() > 20
    assert (found.sources[-1][1]() == pictures[-1]).all()


def test_a_sample_is_the_same_in_any_order(folder: Path) -> None:
    one, two = (Feed(photos_of(folder / "photos"), seed=3, stride=2) for _ in range(2))
    first = [one.take(range(n, n + 2), 64) for n in (0, 2, 4)]
    again = [two.take(range(n, n + 2), 64) for n in (4, 0, 2)]
    for number, batch in zip((1, 2, 0), first, strict=True):
        for sample, same in zip(batch, again[number], strict=True):
            assert sample.image.shape == (64, 64, 3)
            assert sample.seed == same.seed
            assert (sample.image == same.image).all()
            assert not sample.people.any()


def test_samples_tell_where_people_are(folder: Path) -> None:
    asked: list[Image] = []

    def find(image: Image) -> Matte:  # coarser than the photo, as segmenters are
        asked.append(image)
        return fit_matte((image[..., 0] / 255).astype(np.float32), (90, 60))

    found = photos_of(folder / "photos", find_people=find)
    alike = []
    for sample in Feed(found, seed=3).make(range(40), 64):
        assert sample.people.shape == (64, 64)
        red, people = (cv2.blur(np.float32(part), (15, 15)) for part in (sample.image[..., 0], sample.people))
        if red.std() > 12:
            alike.append(np.corrcoef(red.ravel(), people.ravel())[0, 1])
    assert len(alike) > 10
    assert min(alike) > 0.99
    assert len(asked) == len(found.sources)


def test_people_are_found_in_a_photo() -> None:
    matte = people_finder()(photos.demo_frame())
    assert 0.15 < (matte > 0.5).mean() < 0.5


def test_decoded_photos_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []

    def load(number: int) -> Image:
        loads.append(number)
        return np.full((100, 100, 3), number, np.uint8)

    monkeypatch.setattr(photos, "MAX_CACHE_BYTES", 4 * 40_000)
    found = Photos([(str(n), partial(load, n)) for n in range(8)], "memory")
    chance = random.Random(0)
    for _ in range(200):
        found.pick(chance)
        assert sum(image.nbytes for image in found._kept.values()) <= photos.MAX_CACHE_BYTES
    assert 8 < len(loads) < 200
    assert len(found._kept) == 4


def test_a_huge_photo_is_scaled_down_as_it_is_read(tmp_path: Path) -> None:
    """170 megapixels: over the limit of pictures that are wanted whole."""
    PIL.Image.linear_gradient("L").resize((13_000, 13_100)).save(tmp_path / "huge.jpg", quality=30)
    with pytest.raises(UserError, match="13000x13100"):
        load_image(tmp_path / "huge.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = photos.load_photo(tmp_path / "huge.jpg")
    assert photo.shape == (484, 480, 3)
    assert (np.diff(photo[..., 0].mean(1)) > -1).all()
    assert min(load_painting(tmp_path / "huge.jpg").shape[:2]) >= 960


def test_paintings_of_any_kind_are_read(tmp_path: Path) -> None:
    card = PIL.Image.fromarray(draw_card(300, 200))
    exif = card.getexif()
    exif[274] = 6  # the camera was turned
    card.save(tmp_path / "turned.jpg", exif=exif)
    card.convert("CMYK").save(tmp_path / "cmyk.jpg")
    grey = np.asarray(card.convert("L")).astype(np.uint16) * 257
    PIL.Image.fromarray(grey).save(tmp_path / "grey16.png")
    assert load_painting(tmp_path / "turned.jpg").shape == (300, 200, 3)
    for name in ("cmyk.jpg", "grey16.png"):
        painting = load_painting(tmp_path / name)
        assert painting.shape == (200, 300, 3)
        assert abs(float(painting.mean()) - np.asarray(card).mean()) < 25, name


def test_a_painting_that_is_too_small_is_named(tmp_path: Path) -> None:
    save_image(tmp_path / "dot.png", draw_card(20, 20))
    with pytest.raises(UserError, match=r"dot\.png is 20x20 pixels: too small.*Give at least 128x128"):
        load_painting(tmp_path / "dot.png")


def test_bad_input_gets_a_sentence_on_the_command_line(folder: Path) -> None:
    save_image(folder / "dot.png", draw_card(20, 20))
    (folder / "empty").mkdir()
    for picture, found, words in (("dot.png", "photos", "20x20"), ("painting.png", "empty", "no pictures"),
                                  ("missing.png", "photos", "no file")):  # fmt: skip
        done = run_here("train", "style", folder / picture, "tiny", "--photos", folder / found, "--runs",
                        folder / "runs", "--out", folder / "models", code=2)  # fmt: skip
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3


# Several processes


def check_averages(ranks: Ranks) -> None:
    """Gradients are averaged, one that is missing counts as 0; the first process's word counts."""
    net = torch.nn.ParameterList([torch.zeros(2, 3), torch.zeros(4), torch.zeros(1)])
    net[0].grad = torch.full((2, 3), float(ranks.rank + 1))
    net[1].grad = torch.ones(4) if ranks.first else None
    ranks.average_gradients(net)
    for parameter, mean in zip(net, (1.5, 0.5, 0.0), strict=True):
        torch.testing.assert_close(parameter.grad, torch.full_like(parameter, mean))
    assert ranks.lead(10.0 + ranks.rank) == 10.0
    assert ranks.average({"a": float(ranks.rank), "b": 2.0}) == {"a": 0.5, "b": 2.0}


RATE = 4e-5  # low: each step enlarges what sums in another order round otherwise


def train_together(folder: Path, name: str, batch: int) -> None:
    """What each process runs; in float32, since each step enlarges what bfloat16 rounds otherwise."""
    with joined("cpu") as ranks, patch.object(painting, "mixed", lambda device: nullcontext()):
        assert ranks.count * batch == 2
        if ranks.count == 2:
            check_averages(ranks)
        short_training(job_in(folder, name, batch=batch, ranks=ranks, seed=5, learning_rate=RATE))
        (folder / f"{name}.{ranks.rank}.done").touch()


def test_two_processes_train_as_one_does(folder: Path) -> None:
    """torchrun, gloo: half of the batch in each."""
    train_together(folder, "one", batch=2)
    script = folder / "together.py"
    script.write_text(f"import pathlib, test_style as t; t.train_together(pathlib.Path({str(folder)!r}), 'two', 1)")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, env=environment, timeout=240, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "two.1.done").exists()
    one, two = (json.loads((folder / f"runs/{name}.curves.json").read_text()) for name in ("one", "two"))
    assert [point["images"] for point in one] == [14, 20]
    assert_same([point["training"] for point in two], [point["training"] for point in one])
    ours, theirs = (load_file(folder / f"runs/{name}.safetensors") for name in ("one", "two"))
    for key, tensor in ours.items():
        if key.startswith("net."):
            torch.testing.assert_close(theirs[key], tensor, rtol=0.01, atol=RATE)


def test_one_process_alone_is_its_own_first() -> None:
    with joined("cpu") as ranks:
        assert ranks == Ranks("cpu")
        assert ranks.lead(3.0) == 3.0
        assert ranks.average({"a": 1.0}) == {"a": 1.0}
