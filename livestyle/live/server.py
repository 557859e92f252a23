"""The server of a running filter, for other processes of the same user.

It listens on a Unix socket in a folder that only its user can enter. On Windows it listens on a local port and asks for
a token that only its user can read. A client sends one request, a line of JSON. Each reply is a line of JSON.

    {"words": ["style", "great_wave"], "token": ""}  ->  {"answer": "background great_wave ...", "status": {...}}
    {"words": ["status"]}                            ->  {"status": {...}}
    {"words": ["watch"]}                             ->  {"status": {...}} now, and again whenever it changes
    anything else                                    ->  {"problem": "...", "step": "..."}

A client is dropped if it sends no whole line in REQUEST_TIMEOUT_S, sends too long a line, or does not read.
"""

import json
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from livestyle.errors import UserError
from livestyle.live.client import HAS_UNIX_SOCKETS, MAX_REQUEST_BYTES, REQUEST_TIMEOUT_S, runtime_folder
from livestyle.live.endpoint import Endpoint, private
from livestyle.types import Status

MAX_CLIENTS = 16  # at once. One more drops the oldest that does not watch.
MAX_CLIENTS_PER_S = 50  # More wait.
MAX_UNSENT_BYTES = 1 << 16  # for a watcher that does not read
POLL_INTERVAL_S = 0.1  # between comparisons of the status with what watchers know
TICK_INTERVAL_S = 0.5
VOLATILE_FACTS = ("frames", "fps", "latency_ms", "dropped")  # of a status: they change with every frame


class Client:
    """A connected client.

    Args:
        connection: non-blocking.

    Attributes:
        deadline: when it is dropped, in seconds of the monotonic clock.
        received: bytes of its request so far.
        unsent: bytes of replies that it has not read yet.
        has_reply: its request was handled. Only a watcher gets more than what is unsent.
        known: the status that it was sent last, if it is a watcher; else None.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.deadline = connection, time.monotonic() + REQUEST_TIMEOUT_S
        self.received, self.unsent = b"", b""
        self.has_reply = False
        self.known: Status | None = None

    def queue(self, reply: Status) -> None:
        """Have a reply sent."""
        self.unsent += json.dumps(reply, default=str).encode() + b"\n"


class Server:
    """Answer clients, on a thread of its own, while a filter runs. Use it in `with`. Its faults never end the filter.

    Args:
        press: does an action, given as words with single spaces between, and returns what people read.
        status: returns the status, as a JSON object. A change of VOLATILE_FACTS alone is not sent to watchers.
        tick: called on the thread every TICK_INTERVAL_S seconds; None for nothing.
        folder: of the endpoint; None is the user's own.
        is_unix: see Endpoint.

    Attributes:
        endpoint: where clients connect; None if that failed.
        problem: why it failed, or "".
    """

    def __init__(
        self, press: Callable[[str], str], status: Callable[[], Status], tick: Callable[[], None] | None = None,
        folder: Path | None = None, is_unix: bool = HAS_UNIX_SOCKETS,
    ) -> None:  # fmt: skip
        self._press, self._status, self._tick = press, status, tick
        self._clients: dict[socket.socket, Client] = {}
        self._connected: deque[float] = deque([-1.0], maxlen=MAX_CLIENTS_PER_S)  # times of the newest connections
        self._closing = threading.Event()
        self.endpoint: Endpoint | None = None
        self.problem = ""
        try:
            self.endpoint = Endpoint(private(folder or runtime_folder()), is_unix)
        except OSError as error:
            self.problem = error.strerror or str(error)
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)

    def __enter__(self) -> "Server":
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._closing.set()
        with suppress(OSError):
            self._wake_sender.send(b"x")
        self._thread.join(REQUEST_TIMEOUT_S)
        for connection in (*self._clients, self._wake_receiver, self._wake_sender):
            connection.close()
        if self.endpoint:
            self.endpoint.close()

    def _run(self) -> None:
        ticked = 0.0
        while not self._closing.is_set():
            try:
                self._serve_once()
                if self._tick and time.monotonic() - ticked > TICK_INTERVAL_S:
                    ticked = time.monotonic()
                    self._tick()
            except Exception:  # the filter runs on, and so does this, but it does not spin on a fault that lasts
                self._closing.wait(POLL_INTERVAL_S)

    def _serve_once(self) -> None:
        """Wait until a socket is ready or a timeout passes, and handle what is due."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            is_crowded = len(self._connected) == MAX_CLIENTS_PER_S and time.monotonic() - self._connected[0] < 1
            if self.endpoint and not is_crowded:
                selector.register(self.endpoint.socket, selectors.EVENT_READ)
            for connection, client in self._clients.items():
                selector.register(connection, selectors.EVENT_WRITE if client.unsent else selectors.EVENT_READ)
            ready = selector.select(POLL_INTERVAL_S if self._clients or is_crowded else TICK_INTERVAL_S)
        for key, events in ready:
            if self.endpoint and key.fileobj is self.endpoint.socket:
                self._accept(self.endpoint)
            elif found := self._clients.get(key.fileobj):  # type: ignore[call-overload]
                self._serve(found, events)
        self._update_watchers()
        for late in [client for client in self._clients.values() if time.monotonic() > client.deadline]:
            self._drop(late)

    def _accept(self, endpoint: Endpoint) -> None:
        connection = endpoint.accept()
        self._connected.append(time.monotonic())
        if connection is None:
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._drop(min(self._clients.values(), key=lambda client: (client.known is not None, client.deadline)))
        self._clients[connection] = Client(connection)

    def _drop(self, client: Client) -> None:
        del self._clients[client.connection]
        client.connection.close()

    def _serve(self, client: Client, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                received = client.connection.recv(MAX_REQUEST_BYTES)
                if not received or client.has_reply:  # it is gone, or a watcher sent more
                    return self._drop(client)
                self._receive(client, received)
            if client.unsent:
                client.unsent = client.unsent[client.connection.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return self._drop(client)
        if client.has_reply and client.known is None and not client.unsent:
            self._drop(client)

    def _receive(self, client: Client, received: bytes) -> None:
        """Handle the request of a client once its line is complete, or too long."""
        client.received += received
        line, end, _ = client.received.partition(b"\n")
        if not end and len(line) <= MAX_REQUEST_BYTES:
            return
        client.has_reply = True
        try:
            client.queue(self._reply(client, line))
        except UserError as error:
            client.queue({"problem": error.problem, "step": error.step})
        except Exception as error:
            client.queue({"problem": f"The filter failed at this: {error}", "step": "See: livestyle doctor"})

    def _reply(self, client: Client, line: bytes) -> Status:
        """Do what a request asks for, and return the reply.

        Raises:
            UserError: the request is not valid, or the action is refused.
        """
        words = self._parse(line)
        reply = {} if words in (["status"], ["watch"]) else {"answer": self._press(" ".join(words))}
        status = self._status()
        if words == ["watch"]:
            client.known, client.deadline = status, float("inf")
        return {**reply, "status": status}

    def _parse(self, line: bytes) -> list[str]:
        """Return the words of a request.

        Raises:
            UserError: the request is not valid, or its token is wrong.
        """
        try:
            request = json.loads(line) if len(line) <= MAX_REQUEST_BYTES else {}
        except (ValueError, RecursionError):
            request = {}
        words = request.get("words") if isinstance(request, dict) else None
        if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.isprintable() for w in words):
            raise UserError("This is not a request.", "Use: livestyle ctl")
        if self.endpoint and self.endpoint.token and str(request.get("token")) != self.endpoint.token:
            raise UserError("The token is wrong.", "Use: livestyle ctl")
        return words

    def _update_watchers(self) -> None:
        """Send the status to watchers if it has changed."""
        watchers = [client for client in self._clients.values() if client.known is not None]
        if not watchers:
            return
        status = self._status()
        for client in watchers:
            if stable(status) != stable(client.known or {}):
                client.known = status
                client.queue({"status": status})
            if len(client.unsent) > MAX_UNSENT_BYTES:
                self._drop(client)


def stable(status: Status) -> Status:
    """Return a status without its VOLATILE_FACTS."""
    return {name: value for name, value in status.items() if name not in VOLATILE_FACTS}
