"""A running filter, as other processes of its user reach it; `control` is its other end, and says how they talk."""

import json
import socket
import sys
import warnings
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.config.look import anchored
from livestyle.errors import UserError

LONGEST = 4096  # bytes of a request
PATIENCE = 2.0  # seconds for a request and its answer
HAS_UNIX = hasattr(socket, "AF_UNIX") and sys.platform != "win32"

Status = dict[str, object]


def runtime_folder() -> Path:
    """Where running filters are found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fallback is taken, which is checked as well
        return Path(platformdirs.user_runtime_dir("livestyle", appauthor=False))


def running(folder: Path | None = None) -> list[str]:
    """The names of the filters that run."""
    found = []
    for path in endpoints(folder):
        with suppress(OSError, ValueError, KeyError):
            connect(path)[0].close()
            found.append(path.stem)
    return found


def endpoints(folder: Path | None = None) -> list[Path]:
    """Where filters may be reached, the first one first; some may be gone.

    Raises:
        UserError: that place is not the user's own.
    """
    try:
        place = folder or runtime_folder()
    except OSError as error:  # it is somebody else's
        raise UserError(f"No running filter can be reached: {error}.", "See: livestyle doctor") from None
    return sorted([*place.glob("?.sock"), *place.glob("?.port")])


def press(words: list[str], name: str | None = None, as_json: bool = False) -> str:
    """Have a running filter do something, or tell how it is; what people or programs read then. See `talk`."""
    action, *rest = words
    if action in ("background", "person"):
        rest = [anchored(text, Path.cwd()) for text in rest]
    reply: dict[str, Any] = ask([action, *rest], name)
    status = reply["status"]
    if as_json:
        return json.dumps(status)
    return told(status) if action == "status" else reply["answer"] or "Done."


def told(status: dict[str, Any]) -> str:
    """How things are, in a few words."""
    state = [word for word in ("panicked", "frozen", "recording", "bypass") if status[word]]
    return (
        f"background {status['background']} {status['background_strength']:.0%}, person {status['person']} "
        f"{status['person_strength']:.0%}; {', '.join(state) or 'running'}; {status['fps']:.1f} fps, "
        f"{status['frames']} frames"
    )


def ask(words: list[str], name: str | None = None, folder: Path | None = None) -> Status:
    """What a running filter answers; see `talk`."""
    with closing(talk(words, name, folder, 2 * PATIENCE)) as answers:
        return next(answers)


def talk(
    words: list[str], name: str | None = None, folder: Path | None = None, patience: float | None = None
) -> Generator[Status, None, None]:
    """All that a running filter answers, until it ends.

    Args:
        name: of the filter, where several run; None is the first.
        patience: seconds to wait for each answer; None is for ever.

    Raises:
        UserError: none runs, or it refuses.
    """
    if not all(word.isprintable() for word in words):
        raise UserError("That has characters which no action knows.", "See: livestyle ctl list")
    link, token = reach(name, folder)
    request = json.dumps({"words": words, "token": token}).encode() + b"\n"
    if len(request) > LONGEST:
        raise UserError("That is too long for a running filter.", "Use a shorter path.")
    try:
        with link, link.makefile("r", encoding="utf-8") as lines:
            link.settimeout(patience)
            link.sendall(request)
            line = ""
            for line in lines:
                facts: Status = json.loads(line)
                if "problem" in facts:
                    raise UserError(str(facts["problem"]), str(facts.get("step", "")))
                yield facts
    except (OSError, ValueError) as error:
        raise UserError(f"The running filter does not answer: {error}.", "Try again, or start it anew.") from None
    if not line:
        raise UserError("The running filter ended before it answered.", "Try again.")


def reach(name: str | None = None, folder: Path | None = None) -> tuple[socket.socket, str]:
    """A connection to the running filter of a name, None for the first, and its token.

    Raises:
        UserError: there is none.
    """
    for path in endpoints(folder):
        with suppress(OSError, ValueError, KeyError):
            if name in (None, path.stem):
                return connect(path)
    others = running(folder)
    if others:
        raise UserError(f"No filter '{name}' is running.", f"There is: {', '.join(others)}.")
    raise UserError("No filter is running.", "Start one: livestyle live")


def connect(path: Path) -> tuple[socket.socket, str]:
    """A connection to the filter behind a file, and its token."""
    if path.suffix == ".sock":
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address: Any = str(path)
        token = ""
    else:
        facts = json.loads(path.read_text("utf-8"))
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        address, token = ("127.0.0.1", int(facts["port"])), str(facts["token"])
    link.settimeout(PATIENCE)
    try:
        link.connect(address)
    except OSError:
        link.close()
        raise
    return link, token
