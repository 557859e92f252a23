"""Model cards: the facts of a model, checked."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from livestyle.errors import UserError
from livestyle.files import atomic_write, sha256
from livestyle.nets.fetch import MAX_DOWNLOAD_BYTES

# The kinds of models, and the folder of each within a folder of models.
KIND_FOLDERS = {
    "style": "styles", "segmenter": "segmenters", "loss-network": "loss-networks", "predictor": "predictors",
}  # fmt: skip
REPAIR_HINT = "Install livestyle again, or train the model again."
MAX_HEADER_BYTES = 10_000_000  # of a safetensors file; the shipped ones have thousands
MAX_CARD_BYTES = 1 << 20
ROW = "row"  # in place of an architecture: the style is a row of the predictor's network, see `gallery_rows`


@dataclass(frozen=True)
class Card:
    """The record of a model, `card.json` beside its files.

    Args:
        name: to type.
        kind: of KIND_FOLDERS.
        title: for people.
        net: name of the architecture.
        files: SHA-256 by file name.
        license: of the weights.
        source: who made them, from what.
        data: that they were trained on, and its terms.
        command: that trained them.
        figures: that were measured.
        multiple: the input's sides must be multiples of this.
        pixels: area of a segmenter's input.
        width: multiplier of the network's channels.
        default: whether it is used where no name is given.
        painting_sha256: of a style, the SHA-256 of the picture that it was made from; "" where that is not known.
        painting: of a style, a picture of its painting beside the card: PAINTING_FACTS, in words; {} for none.
        families: of a style, what it is found by, such as "prints".
        folder: of the files; None in the written card.
    """

    name: str
    kind: str
    title: str
    net: str
    files: dict[str, str]
    license: str
    source: str
    data: str
    command: str
    figures: dict[str, float | int | str] = field(default_factory=dict)
    multiple: int = 4
    pixels: int = 0
    width: float = 1.0
    default: bool = False
    painting_sha256: str = ""
    painting: dict[str, str] = field(default_factory=dict)
    families: list[str] = field(default_factory=list)
    folder: Path | None = None

    def path(self, suffix: str) -> Path:
        """Return the file with a suffix such as ".onnx", its SHA-256 verified.

        Raises:
            UserError: the card names none, or it is missing or altered.
        """
        for name, digest in self.files.items():
            if name.endswith(suffix) and self.folder is not None:
                return verify_file(self.folder / name, digest)
        raise UserError(f"The {self.kind} '{self.name}' has no {suffix} file.", "Choose another device or model.")

    @property
    def thumbnail(self) -> Path:
        """The path of a style's small picture, to be chosen by."""
        name = self.painting.get("file", "") if self.net == ROW else ""
        return (self.folder or Path()) / (name or "thumbnail.png")

    @property
    def words(self) -> str:
        """All that a style can be found by."""
        facts = (self.painting.get(fact, "") for fact in ("title", "artist", "year"))
        return " ".join((self.name, self.title, *facts, *self.families))

    def painting_file(self) -> Path | None:
        """Return the picture of its painting that lies beside the card, its SHA-256 verified; None where there is none.

        Raises:
            UserError: it is missing or altered.
        """
        if not self.painting or self.folder is None or self.net == ROW:  # which has a thumbnail alone
            return None
        return verify_file(self.folder / self.painting["file"], self.painting["sha256"])


# Of a painting: its file and that file's digest, and why the picture may be passed on.
PAINTING_FACTS = ("file", "sha256", "title", "artist", "year", "source", "public_domain")
FIELD_TYPES: dict[str, Any] = {
    "files": dict, "figures": dict, "painting": dict, "families": list, "multiple": int, "pixels": int,
    "width": (int, float), "default": bool, "folder": Path,
}  # fmt: skip
FIELD_BOUNDS = {"multiple": (1, 256), "pixels": (0, 1 << 24), "width": (1 / 64, 4)}


def tensor_names(path: Path) -> tuple[dict[str, str], set[str]]:
    """Return a safetensors file's metadata and the names of its tensors, without PyTorch.

    Raises:
        UserError: the file is cut short, or of another kind.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, MAX_HEADER_BYTES)))
        facts = dict(header.pop("__metadata__", {}))
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise UserError(f"{path} is no safetensors file, or not whole.", "Give another file.") from None
    if path.stat().st_size != end:
        raise UserError(f"{path} is not whole: {path.stat().st_size} bytes of {end}.", "Copy it again.")
    return facts, set(header)


def check_file_size(path: Path) -> None:
    """Check that a model file is not larger than any network.

    Raises:
        UserError: it is.
    """
    if path.stat().st_size > MAX_DOWNLOAD_BYTES:
        raise UserError(f"The model file {path} has more than {MAX_DOWNLOAD_BYTES >> 20} MB.", REPAIR_HINT)


def verify_file(path: Path, digest: str) -> Path:
    """Return the path, once the file is there and has the SHA-256.

    Raises:
        UserError: it is missing, too large or altered, or a link that leads out of its folder.
    """
    if not path.is_file():
        raise UserError(f"The model file {path} is missing.", REPAIR_HINT)
    if path.resolve().parent != path.parent.resolve():
        raise UserError(f"The model file {path} is a link that leads out of its folder.", "Copy the file there.")
    check_file_size(path)
    if sha256(path) != digest:
        raise UserError(f"The model file {path} is damaged: its SHA-256 is not its card's.", REPAIR_HINT)
    return path


def load_card(file: Path) -> Card:
    """Read a card.json.

    Raises:
        UserError: it is no model card.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_CARD_BYTES + 1)
        if len(text) > MAX_CARD_BYTES:
            raise ValueError("it is too large")
        card = Card(**{**json.loads(text), "folder": file.parent})
        check_card(card)
        return card
    except RecursionError:
        raise UserError(f"{file} is not a model card: it is too deep.", "Repair or remove it.") from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} is not a model card: {printable(str(error))}.", "Repair or remove it.") from None


def check_card(card: Card) -> None:
    """Check the types and bounds of a card's fields, and that its files lie beside it.

    Raises:
        ValueError: a field is wrong.
    """
    for one in fields(Card):
        value, known = getattr(card, one.name), FIELD_TYPES.get(one.name, str)
        if not isinstance(value, known) or (isinstance(value, bool) and known is not bool):
            raise ValueError(f"its {one.name} is of another type")
    words = [card.name, card.kind, card.title, card.net, *card.files, *card.figures, *card.painting.values()]
    words += card.families
    if card.kind not in KIND_FOLDERS or not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("it holds what no card may hold")
    if card.painting and card.painting.keys() != set(PAINTING_FACTS):
        raise ValueError(f"its painting has not just {', '.join(PAINTING_FACTS)}")
    beside = {**card.files, **({card.painting["file"]: card.painting["sha256"]} if card.painting else {})}
    for name, digest in beside.items():
        if not 0 < len(name) < 200 or name.startswith(".") or any(sign in name for sign in "/\\:"):
            raise ValueError(f"it names {printable(name[:40])}, which is not beside it")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{printable(name)} has no SHA-256")
    for name, (low, high) in FIELD_BOUNDS.items():
        if not low <= getattr(card, name) <= high:
            raise ValueError(f"its {name} is not from {low} to {high}")


def printable(text: str) -> str:
    """Return text from a file in a form that is safe for a terminal, at most 100 characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])


def save_card(card: Card, folder: Path) -> None:
    """Write card.json into a folder.

    Raises:
        UserError: it cannot be written.
    """
    facts = {k: v for k, v in asdict(card).items() if k != "folder"}
    with atomic_write(folder / "card.json") as part:
        part.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
