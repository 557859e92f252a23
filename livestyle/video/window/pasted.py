"""Pictures that are dropped or pasted without a file, such as from a browser: each is kept in a private file."""

import hashlib
from pathlib import Path

import platformdirs

from livestyle.errors import UserError
from livestyle.files import atomic_write

MAX_KEPT = 20  # files
MAX_PICTURE_MB = 64


def keep_picture(data: bytes, suffix: str) -> str:
    """Write a picture into the user's cache, for this user alone, and return its path. The oldest of many go.

    Args:
        data: of the file; suffix: of its name, such as ".png".

    Raises:
        UserError: it is too large, or cannot be written.
    """
    if len(data) > MAX_PICTURE_MB << 20:
        raise UserError(f"The picture has more than {MAX_PICTURE_MB} MB.", "Save it smaller, and open the file.")
    folder = Path(platformdirs.user_cache_dir("livestyle", appauthor=False)) / "pasted"
    file = folder / f"pasted-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.chmod(0o600)  # before anything is in it
            part.write_bytes(data)
        for old in sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime)[:-MAX_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"The picture cannot be kept: {error.strerror}.", "Save it, and open the file.") from None
    return str(file)
