"""The client of a running filter: how other processes of the same user reach it. `server` documents the protocol."""

import json
import socket
import sys
import warnings
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.errors import UserError
from livestyle.types import Status

MAX_REQUEST_BYTES = 4096
REQUEST_TIMEOUT_S = 2.0  # for a request and its reply
HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX") and sys.platform != "win32"


def runtime_folder() -> Path:
    """Return the folder in which running filters are found.

    Raises:
        OSError: it is another user's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a fallback, which the server checks
        return Path(platformdirs.user_runtime_dir("livestyle", appauthor=False))


def running(folder: Path | None = None) -> list[str]:
    """Return the names of the filters that run.

    Args:
        folder: see `endpoints`.
    """
    names = []
    for path in endpoints(folder):
        with suppress(OSError, ValueError, KeyError):
            connect(path)[0].close()
            names.append(path.stem)
    return names


def endpoints(folder: Path | None = None) -> list[Path]:
    """Return the files of filters' endpoints, in the order of their names. Some may be stale.

    Args:
        folder: that holds them; None is `runtime_folder()`.

    Raises:
        UserError: the folder is another user's.
    """
    try:
        folder = folder or runtime_folder()
    except OSError as error:
        raise UserError(f"No running filter can be reached: {error}.", "See: livestyle doctor") from None
    return sorted([*folder.glob("?.sock"), *folder.glob("?.port")])


def press(words: list[str], name: str | None = None, as_json: bool = False) -> str:
    """Send an action, or "status", to a running filter, and return what to print.

    Args:
        words: name of the action, and its argument.
        name: of the filter; None is the first one.
        as_json: return the status as JSON instead of the reply in words.

    Raises:
        UserError: no filter runs, or it refuses.
    """
    action, *rest = words
    if action in ("background", "person", "open-picture", "backdrop"):
        from livestyle.config.look import anchored  # most keys are no looks, and somebody waits
        from livestyle.config.picture import located

        is_file = action in ("open-picture", "backdrop")
        rest = [located(text, Path.cwd()) if is_file else anchored(text, Path.cwd()) for text in rest]
    reply: dict[str, Any] = ask([action, *rest], name)
    status = reply["status"]
    if as_json:
        return json.dumps(status)
    return described(status) if action == "status" else reply["answer"] or "Done."


def described(status: dict[str, Any]) -> str:
    """Return a status in words, in one line."""
    state = [word for word in ("panicked", "frozen", "recording", "bypass") if status[word]]
    return (
        f"background {status['background']} {status['background_strength']:.0%}, person {status['person']} "
        f"{status['person_strength']:.0%}; {', '.join(state) or 'running'}; {status['fps']:.1f} fps, "
        f"{status['frames']} frames"
    )


def ask(words: list[str], name: str | None = None, folder: Path | None = None) -> Status:
    """Send a request, and return the reply.

    Args:
        words, name, folder: see `replies_to`.

    Raises:
        UserError: no filter runs, it refuses, or it does not reply in time.
    """
    with closing(replies_to(words, name, folder, 2 * REQUEST_TIMEOUT_S)) as replies:
        return next(replies)


def replies_to(
    words: list[str], name: str | None = None, folder: Path | None = None, timeout_s: float | None = None
) -> Generator[Status, None, None]:
    """Send a request, and yield each reply until the filter closes the connection.

    Args:
        words: of the request, such as ["style", "great_wave"] or ["watch"].
        name: of the filter; None is the first one.
        folder: see `endpoints`.
        timeout_s: seconds to wait for each reply; None for no limit.

    Raises:
        UserError: no filter runs, it refuses, or it does not reply in time.
    """
    if not all(word.isprintable() for word in words):
        raise UserError("The request has characters that no action takes.", "See: livestyle ctl list")
    connection, token = find_filter(name, folder)
    request = json.dumps({"words": words, "token": token}).encode() + b"\n"
    if len(request) > MAX_REQUEST_BYTES:
        connection.close()
        raise UserError("The request is too long for a running filter.", "Use a shorter path.")
    try:
        with connection, connection.makefile("r", encoding="utf-8") as lines:
            connection.settimeout(timeout_s)
            connection.sendall(request)
            line = ""
            for line in lines:
                reply: Status = json.loads(line)
                if "problem" in reply:
                    raise UserError(str(reply["problem"]), str(reply.get("step", "")))
                yield reply
    except (OSError, ValueError) as error:
        raise UserError(f"The running filter does not answer: {error}.", "Try again, or restart it.") from None
    if not line:
        raise UserError("The running filter ended before it answered.", "Try again.")


def find_filter(name: str | None = None, folder: Path | None = None) -> tuple[socket.socket, str]:
    """Connect to a running filter, and return the connection and its token.

    Args:
        name: of the filter; None is the first one.
        folder: see `endpoints`.

    Raises:
        UserError: no such filter runs.
    """
    for path in endpoints(folder):
        with suppress(OSError, ValueError, KeyError):
            if name in (None, path.stem):
                return connect(path)
    others = running(folder)
    if name and others:
        raise UserError(f"No filter '{name}' is running.", f"There is: {', '.join(others)}.")
    raise UserError("No filter is running.", "Start one: livestyle live")


def connect(path: Path) -> tuple[socket.socket, str]:
    """Connect to the filter of an endpoint's file, and return the connection and its token.

    Args:
        path: a Unix socket, or a file with a port and a token.

    Raises:
        OSError: the filter does not run any more.
        ValueError, KeyError: the file holds no port and token.
    """
    address: str | tuple[str, int]
    if path.suffix == ".sock":
        family, address, token = socket.AF_UNIX, str(path), ""
    else:
        facts = json.loads(path.read_text("utf-8"))
        family, address, token = socket.AF_INET, ("127.0.0.1", int(facts["port"])), str(facts["token"])
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(REQUEST_TIMEOUT_S)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection, token
