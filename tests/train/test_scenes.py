"""Portraits as each collection lays them out, and what happens where some are broken."""

import base64
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.pictures import draw_card

from livestyle.errors import UserError
from livestyle.image.io import save_image
from livestyle.matting.datasets import ORIENTATION, list_pairs, list_rooms, read_pair
from livestyle.train import scenes as data

SIZE = 40, 60
MATTE = np.zeros(SIZE[::-1], np.uint8)
MATTE[20:, 10:31] = 255  # a rectangle, which a polygon of whole corners draws exactly
Lay = Callable[[Path, str], None]


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def put_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, draw_card(*SIZE))


def lay_plain(folder: Path, name: str) -> None:
    put_picture(folder / f"{name}.jpg")
    put(folder / f"{name}.png", MATTE)


def lay_aisegment(folder: Path, name: str) -> None:
    put_picture(folder / f"clip_img/1803/clip_00000000/{name}.jpg")
    put(folder / f"matting/1803/matting_00000000/{name}.png", np.dstack([MATTE // 2] * 3 + [MATTE]))


def lay_eg1800(folder: Path, name: str) -> None:
    put_picture(folder / f"Images/{name}.png")
    put(folder / f"Labels/{name}.png", MATTE // 255)


def lay_eg1800_crop(folder: Path, name: str) -> None:
    put_picture(folder / f"images_data_crop/{name}.jpg")
    put(folder / f"GT_png/{name}_mask.png", MATTE)


def annotate(folder: Path, name: str, *things: dict[str, object]) -> None:
    put_picture(folder / f"ds1/img/{name}.png")
    notes = {"size": {"width": SIZE[0], "height": SIZE[1]}, "objects": list(things)}
    path = folder / f"ds1/ann/{name}.png.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notes))


def polygon(
    *outline: tuple[int, int], title: str = "person_poly", holes: list[object] | None = None
) -> dict[str, object]:
    return {"classTitle": title, "bitmap": None, "points": {"exterior": outline, "interior": holes or []}}


def bitmap(mask: np.ndarray, origin: tuple[int, int]) -> dict[str, object]:
    packed = base64.b64encode(zlib.compress(cv2.imencode(".png", mask)[1].tobytes())).decode()
    points = {"exterior": [], "interior": []}
    return {"classTitle": "person_bmp", "points": points, "bitmap": {"data": packed, "origin": origin}}


def lay_polygon(folder: Path, name: str) -> None:
    annotate(
        folder, name, polygon((10, 20), (30, 20), (30, 59), (10, 59)), polygon((0, 0), (5, 0), (5, 5), title="cat")
    )


def lay_bitmap(folder: Path, name: str) -> None:
    annotate(folder, name, bitmap(np.dstack([MATTE] * 4)[20:, 10:31], (10, 20)))


LAYS: tuple[Lay, ...] = (lay_plain, lay_aisegment, lay_eg1800, lay_eg1800_crop, lay_polygon, lay_bitmap)


@pytest.mark.parametrize("lay", LAYS)
def test_each_layout_gives_the_same_pairs(tmp_path: Path, lay: Lay) -> None:
    for name in ("00002", "00001"):
        lay(tmp_path, name)
    told: list[str] = []
    pairs = list_pairs(tmp_path, told.append)
    assert [pair.picture.stem for pair in pairs] == ["00001", "00002"]
    assert told == []
    image, matte = data.load_pair(pairs[0])
    assert image.shape == (60, 40, 3)
    np.testing.assert_array_equal(matte, MATTE)


def test_a_supervisely_person_is_all_its_shapes_less_their_holes(tmp_path: Path) -> None:
    hole = [(12, 12), (16, 12), (16, 16), (12, 16)]
    body = polygon((10, 10), (20, 10), (20, 20), (10, 20), holes=[hole])
    annotate(tmp_path, "a", body, bitmap(np.full((4, 4), 255, np.uint8), (30, 50)))
    _, matte = data.load_pair(list_pairs(tmp_path)[0])
    truth = np.zeros_like(MATTE)
    truth[10:21, 10:21], truth[50:54, 30:34] = 255, 255
    truth[12:17, 12:17] = 0
    np.testing.assert_array_equal(matte, truth)


def test_eg1800_keeps_to_its_list_of_training_pictures(tmp_path: Path) -> None:
    for name in ("00001", "00002", "00003"):
        lay_eg1800(tmp_path, name)
    (tmp_path / "eg1800_train.txt").write_text("00001.png\n00003.png\n")
    assert [pair.name for pair in list_pairs(tmp_path)] == ["00001.png", "00003.png"]


def cut(path: Path) -> None:
    """Keep the header and half of the rest."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


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
    cut(getattr(pair, broken))
    with pytest.raises(UserError):
        read_pair(pair)


def test_a_turned_picture_has_its_mattes_size(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lay_plain(tmp_path, "a")
    Image.fromarray(draw_card(*SIZE[::-1])).save(tmp_path / "a.jpg", exif=exif)
    image, matte = data.load_pair(list_pairs(tmp_path)[0])
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


def test_scenes_drop_what_cannot_be_decoded(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        lay_plain(tmp_path, name)
    pairs = list_pairs(tmp_path)
    cut(tmp_path / "b.jpg")
    put_picture(tmp_path / "rooms/a.jpg")
    put_picture(tmp_path / "rooms/d.jpg")
    cut(tmp_path / "rooms/d.jpg")
    random.seed(0)
    scenes = data.Scenes(pairs, sorted((tmp_path / "rooms").iterdir()))
    for _ in range(20):
        scenes.sample((32, 32))
    assert sorted(scenes.dropped) == ["b.jpg", "d.jpg"]
    assert [pair.name for pair in scenes.pairs] == ["a.jpg", "c.jpg"]
    with pytest.raises(UserError, match="None of the training pictures"):
        replace(scenes, pairs=[], pasted=0, empty=0).sample((32, 32))
