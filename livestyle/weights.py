"""Model cards: where models are found, what they are, and whether their files are whole; files that are fetched."""

import difflib
import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

from livestyle.errors import UserError

KINDS = {"style": "styles", "segmenter": "segmenters", "loss-network": "loss-networks"}
MEND = "Install livestyle again, or train the model again."
HEADER = 100_000_000  # bytes of a safetensors file's header at most, as the format has it
PATIENCE = 10.0  # seconds without a byte after which a download is given up

Watch = Callable[[float, str], None]  # the share that is done, in 0..1, and a note


class Unreachable(UserError):
    """What was to be fetched cannot be had from here."""


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


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
    if sha256(path) != digest:
        raise UserError(f"The model file {path} is damaged: its SHA-256 is not its card's.", MEND)
    return path


def user_folder() -> Path:
    """The user's own models."""
    return Path(platformdirs.user_data_dir("livestyle", appauthor=False)) / "models"


def cache_folder() -> Path:
    """What was computed at length, and can be again."""
    return Path(platformdirs.user_cache_dir("livestyle", appauthor=False))


def model_folders(models: Path | None = None) -> list[Path]:
    """Where models are looked up, first match first: --models, $LIVESTYLE_MODELS, the user's, the package's own.

    Raises:
        UserError: a folder that was named is not there.
    """
    package, variable = Path(__file__).parent, os.environ.get("LIVESTYLE_MODELS")
    named = [place for place in (models, Path(variable) if variable else None) if place is not None]
    for place in named:
        if not place.is_dir():
            raise UserError(f"There is no folder of models {place}.", "Check --models and $LIVESTYLE_MODELS.")
    usual = [user_folder(), package / "models", package.parent / "models"]
    return [*named, *(place for place in usual if place.is_dir())]


def load_card(file: Path) -> Card:
    """Read a card.json.

    Raises:
        UserError: it is not one.
    """
    try:
        facts = json.loads(file.read_text("utf-8"))
        return Card(**{**facts, "folder": file.parent})
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file} is not a model card: {error}.", "Repair or remove it.") from None


def save_card(card: Card, folder: Path) -> None:
    """Write card.json into a folder."""
    facts = {k: v for k, v in asdict(card).items() if k != "folder"}
    aside = folder / ".card.part"
    aside.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(aside, folder / "card.json")


def find_cards(kind: str, models: Path | None = None) -> dict[str, Card]:
    """Every model of a kind by name, sorted; an earlier folder hides a later one's model of the same name."""
    cards: dict[str, Card] = {}
    for place in model_folders(models):
        for file in (place / KINDS[kind]).glob("*/card.json"):
            cards.setdefault(file.parent.name, load_card(file))
    return dict(sorted(cards.items()))


def find_card(kind: str, name: str | None, models: Path | None = None, others: Iterable[str] = ()) -> Card:
    """A model by name, or the default one for None; `others` are names that are no cards but may be meant.

    Raises:
        UserError: there is none of that name; near names are listed.
    """
    cards = find_cards(kind, models)
    if not cards:
        raise UserError(f"No {kind} is installed.", "Install livestyle again.")
    if name is None:
        return next((card for card in cards.values() if card.default), next(iter(cards.values())))
    if name not in cards:
        near = difflib.get_close_matches(name, [*cards, *others], 3, 0.4) or list(cards)
        hint = f"Near it: {', '.join(near)}; all: livestyle list {KINDS[kind]}."
        raise UserError(f"There is no {kind} '{name}'.", hint)
    return cards[name]


@contextmanager
def silently(words: str, total: float | None) -> Iterator[Watch]:
    """Progress that nobody sees."""
    yield lambda done, note: None


progress: Callable[[str, float | None], AbstractContextManager[Watch]] = silently  # the command line puts its bar here


def fetch(url: str, digest: str, target: Path, watch: Watch) -> Path:
    """Download a file and return `target`, which is there only once the file is whole and is the right one.

    Args:
        url: https, or http of this machine.
        digest: SHA-256 in hexadecimal, or its beginning.

    Raises:
        Unreachable: no connection, or no such file.
        UserError: another file than expected, or no room for it.
    """
    import http.client
    import urllib.error

    from livestyle.image import write_error, written_aside  # which import OpenCV

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(target, error) from None
    by_hand = f"Connect and run it again, or put that file at {target}."
    with written_aside(target) as part:
        try:
            found = _download(url, part, watch)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the reply, too
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or cause
            raise Unreachable(f"{url} cannot be fetched: {reason}.", by_hand) from None
        if not found.startswith(digest):
            raise UserError(f"{url} did not come whole: its SHA-256 does not begin with {digest[:8]}.", by_hand)
    return target


def _download(url: str, target: Path, watch: Watch) -> str:
    """Write what a URL gives to a file; its SHA-256."""
    import urllib.request

    found, done = hashlib.sha256(), 0
    with urllib.request.urlopen(_trusted(url), timeout=PATIENCE) as reply, target.open("wb") as file:
        _trusted(reply.url)  # where it was sent on to
        total = int(reply.headers.get("Content-Length") or 0)
        while block := reply.read(1 << 18):
            file.write(block)
            found.update(block)
            done += len(block)
            watch(min(1.0, done / total) if total else 0.0, f"{done / 1e6:.1f} MB")
    return found.hexdigest()


def _trusted(url: str) -> str:
    """The URL, where nobody on the way can read or change what is asked for."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}):
        return url
    raise UserError(f"{url} is not fetched: it is not https.", "Give another address.")
