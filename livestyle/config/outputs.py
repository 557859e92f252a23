"""Where results go: names beside the input, what may be replaced, and which command made a result."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import platformdirs

from livestyle import files
from livestyle.config.look import LOOK_KINDS, STYLE_FILES
from livestyle.config.picture import PREFIX, media_type, mix_stems, paths_in
from livestyle.errors import UserError
from livestyle.files import atomic_write, check_target

UNFINISHED, FINISHED, OTHER = "unfinished", "finished", "other"  # what a file may be to the command that names it
StateOf = Callable[[Path], str]  # what a file is: UNFINISHED, FINISHED or OTHER


@dataclass(frozen=True)
class Target:
    """Where the results of a command go.

    Args:
        out: as typed: a file, or a folder; None for a name beside the input.
        word: stands between the input's name and its ending where `out` is None: the look, or "matte".
        digest: of the command and its inputs, to know its result again.
        is_forced: a result that is there already is replaced.
    """

    out: str | None
    word: str = ""
    digest: str = ""
    is_forced: bool = False

    def folder(self, source: Path) -> Path:
        """Return the folder of the results of a folder, which is created.

        Raises:
            UserError: it is a file, or cannot be created.
        """
        return created(beside(str(source), self.word, "") if self.out is None else Path(self.out))

    def file(self, source: str, suffix: str, state_of: StateOf | None = None) -> tuple[Path, bool]:
        """Return the file of the result of one input, and whether this very command finished it before.

        Args:
            source: the input.
            suffix: of the result where `out` does not name a file.
            state_of: says what a file is. None goes by `remember`.

        Raises:
            UserError: the file is there and may not be replaced, or its folder is missing.
        """
        state_of = state_of or self.state
        if self.out is None:
            return self._free(beside(source, self.word, suffix), state_of), False
        path = Path(self.out)
        if path.is_dir() or self.out.endswith(("/", os.sep)):
            path = created(path) / f"{name_of(source).stem}{suffix}"
        check_target(path)
        if self.is_forced or not path.is_file() or is_same(path, source):
            return path, False
        state = state_of(path)
        if state == OTHER:
            raise UserError(f"{path} is there already.", "Give another name, or have it replaced.", "force")
        return path, state == FINISHED

    def _free(self, first: Path, state_of: StateOf) -> Path:
        if self.is_forced:
            return first
        return next(path for path in numbered(first) if not path.exists() or state_of(path) == UNFINISHED)

    def state(self, path: Path) -> str:
        """Return FINISHED for the unchanged result of this very command, as `remember` knows it, else OTHER."""
        return OTHER if self.recall(path) is None else FINISHED

    def remember(self, path: Path, report: Any = None) -> None:
        """Keep on record that this command finished a result, if that can be written.

        Args:
            path: of the result; report: what `recall` returns, as of JSON.
        """
        with suppress(OSError, UserError):
            record = record_of(path)
            record.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(record) as part:
                part.write_text(json.dumps([self.digest, stamp(path), report]), "utf-8")

    def recall(self, path: Path) -> Any:
        """Return the report of the unchanged result of this very command, {} for one without; None for another file."""
        with suppress(OSError, ValueError, TypeError):
            digest, known, report = json.loads(record_of(path).read_text("utf-8"))
            if self.digest and digest == self.digest and known == stamp(path):
                return report or {}
        return None


def record_of(path: Path) -> Path:
    """Return the file that says which command finished a result. Its name and content are digests."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "results" / f"{name}.json"


def stamp(path: Path | str) -> str:
    """Return what changes whenever a file does.

    Raises:
        OSError: there is no such file.
    """
    facts = Path(path).stat()
    return f"{Path(path).resolve()} {facts.st_size} {facts.st_mtime_ns}"


def digest_of(*parts: object) -> str:
    """Return a SHA-256 of a command: of its words, and of the state of each file that one names.

    Args:
        parts: of the command. Those that are None do not count.
    """
    found = []
    for part in parts:
        text = str(part)
        found.append(text)
        for path in (text, text.partition(":")[2], *paths_in(text)):
            with suppress(OSError, ValueError):
                found.append(stamp(path) if path and Path(path).is_file() else "")
    return hashlib.sha256(json.dumps(found).encode("utf-8", "surrogateescape")).hexdigest()


def look_word(background: str, person: str = "none") -> str:
    """Return a look for the name of a file: the background's, then the person's where it is not none.

    Args:
        background, person: the looks. Of a path the stem stands.
    """
    looks = [background, *([person] if person != "none" else [])]
    return re.sub(r"[^a-z0-9_.+-]", "_", "+".join(map(without_path, looks)))


def without_path(look: str) -> str:
    """Return a look with the stems of its files in place of their paths."""
    if look.startswith(PREFIX):
        return mix_stems(look)
    head, _, rest = look.partition(":")
    if head in LOOK_KINDS and LOOK_KINDS[head].takes_path:
        return Path(rest).stem
    if is_path(look) and os.path.isfile(look):
        return Path(look).stem
    parts = []
    for part in look.split("+"):
        name, at, share = part.rpartition("@")
        name = name if at else part
        parts.append((Path(name).stem if is_path(name) else name) + (at + share if at else ""))
    return "+".join(parts)


def is_path(text: str) -> bool:
    """Return whether a text names a file of a picture, a clip or a style."""
    return bool(media_type(text)) or text.lower().endswith(STYLE_FILES)


def name_of(source: str) -> Path:
    """Return the path of an input, or of a URL the last part, in the current folder."""
    if "://" in source:
        return Path(Path(unquote(urlsplit(source).path)).name or "clip")
    path = Path(source)
    return path if path.name else path.resolve()


def beside(source: str, word: str, suffix: str) -> Path:
    """Return NAME.WORD.EXT beside an input. Too long a NAME is cut.

    Args:
        source: the input: a file, folder or URL.
        word: stands between its name and the ending.
        suffix: the ending; "" for a folder of results.
    """
    path = name_of(source)
    return files.beside(path, path.stem if suffix else path.name, f".{word}{suffix}")


def numbered(first: Path) -> Iterator[Path]:
    """Yield a path, then NAME-2.EXT, NAME-3.EXT and so on."""
    yield first
    yield from (files.beside(first, first.stem, f"-{number}{first.suffix}") for number in count(2))


def created(folder: Path) -> Path:
    """Return a folder, which is created where it is missing.

    Raises:
        UserError: it is a file, or cannot be created.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file.", "Give a folder for the results.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be created: {error.strerror}.", "Give another folder.") from None
    return folder


def is_same(path: Path, source: str) -> bool:
    """Return whether two names are of one file."""
    with suppress(OSError, ValueError):
        return os.path.samefile(path, source)
    return False
