"""A small gallery."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from livestyle.files import sha256
from livestyle.nets.gallery_rows import FILE, NUMBERS, ROWS_FILE

STYLES = {"red_hill": ["prints", "bold"], "grey_sea": ["calm"], "blue_hill": ["prints"]}
TITLES = {"red_hill": "Colline à l'été", "grey_sea": "The Sea", "blue_hill": "Hill II"}


def facts_of(name: str, thumbnail: Path) -> dict[str, Any]:
    """What gallery.json has of a style."""
    return {
        "name": name, "title": TITLES[name], "artist": "Ann Öst", "died": 1901, "year": "c. 1890",
        "source": "a museum", "public_domain": "Ann Öst died in 1901.", "families": STYLES[name],
        "picture_sha256": "0" * 64, "thumbnail_sha256": sha256(thumbnail),
    }  # fmt: skip


def make_gallery(models: Path) -> Path:
    """Write a gallery below a folder of models, and return its gallery.json."""
    folder = models / "predictors/any/gallery"
    folder.mkdir(parents=True)
    for name in STYLES:
        Image.new("RGB", (16, 12), "red").save(folder / f"{name}.jpg")
    rows = np.arange(len(STYLES), dtype=np.float16)[:, None] + np.zeros(NUMBERS, np.float16)
    save_file({"rows": rows}, folder / ROWS_FILE)
    facts = {
        "rows": {ROWS_FILE: sha256(folder / ROWS_FILE)}, "license": "MIT", "data": "none", "command": "none",
        "styles": [facts_of(name, folder / f"{name}.jpg") for name in STYLES],
    }  # fmt: skip
    (folder / FILE).write_text(json.dumps(facts), "utf-8")
    return folder / FILE
