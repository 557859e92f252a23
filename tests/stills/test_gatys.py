"""Stills painted by optimisation, with the compact loss network."""

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil
from support.pictures import draw_card

from livestyle.cli import main as cli
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.style_leak import WAYS, measure_leak
from livestyle.image import pixels
from livestyle.image.io import load_image, load_notes, save_image
from livestyle.image.types import Frame, Image, Matte
from livestyle.stills import gatys
from livestyle.stills.ablations import GAP_PX, LABEL_PX, paint_ablation, weights_ablation
from livestyle.stills.gatys import GatysPainter, Outputs
from livestyle.stills.loss_curve import check_curve
from livestyle.stills.recipe import PRESETS, Recipe, recipe_from, scales_of
from livestyle.stills.style_images import match_colors, parse_blend, style_pictures
from livestyle.stills.timelapse import AFTER_S, BEFORE_S, FPS

pytestmark = pytest.mark.torch

COMPACT = Path("compact")


def silent(*_: object) -> None:
    """Nobody listens."""


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    save_image(path, np.ascontiguousarray(draw_card(90, 60, seed=9)[::-1]))
    return path


def half(image: Image) -> Matte:
    """A person on the left, with a soft edge."""
    matte = np.zeros(image.shape[:2], np.float32)
    matte[:, :60], matte[:, 60:64] = 1, 0.5
    return matte


class HalfPerson:
    """In the place of a filter, whose segmenter has tests of its own."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def matte(self, frame: Frame) -> Matte:
        return half(frame.image)


class Stop(Event):
    """Is set once a number of iterations has been done."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._left = after

    def watch(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            self.set()


Run = Callable[..., tuple[Image, Image]]


@pytest.fixture
def paint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("livestyle.stills.gatys.Filter", HalfPerson)

    def run(
        styles: dict[str, Path], over: Event | None = None, watch: Any = silent, out: str = "out.png",
        curve: Path | None = None, say: Any = silent, extras: bool = False,
        timelapse: Path | None = None, **other: Any,
    ) -> tuple[Image, Image]:  # fmt: skip
        image = draw_card(130, 90)
        save_image(tmp_path / "in.png", image)
        blends = {plane: ((path, 1.0),) for plane, path in styles.items()}
        recipe = Recipe(blends, **{"iterations": 3, "long_side": 100, **other})
        outputs = Outputs({"livestyle-command": "livestyle photo"}, extras)
        painter = GatysPainter(Settings(device="cpu"), recipe, COMPACT, say, outputs)
        painter.paint(tmp_path / "in.png", tmp_path / out, over or Event(), watch, curve, timelapse)
        return image, load_image(tmp_path / out)

    return run


def film_of(path: Path) -> int:
    """The length of an animation in frames of a time-lapse."""
    with Pil.open(path) as animation:
        frames = 0.0
        for number in range(animation.n_frames):
            animation.seek(number)
            frames += animation.info["duration"] / 1000 * FPS
    return round(frames)


@pytest.mark.parametrize(("plane", "kept"), [("person", 0), ("background", 1)])
@pytest.mark.parametrize("other", [{}, {"naive": True}, {"init": "noise"}])
def test_a_plane_without_a_style_keeps_its_pixels(
    paint: Run, painting: Path, plane: str, kept: int, other: dict[str, Any]
) -> None:
    image, result = paint({plane: painting}, **other)
    stays = half(image) == kept
    assert result.shape == image.shape
    assert np.array_equal(result[stays], image[stays])
    assert np.abs(result[half(image) == 1 - kept].astype(int) - image[half(image) == 1 - kept]).mean() > 2


@pytest.mark.parametrize(("after", "optimizer"), [(6, "lbfgs"), (17, "lbfgs"), (4, "adam")])
def test_a_run_that_was_stopped_goes_on(paint: Run, painting: Path, tmp_path: Path, after: int, optimizer: str) -> None:
    """Amid a scale, in the second plane, and between two scales."""
    other = tmp_path / "other.png"
    save_image(other, draw_card(64, 64, seed=3))
    planes, given = {"background": painting, "person": other}, {"iterations": 12, "optimizer": optimizer}
    whole = paint(planes, out="whole.png", timelapse=tmp_path / "whole.gif", **given)[1]
    stop, rest, film = Stop(after), Stop(100), tmp_path / "film.gif"
    image, first = paint(planes, stop, stop.watch, timelapse=film, **given)
    assert film_of(film) == (BEFORE_S + AFTER_S) * FPS + after
    assert first.shape == image.shape
    assert (tmp_path / "out.png.part.safetensors").is_file()
    said: list[str] = []
    second = paint(planes, rest, rest.watch, say=said.append, timelapse=film, **given)[1]
    assert film_of(film) == film_of(tmp_path / "whole.gif") == (BEFORE_S + AFTER_S) * FPS + 24
    assert said[-1].endswith(f"goes on after {after} iterations.")
    assert rest._left == 100 - (24 - after)
    assert np.abs(second.astype(int) - whole).max() <= 1
    assert not [path for path in tmp_path.iterdir() if ".part" in path.name]


def test_another_recipe_begins_anew(paint: Run, painting: Path, tmp_path: Path) -> None:
    stop, rest = Stop(2), Stop(100)
    paint({"person": painting}, stop, stop.watch)
    paint({"person": painting}, rest, rest.watch, seed=1)
    assert rest._left == 97
    (tmp_path / "out.png.part.safetensors").write_bytes(b"not whole")
    rest = Stop(100)
    paint({"person": painting}, rest, rest.watch)
    assert rest._left == 97


def test_what_is_finished_is_not_painted_again(paint: Run, painting: Path, tmp_path: Path) -> None:
    for name in ("out.png", "out.jpg"):
        paint({"person": painting}, out=name)
        said: list[str] = []
        counted = Stop(100)
        paint({"person": painting}, counted, counted.watch, out=name, say=said.append)
        assert counted._left == 100
        assert any("finished already" in line for line in said)


def test_the_state_is_kept_now_and_then(
    paint: Run, painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill, too, loses only seconds."""
    monkeypatch.setattr(gatys, "PREVIEW_INTERVAL_S", 0.0)
    monkeypatch.setattr(gatys, "SAVE_RATIO", 0)
    seen: list[bool] = []
    paint({"person": painting}, watch=lambda *_: seen.append((tmp_path / "out.png.part.safetensors").is_file()))
    assert seen == [False, True, True]


def test_a_result_tells_how_it_was_made(paint: Run, painting: Path, tmp_path: Path) -> None:
    paint({"person": painting, "background": painting})
    notes = load_notes(tmp_path / "out.png")
    assert notes["livestyle-command"] == "livestyle photo"
    assert json.loads(notes["livestyle-losses"])["person"]["total"] > 0
    paint({"person": painting, "background": painting}, out="out.jpg")
    assert load_notes(tmp_path / "out.jpg").keys() == notes.keys()
    assert load_notes(tmp_path / "gone.png") == load_notes(Path(__file__)) == {}


def test_the_curve_is_drawn(paint: Run, painting: Path, tmp_path: Path) -> None:
    paint({"person": painting}, curve=tmp_path / "curve.png")
    assert load_image(tmp_path / "curve.png").shape == (400, 600, 3)
    for wrong, words in ((tmp_path / "curve.jpg", "is no PNG"), (tmp_path / "gone" / "curve.png", "no folder .*gone")):
        with pytest.raises(UserError, match=words):
            check_curve(wrong)


def test_kept_colours_are_the_pictures(paint: Run, painting: Path) -> None:
    image, result = paint({"person": painting, "background": painting}, keep_colors="luminance")
    assert np.abs(pixels.keep_colors(result, image).astype(int) - result).max() <= 3


def test_matched_colours_have_the_pictures_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal((150, 100, 60), (20, 10, 30), (40, 50, 3)), 0, 255).astype(np.uint8)
    image[:, 25:] = 255 - image[:, 25:]
    mask = np.zeros((40, 50), np.float32)
    mask[:, :25] = 1
    painting = np.clip(rng.normal((90, 140, 120), (30, 25, 15), (60, 60, 3)), 0, 255).astype(np.uint8)
    matched, inside = match_colors(painting, image, mask).reshape(-1, 3), image[:, :25].reshape(-1, 3)
    assert np.allclose(matched.mean(0), inside.mean(0), atol=1.5)
    assert np.allclose(np.cov(matched.T), np.cov(inside.T), atol=0.1 * np.cov(inside.T).max())


def test_matched_colours_change_what_is_painted(paint: Run, painting: Path) -> None:
    save_image(painting, 255 - load_image(painting) // 2)
    planes = {"person": painting, "background": painting}
    matched, plain = (
        paint(planes, keep_colors=how, iterations=6, scales=1, out=f"a{how}.png")[1] for how in ("histogram", "")
    )
    assert np.abs(matched.astype(int) - plain).mean() > 1


def test_strength_mixes_with_the_original(paint: Run, painting: Path) -> None:
    image, none = paint({"person": painting}, strengths={"person": 0.0}, out="a.png")
    some = paint({"person": painting}, strengths={"person": 0.5}, out="b.png")[1]
    full = paint({"person": painting}, out="c.png")[1]
    assert np.array_equal(none, image)
    inside = half(image) == 1
    mean = (full[inside].astype(float) + image[inside]) / 2
    assert np.abs(some[inside] - mean).max() <= 1


def test_scales_double_and_share_the_iterations() -> None:
    def of(size: tuple[int, int], long_side: int, iterations: int) -> list[tuple[tuple[int, int], int]]:
        return scales_of(size, Recipe({}, iterations, long_side))

    assert of((1000, 500), 400, 10) == [((100, 50), 4), ((200, 100), 3), ((400, 200), 3)]
    assert of((100, 80), 400, 3) == [((50, 40), 2), ((100, 80), 1)]  # never above the picture's own
    assert of((1000, 500), 400, 1) == [((400, 200), 1)]
    with pytest.raises(UserError, match="640x20 is too small"):
        of((640, 20), 400, 3)


def test_looks_name_pictures_and_weights(painting: Path, tmp_path: Path) -> None:
    assert style_pictures(f"image:{painting}", "none") == {"background": ((painting, 1.0),)}
    for text, weights in (
        (f"{painting}+{painting}@0.3", (0.7, 0.3)),
        (f"{painting}+{painting}", (0.5, 0.5)),
        (f"{painting}@0.2+{painting}+{painting}@0.3", (0.2, 0.5, 0.3)),
        (f"{painting}@0.4+{painting}@0.6", (0.4, 0.6)),
    ):
        assert [weight for _, weight in parse_blend(text)] == pytest.approx(weights)
    assert [path.name for path, _ in parse_blend("great_wave+starry_night")] == ["great_wave.jpg", "starry_night.jpg"]
    odd = tmp_path / "a+b@2.png"
    odd.write_bytes(painting.read_bytes())
    assert parse_blend(str(odd)) == ((odd, 1.0),)
    for look, words in (
        ("grate_wave", "Near it: great_wave|no style 'grate_wave'"),
        ("blur", "not a picture"),
        (str(tmp_path), "not a picture"),
        ("gone.jpg", "gone.jpg"),
        (f"{painting}@2", "between 0 and 1"),
        (f"{painting}+{painting}@much", "much"),
        (f"{painting}@0.4+{painting}@0.5", "sum to 1"),
        (f"{painting}@0.8+{painting}@0.5", "sum to 1"),
    ):
        with pytest.raises(UserError, match=words):
            style_pictures(look, "none")


FLAGS: dict[str, Any] = {
    "preset": "masked", "content_layers": None, "style_layers": None, "content_weight": 1.0, "style_weight": 10.0,
    "tv_weight": 0.0, "keep_colors_by": "luminance", "iterations": None, "long_side": None, "optimizer": None,
    "init": None, "seed": 0, "naive": False,
}  # fmt: skip


@pytest.mark.parametrize("preset", PRESETS)
def test_flags_go_before_a_preset(preset: str, painting: Path) -> None:
    settings = Settings(background=str(painting), strength=0.5, person_strength=0.2, keep_colors=True)
    recipe = recipe_from(settings, FLAGS | {"preset": preset})
    recipe.check()
    for name, value in PRESETS[preset].items():
        assert getattr(recipe, name) == value
    assert (recipe.strengths, recipe.keep_colors) == ({"background": 0.5, "person": 0.2}, "luminance")
    given = {"iterations": 7, "init": "noise", "content_layers": "conv2_2", "style_layers": "1_1,2_1"}
    recipe = recipe_from(settings, FLAGS | {"preset": preset} | given)
    assert (recipe.iterations, recipe.init) == (7, "noise")
    assert (recipe.layers.content, recipe.layers.style) == (("relu2_2",), ("relu1_1", "relu2_1"))


def test_a_layer_that_the_network_lacks_is_told(paint: Run, painting: Path) -> None:
    said: list[str] = []
    paint({"person": painting}, say=said.append, layers=PRESETS["background2017"]["layers"], normalised=True)
    assert "It has no conv5_2: conv5_1 stands in for it." in said
    assert any(line.startswith("The loss network is compact") for line in said)


def test_bad_recipes_are_named(painting: Path) -> None:
    with pytest.raises(UserError, match="impressionist"):
        recipe_from(Settings(), FLAGS | {"preset": "impressionist"})
    for other, words in (
        ({"optimizer": "sgd"}, "sgd"),
        ({"init": "black"}, "black"),
        ({"styles": {}}, "Nothing is to be painted"),
        ({"keep_colors": "hue"}, "hue"),
        ({"strengths": {"person": 2.0}}, "strength of 2"),
    ):
        with pytest.raises(UserError, match=words):
            Recipe(**{"styles": {"person": ((painting, 1.0),)}, **other}).check()


def test_all_results_at_once(paint: Run, painting: Path, tmp_path: Path) -> None:
    image, _ = paint({"person": painting, "background": painting}, extras=True)
    names = {name: tmp_path / f"out-{name}.png" for name in ("person", "background", "blur")}
    results = {name: load_image(path) for name, path in names.items()}
    person, scene = half(image) == 1, half(image) == 0
    assert np.array_equal(results["person"][scene], image[scene])
    assert np.array_equal(results["background"][person], image[person])
    assert np.array_equal(results["blur"][person], image[person])
    assert all(np.abs(result.astype(int) - image).mean() > 1 for result in results.values())
    with pytest.raises(UserError, match="Only one plane is painted"):
        paint({"person": painting}, extras=True)


def test_the_weights_sheet_raises_style_against_content(painting: Path) -> None:
    (row,) = weights_ablation(Recipe({"person": ((painting, 1.0),)}))
    assert [recipe.weights.style / recipe.weights.content for _, recipe in row] == [1, 3, 10, 30, 100]


def test_a_sheet_shows_every_cell(painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.stills.gatys.Filter", HalfPerson)
    image = draw_card(130, 90)
    save_image(tmp_path / "in.png", image)
    recipe = Recipe({"person": ((painting, 1.0),)}, iterations=2, long_side=64, scales=1)
    painter, stop, rest = GatysPainter(Settings(device="cpu"), recipe, COMPACT, silent), Stop(4), Stop(1000)
    where = tmp_path / "in.png", tmp_path / "sheet.png"
    assert not paint_ablation(painter, "layers", *where, stop, stop.watch)
    assert not (tmp_path / "sheet.png").exists()
    assert paint_ablation(painter, "layers", *where, rest, rest.watch)
    assert 1000 - rest._left == 2 * 10 - 4  # what was painted before is not painted again
    sheet = load_image(tmp_path / "sheet.png")
    assert sheet.shape == (2 * (90 + LABEL_PX + GAP_PX), 5 * (130 + GAP_PX), 3)
    corner = sheet[LABEL_PX : LABEL_PX + 90, GAP_PX // 2 : GAP_PX // 2 + 130]
    assert np.array_equal(corner[half(image) == 0], image[half(image) == 0])
    assert not (tmp_path / "sheet.png.cells").exists()


def test_a_leak_is_measured_both_ways(painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livestyle.stills.gatys.Filter", HalfPerson)
    other = tmp_path / "other.png"
    save_image(other, np.ascontiguousarray(255 - load_image(painting)))
    save_image(tmp_path / "in.png", draw_card(130, 90))
    recipe = Recipe(
        {"background": ((painting, 1.0),), "person": ((other, 1.0),)}, iterations=8, long_side=100, scales=1
    )
    painter = GatysPainter(Settings(device="cpu"), recipe, COMPACT, silent)
    rows = measure_leak(painter, tmp_path / "in.png", tmp_path, silent)
    assert [(row["way"], row["plane"]) for row in rows] == [(w, p) for w in WAYS for p in ("background", "person")]
    assert all(0 < row["own"] < row["other"] for row in rows)
    (untouched,) = [
        v for v in painter.style_losses(tmp_path / "in.png", tmp_path / "in.png").items() if v[0] == "person"
    ]
    assert rows[1]["own"] < untouched[1]["person"]
    one = GatysPainter(Settings(device="cpu"), Recipe({"person": ((other, 1.0),)}), COMPACT, silent)
    with pytest.raises(UserError, match="two styles"):
        measure_leak(one, tmp_path / "in.png", tmp_path, silent)


def test_a_folder_is_painted_but_for_what_is_broken(
    painting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, with every choice that it passes on."""
    monkeypatch.setattr("livestyle.stills.gatys.Filter", HalfPerson)
    pictures, results = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    save_image(pictures / "good.png", draw_card(130, 90))
    (pictures / "bad.png").write_bytes(b"not a picture")
    words = ["photo", str(pictures), str(results), "--method", "gatys", "--person", f"{painting}+{painting}@0.2"]
    words += ["--background", "none", "--loss-network", "compact", "--iterations", "2", "--long-side", "64"]
    words += [
        "--style-layers",
        "conv1_1,conv2_1",
        "--keep-colors",
        "--keep-colors-by",
        "histogram",
        "--quality",
        "best",
    ]
    assert cli.run(words) == 0
    said = capsys.readouterr().err
    assert f"Warning: {pictures / 'bad.png'} is not a picture that can be read. It was left out." in said
    assert "--quality has no say" in said
    assert [path.name for path in results.iterdir()] == ["good.png"]
    for wrong, thing in (
        (["--preset", "oil"], "oil"),
        (["--sheet", "rows"], "rows"),
        (["--curve", "c.png"], "--curve"),
    ):
        assert cli.run([*words, *wrong]) == 2
        assert thing in capsys.readouterr().err
