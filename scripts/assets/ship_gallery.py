"""Make a gallery from its pictures: python scripts/assets/ship_gallery.py LIST FOLDER [ROWS]

LIST is a JSON list of pictures. Each has the facts of `nets/gallery_rows.py` and the `file` of its picture. FOLDER is
the gallery's, and gets gallery.json and thumbnails. ROWS is the NAME.gallery.safetensors of a training
(`livestyle train predictor --gallery`). Without it the gallery stays empty until there are rows.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from livestyle.files import atomic_write, sha256
from livestyle.image.io import load_image
from livestyle.nets.gallery_rows import FILE, OWN, ROWS_FILE, load_gallery, read_row

HEIGHT_PX, MAX_WIDTH_PX, MAX_BYTES = 96, 170, 4096  # of a thumbnail
QUALITIES = range(76, 20, -4)  # the first whose file is small enough
DATA = (
    "pictures in the public domain, SUN scenes, ImageNet samples, BSDS500, Clothing Co-Parsing, Human-Segmentation-"
    "Dataset and web portraits of prajnasb/observations (research terms or none stated); loss networks VGG-19 "
    "(CC BY 4.0) and compact VGG-19 (MIT)"
)


def main() -> None:
    """Write the gallery, and read it back."""
    pictures, folder, rows = json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jpg"):
        old.unlink()
    if rows:
        save_rows(Path(rows[0]), [Path(picture["file"]).name for picture in pictures], folder / ROWS_FILE)
    facts = {
        "rows": {ROWS_FILE: sha256(folder / ROWS_FILE)} if rows else {}, "license": "MIT", "data": DATA,
        "command": "livestyle train predictor", "styles": [shipped(picture, folder) for picture in pictures],
    }  # fmt: skip
    with atomic_write(folder / FILE) as part:
        part.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for card in load_gallery(folder / FILE).values():
        read_row(card)
    print(f"{len(pictures)} styles, {sum(file.stat().st_size for file in folder.iterdir()) / 1e3:.0f} kB")


def save_rows(source: Path, names: list[str], target: Path) -> None:
    """Write the rows of a training in the order of the pictures' names."""
    with safe_open(source, "numpy") as file:
        learnt, rows = file.metadata()["pictures"].split("\n"), file.get_tensor("rows")
    save_file({"rows": np.ascontiguousarray(rows[[learnt.index(name) for name in names]])}, target)


def shipped(picture: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The facts of a picture, once its thumbnail is in the folder."""
    file, thumbnail = Path(picture["file"]), folder / f"{picture['name']}.jpg"
    thumbnail.write_bytes(encoded(file))
    facts = {fact: picture[fact] for fact in (*OWN, "families", "died")}
    return facts | {"picture_sha256": sha256(file), "thumbnail_sha256": sha256(thumbnail)}


def encoded(file: Path) -> bytes:
    """A small JPEG of a picture: its middle, if it is much wider than high."""
    image = Image.fromarray(load_image(file))
    width = min(MAX_WIDTH_PX, round(image.width * HEIGHT_PX / image.height))
    high = min(image.height, round(image.width * HEIGHT_PX / width))
    wide = min(image.width, round(image.height * width / HEIGHT_PX))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    image = image.resize((width, HEIGHT_PX), Image.Resampling.LANCZOS, (left, top, left + wide, top + high))
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAX_BYTES:
            break
    return buffer.getvalue()


if __name__ == "__main__":
    main()
