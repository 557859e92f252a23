"""The loss network: found, fetched, refused; the compact one distilled, shipped and measured. On made-up weights."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.pictures import draw_card
from support.server import Server, serving

from livestyle.cli import main as cli
from livestyle.errors import UserError
from livestyle.evaluate import style as evaluate_style
from livestyle.evaluate.style import NetworkTest, evaluate_loss_network
from livestyle.files import sha256
from livestyle.image.io import load_image, save_image
from livestyle.nets import library as weights
from livestyle.nets import loss_network, losses
from livestyle.nets.architectures.vgg import (
    DEPTHS,
    LAYERS,
    MEAN,
    NAMINGS,
    STD,
    WIDTHS,
    LossNetwork,
    layers_of,
    load_loss_network,
    read_vgg,
)
from livestyle.nets.loss_network import COMPACT, PUBLISHED, VGG19, find_loss_network, open_loss_network
from livestyle.nets.tensors import as_batch
from livestyle.stills import reference as gatys
from livestyle.train import curves, loop
from livestyle.train import loss_network as distillation
from livestyle.train import narrow_network as narrow
from livestyle.train.loop import TrainingStatus
from livestyle.train.loss_network import LossNetworkTraining

pytestmark = pytest.mark.torch

TINY, TINIER = (8, 8, 12, 12, 12), (4, 6, 8, 8, 8)  # widths of a teacher and of what is distilled from it


def made_up(widths: tuple[int, ...] = WIDTHS, taps: dict[str, int] | None = None, seed: int = 0) -> LossNetwork:
    """A network whose activations neither vanish nor grow."""
    torch.manual_seed(seed)
    net = LossNetwork(widths, taps)
    for conv in map(net.conv, net.convs):
        torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        torch.nn.init.uniform_(conv.bias, -0.1, 0.1)
    return net.eval().requires_grad_(False)


def named(net: LossNetwork, naming: str) -> dict[str, torch.Tensor]:
    """A network's convolutions as one of NAMINGS names them."""
    parts = ("weight", "bias")
    return {f"{NAMINGS[naming][layer]}.{p}": getattr(net.conv(layer), p) for layer in LAYERS for p in parts}


@pytest.fixture(scope="module")
def vgg() -> LossNetwork:
    return made_up()


@pytest.fixture(scope="module")
def vgg_file(vgg: LossNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("nets") / "vgg19.safetensors"
    save_file(named(vgg, "original"), file)
    return file


@pytest.fixture(scope="module")
def pth(vgg: LossNetwork, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as torchvision publishes it, with a layer that nobody needs."""
    file = tmp_path_factory.mktemp("pth") / "vgg19.pth"
    tensors = named(vgg, "torchvision") | {"classifier.0.weight": torch.zeros(2, 2)}
    torch.save(tensors, file, _use_new_zipfile_serialization=False)  # in the old format, as that is
    return file.read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(loss_network, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "loss-network"


@pytest.fixture
def server(cache: Path, pth: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of this machine in torchvision's place."""
    with serving() as server:
        server.content["/vgg19.pth"] = pth
        digest = hashlib.sha256(pth).hexdigest()[:8]
        monkeypatch.setitem(PUBLISHED, "vgg19", (f"{server.url}/vgg19.pth", digest))
        yield server


@pytest.fixture
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PUBLISHED:
        monkeypatch.setitem(
            PUBLISHED, name, (f"http://127.0.0.1:9/{name}.pth", "0")
        )  # the discard port: nobody listens


def no_word(line: str) -> None:
    pytest.fail(f"it said: {line}")


def picture(side: int = 64) -> torch.Tensor:
    return as_batch([draw_card(side, side)], "cpu")


def test_the_original_naming_takes_bgr_less_the_mean(vgg: LossNetwork, vgg_file: Path) -> None:
    net = load_loss_network(vgg_file)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert net.colours(red).flatten().tolist() == pytest.approx([-103.939, -116.779, 255 - 123.68], abs=1e-3)
    for layer in LAYERS:
        torch.testing.assert_close(net.conv(layer).weight, vgg.conv(layer).weight)
    assert list(net(picture())) == [f"relu{layer}" for layer in LAYERS]
    assert list(net(picture(), "relu2_1")) == ["relu1_1", "relu1_2", "relu2_1"]
    assert not any(p.requires_grad for p in net.parameters())


def test_torchvisions_naming_is_torchvisions_network(vgg: LossNetwork, tmp_path: Path) -> None:
    published = pytest.importorskip("torchvision").models.vgg
    theirs = published.make_layers(published.cfgs["E"])[:30].eval()
    theirs.load_state_dict({k.removeprefix("features."): v for k, v in named(vgg, "torchvision").items()})
    save_file(named(vgg, "torchvision"), tmp_path / "a.safetensors")
    net = load_loss_network(tmp_path / "a.safetensors")
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    with torch.no_grad():
        wanted = theirs((picture() - mean) / std)
        torch.testing.assert_close(net(picture())["relu5_1"], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_whole_files_of_torchvisions_are_read_to_their_end(name: str, tmp_path: Path) -> None:
    """A whole file of theirs, narrowed: which of the two it is, and that it is their network, down to conv5_2."""
    published = pytest.importorskip("torchvision").models.vgg
    layout = published.cfgs[{"vgg16": "D", "vgg19": "E"}[name]]
    torch.manual_seed(0)
    theirs = published.make_layers([n if n == "M" else n // 16 for n in layout]).eval()
    save_file({f"features.{key}": value for key, value in theirs.state_dict().items()}, tmp_path / "a.safetensors")
    net = read_vgg(tmp_path / "a.safetensors")
    assert (net.name, net.layers[-1]) == {"vgg16": ("VGG-16", "relu5_3"), "vgg19": ("VGG-19", "relu5_4")}[name]
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    with torch.no_grad():
        wanted = theirs[: {"vgg16": 28, "vgg19": 32}[name]]((picture() - mean) / std)  # to the ReLU behind conv5_2
        torch.testing.assert_close(net(picture(), "relu5_2")["relu5_2"], wanted, rtol=1e-4, atol=1e-5)


def test_vgg16_as_published_has_its_shapes(tmp_path: Path) -> None:
    """conv5_2, for the content of `--preset background2017`."""
    net = LossNetwork(layers=layers_of(DEPTHS["VGG-16"]))
    names = NAMINGS["torchvision16"]
    parts = ("weight", "bias")
    file = tmp_path / "vgg16.safetensors"
    save_file({f"{names[n]}.{p}": getattr(net.conv(n), p).detach() for n in net.convs for p in parts}, file)
    again = load_loss_network(file)
    maps = again(picture(32), "relu5_3")
    assert len(maps) == 13
    assert maps["relu5_2"].shape == (1, 512, 2, 2)
    assert names["5_3"] == "features.28"
    broken = load_file(file)
    del broken["features.12.weight"]
    save_file(broken, file)
    with pytest.raises(UserError, match="not whole"):
        load_loss_network(file)


def test_where_vgg16_is_out_of_reach_vgg19_takes_its_place(offline: None, cache: Path, vgg: LossNetwork) -> None:
    said: list[str] = []
    assert find_loss_network(None, said.append, wanted="vgg16").parent.name == "compact"
    cache.mkdir(parents=True, exist_ok=True)
    save_file(named(vgg, "original"), cache / "vgg19.safetensors")
    assert find_loss_network(None, said.append, wanted="vgg16") == cache / "vgg19.safetensors"
    assert "compact" in said[0]
    assert said[1].endswith("VGG-19 takes its place.")
    with pytest.raises(UserError, match="vgg16"):
        find_loss_network(Path("vgg16"), no_word)


@pytest.mark.parametrize("taps", [{}, {"relu1_1": 5, "relu4_2": 12}])
def test_our_own_naming_keeps_widths_and_taps(taps: dict[str, int], tmp_path: Path) -> None:
    net = made_up(TINY if taps else WIDTHS, taps)
    save_file({key: value.half() for key, value in net.state_dict().items()}, tmp_path / "a.safetensors")
    again = load_loss_network(tmp_path / "a.safetensors")
    assert (again.widths, list(again.taps)) == (net.widths, list(taps))
    for layer, ours in again(picture()).items():
        wanted = net(picture())[layer]
        assert ours.shape == wanted.shape
        assert (ours - wanted).square().mean() < 1e-4 * wanted.square().mean()


def test_what_is_no_loss_network_is_refused_by_name(vgg: LossNetwork, vgg_file: Path, tmp_path: Path) -> None:
    whole = named(vgg, "original")
    wrong = {
        "narrow": named(made_up(TINY), "original"),
        "short": {key: value for key, value in whole.items() if not key.startswith("conv5_1")},
        "shape": whole | {"conv3_2.weight": torch.zeros(256, 256, 1, 1)},
        "alien": {"encoder.weight": torch.zeros(3)},
        "empty": {},
    }
    for name, tensors in wrong.items():
        save_file(tensors, tmp_path / name)
    data = vgg_file.read_bytes()
    for name, bytes_ in {"cut": data[: len(data) // 2], "header": data[:20], "nothing": b"", "text": b"text"}.items():
        (tmp_path / name).write_bytes(bytes_)
    for name in [*wrong, "cut", "header", "nothing", "text", "gone"]:
        with pytest.raises(UserError, match=str(tmp_path / name)) as caught:
            open_loss_network(tmp_path / name, "cpu", no_word)
        assert caught.value.field == "loss_network"
    with pytest.raises(UserError, match=r"vgg19\.safetensors"):
        open_loss_network(tmp_path, "cpu", no_word)
    assert open_loss_network(vgg_file.parent, "cpu", no_word)[1] == vgg_file


@pytest.mark.parametrize("command", ["train style {0} new", "evaluate style great_wave --style-image {0}",
                                     "evaluate loss-network --style-image {0}"])  # fmt: skip
def test_every_command_names_a_wrong_file_and_ends_with_2(
    command: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "text").write_text("text")
    save_image(folders / "painting.png", draw_card(160, 160))
    words = [*command.format(folders / "painting.png").split(), "--photos", str(folders / "photos")]
    assert cli.run([*words, "--loss-network", str(folders / "text")]) == 2
    assert f"{folders / 'text'} does not hold VGG-19" in capsys.readouterr().err


def test_torchvisions_weights_are_fetched_once(server: Server, cache: Path, vgg: LossNetwork) -> None:
    shares: list[float] = []

    class Bar:
        def __init__(self, words: str, total: float | None) -> None: ...
        def __enter__(self):  # type: ignore[no-untyped-def]
            return lambda share, note: shares.append(share)

        def __exit__(self, *_: object) -> None: ...

    net, file = open_loss_network(None, "cpu", no_word, progress=Bar)
    assert shares[-1] == 1
    assert [path.name for path in cache.iterdir()] == ["vgg19.safetensors"]
    assert len(load_file(file)) == 2 * len(LAYERS) + 2
    torch.testing.assert_close(net.conv("5_1").weight, vgg.conv("5_1").weight)
    server.content.clear()
    assert find_loss_network(VGG19, no_word) == file
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="Remove it, and it is fetched anew"):
        open_loss_network(None, "cpu", no_word)


def test_other_weights_than_the_published_are_refused(
    server: Server, cache: Path, pth: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content["/vgg19.pth"] = pth + b"x"
    with pytest.raises(UserError, match="did not come whole"):
        find_loss_network(None, no_word)
    assert list(cache.iterdir()) == []
    server.content["/vgg19.pth"], server.cut = pth, len(pth) // 10
    said: list[str] = []
    find_loss_network(None, said.append)
    assert "broke off" in said[0]  # the compact one takes its place
    assert [file.name for file in cache.iterdir()] == [".vgg19.pth.part"]  # to go on from
    by_hand = cache / "vgg19.pth"
    by_hand.write_bytes(pth[:-1])
    with pytest.raises(UserError, match="not the published"):
        find_loss_network(None, no_word)
    torch.save({"features.0.weight": torch.zeros(2)}, by_hand)
    monkeypatch.setitem(PUBLISHED, "vgg19", (PUBLISHED["vgg19"][0], sha256(by_hand)[:8]))
    with pytest.raises(UserError, match="does not hold VGG-19"):
        find_loss_network(None, no_word)
    by_hand.write_bytes(pth)
    monkeypatch.setitem(PUBLISHED, "vgg19", (PUBLISHED["vgg19"][0], sha256(by_hand)[:8]))
    assert find_loss_network(None, no_word).is_file()
    assert not by_hand.exists()


def test_weights_that_run_code_are_not_loaded(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return Path.touch, (tmp_path / "it ran",)

    cache.mkdir(parents=True)
    file = cache / PUBLISHED["vgg19"][0].rpartition("/")[2]
    torch.save({"features.0.weight": Evil()}, file)
    monkeypatch.setitem(PUBLISHED, "vgg19", (PUBLISHED["vgg19"][0], sha256(file)[:8]))
    with pytest.raises(UserError, match="does not hold VGG-19"):
        find_loss_network(None, no_word)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_compact_one_takes_its_place_and_that_is_said() -> None:
    said: list[str] = []
    net, file = open_loss_network(None, "cpu", said.append)
    assert len(said) == 1
    assert "compact" in said[0]
    assert str(weights.find_card("loss-network", "compact").figures["gatys_loss_ratio"]) in said[0]
    assert file == find_loss_network(COMPACT, no_word)
    assert file.stat().st_size <= 8_000_000
    assert set(net.taps) == {*losses.STYLE_LAYERS, losses.CONTENT_LAYER}
    with pytest.raises(UserError, match="cannot be fetched"):
        open_loss_network(VGG19, "cpu", no_word)


def test_square_taps_keep_every_distance() -> None:
    teacher = made_up(TINY)
    net = narrow.init_narrow(teacher, TINIER, torch.cat([picture(32), picture(32).flip(1)]))
    small = distillation.compact(net)
    one, other = picture(48), picture(48).flip(3, 1)
    with torch.no_grad():
        wide, compact = [net(x) for x in (one, other)], [small(x) for x in (one, other)]
    for layer in net.taps:
        assert compact[0][layer].shape[1] == min(TINIER[int(layer[4]) - 1], TINY[int(layer[4]) - 1])
        for measure in (lambda maps: maps[layer], lambda maps: losses.gram(maps[layer])):  # noqa: B023
            apart = [(measure(a) - measure(b)).square().sum() for a, b in (wide, compact)]
            torch.testing.assert_close(*apart, rtol=1e-3, atol=1e-3)


def test_a_network_as_wide_as_the_teacher_starts_as_the_teacher() -> None:
    teacher = made_up(TINY)
    batch = torch.rand(6, 3, 48, 48)
    whole, half = (narrow.init_narrow(teacher, widths, batch) for widths in (TINY, TINIER))
    with torch.no_grad(), patch.object(torch, "autocast", lambda *_, **__: torch.enable_grad()):
        near, far = (distillation.compare(net, teacher, batch) for net in (whole, half))
    assert max(near.values()) < 1e-3
    assert all(near[name] < far[name] < 0.5 for name in near)


def test_the_channels_that_tell_most_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "RIDGE", 1e-6)
    base = torch.rand(2, 2, 8, 8)
    features = torch.cat([5 * base, 0.1 * torch.rand(2, 1, 8, 8), 4 * base[:, 1:], base[:, :1] + base[:, 1:]], 1)
    chosen = narrow.select_channels(features, 2)
    lift = narrow.least_squares(features[:, chosen], features)
    assert lift.shape == (5, 2)
    told = torch.einsum("ts,nsyx->ntyx", lift, features[:, chosen])
    torch.testing.assert_close(told[:, [0, 1, 3, 4]], features[:, [0, 1, 3, 4]], rtol=0.01, atol=0.01)


def test_pictures_on_the_way_come_nearer_to_the_painting() -> None:
    net = made_up(TINY)
    photos, paintings = torch.rand(1, 3, 48, 48), picture(48)
    with torch.no_grad():
        wanted = {layer: losses.gram(maps) for layer, maps in net(paintings).items() if layer in losses.STYLE_LAYERS}
    far = []
    for steps in (0, 8):
        torch.manual_seed(3)
        batch = distillation.add_intermediate(net, photos, paintings, steps)
        assert batch.shape == (3, 3, 48, 48)
        assert torch.equal(batch[0], photos[0])
        far.append(float(losses.style_loss(net(batch[2:]), wanted)))
    assert far[1] < 0.7 * far[0]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for kind, flip in (("photos", 1), ("paintings", -1)):
        (tmp_path / kind).mkdir()
        for n in range(3):
            save_image(tmp_path / kind / f"{n}.png", np.ascontiguousarray(draw_card(90, 80, seed=n)[::flip, ::flip]))
    return tmp_path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "CROP_PX", 32)
    monkeypatch.setattr(distillation, "START_PICTURES", 2)
    monkeypatch.setattr(narrow, "MAX_PLACES", 500)
    monkeypatch.setattr(distillation, "INTERMEDIATE_STEPS", (0, 2))
    monkeypatch.setattr(gatys, "STYLE_SIDE_PX", 48)


STEPS, SECONDS = 10, 10  # of a short training: saved after the seventh step and at the end


def distil(folders: Path, runs: str, stop_after: int | None = None) -> list[TrainingStatus]:
    """What a short distillation reports after each step, by a clock that only its steps move."""
    job = LossNetworkTraining(
        folders / "photos", folders / "paintings", made_up(TINY), folders / runs / "compact.safetensors",
        STEPS * SECONDS / 60, widths=TINIER,
    )  # fmt: skip
    time, compare = SimpleNamespace(now=0.0), distillation.compare

    def timed(*arguments: torch.Tensor) -> dict[str, torch.Tensor]:
        time.now += SECONDS * torch.is_grad_enabled()  # not while validating
        return compare(*arguments)  # type: ignore[arg-type]

    stopped = SimpleNamespace(monotonic=lambda: time.now)
    with (
        patch.object(loop, "time", stopped),
        patch.object(curves, "time", stopped),
        patch.object(distillation, "compare", timed),
    ):
        return list(islice(distillation.train_loss_network(job), stop_after))


@pytest.mark.usefixtures("small")
def test_a_distillation_that_was_stopped_goes_on_as_if_it_had_not_been(folders: Path) -> None:
    whole = distil(folders, "whole")
    assert len(whole) == STEPS
    assert all(whole[-1].terms[name] < whole[0].terms[name] for name in ("features", "grams"))
    distil(folders, "stopped", stop_after=9)
    random.seed(77)
    rest = distil(folders, "stopped")
    assert len(rest) == STEPS - 7
    for one, other in zip(rest, whole[7:], strict=True):
        assert one.images == other.images
        assert one.terms == pytest.approx(other.terms, rel=1e-3)
    nets = [load_file(folders / runs / "compact.safetensors") for runs in ("whole", "stopped")]
    for key, value in nets[0].items():
        torch.testing.assert_close(value, nets[1][key], rtol=1e-2, atol=1e-4)


@pytest.mark.usefixtures("small")
def test_a_distilled_network_is_shipped_found_and_judged(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = made_up(TINY, {layer: TINY[int(layer[4]) - 1] for layer in distillation.LAYERS})
    save_file(teacher.state_dict(), folders / "teacher")
    monkeypatch.setattr(distillation, "WIDTHS", TINIER)
    for name, value in (("JUDGED_PHOTOS", 1), ("JUDGED_SIDE_PX", 48), ("JUDGED_ITERATIONS", 2)):
        monkeypatch.setattr(distillation, name, value)
    pictures, runs = ["--photos", folders / "photos"], ["--runs", folders / "runs"]
    command = ["train", "loss-network", *pictures, *runs, "--paintings", folders / "paintings", "--loss-network",
               folders / "teacher", "--minutes", 0.05, "--out", folders / "models"]  # fmt: skip
    assert cli.run([*map(str, command)]) == 0
    card = weights.find_card("loss-network", "compact", folders / "models")
    assert card.folder == folders / "models" / "loss-networks" / "compact"
    assert str(card.figures["gatys_loss_ratio"]) in capsys.readouterr().err
    assert card.path(".safetensors").stat().st_size <= 8_000_000
    command = ["evaluate", "loss-network", *pictures, "--style-image", folders / "paintings" / "0.png", "--judge",
               folders / "teacher", "--images", 2, "--size", 48, "--iterations", 2, "--keep", folders, "--models",
               folders / "models", "--json"]  # fmt: skip
    assert cli.run([*map(str, command)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["ratio"] == pytest.approx(row["total_loss"] / row["own_total_loss"], abs=1e-3)
    assert (row["images"], row["size"], row["iterations"]) == (2, 48, 2)
    assert row["loss_network"] == evaluate_style.identity(card.path(".safetensors"))
    assert load_image(folders / "0.png").shape == (48, 3 * 48, 3)
    assert cli.run(["list", "loss-networks", "--models", str(folders / "models"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "compact"


@pytest.mark.usefixtures("small")
def test_a_network_judged_by_itself_is_as_good_as_itself(folders: Path) -> None:
    net = made_up(TINY), folders / "photos" / "0.png"
    paintings, photos = [folders / "paintings" / "0.png"], [folders / "photos" / f"{n}.png" for n in range(2)]
    test, shares = NetworkTest(paintings, photos, 48, 2), list[float]()
    score = evaluate_loss_network(net, net, test, lambda share, _: shares.append(share))
    assert (score.ratio, score.gatys_iterations, score.images) == (1, 2, 2)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    worse = made_up(TINY, seed=5), folders / "photos" / "1.png"
    score = evaluate_loss_network(worse, net, test, lambda *_: None)
    assert score.ratio > 1
    assert astuple(score)[0] != astuple(score)[1]
