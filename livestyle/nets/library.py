"""Model cards: where models are found, what they are, and whether their files are whole; files that are fetched."""

import difflib
import hashlib
import json
import os
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from livestyle.errors import UserError
from livestyle.files import locked, put, write_error, written_aside

if TYPE_CHECKING:
    import urllib.request

KINDS = {"style": "styles", "segmenter": "segmenters", "loss-network": "loss-networks"}
MEND = "Install livestyle again, or train the model again."
HEADER = 10_000_000  # bytes of a safetensors header at most; ours have thousands
PATIENCE = 10.0  # seconds without a byte after which a download is given up
ATTEMPTS = 5  # at a download that breaks off
LARGEST = 1 << 30  # bytes of a download, and of a file of weights
CARD = 1 << 20  # bytes of a card

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


TYPES: dict[str, Any] = {
    "files": dict, "figures": dict, "multiple": int, "pixels": int, "width": (int, float), "default": bool,
    "folder": Path,
}  # fmt: skip
BOUNDS = {"multiple": (1, 256), "pixels": (0, 1 << 24), "width": (1 / 64, 4)}


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
    if path.resolve().parent != path.parent.resolve():
        raise UserError(f"The model file {path} is a link that leads out of its folder.", "Copy the file there.")
    if path.stat().st_size > LARGEST:
        raise UserError(f"The model file {path} has more than {LARGEST >> 20} MB.", MEND)
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
    package, variable = Path(__file__).parents[1], os.environ.get("LIVESTYLE_MODELS")
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
    with written_aside(folder / "card.json") as part:
        part.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")


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

    What has come when the connection breaks or the program ends is kept beside it, and the next call goes on there.

    Args:
        url: https, or http of this machine.
        digest: SHA-256 in hexadecimal, or its beginning.

    Raises:
        Unreachable: no connection, or no such file.
        UserError: another file than expected, too large a one, no room for it, or another process is fetching it.
    """
    part, lock = (target.with_name(f".{target.name}.{end}") for end in ("part", "lock"))
    by_hand = f"Connect and run it again, or put that file at {target}."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock, wait=False) as mine:
            if mine is None:
                raise UserError(f"Another process is fetching {target}.", "Wait for it, then run this again.")
            try:
                _persist(url, digest, part, watch, by_hand)
                if not sha256(part).startswith(digest):
                    part.unlink()
                    raise UserError(f"{url} did not come whole: its SHA-256 does not begin with {digest[:8]}.", by_hand)
                put(part, target)
            finally:
                with suppress(OSError):  # Windows removes nothing that is open
                    lock.unlink()
    except OSError as error:
        raise write_error(target, error) from None
    return target


def _persist(url: str, digest: str, part: Path, watch: Watch, by_hand: str) -> None:
    """Download; a connection that breaks is made anew, as long as it brings something."""
    import http.client
    import urllib.error

    for attempt in range(1, ATTEMPTS + 1):
        before = size_of(part)
        try:
            return _download(url, digest, part, watch)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it is the reply, too
                if error.code == 416 and before:  # there is more than the whole
                    part.unlink()
                    continue
            if attempt < ATTEMPTS and size_of(part) > before:
                continue
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or cause
            raise Unreachable(f"{url} cannot be fetched: {reason}.", by_hand) from None


def _download(url: str, digest: str, part: Path, watch: Watch) -> None:
    """Write what a URL gives behind what is there already.

    Raises:
        ConnectionError: less came than was announced.
    """
    import urllib.request

    if (done := size_of(part)) and sha256(part).startswith(digest):
        return
    request = urllib.request.Request(_trusted(url), headers={"Range": f"bytes={done}-"} if done else {})
    with urllib.request.build_opener(_redirects()).open(request, timeout=PATIENCE) as reply, part.open("ab") as file:
        if done and not (reply.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            file.truncate(done := 0)
        length = reply.headers.get("Content-Length") or ""
        total = done + int(length) if length.isdecimal() and len(length) < 20 else 0
        while total <= LARGEST and done <= LARGEST and (block := reply.read(1 << 18)):
            file.write(block)
            done += len(block)
            watch(min(1.0, done / total) if total else 0.0, f"{done / 1e6:.1f} MB")
    if max(done, total) > LARGEST:
        part.unlink()
        raise UserError(f"{url} has more than {LARGEST >> 20} MB.", "Give another address.")
    if done < total:
        raise ConnectionError(f"it broke off after {done} of {total} bytes")


def size_of(file: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return file.stat().st_size if file.exists() else 0


def _redirects() -> "type[urllib.request.BaseHandler]":
    """What keeps a download at the address that was asked for."""
    import urllib.request

    class StaysThere(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
            before, after = (urllib.parse.urlsplit(url) for url in (req.full_url, newurl))
            if (before.scheme, before.netloc) != (after.scheme, after.netloc):
                raise UserError(f"{req.full_url} leads to another place, {newurl[:200]}.", "Give another address.")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return StaysThere


def _trusted(url: str) -> str:
    """The URL, where nobody on the way can read or change what is asked for."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}):
        return url
    raise UserError(f"{url} is not fetched: it is not https.", "Give another address.")
