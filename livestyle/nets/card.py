"""Model cards: a model's facts, checked."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from livestyle.errors import UserError
from livestyle.files import atomic_write, sha256
from livestyle.nets.fetch import LARGEST

KINDS = {"style": "styles", "segmenter": "segmenters", "loss-network": "loss-networks"}
MEND = "Install livestyle again, or train the model again."
HEADER = 10_000_000  # bytes of a safetensors header at most; ours have thousands
CARD = 1 << 20  # bytes of a card


@dataclass(frozen=True)
class Card:
    """A model's record, `card.json` beside its files.

    Args:
        name: as typed; kind: "style", "segmenter" or "loss-network".
        title: what a person reads.
        net: name of the network in `livestyle.nets`.
        files: SHA-256 by file name.
        license: of the weights; source: who made them, from what; data: what they were trained on, with its terms.
        command: what trained them; figures: what was measured.
        multiple: the input's height and width must be multiples of this.
        pixels: of a segmenter: the input's area; width: multiplier of the net's channels.
        default: whether it is taken where none is named.
        painting_sha256: of a style: the digest of the picture that it was made from, "" where it is not known.
        folder: where the files lie; None once written.
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
    folder: Path | None = None

    def path(self, suffix: str) -> Path:
        """The file with a suffix such as ".onnx", its SHA-256 checked.

        Raises:
            UserError: the card names none, or it is missing or altered.
        """
        for name, digest in self.files.items():
            if name.endswith(suffix) and self.folder is not None:
                return verified(self.folder / name, digest)
        raise UserError(f"The {self.kind} '{self.name}' has no {suffix} file.", "Choose another device or model.")


TYPES: dict[str, Any] = {
    "files": dict, "figures": dict, "multiple": int, "pixels": int, "width": (int, float), "default": bool,
    "folder": Path,
}  # fmt: skip
BOUNDS = {"multiple": (1, 256), "pixels": (0, 1 << 24), "width": (1 / 64, 4)}


def tensor_names(path: Path) -> tuple[dict[str, str], set[str]]:
    """What a safetensors file says of itself, and its tensors' names: from its header, which needs no PyTorch.

    Raises:
        UserError: it is cut short, or no such file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, HEADER)))
        facts = dict(header.pop("__metadata__", {}))
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise UserError(f"{path} is no safetensors file, or not whole.", "Give another file.") from None
    if path.stat().st_size != end:
        raise UserError(f"{path} is not whole: {path.stat().st_size} bytes of {end}.", "Copy it again.")
    return facts, set(header)


def verified(path: Path, digest: str) -> Path:
    """The path, once its file is there and has the digest.

    Raises:
        UserError: missing or altered.
    """
    if not path.is_file():
        raise UserError(f"The model file {path} is missing.", MEND)
    if path.resolve().parent != path.parent.resolve():
        raise UserError(f"The model file {path} is a link that leads out of its folder.", "Copy the file there.")
    if path.stat().st_size > LARGEST:
        raise UserError(f"The model file {path} has more than {LARGEST >> 20} MB.", MEND)
    if sha256(path) != digest:
        raise UserError(f"The model file {path} is damaged: its SHA-256 is not its card's.", MEND)
    return path


def load_card(file: Path) -> Card:
    """Read a card.json.

    Raises:
        UserError: it is not one.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(CARD + 1)
        if len(text) > CARD:
            raise ValueError("it is too large")
        card = Card(**{**json.loads(text), "folder": file.parent})
        check_card(card)
        return card
    except RecursionError:
        raise UserError(f"{file} is not a model card: it is too deep.", "Repair or remove it.") from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} is not a model card: {shown(str(error))}.", "Repair or remove it.") from None


def check_card(card: Card) -> None:
    """See that a card's facts are such as they may be; its files lie beside it, and nowhere else.

    Raises:
        ValueError: they are not.
    """
    for one in fields(Card):
        value, known = getattr(card, one.name), TYPES.get(one.name, str)
        if not isinstance(value, known) or (isinstance(value, bool) and known is not bool):
            raise ValueError(f"its {one.name} is of another type")
    words = [card.name, card.kind, card.title, card.net, *card.files, *card.figures]
    if card.kind not in KINDS or not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("it holds what no card may hold")
    for name, digest in card.files.items():
        if not 0 < len(name) < 200 or name.startswith(".") or any(sign in name for sign in "/\\:"):
            raise ValueError(f"it names {shown(name[:40])}, which is not beside it")
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{shown(name)} has no SHA-256")
    for name, (low, high) in BOUNDS.items():
        if not low <= getattr(card, name) <= high:
            raise ValueError(f"its {name} is not from {low} to {high}")


def shown(text: str) -> str:
    """Words of a stranger's file, fit for a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])


def save_card(card: Card, folder: Path) -> None:
    """Write card.json into a folder."""
    facts = {k: v for k, v in asdict(card).items() if k != "folder"}
    with atomic_write(folder / "card.json") as part:
        part.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
