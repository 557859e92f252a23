"""Files that are there whole or not at all, whatever happens meanwhile; and locks that end with their process."""

import glob
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

RESERVE = 300 << 20  # bytes that what is recorded in a call leaves free on a disk


def is_full(folder: Path) -> bool:
    """Whether less than RESERVE is free."""
    return shutil.disk_usage(folder).free < RESERVE


def check_target(path: Path) -> None:
    """See that a file could be written there.

    Raises:
        UserError: the folder is missing, or the path is a folder.
    """
    if not path.parent.is_dir():
        raise UserError(f"There is no folder {path.parent}.", "Create it first.")
    if path.is_dir():
        raise UserError(f"{path} is a folder.", "Give a file name.")


def write_error(path: Path, error: Exception) -> UserError:
    """Why a file could not be written."""
    if isinstance(error, PermissionError):
        return UserError(f"{path} cannot be written.", "Choose a folder that you may write to.")
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"{path} cannot be written: {reason}.", "Free space, or write elsewhere.")


class PartialFile:
    """A file in the making, empty at first, beside the one that it will be; held by a lock, so that what a killed
    process left behind is known, and removed by who next makes the same file.

    Attributes:
        part: where to write.

    Raises:
        UserError: the folder is missing or not writable, or the path is a folder.
    """

    def __init__(self, path: Path) -> None:
        check_target(path)
        self._path = path
        with suppress(OSError):
            remove_leftovers(path)
        try:
            while not self._begin(path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")):
                pass
        except OSError as error:
            raise write_error(path, error) from None

    def _begin(self, part: Path) -> bool:
        """Make the file; False where another process, which clears up, took it for a leftover before it was locked."""
        self.part, self._held = part, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":  # where a file that is held cannot be renamed
            os.close(self._held)
            return True
        with suppress(OSError):  # some file systems know no locks
            take(self._held, wait=True)
        if part.exists():
            return True
        os.close(self._held)
        return False

    def keep(self) -> None:
        """It is whole: let it take the name.

        Raises:
            OSError: it cannot.
        """
        put(self.part, self._path)

    def close(self) -> None:
        """Remove it, unless it was kept."""
        with suppress(OSError):
            self.part.unlink()
        if sys.platform != "win32":
            with suppress(OSError):
                os.close(self._held)


def remove_leftovers(path: Path) -> None:
    """Remove what was written aside for a path by processes that are no more."""
    if sys.platform == "win32":
        return
    for old in path.parent.glob(f".{glob.escape(path.stem)}.*.part{glob.escape(path.suffix)}"):
        with locked(old, wait=False) as mine:
            if mine is not None:
                old.unlink(missing_ok=True)


def put(part: Path, path: Path) -> None:
    """Rename a file that is whole. Its bytes are on the disk before its name is, and the name before this returns: a
    power cut leaves the old file or the new one.

    Raises:
        OSError: it cannot be written.
    """
    sync(part)
    os.replace(part, path)
    if sys.platform != "win32":
        with suppress(OSError):  # some file systems know no such thing; the file itself is whole
            sync(path.parent)


def sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or which names a folder has."""
    is_folder = path.is_dir()
    opened = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to it at the end, removed if anything fails.

    Raises:
        UserError: the folder is missing or not writable, or the disk is full.
    """
    aside = PartialFile(path)
    try:
        yield aside.part
        aside.keep()
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        aside.close()


def save_tensors(path: Path, tensors: "Mapping[str, Tensor]", facts: dict[str, str] | None = None) -> None:
    """Write contiguous tensors, no two of which share memory, and facts about them, as safetensors.

    The library's own `save_file` replaces the file that it is given by another, without its lock, for its owner alone.

    Raises:
        UserError: as `written_aside` does.
    """
    from safetensors.torch import save

    with atomic_write(path) as part:
        part.write_bytes(save(dict(tensors), facts))


@contextmanager
def locked(file: Path, wait: bool = True) -> Iterator[int | None]:
    """A lock, as its descriptor; None where another has it and `wait` is False. Held until it is closed everywhere."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield lock if take(lock, wait) else None
    finally:
        os.close(lock)


def take(lock: int, wait: bool) -> bool:
    """Lock an open file; False where another has it and `wait` is False."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if wait:
            raise
        return False
    return True


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
