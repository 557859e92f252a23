"""Portraits as each collection lays them out, and what happens where some are broken: one reader for all commands."""

import re
from pathlib import Path

import numpy as np
import pytest
from support.pictures import draw_card
from support.portraits import (
    LAYS,
    MATTE,
    SIZE,
    Lay,
    annotate,
    bitmap,
    cut,
    lay_eg1800,
    lay_plain,
    polygon,
    put,
    put_picture,
)

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.mattes import standing_free
from livestyle.evaluate.segmenters import evaluate_segmenters
from livestyle.matting.datasets import EXIF_ORIENTATION, list_pairs, list_rooms, read_pair, read_truth


@pytest.mark.parametrize("lay", LAYS)
def test_each_layout_gives_the_same_pairs(tmp_path: Path, lay: Lay) -> None:
    for name in ("00002", "00001"):
        lay(tmp_path, name)
    told: list[str] = []
    pairs = list_pairs(tmp_path, told.append)
    assert [pair.picture.stem for pair in pairs] == ["00001", "00002"]
    assert told == []
    image, matte = read_pair(pairs[0])
    assert image.shape == (60, 40, 3)
    np.testing.assert_array_equal(matte, MATTE)


def test_a_supervisely_person_is_all_its_shapes_less_their_holes(tmp_path: Path) -> None:
    hole = [(12, 12), (16, 12), (16, 16), (12, 16)]
    body = polygon((10, 10), (20, 10), (20, 20), (10, 20), holes=[hole])
    annotate(tmp_path, "a", body, bitmap(np.full((4, 4), 255, np.uint8), (30, 50)))
    _, matte = read_pair(list_pairs(tmp_path)[0])
    truth = np.zeros_like(MATTE)
    truth[10:21, 10:21], truth[50:54, 30:34] = 255, 255
    truth[12:17, 12:17] = 0
    np.testing.assert_array_equal(matte, truth)


def test_eg1800_keeps_to_its_lists(tmp_path: Path) -> None:
    for name in ("00001", "00002", "00003", "00004"):
        lay_eg1800(tmp_path, name)

    def names(held_out: bool) -> list[str]:
        return [pair.picture.stem for pair in list_pairs(tmp_path, held_out=held_out)]

    assert names(False) == names(True) == ["00001", "00002", "00003", "00004"]
    (tmp_path / "eg1800_train.txt").write_text("00001.png\n00003.png\n")
    assert (names(False), names(True)) == (["00001", "00003"], ["00002", "00004"])
    (tmp_path / "EG1800_test.txt").write_text("00004.png\n")
    assert (names(False), names(True)) == (["00001", "00003"], ["00004"])


def test_faulty_pairs_are_named_once_and_left_out(tmp_path: Path) -> None:
    for name in ("good", "alone1", "alone2", "alone3", "alone4", "small", "text"):
        lay_plain(tmp_path, name)
    for n in range(1, 5):
        (tmp_path / f"alone{n}.png").unlink()
    put(tmp_path / "small.png", MATTE[:-1])
    (tmp_path / "text.jpg").write_text("no picture")
    put(tmp_path / "good.png", np.zeros_like(MATTE))  # nobody: no fault
    told: list[str] = []
    assert [pair.name for pair in list_pairs(tmp_path, told.append)] == ["good.jpg"]
    assert sorted(told) == [
        "Left out, a matte of another size: 1 (small.jpg)",
        "Left out, no matte: 4 (alone1.jpg, alone2.jpg, alone3.jpg, ...)",
        "Left out, unreadable: 1 (text.jpg)",
    ]


@pytest.mark.parametrize("lay", LAYS)
@pytest.mark.parametrize("broken", ["picture", "matte"])
def test_a_pair_cut_short_is_an_error(tmp_path: Path, lay: Lay, broken: str) -> None:
    lay(tmp_path, "a")
    pair = list_pairs(tmp_path)[0]
    file = getattr(pair, broken)
    cut(file)
    with pytest.raises(UserError, match=re.escape(str(file))):
        read_pair(pair)


def test_a_turned_picture_has_its_mattes_size(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    lay_plain(tmp_path, "a")
    Image.fromarray(draw_card(*SIZE[::-1])).save(tmp_path / "a.jpg", exif=exif)
    image, matte = read_pair(list_pairs(tmp_path)[0])
    assert image.shape[:2] == matte.shape


@pytest.mark.parametrize("lay", [lambda folder, name: None, lambda folder, name: put_picture(folder / f"{name}.jpg")])
def test_a_folder_without_pairs_is_an_error(tmp_path: Path, lay: Lay) -> None:
    lay(tmp_path, "a")
    with pytest.raises(UserError, match="no pairs"):
        list_pairs(tmp_path)


def test_unreadable_rooms_are_left_out(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("no picture")
    told: list[str] = []
    assert list_rooms(sorted(tmp_path.iterdir()), told.append) == [tmp_path / "a.jpg"]
    assert told == ["Left out, unreadable: 1 (b.jpg)"]
    with pytest.raises(UserError, match="rooms"):
        list_rooms([tmp_path / "b.jpg"])


@pytest.mark.parametrize("lay", LAYS)
def test_each_layout_is_evaluated(tmp_path: Path, lay: Lay) -> None:
    for name in ("00002", "00001"):
        lay(tmp_path, name)
    count, table = evaluate_segmenters(Settings(), tmp_path, ["kmeans"], lambda name, done: None)
    assert count == 2
    assert 0 < table["kmeans"]["mean_iu"] <= 1  # type: ignore[index, operator]
    pairs = list_pairs(tmp_path)
    image, matte = read_truth(pairs[0])
    assert image.shape == (60, 40, 3)
    np.testing.assert_array_equal(matte, MATTE / np.float32(255))
    assert len(list(standing_free(pairs, np.random.default_rng(0)))) == 2


def test_what_is_left_out_of_an_evaluation_is_said(tmp_path: Path) -> None:
    for name in ("good", "small"):
        lay_plain(tmp_path, name)
    put(tmp_path / "small.png", MATTE[:-1])
    told: list[str] = []
    count, _ = evaluate_segmenters(Settings(), tmp_path, ["kmeans"], lambda name, done: None, told.append)
    assert (count, told) == (1, ["Left out, a matte of another size: 1 (small.jpg)"])


def test_a_matte_of_16_bits_is_scaled(tmp_path: Path) -> None:
    lay_plain(tmp_path, "a")
    put(tmp_path / "a.png", MATTE.astype(np.uint16) // 2 * 257)
    assert read_pair(list_pairs(tmp_path)[0])[1].max() == 127
