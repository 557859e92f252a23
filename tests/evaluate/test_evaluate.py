"""The tables: what they hold, what they say where there is nothing to hold."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.cli import run_here
from support.pictures import draw_card

from livestyle.config.settings import TRAINABLE, Settings
from livestyle.errors import UserError
from livestyle.evaluate.mattes import evaluate_mattes
from livestyle.evaluate.metrics import Scores
from livestyle.evaluate.segmenters import (
    PUBLISHED,
    draw_segmenters,
    evaluate_segmenters,
    footnotes,
    printed_segmenters,
    with_published,
)
from livestyle.evaluate.stability import evaluate_stability
from livestyle.image.io import load_image, save_image
from livestyle.image.types import Image
from livestyle.matting.segmenter import load_segmenter
from livestyle.nets import engine
from livestyle.nets.library import find_cards
from livestyle.video.sources.open import open_source

SCORES = ["pixel_accuracy", "mean_accuracy", "mean_iu", "fw_iu", "mean_iu_per_image", "boundary_iu", "mad", "ms"]
STABILITY = ["frames", "warp_error", "input_warp_error", "unsmoothed_warp_error", "fidelity_ssim",
             "matte_flicker", "unsmoothed_matte_flicker", "still_change", "unsmoothed_still_change"]  # fmt: skip
UNTRAINED = [name for name in PUBLISHED if name not in find_cards("segmenter")]
ROW = dict.fromkeys(SCORES, 0.5)


@pytest.fixture
def pairs(tmp_path: Path, person: Image) -> Path:
    """A frame of the demo clip, and a rough matte of its person."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    save_image(folder / "a.jpg", person)
    truth = np.zeros(person.shape[:2], np.uint8)
    cv2.ellipse(truth, (330, 360), (120, 320), 0, 180, 360, 255, -1)
    save_image(folder / "a.png", truth)
    return folder


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    folder = tmp_path / "rooms"
    folder.mkdir()
    save_image(folder / "room.jpg", draw_card(400, 300))
    return folder


def silent(*_: object) -> None:
    """Nobody watches."""


def test_the_table_has_a_row_or_a_sentence_for_each(pairs: Path) -> None:
    images, table = evaluate_segmenters(Settings(), pairs, ["deeplabv3plus", "kmeans", *UNTRAINED], silent)
    assert images == 1
    assert list(table["deeplabv3plus"]) == SCORES
    assert table["deeplabv3plus"]["mean_iu"] > 0.4  # type: ignore[index,operator]
    for name in UNTRAINED:
        assert f"'{name}' is not trained here. Run: livestyle train segmenter {name} " in str(table[name])
    with pytest.raises(UserError, match=r"nobody.*kmeans"):
        evaluate_segmenters(Settings(), pairs, ["nobody"], silent)
    with pytest.raises(UserError, match="no pairs"):
        evaluate_segmenters(Settings(), pairs / "none", [], silent)


def test_published_figures_stand_beside_ours() -> None:
    assert set(PUBLISHED) < set(TRAINABLE)
    table = {"fcn8s": ROW, "segnet": "not here", "kmeans": ROW, "maskrcnn": "not here"}
    rows = with_published(table)  # type: ignore[arg-type]
    assert rows["fcn8s"]["published"]["mean_iu"] == 0.9804  # type: ignore[index]
    assert rows["fcn8s"]["published"]["source"]  # type: ignore[index]
    assert (rows["segnet"], rows["kmeans"]) == ("not here", ROW)
    printed = {row["segmenter"]: row for row in printed_segmenters(table)}  # type: ignore[arg-type]
    assert list(printed) == ["fcn8s", "segnet", "kmeans"]
    assert [printed[name]["published mean_iu"] for name in printed] == ["0.9804*", "0.3080", ""]
    assert printed["segnet"]["mean_iu"] == "-"
    assert ["fcn8s" in line for line in footnotes(table)] == [True]  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [{"fcn8s": ROW, "segnet": "not here", "kmeans": ROW}, {"kmeans": ROW}, {"a": "no"}])
def test_a_chart_is_drawn(tmp_path: Path, table: dict[str, Scores | str]) -> None:
    pytest.importorskip("matplotlib")
    draw_segmenters(table, 7, tmp_path / "chart.png")
    assert load_image(tmp_path / "chart.png").shape[1] > 800
    assert [file.name for file in tmp_path.iterdir()] == ["chart.png"]


def test_segmenters_as_typed(pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = ["evaluate", "segmenters", "--data", pairs, "--only", ",".join(["kmeans", *UNTRAINED])]
    found = json.loads(run_here(*command, "--chart", tmp_path / "c.png", "--json").stdout)
    assert list(found["segmenters"]) == ["kmeans", *UNTRAINED]
    assert (tmp_path / "c.png").is_file()
    shown = run_here(*command)
    assert "published" in shown.stdout
    assert all(f"{name}: " in shown.stderr for name in UNTRAINED)
    assert ".pdf" in run_here(*command, "--chart", tmp_path / "c.pdf", code=2).stderr


@pytest.mark.parametrize("name", UNTRAINED)
def test_an_untrained_segmenter_says_how_to_train_it(name: str) -> None:
    with pytest.raises(UserError, match=f"livestyle train segmenter {name}"):
        load_segmenter(Settings(segmenter=name), engine.choose_engine("cpu"))


def test_untrained_segmenters_are_listed() -> None:
    rows = {row["name"]: row for row in json.loads(run_here("list", "segmenters", "--json").stdout)}
    assert set(TRAINABLE) < set(rows)
    for name in UNTRAINED:
        assert rows[name]["title"] == "not trained here"


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six times the same frame, one frame, and one of a picture too small for flow."""
    folder = tmp_path_factory.mktemp("clips")
    with open_source("demo") as source:
        image = cv2.resize(next(iter(source)).image, (320, 180))
    for name, frames in (("still", [image] * 6), ("one", [image]), ("small", [image[:24, :24].copy()] * 3)):
        writer = cv2.VideoWriter(
            str(folder / f"{name}.avi"), cv2.VideoWriter.fourcc(*"FFV1"), 30, frames[0].shape[1::-1]
        )
        for frame in frames:
            writer.write(frame[..., ::-1])
        writer.release()
    return folder


def test_a_still_clip_is_steady(still: Path) -> None:
    row = evaluate_stability(Settings(), str(still / "still.avi"), 4, print, silent)
    assert list(row) == STABILITY
    assert row["frames"] == 4
    assert row["fidelity_ssim"] == pytest.approx(1)
    for key in STABILITY[1:4] + STABILITY[5:7]:
        assert row[key] < 1e-6, key
    assert 0 < row["still_change"] < 1.5
    assert row["still_change"] < 0.2 * row["unsmoothed_still_change"]


def test_smoothing_steadies_the_demo() -> None:
    shown = run_here("evaluate", "stability", "demo", "--frames", "12", "--background", "great_wave", "--json")
    row = json.loads(shown.stdout)
    assert list(row) == STABILITY
    assert 0 < row["input_warp_error"] < row["warp_error"] < 0.6 * row["unsmoothed_warp_error"]
    assert row["fidelity_ssim"] > 0.9
    assert 0 < row["matte_flicker"] < row["unsmoothed_matte_flicker"]


@pytest.mark.parametrize(
    ("clip", "background", "words"),
    [
        ("still.avi", "blur", "no style"),
        ("one.avi", None, "fewer than two frames"),
        ("small.avi", None, "too small"),
        ("none.avi", None, "no file"),
        ("a.png", None, "not a clip"),
        ("still.avi", "nowave", "nowave"),
    ],
)
def test_what_stability_cannot_measure(still: Path, clip: str, background: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        evaluate_stability(Settings(background=background), str(still / clip), 4, print, silent)


def test_mattes_are_scored_by_kind(pairs: Path, rooms: Path) -> None:
    shown: list[str] = []
    table = evaluate_mattes(Settings(), pairs, rooms, 3, 3, 0, lambda done, kind: shown.append(kind))
    assert list(table) == ["calm", "lively", "fast", "all"]
    assert shown == ["calm", "lively", "fast"]
    for sides in table.values():
        assert list(sides) == ["per_frame", "steadied", "ratio"]
        for side in sides.values():
            assert list(side) == ["mean_iu_per_image", "boundary_iu", "mad", "dtssd"]
        assert sides["ratio"]["dtssd"] == pytest.approx(
            sides["steadied"]["dtssd"] / sides["per_frame"]["dtssd"], abs=1e-4
        )


def test_mattes_as_typed(pairs: Path, rooms: Path) -> None:
    command = ["evaluate", "mattes", "--data", pairs, "--rooms", rooms, "--clips", "1", "--frames", "2"]
    found = json.loads(run_here(*command, "--json").stdout)
    assert list(found["kinds"]) == ["calm", "all"]
    assert found["kinds"]["calm"] == found["kinds"]["all"]
    assert "calm, ratio" in run_here(*command).stdout
    assert "no pictures" in run_here(*command[:5], rooms / "none", code=2).stderr
    save_image(pairs / "a.png", np.full((360, 640), 255, np.uint8))
    assert "cuts everybody" in run_here(*command, code=2).stderr
