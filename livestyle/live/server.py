"""Control of a running filter from other processes of the same user.

A filter listens on a Unix socket in a folder that only its user can enter; on Windows on a port of this machine, with a
token that only its user can read. One client, one request: a line of JSON, answered by a line of JSON.

    {"words": ["style", "great_wave"], "token": ""}  ->  {"answer": "background great_wave ...", "status": {...}}
    {"words": ["status"]}                            ->  {"status": {...}}
    {"words": ["watch"]}                             ->  {"status": {...}} now, and again whenever it changes
    anything else                                    ->  {"problem": "...", "step": "..."}

Who does not send a whole line in PATIENCE seconds, sends too long a one or does not read is dropped.
"""

import json
import os
import selectors
import socket
import stat
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from livestyle.errors import UserError
from livestyle.files import locked
from livestyle.live.client import HAS_UNIX, LONGEST, PATIENCE, Status, runtime_folder

BACKLOG = 1 << 16  # bytes that may wait for a client to read them
CLIENTS = 16  # at once; one more drops the oldest that does not watch
RATE = 50  # clients a second; more wait
POLL = 0.1  # seconds between looks at what watchers may not know yet
TICK = 0.5  # seconds between other things to do
FILTERS = 9  # running at once
PASSING = (
    "frames",
    "fps",
    "latency_ms",
    "dropped",
)  # facts that change with every frame: not worth a line by themselves


def private(folder: Path) -> Path:
    """A folder that nobody else can enter, created where it is missing.

    Raises:
        OSError: it cannot be created, or is somebody else's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if HAS_UNIX:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        if facts.st_mode & 0o077:
            folder.chmod(0o700)
    return folder


class Endpoint:
    """Where clients come in: a name that no other filter has, and a socket that listens. A lock, which ends with the
    process, holds the name; so what a killed process left behind is known for stale.

    Raises:
        OSError: there is no free name, or no socket.
    """

    def __init__(self, folder: Path, is_unix: bool = HAS_UNIX) -> None:
        self._held = ExitStack()
        for number in range(1, FILTERS + 1):
            if self._held.enter_context(locked(folder / f"{number}.lock", wait=False)) is not None:
                break
        else:
            self._held.close()
            raise OSError(f"{FILTERS} filters run already")
        self.name, self.token = str(number), ""
        try:
            self._open(folder, is_unix)
        except BaseException:
            self._held.close()
            raise

    def _open(self, folder: Path, is_unix: bool) -> None:
        self.path = folder / f"{self.name}.{'sock' if is_unix else 'port'}"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET, socket.SOCK_STREAM)
        self._held.callback(self.path.unlink, missing_ok=True)
        self._held.callback(self.socket.close)
        if is_unix:
            self.socket.bind(str(self.path))
            self.path.chmod(0o600)
        else:
            import secrets

            self.token = secrets.token_hex(32)
            self.socket.bind(("127.0.0.1", 0))
            facts = {"port": self.socket.getsockname()[1], "token": self.token}
            self.path.touch(0o600, exist_ok=False)
            self.path.write_text(json.dumps(facts), "utf-8")
        self.socket.listen(socket.SOMAXCONN)
        self.socket.setblocking(False)

    def accept(self) -> socket.socket | None:
        """A client; None where it is another user's, or gone."""
        try:
            client, _ = self.socket.accept()
        except OSError:
            return None
        if not is_own(client):
            client.close()
            return None
        client.setblocking(False)
        return client

    def close(self) -> None:
        """Let nobody in any more."""
        self._held.close()


def is_own(client: socket.socket) -> bool:
    """Whether the other end is of the same user, as far as the system tells; elsewhere the folder's rights do."""
    if HAS_UNIX and hasattr(socket, "SO_PEERCRED") and client.family == socket.AF_UNIX:
        _, user, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return bool(user == os.getuid())
    return True


class Client:
    """A client and what is under way with it."""

    def __init__(self, link: socket.socket) -> None:
        self.link, self.until = link, time.monotonic() + PATIENCE
        self.said, self.unsent = b"", b""
        self.is_done = False  # with its request: what is unsent is all that it gets
        self.told: Status | None = None  # of a watcher: what it knows

    def tell(self, facts: Status) -> None:
        """Have a line sent."""
        self.unsent += json.dumps(facts, default=str).encode() + b"\n"


class Server:
    """Answers clients, in a thread of its own, while a filter runs. Whatever happens there, the filter runs on.

    Args:
        press: does an action, given as words with one space between; answers what people read.
        status: how things are, for JSON; PASSING facts are not worth telling by themselves.
        tick: what else is to be done every TICK seconds.
        folder: of sockets; None is the user's own.
    """

    def __init__(
        self, press: Callable[[str], str], status: Callable[[], Status], tick: Callable[[], None] | None = None,
        folder: Path | None = None, is_unix: bool = HAS_UNIX,
    ) -> None:  # fmt: skip
        self._press, self._status, self._tick = press, status, tick
        self._clients: dict[socket.socket, Client] = {}
        self._came: deque[float] = deque([-1.0], maxlen=RATE)  # when the last clients did
        self._over = False
        self.endpoint: Endpoint | None = None
        self.problem = ""  # why nobody can come in
        try:
            self.endpoint = Endpoint(private(folder or runtime_folder()), is_unix)
        except OSError as error:
            self.problem = error.strerror or str(error)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> "Server":
        self._ear, self._bell = socket.socketpair()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over = True
        with suppress(OSError):
            self._bell.send(b"x")
        self._thread.join(PATIENCE)
        for one in (*self._clients, self._ear, self._bell):
            one.close()
        if self.endpoint:
            self.endpoint.close()

    def _run(self) -> None:
        ticked = 0.0
        while not self._over:
            try:
                self._round()
                if self._tick and time.monotonic() - ticked > TICK:
                    ticked = time.monotonic()
                    self._tick()
            except Exception:  # the filter runs on; so does this, but not at full speed into the same fault
                time.sleep(POLL)

    def _round(self) -> None:
        """Wait for something to do, and do it."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._ear, selectors.EVENT_READ)
            is_crowded = len(self._came) == RATE and time.monotonic() - self._came[0] < 1
            if self.endpoint and not is_crowded:
                ready.register(self.endpoint.socket, selectors.EVENT_READ)
            for link, client in self._clients.items():
                ready.register(link, selectors.EVENT_WRITE if client.unsent else selectors.EVENT_READ)
            found = ready.select(POLL if self._clients or is_crowded else TICK)
        for key, events in found:
            if self.endpoint and key.fileobj is self.endpoint.socket:
                self._let_in()
            elif known := self._clients.get(key.fileobj):  # type: ignore[call-overload]
                self._serve(known, events)
        self._tell_watchers()
        for late in [one for one in self._clients.values() if time.monotonic() > one.until]:
            self._drop(late)

    def _let_in(self) -> None:
        link = self.endpoint.accept() if self.endpoint else None
        self._came.append(time.monotonic())
        if link is None:
            return
        if len(self._clients) >= CLIENTS:
            self._drop(min(self._clients.values(), key=lambda one: (one.told is not None, one.until)))
        self._clients[link] = Client(link)

    def _drop(self, client: Client) -> None:
        del self._clients[client.link]
        client.link.close()

    def _serve(self, client: Client, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                heard = client.link.recv(LONGEST)
                if not heard or client.is_done:  # gone, or a watcher that has more to say
                    return self._drop(client)
                self._hear(client, heard)
            if client.unsent:
                client.unsent = client.unsent[client.link.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return self._drop(client)
        if client.is_done and client.told is None and not client.unsent:
            self._drop(client)

    def _hear(self, client: Client, heard: bytes) -> None:
        client.said += heard
        line, end, _ = client.said.partition(b"\n")
        if not end and len(line) <= LONGEST:
            return
        client.is_done = True
        try:
            client.tell(self._answer(client, line))
        except UserError as error:
            client.tell({"problem": error.problem, "step": error.step})
        except Exception as error:
            client.tell({"problem": f"The filter failed at this: {error}", "step": "See: livestyle doctor"})

    def _answer(self, client: Client, line: bytes) -> Status:
        """Do what a request asks for.

        Raises:
            UserError: it is none, or it cannot be done.
        """
        words = self._words(line)
        answer = {} if words in (["status"], ["watch"]) else {"answer": self._press(" ".join(words))}
        status = self._status()
        if words == ["watch"]:
            client.told, client.until = status, float("inf")
        return {**answer, "status": status}

    def _words(self, line: bytes) -> list[str]:
        try:
            asked = json.loads(line) if len(line) <= LONGEST else {}
        except (ValueError, RecursionError):
            asked = {}
        words = asked.get("words") if isinstance(asked, dict) else None
        if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.isprintable() for w in words):
            raise UserError("That is no request.", "Use: livestyle ctl")
        if self.endpoint and self.endpoint.token and str(asked.get("token")) != self.endpoint.token:
            raise UserError("The token is wrong.", "Use: livestyle ctl")
        return words

    def _tell_watchers(self) -> None:
        watchers = [client for client in self._clients.values() if client.told is not None]
        if not watchers:
            return
        status = self._status()
        for client in watchers:
            if lasting(status) != lasting(client.told or {}):
                client.told = status
                client.tell({"status": status})
            if len(client.unsent) > BACKLOG:
                self._drop(client)


def lasting(status: Status) -> Status:
    """What is worth telling."""
    return {name: value for name, value in status.items() if name not in PASSING}
