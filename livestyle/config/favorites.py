"""The user's favourite styles, kept from one run to the next."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from livestyle.config.load import VARIABLE
from livestyle.files import atomic_write, write_error

FAVORITES = "favorites"  # beside the families of styles
MAX_BYTES = 1 << 16


def favorites_file() -> Path:
    """Return the path of the file that holds them."""
    import platformdirs  # `--help` does not need it

    return Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "favorites.json"


def load_favorites() -> tuple[str, ...]:
    """Return the names of the favourites, or () if no file of them is valid.

    With LIVESTYLE_CONFIG=none none are kept.
    """
    if os.environ.get(VARIABLE) == "none":
        return ()
    try:
        with favorites_file().open("rb") as file:
            names = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return ()
    valid = isinstance(names, list) and all(isinstance(name, str) and name.isprintable() for name in names)
    return tuple(dict.fromkeys(names)) if valid else ()


def save_favorites(names: Iterable[str]) -> None:
    """Keep the favourites for later runs.

    Raises:
        UserError: they cannot be written.
    """
    if os.environ.get(VARIABLE) == "none":
        return
    file = favorites_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(file, error) from None
    with atomic_write(file) as part:
        part.write_text(json.dumps(list(names)), "utf-8")
