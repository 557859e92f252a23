"""The foreign segmenters: a contract over the table, their weights from a server of this machine, what is kept."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pictures import draw_card
from support.server import Server, serving

from livestyle.config.settings import Settings
from livestyle.errors import UserError, has_package
from livestyle.evaluate.segmenters import evaluate_segmenters
from livestyle.files import sha256
from livestyle.image.io import save_image
from livestyle.image.types import Image, Segmenter
from livestyle.matting import published as segmenters
from livestyle.matting.published import (
    SEGMENTERS,
    class_numbers,
    install_command,
    load_other_segmenter,
    state,
    weights_file,
)
from livestyle.matting.segmenter import load_segmenter
from livestyle.nets import library as weights
from livestyle.nets.engine import choose_engine

TORCHVISION = [name for name, foreign in SEGMENTERS.items() if "torchvision" in foreign.packages]
SIZES = [(65, 47), (1, 1), (1, 90), (200, 1), (33, 500), (640, 360)]
PICTURES = {
    "black": lambda w, h: np.zeros((h, w, 3), np.uint8),
    "white": lambda w, h: np.full((h, w, 3), 255, np.uint8),
    "noise": lambda w, h: np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8),
    "card": draw_card,
}


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A .pth with random weights for each net of torchvision's, with the names of the published files."""
    if not has_package("torchvision"):
        pytest.skip("torchvision is not installed")
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn
    from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    builds = {"deeplabv3-mobilenet": (deeplabv3_mobilenet_v3_large, {"aux_loss": True}),
              "maskrcnn": (maskrcnn_resnet50_fpn, {})}  # fmt: skip
    assert set(builds) == set(TORCHVISION)
    files = {}
    for name, (build, options) in builds.items():
        files[name] = folder / f"{name}.pth"
        tensors = build(weights=None, weights_backbone=None, **options).state_dict()
        torch.save({name_of_2019(key): tensors[key] for key in tensors if "num_batches" not in key}, files[name])
    return files


def name_of_2019(key: str) -> str:
    """What a tensor of torchvision's Mask R-CNN was called when its weights were published."""
    key = re.sub(r"(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.", key)
    key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
    return re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", key)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's models."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.delenv("LIVESTYLE_MODELS", raising=False)
    for module in (weights, segmenters):
        monkeypatch.setattr(module, "user_folder", lambda: folder)
    return folder


@pytest.fixture
def published(
    random_weights: dict[str, Path], server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    """The nets of torchvision's, their weights published by a server of this machine."""
    for name, file in random_weights.items():
        server.content[f"/{name}.pth"] = file.read_bytes()
        known = segmenters.Published(
            f"{server.url}/{name}.pth", sha256(file)[:8], (f"{name}.safetensors", f"{name}.pth")
        )
        monkeypatch.setitem(SEGMENTERS, name, replace(SEGMENTERS[name], published=known))
    return random_weights


def check_contract(segment: Segmenter, image: Image) -> None:
    before = image.copy()
    matte = segment(image)
    assert matte.dtype == np.float32
    assert matte.ndim == 2
    assert min(matte.shape) >= 1
    assert 0 <= matte.min() <= matte.max() <= 1
    assert (image == before).all()


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", sorted(set(SEGMENTERS) - set(TORCHVISION)))
def test_a_segmenter_takes_any_picture(name: str, picture: str) -> None:
    found = state(name, Settings())
    if found != "ready":
        pytest.skip(f"{name}: {found}")
    segment = load_other_segmenter(name, choose_engine("cpu"), Settings())
    for size in SIZES:
        check_contract(segment, PICTURES[picture](*size))


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_net_of_torchvisions_is_fetched_once_and_takes_any_picture(
    name: str, published: dict[str, Path], server: Server, home: Path
) -> None:
    assert state(name, Settings()) == "fetched on first use"
    engine, image = choose_engine("cpu"), draw_card(1, 90)
    first = load_other_segmenter(name, engine, Settings())(image)
    assert state(name, Settings()) == "ready"
    assert [file.name for file in (home / "segmenters" / name).iterdir()] == [f"{name}.safetensors"]
    server.content.clear()
    segment = load_other_segmenter(name, engine, Settings())
    np.testing.assert_array_equal(segment(image), first)
    quick = name != "maskrcnn"
    for size in SIZES if quick else SIZES[:1]:
        check_contract(segment, draw_card(*size))
    for picture in ("black", "white", "noise") if quick else ():
        check_contract(segment, PICTURES[picture](65, 47))


def test_what_is_kept_adds_up(published: dict[str, Path]) -> None:
    engine, image = choose_engine("cpu"), draw_card(96, 64)
    mattes = [
        load_other_segmenter("deeplabv3-mobilenet", engine, Settings(keep=keep))(image)
        for keep in ("person", "dog", " Dog, person ")
    ]
    np.testing.assert_allclose(mattes[0] + mattes[1], mattes[2], atol=1e-5)


def test_instances_are_joined_where_they_are_sure_and_kept(
    published: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from torchvision.models.detection import MaskRCNN

    def found(self: object, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        masks = torch.zeros(3, 1, *images[0].shape[1:])
        masks[0, 0, :, :100], masks[1, 0, :, 90:200], masks[2, 0, 200:] = 0.9, 0.7, 1.0
        return [{"labels": torch.tensor([1, 1, 18]), "masks": masks, "scores": torch.ones(3)}]

    monkeypatch.setattr(MaskRCNN, "forward", found)
    image = draw_card(400, 300)
    people = load_other_segmenter("maskrcnn", choose_engine("cpu"), Settings())(image)
    assert people[0, 95] == pytest.approx(0.9)
    assert people[0, 150] == pytest.approx(0.7)
    assert people[-1, -1] == 0
    dog = load_other_segmenter("maskrcnn", choose_engine("cpu"), Settings(keep="dog"))(image)
    assert dog[-1, -1] == 1
    assert dog[0, 95] == 0
    nobody = load_other_segmenter("maskrcnn", choose_engine("cpu"), Settings(keep="zebra"))(image)
    assert not nobody.any()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_are_altered_are_refused_and_left(
    suffix: str, published: dict[str, Path], home: Path
) -> None:  # fmt: skip
    place = home / "segmenters" / "deeplabv3-mobilenet"
    place.mkdir(parents=True)
    (place / f"deeplabv3-mobilenet{suffix}").write_bytes(b"something else")
    with pytest.raises(UserError, match="deeplabv3-mobilenet"):
        load_other_segmenter("deeplabv3-mobilenet", choose_engine("cpu"), Settings())


def test_a_pickle_is_not_opened_before_its_checksum(
    published: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    import torch

    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    (tmp_path / "x.pth").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UserError, match="not the published"):
        load_other_segmenter("deeplabv3-mobilenet", choose_engine("cpu"), Settings(model_file=tmp_path / "x.pth"))


def test_a_model_file_of_the_users_stays_where_it_is(published: dict[str, Path], server: Server, home: Path) -> None:
    server.content.clear()
    file = published["deeplabv3-mobilenet"]
    load_other_segmenter("deeplabv3-mobilenet", choose_engine("cpu"), Settings(model_file=file))
    assert file.is_file()
    assert not list(home.iterdir())


def test_the_published_digests_are_those_of_the_file_names() -> None:
    for name in TORCHVISION:
        known = SEGMENTERS[name].published
        assert known is not None
        assert len(known.digest) == 8
        assert known.url == f"https://download.pytorch.org/models/{known.files[1]}"
        assert f"-{known.digest}." in known.url


@pytest.mark.parametrize("name", [name for name, foreign in SEGMENTERS.items() if foreign.published])
def test_weights_that_cannot_be_had_are_named_with_their_place(
    name: str, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = SEGMENTERS[name].published
    assert known is not None
    url = f"{server.url}/{known.url.rpartition('/')[2]}"
    monkeypatch.setitem(SEGMENTERS, name, replace(SEGMENTERS[name], published=replace(known, url=url)))
    with pytest.raises(UserError) as caught:
        weights_file(name, Settings())
    assert url in caught.value.problem
    assert str(home / "segmenters" / name) in caught.value.step


@pytest.mark.parametrize(
    ("name", "keep", "said"),
    [
        ("kmeans", "dog", "people only, not 'dog'. Use deeplabv3-mobilenet or maskrcnn"),
        ("mediapipe", "person,dog", "people only, not 'dog'"),
        ("maskrcnn", "dogg", "knows no 'dogg'. Did you mean dog?"),
        ("maskrcnn", "qqqqqq", "It knows: person, bicycle"),
        ("maskrcnn", "N/A", "knows no 'n/a'"),
        ("deeplabv3-mobilenet", "person,tv", "Did you mean tvmonitor?"),
        ("deeplabv3-mobilenet", " , ", "Nothing was named"),
    ],
)
def test_what_cannot_be_kept_is_said_before_anything_is_fetched(
    name: str, keep: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacking := install_command(SEGMENTERS[name]):
        pytest.skip(lacking)
    monkeypatch.setattr(segmenters, "fetch", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(UserError) as caught:
        load_other_segmenter(name, choose_engine("cpu"), Settings(keep=keep))
    assert said in str(caught.value)


@given(st.lists(st.sampled_from(["cat", "dog", "person"]), min_size=1))
def test_kept_names_become_their_numbers(names: list[str]) -> None:
    classes = ("__background__", "person", "N/A", "cat", "dog")
    assert [classes[n] for n in class_numbers("x", ",".join(names), classes)] == names


def test_a_card_keeps_people_only_and_takes_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="people only"):
        load_segmenter(Settings(keep="dog"), choose_engine("cpu"))
    with pytest.raises(UserError, match=r"weights|There is no file"):
        load_segmenter(Settings(model_file=tmp_path), choose_engine("cpu"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "has_package", lambda name: False)
    with pytest.raises(UserError, match=r"livestyle\[mediapipe\]"):
        load_other_segmenter("mediapipe", choose_engine("cpu"), Settings())


@pytest.mark.parametrize("name", ["kmeans", "mediapipe"])
def test_a_model_file_that_is_of_no_use_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"weights|There is no file"):
        weights_file(name, Settings(model_file=tmp_path / "none"))


def test_a_file_that_mediapipe_cannot_read_is_said(tmp_path: Path) -> None:
    if lacking := install_command(SEGMENTERS["mediapipe"]):
        pytest.skip(lacking)
    (tmp_path / "x.tflite").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"x\.tflite"):
        load_other_segmenter("mediapipe", choose_engine("cpu"), Settings(model_file=tmp_path / "x.tflite"))


def test_a_models_folder_serves_mediapipes_file(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "segmenters" / "mediapipe" / "any.tflite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a model")
    assert weights_file("mediapipe", Settings(models=tmp_path)) == file


def portrait() -> tuple[Image, segmenters.Matte]:
    """A dark figure before a light wall, and its matte."""
    truth = np.zeros((240, 320), np.uint8)
    cv2.circle(truth, (160, 90), 40, 1, -1)
    cv2.ellipse(truth, (160, 240), (90, 110), 0, 0, 360, 1, -1)
    image = np.where(truth[..., None] == 1, np.uint8([70, 40, 60]), np.uint8([190, 200, 210]))
    return np.asarray(image, np.uint8), truth.astype(np.float32)


def test_kmeans_finds_a_figure_before_a_wall_each_time_alike() -> None:
    image, truth = portrait()
    segment = load_other_segmenter("kmeans", choose_engine("cpu"), Settings())
    matte = segment(image)
    again = load_other_segmenter("kmeans", choose_engine("cpu"), Settings())(image)
    assert (matte == again).all()
    found = cv2.resize(matte, truth.shape[::-1]) > 0.5
    assert (found == (truth > 0.5)).mean() > 0.97


def test_the_table_says_what_could_not_be_fetched(
    tmp_path: Path, home: Path, person: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, foreign in SEGMENTERS.items():
        if foreign.published:
            nowhere = replace(foreign.published, url=f"http://127.0.0.1:9/{name}.pth")
            monkeypatch.setitem(SEGMENTERS, name, replace(foreign, published=nowhere))
    save_image(tmp_path / "a.jpg", person)
    save_image(tmp_path / "a.png", np.full(person.shape[:2], 255, np.uint8))
    _, table = evaluate_segmenters(Settings(), tmp_path, list(SEGMENTERS), lambda name, done: None)
    assert "mean_iu" in table["kmeans"]
    for name in set(SEGMENTERS) - {"kmeans"}:
        assert "127.0.0.1:9" in str(table[name]) or "pip install" in str(table[name])
