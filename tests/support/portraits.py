"""Portraits with mattes as each collection lays them out."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from livestyle.image.io import save_image
from support.pictures import draw_card

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


def cut(path: Path) -> None:
    """Keep the header and half of the rest."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
