"""Where a running filter listens for clients of the same user."""

import json
import os
import secrets
import socket
import stat
import struct
from contextlib import ExitStack
from pathlib import Path

from livestyle.files import locked
from livestyle.live.client import HAS_UNIX_SOCKETS

MAX_FILTERS = 9  # running at once


def private(folder: Path) -> Path:
    """Create a folder if it is missing, close it to other users, and return it.

    Raises:
        OSError: it cannot be created, or is another user's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if HAS_UNIX_SOCKETS:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        if facts.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


class Endpoint:
    """A listening socket, and a name that no other running filter has.

    A lock file holds the name until the process ends. What a killed process left behind is therefore known to be stale.

    Args:
        folder: of the sockets and locks.
        is_unix: listen on a Unix socket; if False, on a port of this machine, with a token.

    Attributes:
        name: "1" to "9".
        token: that a request must hold; "" on a Unix socket.
        path: of the Unix socket, or of the file with the port and the token.
        socket: the listening socket, non-blocking.

    Raises:
        OSError: there is no free name, or no socket.
    """

    def __init__(self, folder: Path, is_unix: bool = HAS_UNIX_SOCKETS) -> None:
        self._resources = ExitStack()
        try:
            self.name, self.token = self._claim_name(folder), ""
            self._listen(folder, is_unix)
        except BaseException:
            self._resources.close()
            raise

    def _claim_name(self, folder: Path) -> str:
        for number in range(1, MAX_FILTERS + 1):
            if self._resources.enter_context(locked(folder / f"{number}.lock", wait=False)) is not None:
                return str(number)
        raise OSError(f"{MAX_FILTERS} filters run already")

    def _listen(self, folder: Path, is_unix: bool) -> None:
        self.path = folder / f"{self.name}.{'sock' if is_unix else 'port'}"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET, socket.SOCK_STREAM)
        self._resources.callback(self.path.unlink, missing_ok=True)
        self._resources.callback(self.socket.close)
        if is_unix:
            self.socket.bind(str(self.path))
            self.path.chmod(0o600)
        else:
            self.token = secrets.token_hex(32)
            self.socket.bind(("127.0.0.1", 0))
            facts = {"port": self.socket.getsockname()[1], "token": self.token}
            self.path.touch(0o600, exist_ok=False)
            self.path.write_text(json.dumps(facts), "utf-8")
        self.socket.listen(socket.SOMAXCONN)
        self.socket.setblocking(False)

    def accept(self) -> socket.socket | None:
        """Return the connection of the next client, non-blocking; None if it is gone or another user's."""
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return None
        if not is_same_user(connection):
            connection.close()
            return None
        connection.setblocking(False)
        return connection

    def close(self) -> None:
        """Stop listening, and release the name."""
        self._resources.close()


def is_same_user(connection: socket.socket) -> bool:
    """Return whether the other end is this user's, or True if the system cannot say.

    In that case the folder's permissions, or the token, keep other users out.
    """
    if HAS_UNIX_SOCKETS and hasattr(socket, "SO_PEERCRED") and connection.family == socket.AF_UNIX:
        _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return bool(user == os.getuid())
    return True
