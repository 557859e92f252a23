"""The trainers run, resume, and ship what they trained; on tiny made-up data."""

import json
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import test_card
from safetensors.torch import save_file

from livestyle.errors import UserError
from livestyle.image import save_image
from livestyle.nets.deeplab import DeepLab
from livestyle.nets.vgg import CONVOLUTIONS, WIDTHS
from livestyle.train import data
from livestyle.train.checkpoint import Clock, load_checkpoint, one_cycle, save_checkpoint


@pytest.fixture
def perceptual(tmp_path: Path) -> Path:
    """Loss networks and an encoder of the real shapes, with made-up weights."""
    folder = tmp_path / "nets"
    folder.mkdir()
    torch.manual_seed(0)
    for name, widths in WIDTHS.items():
        weights, channels = {}, 3
        for stage, (width, count) in enumerate(zip(widths, CONVOLUTIONS, strict=True), start=1):
            for i in range(1, count + 1):
                key = f"conv{stage}_{i}" if name == "vgg19" else f"conv{stage}{i}"
                weights[f"{key}.weight"] = torch.randn(width, channels, 3, 3) * (2 / (channels * 9)) ** 0.5
                weights[f"{key}.bias"] = torch.zeros(width)
                channels = width
        if name != "vgg19":
            weights |= {"conv0.weight": torch.eye(3).view(3, 3, 1, 1), "conv0.bias": torch.zeros(3)}
        save_file(weights, folder / f"{name}.safetensors")
    encoder = {}
    for key, value in DeepLab().encoder.state_dict().items():
        encoder[key.replace(".conv.", ".0.").replace(".norm.", ".1.")] = value
    save_file(encoder, folder / "mobilenetv2.safetensors")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two portraits with mattes; also photos and rooms."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for n in range(2):
        save_image(folder / f"p{n}.jpg", test_card(320, 400, seed=n))
        matte = np.zeros((400, 320), np.uint8)
        matte[100:, 80:240] = 255
        save_image(folder / f"p{n}.png", matte)
    return folder


def test_a_style_trains_resumes_and_ships(tmp_path: Path, perceptual: Path, pairs: Path) -> None:
    from test_cli import livestyle

    save_image(tmp_path / "painting.png", test_card(400, 400))
    command = ["train", "style", tmp_path / "painting.png", "tiny", "--photos", pairs, "--perceptual", perceptual,
               "--out", tmp_path / "models", "--runs", tmp_path / "runs"]  # fmt: skip
    livestyle(*command, "--minutes", "0.1")
    card = json.loads((tmp_path / "models/styles/tiny/card.json").read_text())
    assert card["figures"]["images"] >= 4
    assert card["command"].startswith("livestyle train style")
    livestyle(*command, "--minutes", "0.2")
    more = json.loads((tmp_path / "models/styles/tiny/card.json").read_text())
    assert more["figures"]["images"] > card["figures"]["images"]
    names = {p.name for p in (tmp_path / "models/styles/tiny").iterdir()}
    assert names == {"card.json", "tiny.onnx", "tiny.safetensors", "thumbnail.png"}
    out = tmp_path / "painted.png"
    livestyle("photo", pairs / "p0.jpg", out, "--background", "tiny", "--models", tmp_path / "models")
    assert out.exists()


def test_a_segmenter_trains_and_ships(tmp_path: Path, perceptual: Path, pairs: Path) -> None:
    from test_cli import livestyle

    livestyle("train", "segmenter", "deeplab", "--data", pairs, "--rooms", pairs, "--perceptual", perceptual,
              "--minutes", "0.05", "--out", tmp_path / "models", "--runs", tmp_path / "runs")  # fmt: skip
    livestyle("matte", pairs / "p0.jpg", tmp_path / "m.png", "--models", tmp_path / "models")
    assert (tmp_path / "m.png").exists()
    livestyle("train", "segmenter", "deeplab", "--data", pairs, "--rooms", pairs, "--perceptual", perceptual,
              "--from", tmp_path / "runs/deeplab.safetensors", "--rate", "1e-4", "--minutes", "0.05",
              "--out", tmp_path / "models", "--runs", tmp_path / "more")  # fmt: skip
    card = json.loads((tmp_path / "models/segmenters/deeplab/card.json").read_text())
    assert "--from" in card["command"]


def test_what_is_missing_is_named(tmp_path: Path, pairs: Path) -> None:
    from livestyle.nets.deeplab import load_encoder
    from livestyle.nets.vgg import load_loss_network

    with pytest.raises(UserError, match="vgg19"):
        load_loss_network(tmp_path, "vgg19")
    with pytest.raises(UserError, match="mobilenetv2"):
        load_encoder(DeepLab(), tmp_path / "mobilenetv2.safetensors")
    with pytest.raises(UserError, match="pairs"):
        data.list_pairs(tmp_path / "runs")


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
    scenes = data.Scenes(data.list_pairs(pairs), sorted(pairs.glob("*.jpg")))
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
    image, matte = data.load_pair(data.list_pairs(pairs)[0])
    for _ in range(50):
        _, seated = data.seat(image, matte, (256, 144))
        if seated.max() > 0.5:
            assert seated[-1].max() > 0.4
