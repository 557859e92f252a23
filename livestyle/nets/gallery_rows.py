"""The gallery: styles of one network, each a row of numbers, with the facts of its picture.

A gallery is the folder `gallery` beside a predictor's card. `gallery.json` has the facts, `gallery.safetensors` the
rows in the same order, and `NAME.jpg` is a thumbnail. The network is the predictor's.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livestyle.config.names import plain
from livestyle.errors import UserError
from livestyle.nets.card import MAX_CARD_BYTES, PAINTING_FACTS, REPAIR_HINT, ROW, Card, check_card, printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE, ROWS_FILE = "gallery.json", "gallery.safetensors"
NUMBERS = 864  # of a row: scales and shifts of the norms of a SlimNet
MAX_STYLES = 1000
SHARED = {"rows": dict, "license": str, "data": str, "command": str}  # facts of all styles, with their types
OWN = (*(fact for fact in PAINTING_FACTS if fact not in ("file", "sha256")), "name")  # texts of each style
DIGESTS = ("picture_sha256", "thumbnail_sha256")
YEARS = range(-3000, 2101)


def load_gallery(file: Path) -> dict[str, Card]:
    """Read a gallery.json. Return the card of each style by name, in the order of the rows.

    There are none where no rows are named.

    Raises:
        UserError: it is no gallery.
    """
    try:
        facts = file.stat()
        return dict(_read(file, facts.st_mtime_ns, facts.st_size))
    except RecursionError:
        raise UserError(f"{file} is not a gallery: it is too deep.", "Repair or remove it.") from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} is not a gallery: {printable(str(error))}.", "Repair or remove it.") from None


@lru_cache(4)  # a start asks for it several times
def _read(file: Path, changed: int, size: int) -> dict[str, Card]:
    with file.open("rb") as opened:
        text = opened.read(MAX_CARD_BYTES + 1)
    if len(text) > MAX_CARD_BYTES:
        raise ValueError("it is too large")
    return _cards(json.loads(text), file.parent)


def _cards(facts: Any, folder: Path) -> dict[str, Card]:
    """Return the cards of a gallery.

    Raises:
        ValueError, TypeError: a fact is missing, wrong or unknown.
    """
    styles = _checked(facts, {**SHARED, "styles": list})["styles"]
    if len(styles) > MAX_STYLES:
        raise ValueError(f"it has more than {MAX_STYLES} styles")
    if facts["rows"].keys() - {ROWS_FILE}:
        raise ValueError(f"its rows are not in {ROWS_FILE}")
    cards = {card.name: card for card in (_card(style, facts, folder) for style in styles)}
    if len(cards) < len(styles):
        raise ValueError("two of its styles have the same name")
    return cards if facts["rows"] else {}


def _card(style: Any, shared: dict[str, Any], folder: Path) -> Card:
    _checked(style, {**dict.fromkeys((*OWN, *DIGESTS), str), "families": list, "died": (int, type(None))})
    name, died = style["name"], style["died"]
    if not re.fullmatch("[a-z0-9_]{1,40}", name) or not plain(name):
        raise ValueError(f"{printable(name)} is no name of a style")
    if died is not None and died not in YEARS:
        raise ValueError(f"the artist of {name} died in no year")
    if not style["families"]:
        raise ValueError(f"{name} is of no family")
    if not re.fullmatch("[0-9a-f]{64}", style["picture_sha256"]):
        raise ValueError(f"the picture of {name} has no SHA-256")
    painting = {fact: style[fact] for fact in PAINTING_FACTS if fact in style}
    card = Card(
        name, "style", style["title"], ROW, shared["rows"], shared["license"],
        f"{style['artist']}, {style['year']}, public domain", shared["data"], shared["command"],
        painting_sha256=style["picture_sha256"], families=style["families"], folder=folder,
        painting={"file": f"{name}.jpg", "sha256": style["thumbnail_sha256"], **painting},
    )  # fmt: skip
    check_card(card)
    return card


def _checked(facts: Any, types: dict[str, Any]) -> dict[str, Any]:
    """Return an object once it has just the facts of these types.

    Raises:
        ValueError: it has not.
    """
    if not isinstance(facts, dict) or facts.keys() != types.keys():
        raise ValueError(f"an object has not just {', '.join(types)}")
    for name, kind in types.items():
        if not isinstance(facts[name], kind) or isinstance(facts[name], bool):
            raise ValueError(f"its {name} is of another type")
    return facts


def read_row(card: Card) -> "NDArray[np.float32]":
    """Return the row of a style, float32 (NUMBERS,), without PyTorch.

    Args:
        card: of a style of a gallery, or of one that was kept, whose file has its row alone.

    Raises:
        UserError: the file is missing, altered, or does not fit gallery.json.
    """
    import numpy as np  # which lists of styles do not need
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder, file = card.folder or Path(), card.path(".safetensors")
    names = list(load_gallery(folder / FILE)) if (folder / FILE).is_file() else [card.name]
    try:
        rows = load_file(file)["rows"]
    except (OSError, SafetensorError, KeyError):
        raise UserError(f"{file} holds no rows.", REPAIR_HINT) from None
    is_fit = rows.dtype == np.float16 and rows.shape == (len(names), NUMBERS) and bool(np.isfinite(rows).all())
    if not is_fit or card.name not in names:
        raise UserError(f"{file} does not hold the rows that its card names.", REPAIR_HINT)
    return np.asarray(rows[names.index(card.name)], np.float32)


def save_row(row: "NDArray[np.float32]", file: Path) -> None:
    """Write the row of a style into a file of its own.

    Raises:
        OSError: it cannot be written.
    """
    import numpy as np
    from safetensors.numpy import save

    file.write_bytes(save({"rows": np.asarray(row, np.float16)[None]}))
