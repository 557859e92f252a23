"""Atomic file writes, and file locks that the system releases when their process ends."""

import errno
import glob
import hashlib
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from livestyle.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

MIN_FREE_BYTES = 300 << 20  # that recordings leave on a disk
NAME_BYTES = 255  # of a file's name, where the system does not tell its limit
TOKEN_DIGITS = 8  # of a temporary file's name
STEPS = {  # what helps against an error of the system, by its number
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)), "Free space, or write elsewhere."),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Choose a folder that you may write to."),
    errno.EFBIG: "Write to a disk, or as a user, that allows larger files.",
    errno.ENAMETOOLONG: "Give a shorter name.",
    errno.EIO: "Check the disk, or write elsewhere.",
    errno.EINVAL: "Give another kind of file.",
    errno.ENOENT: "The folder was removed: create it, and try again.",
}


def is_disk_full(folder: Path) -> bool:
    """Return whether the disk of a folder has less than MIN_FREE_BYTES left."""
    return shutil.disk_usage(folder).free < MIN_FREE_BYTES


def check_target(path: Path) -> None:
    """Check that a file could be written there.

    Raises:
        UserError: the folder is missing, the name is too long, or the path is a folder, a device or a pipe.
    """
    target = real_path(path)
    try:
        if not target.parent.is_dir():
            folder = (target if path.is_symlink() else path).parent
            raise UserError(f"There is no folder {folder}.", "Create it first.")
        kind = target.stat().st_mode if target.exists() else stat.S_IFREG
    except OSError as error:
        raise write_error(path, error) from None
    if stat.S_ISDIR(kind):
        raise UserError(f"{path} is a folder.", "Give a file name.")
    if not stat.S_ISREG(kind):
        raise UserError(f"{path} is a device or a pipe, which cannot hold a whole file.", "Give a file name.")


def real_path(path: Path) -> Path:
    """Return the absolute path of the file that a path names, behind symbolic links."""
    return Path(os.path.realpath(path))


def write_error(path: Path, error: Exception) -> UserError:
    """Return the error for a file that could not be written.

    Args:
        path: the file, as the user named it.
        error: what the system raised.
    """
    reason = getattr(error, "strerror", None) or str(error)
    number = getattr(error, "errno", None)
    other = "Write elsewhere." if number in errno.errorcode else "Give another kind of file."
    step = STEPS.get(number or 0, other)
    return UserError(f"{path} cannot be written: {reason}.", step)


class PartialFile:
    """A temporary file in the folder of the file that it will replace. Of a symbolic link it replaces the target.

    It is locked while it is written. What a killed process left behind is therefore recognized, and removed when the
    same file is next written.

    Args:
        path: the file to create or replace.

    Attributes:
        part: the temporary file, empty at first. Its path is absolute, so that FFmpeg takes no colon for a protocol.

    Raises:
        UserError: as `check_target`, or the folder is not writable.
    """

    def __init__(self, path: Path) -> None:
        check_target(path)
        self._path = target = real_path(path)
        with suppress(OSError):
            remove_leftovers(target)
        try:
            while not self._create(part_path(target, secrets.token_hex(TOKEN_DIGITS // 2))):
                pass
        except OSError as error:
            raise write_error(path, error) from None

    def _create(self, part: Path) -> bool:
        """Create the temporary file, and return whether it still exists once it is locked.

        Another process that cleans up may take it for a leftover before it is locked.
        """
        self.part, self._descriptor = part, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if sys.platform == "win32":  # an open file cannot be renamed there
            os.close(self._descriptor)
            return True
        with suppress(OSError):  # some file systems have no locks
            lock_file(self._descriptor, wait=True)
        if part.exists():
            return True
        os.close(self._descriptor)
        return False

    def keep(self) -> None:
        """Rename the temporary file, which is complete now, to its final name.

        Raises:
            OSError: it cannot be renamed.
        """
        replace_durably(self.part, self._path)

    def close(self) -> None:
        """Remove the temporary file, unless it was kept."""
        with suppress(OSError):
            self.part.unlink()
        if sys.platform != "win32":
            with suppress(OSError):
                os.close(self._descriptor)


def beside(path: Path, text: str, end: str) -> Path:
    """Return the path of a file beside another one, named by a text and an end.

    The text is cut where the name would be longer than the folder takes.
    """
    try:
        limit = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        limit = NAME_BYTES
    name, room = os.fsencode(text), max(0, limit - len(os.fsencode(end)))
    return path.with_name((text if len(name) <= room else name[:room].decode(errors="ignore")) + end)


def part_path(path: Path, token: str) -> Path:
    """Return the path of a temporary file for a path. The token, of TOKEN_DIGITS, makes it like no other."""
    return beside(path, f".{path.stem}", f".{token}.part{path.suffix}")


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files that processes which have ended left beside a path."""
    if sys.platform == "win32":
        return
    token = "0" * TOKEN_DIGITS
    begin = part_path(path, token).name.removesuffix(f"{token}.part{path.suffix}")
    for old in path.parent.glob(f"{glob.escape(begin)}*.part{glob.escape(path.suffix)}"):
        with locked(old, wait=False) as lock:
            if lock is not None:
                old.unlink(missing_ok=True)


def replace_durably(part: Path, path: Path) -> None:
    """Rename a complete file so that a power cut leaves the old file or the new one.

    The bytes reach the disk before the name does, and the name before this returns.

    Args:
        part: the complete file, on the disk of `path`.
        path: its new name. A file of this name is replaced.

    Raises:
        OSError: it cannot be written.
    """
    fsync_path(part)
    os.replace(part, path)
    if sys.platform != "win32":
        with suppress(OSError):  # some file systems cannot sync a folder; the file itself is complete
            fsync_path(path.parent)


def move_folder(part: Path, path: Path) -> None:
    """Rename a complete folder on the same disk.

    Raises:
        OSError: it cannot be renamed, or there is one of that name that is not empty.
    """
    os.replace(part, path)


def fsync_path(path: Path) -> None:
    """Write the cached bytes of a file, or the cached entries of a folder, to the disk.

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`. Rename it to `path` at the end, or remove it if anything fails.

    Raises:
        UserError: the folder is missing or not writable, or the disk is full.
    """
    partial = PartialFile(path)
    try:
        yield partial.part
        partial.keep()
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        partial.close()


def save_tensors(path: Path, tensors: "Mapping[str, Tensor]", facts: dict[str, str] | None = None) -> None:
    """Write tensors as a safetensors file.

    The library's own `save_file` would replace the locked temporary file, and set its permissions to the owner alone.

    Args:
        path: of the file.
        tensors: contiguous, by name. No two may share memory.
        facts: metadata for the header.

    Raises:
        UserError: as `atomic_write` does.
    """
    from safetensors.torch import save

    with atomic_write(path) as part:
        part.write_bytes(save(dict(tensors), facts))


@contextmanager
def locked(file: Path, wait: bool = True) -> Iterator[int | None]:
    """Hold an exclusive lock on a file, and yield its descriptor.

    A child process that inherits the descriptor holds the lock, too, until it ends.

    Args:
        file: created if it is missing.
        wait: wait for another holder. If False, yield None where the lock is held already.

    Raises:
        OSError: the file cannot be opened, or not be locked.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor if lock_file(descriptor, wait) else None
    finally:
        os.close(descriptor)


def lock_file(descriptor: int, wait: bool) -> bool:
    """Lock an open file, and return whether it is locked now.

    Args:
        descriptor: of the file.
        wait: wait for another holder. If False, return False where the lock is held already.

    Raises:
        OSError: it cannot be locked, though this waited.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        if wait:
            raise
        return False
    return True


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
