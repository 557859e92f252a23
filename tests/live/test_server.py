"""The server of a running filter: what clients can do, and what hostile clients cannot."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.controls import FakeControls

from livestyle.errors import UserError
from livestyle.live import server as server_module
from livestyle.live.client import MAX_REQUEST_BYTES, ask, connect, endpoints, replies_to, running
from livestyle.live.endpoint import MAX_FILTERS
from livestyle.live.server import MAX_CLIENTS, Server

needs_unix = pytest.mark.skipif(not server_module.HAS_UNIX_SOCKETS, reason="needs Unix sockets")


@pytest.fixture
def controls() -> FakeControls:
    return FakeControls()


@pytest.fixture(params=[pytest.param(True, marks=needs_unix), False], ids=["unix", "port"])
def folder(request: pytest.FixtureRequest, controls: FakeControls, tmp_path: Path) -> Iterator[Path]:
    """Yield the folder of a running server: on a Unix socket, and on a port, as on Windows."""
    with Server(controls.press, controls.status, folder=tmp_path / "run", is_unix=request.param):
        yield tmp_path / "run"


def raw(folder: Path) -> socket.socket:
    """Return a connection that may send anything. It waits ten seconds at most."""
    connection, _ = connect(endpoints(folder)[0])
    connection.settimeout(10)
    return connection


def request(folder: Path, words: Any) -> bytes:
    connection, token = connect(endpoints(folder)[0])
    connection.close()
    return json.dumps({"words": words, "token": token}).encode() + b"\n"


def read_all(connection: socket.socket) -> bytes:
    """Return what is received until the other end closes."""
    found = b""
    try:
        while block := connection.recv(1 << 16):
            found += block
    except ConnectionError:
        pass  # closed with something unread
    return found


def test_an_action_is_done_and_answered(folder: Path, controls: FakeControls) -> None:
    reply = ask(["style", "great wave"], folder=folder)
    assert controls.pressed == ["style great wave"]
    assert reply == {"answer": "did style great wave", "status": {"background": "style great wave", "frames": 0}}
    assert ask(["status"], folder=folder) == {"status": controls.facts}


def test_refusals_and_faults_are_reported(folder: Path, controls: FakeControls) -> None:
    with pytest.raises(UserError) as error:
        ask(["refuse"], folder=folder)
    assert (error.value.problem, error.value.step) == ("It cannot be.", "Do another.")
    with pytest.raises(UserError, match="inside"):
        ask(["break"], folder=folder)
    with pytest.raises(UserError, match="characters"):
        ask(["style", os.fsdecode(b"\xff")], folder=folder)
    with pytest.raises(UserError, match="too long"):
        ask(["style", "x" * MAX_REQUEST_BYTES], folder=folder)
    assert ask(["next-style"], folder=folder)["answer"] == "did next-style"


def test_watchers_are_sent_each_change_until_the_end(controls: FakeControls, tmp_path: Path) -> None:
    with Server(controls.press, controls.status, folder=tmp_path) as served:
        replies = replies_to(["watch"], folder=tmp_path, timeout_s=10)
        assert next(replies)["status"] == {"background": "a", "frames": 0}
        controls.facts = {**controls.facts, "frames": 7}  # not sent by itself
        ask(["b"], folder=tmp_path)
        assert next(replies)["status"] == {"background": "b", "frames": 7}
    assert served.endpoint
    assert list(replies) == []


@given(data=st.lists(st.binary(max_size=200) | st.text(max_size=30).map(str.encode), max_size=4), half=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_dropped_and_the_next_client_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: list[bytes], half: bool
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 0.05)
    controls = FakeControls()
    with Server(controls.press, controls.status, folder=tmp_path) as server:
        connection = raw(tmp_path)
        try:
            for part in data:
                connection.sendall(part)
            if half:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # dropped already
        read_all(connection)  # it ends: nobody stays connected
        connection.close()
        monkeypatch.setattr(server_module, "REQUEST_TIMEOUT_S", 5.0)
        assert ask(["still"], folder=tmp_path)["answer"] == "did still"
        assert server._thread.is_alive()
    assert controls.pressed == ["still"]


@pytest.mark.parametrize(
    "words",
    [None, [], "next-style", [3], [["a"]], {"a": 1}, ["\ud800"], ["style", "a\0"], ["x" * MAX_REQUEST_BYTES]],
    ids=lambda words: ascii(words)[:12],
)
def test_invalid_requests_are_refused(folder: Path, controls: FakeControls, words: Any) -> None:
    with raw(folder) as connection:
        connection.sendall(request(folder, words))
        assert b"not a request" in read_all(connection) or len(str(words)) > MAX_REQUEST_BYTES
    with raw(folder) as connection:
        connection.sendall(b"[" * MAX_REQUEST_BYTES + b"\n")
        read_all(connection)
    assert controls.pressed == []
    assert ask(["still"], folder=folder)["answer"] == "did still"


def test_an_endless_line_is_cut_off(folder: Path, controls: FakeControls) -> None:
    with raw(folder) as connection:
        with pytest.raises(OSError, match=r".*"):
            for _ in range(10_000):
                connection.sendall(b"x" * MAX_REQUEST_BYTES)
        assert ask(["still"], folder=folder)["answer"] == "did still"


def test_slow_clients_are_dropped_and_keep_nobody_out(folder: Path, controls: FakeControls) -> None:
    slow = [raw(folder) for _ in range(MAX_CLIENTS + 8)]
    for connection in slow:
        with suppress(BrokenPipeError, ConnectionResetError):  # those beyond MAX_CLIENTS may be dropped already
            connection.send(b"{")
    assert ask(["still"], folder=folder)["answer"] == "did still"
    for connection in slow:
        with suppress(ConnectionResetError):
            assert read_all(connection) == b""  # closed by the server
        connection.close()


def test_a_watcher_that_does_not_read_is_dropped(
    controls: FakeControls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CLIENTS_PER_S", 10_000)
    with Server(controls.press, controls.status, folder=tmp_path) as served, raw(tmp_path) as idle:
        idle.sendall(request(tmp_path, ["watch"]))
        for number in range(2000):
            controls.facts = {**controls.facts, "text": "x" * 50_000, "number": number}
            ask(["status"], folder=tmp_path)
            if not [one for one in served._clients.values() if one.known is not None]:
                break
        else:
            pytest.fail("it is still connected")
        assert read_all(idle)  # what it could have read


def test_clients_beyond_the_rate_limit_wait(
    controls: FakeControls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(server_module, "MAX_CLIENTS_PER_S", 3)
    monkeypatch.setattr(server_module, "time", clock)
    with Server(controls.press, controls.status, folder=tmp_path):
        for _ in range(3):
            ask(["still"], folder=tmp_path)
        with raw(tmp_path) as connection:
            connection.sendall(json.dumps({"words": ["still"]}).encode() + b"\n")
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            clock.now += 1.1
            connection.settimeout(10)
            assert b"did still" in read_all(connection)
    assert len(controls.pressed) == 4


@needs_unix
def test_only_the_same_user_can_connect(
    controls: FakeControls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    with Server(controls.press, controls.status, folder=place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE(endpoints(place)[0].stat().st_mode) == 0o600
        if hasattr(socket, "SO_PEERCRED"):
            monkeypatch.setattr(os, "getuid", lambda: 12345)
            with pytest.raises(UserError, match=r"ended before it answered|does not answer"):
                ask(["still"], folder=place)
            monkeypatch.undo()
            assert ask(["status"], folder=place)
    assert controls.pressed == []


@needs_unix
def test_a_folder_of_another_user_is_not_used(
    controls: FakeControls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody can connect, and the filter runs all the same."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with Server(controls.press, controls.status, folder=tmp_path) as served:
        assert served.endpoint is None
        assert "another user" in served.problem


def test_a_port_needs_its_token(controls: FakeControls, tmp_path: Path) -> None:
    with Server(controls.press, controls.status, folder=tmp_path, is_unix=False):
        (file,) = endpoints(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 or sys.platform == "win32"
        for token in ("", "x" * 64, 3, None, ["x"]):
            with raw(tmp_path) as connection:
                connection.sendall(json.dumps({"words": ["still"], "token": token}).encode() + b"\n")
                assert b"token" in read_all(connection)
        assert controls.pressed == []


def test_each_running_filter_has_its_own_name(tmp_path: Path) -> None:
    one, two = FakeControls(), FakeControls()
    with Server(two.press, two.status, folder=tmp_path) as second:
        with pytest.raises(UserError, match="There is: 1"):
            ask(["still"], "2", tmp_path)
        with Server(one.press, one.status, folder=tmp_path) as first:
            assert (second.endpoint and second.endpoint.name, first.endpoint and first.endpoint.name) == ("1", "2")
            assert running(tmp_path) == ["1", "2"]
            ask(["a"], folder=tmp_path)
            ask(["b"], "2", tmp_path)
        assert running(tmp_path) == ["1"]
    assert (two.pressed, one.pressed) == (["a"], ["b"])
    with pytest.raises(UserError, match="No filter is running"):
        ask(["still"], folder=tmp_path)


def test_a_tenth_filter_runs_without_an_endpoint(controls: FakeControls, tmp_path: Path) -> None:
    held = [Server(controls.press, controls.status, folder=tmp_path) for _ in range(MAX_FILTERS + 1)]
    assert [one.endpoint is None for one in held] == [False] * MAX_FILTERS + [True]
    for one in held[:-1]:
        assert one.endpoint
        one.endpoint.close()


SERVE = """
import sys
from pathlib import Path
from livestyle.live.server import Server
with Server(print, dict, folder=Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_endpoints_of_killed_processes_are_stale_and_removed(controls: FakeControls, tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert killed.stdout
    assert killed.stdout.readline() == "ready\n"
    killed.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    killed.communicate()
    assert endpoints(tmp_path)
    assert running(tmp_path) == []
    with Server(controls.press, controls.status, folder=tmp_path) as served:
        assert served.endpoint
        assert served.endpoint.name == "1"
        assert ask(["still"], folder=tmp_path)["answer"] == "did still"
    assert endpoints(tmp_path) == []


def test_faults_do_not_end_the_server(tmp_path: Path) -> None:
    ticks, again = iter((1, 0, 1)), threading.Event()

    def tick() -> None:
        again.set() if next(ticks) == 0 else 1 / 0

    def broken() -> dict[str, object]:
        raise RuntimeError("no status")

    with Server(str, broken, tick, folder=tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "TICK_INTERVAL_S", 0.0)
        with pytest.raises(UserError, match="no status"):
            ask(["status"], folder=tmp_path)
        assert again.wait(10)
