"""Control from other processes: what it does, and what hostile clients cannot do."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cli import HEADLESS

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.live import server as control
from livestyle.live.actions import open_controls
from livestyle.live.client import LONGEST, ask, connect, endpoints, running, talk
from livestyle.live.server import CLIENTS, Server

needs_unix = pytest.mark.skipif(not control.HAS_UNIX, reason="has no Unix sockets")


class Desk:
    """Stands for the controls: keeps what was pressed."""

    def __init__(self) -> None:
        self.pressed: list[str] = []
        self.facts: dict[str, object] = {"background": "a", "frames": 0}

    def press(self, text: str) -> str:
        if text == "refuse":
            raise UserError("It cannot be.", "Do another.")
        if text == "break":
            raise ZeroDivisionError("inside")
        self.pressed.append(text)
        self.facts = {**self.facts, "background": text}
        return f"did {text}"

    def status(self) -> dict[str, object]:
        return self.facts


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=[pytest.param(True, marks=needs_unix), False], ids=["unix", "port"])
def folder(request: pytest.FixtureRequest, desk: Desk, tmp_path: Path) -> Iterator[Path]:
    """Where a filter listens: on a Unix socket, and as on Windows."""
    with Server(desk.press, desk.status, folder=tmp_path / "run", is_unix=request.param):
        yield tmp_path / "run"


def raw(folder: Path) -> socket.socket:
    """A client that may say anything; it waits ten seconds at most."""
    link, _ = connect(endpoints(folder)[0])
    link.settimeout(10)
    return link


def request(folder: Path, words: Any) -> bytes:
    link, token = connect(endpoints(folder)[0])
    link.close()
    return json.dumps({"words": words, "token": token}).encode() + b"\n"


def everything(link: socket.socket) -> bytes:
    """What comes until the other end closes."""
    found = b""
    try:
        while block := link.recv(1 << 16):
            found += block
    except ConnectionError:
        pass  # closed with something unread
    return found


def test_an_action_is_done_and_answered(folder: Path, desk: Desk) -> None:
    reply = ask(["style", "great wave"], folder=folder)
    assert desk.pressed == ["style great wave"]
    assert reply == {"answer": "did style great wave", "status": {"background": "style great wave", "frames": 0}}
    assert ask(["status"], folder=folder) == {"status": desk.facts}


def test_refusals_and_faults_are_answered_in_a_sentence(folder: Path, desk: Desk) -> None:
    with pytest.raises(UserError) as error:
        ask(["refuse"], folder=folder)
    assert (error.value.problem, error.value.step) == ("It cannot be.", "Do another.")
    with pytest.raises(UserError, match="inside"):
        ask(["break"], folder=folder)
    with pytest.raises(UserError, match="characters"):
        ask(["style", os.fsdecode(b"\xff")], folder=folder)
    with pytest.raises(UserError, match="too long"):
        ask(["style", "x" * LONGEST], folder=folder)
    assert ask(["next-style"], folder=folder)["answer"] == "did next-style"


def test_who_watches_is_told_of_changes_until_the_end(desk: Desk, tmp_path: Path) -> None:
    with Server(desk.press, desk.status, folder=tmp_path) as served:
        replies = talk(["watch"], folder=tmp_path, patience=10)
        assert next(replies)["status"] == {"background": "a", "frames": 0}
        desk.facts = {**desk.facts, "frames": 7}  # not worth a line by itself
        ask(["b"], folder=tmp_path)
        assert next(replies)["status"] == {"background": "b", "frames": 7}
    assert served.endpoint
    assert list(replies) == []


@given(data=st.lists(st.binary(max_size=200) | st.text(max_size=30).map(str.encode), max_size=4), half=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: list[bytes], half: bool) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.05)
    desk = Desk()
    with Server(desk.press, desk.status, folder=tmp_path) as served:
        link = raw(tmp_path)
        try:
            for part in data:
                link.sendall(part)
            if half:
                link.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # dropped already
        everything(link)  # which ends: nobody stays connected
        link.close()
        monkeypatch.setattr(control, "PATIENCE", 5.0)
        assert ask(["still"], folder=tmp_path)["answer"] == "did still"
        assert served._thread.is_alive()
    assert desk.pressed == ["still"]


@pytest.mark.parametrize(
    "words",
    [None, [], "next-style", [3], [["a"]], {"a": 1}, ["\ud800"], ["style", "a\0"], ["x" * LONGEST]],
    ids=lambda words: ascii(words)[:12],
)
def test_what_is_no_request_is_refused(folder: Path, desk: Desk, words: Any) -> None:
    with raw(folder) as link:
        link.sendall(request(folder, words))
        assert b"no request" in everything(link) or len(str(words)) > LONGEST
    with raw(folder) as link:
        link.sendall(b"[" * LONGEST + b"\n")
        everything(link)
    assert desk.pressed == []
    assert ask(["still"], folder=folder)["answer"] == "did still"


def test_an_endless_line_is_cut_off(folder: Path, desk: Desk) -> None:
    with raw(folder) as link:
        with pytest.raises(OSError, match=r".*"):
            for _ in range(10_000):
                link.sendall(b"x" * LONGEST)
        assert ask(["still"], folder=folder)["answer"] == "did still"


def test_slow_clients_keep_nobody_out_and_are_dropped(folder: Path, desk: Desk) -> None:
    slow = [raw(folder) for _ in range(CLIENTS + 8)]
    for link in slow:
        with suppress(BrokenPipeError, ConnectionResetError):  # those beyond CLIENTS may be gone already
            link.send(b"{")
    assert ask(["still"], folder=folder)["answer"] == "did still"
    for link in slow:
        with suppress(ConnectionResetError):
            assert everything(link) == b""  # each is closed by the filter
        link.close()


def test_a_watcher_that_does_not_read_is_dropped(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "RATE", 10_000)
    with Server(desk.press, desk.status, folder=tmp_path) as served, raw(tmp_path) as idle:
        idle.sendall(request(tmp_path, ["watch"]))
        for number in range(2000):
            desk.facts = {**desk.facts, "text": "x" * 50_000, "number": number}
            ask(["status"], folder=tmp_path)
            if not [one for one in served._clients.values() if one.told is not None]:
                break
        else:
            pytest.fail("it is still there")
        assert everything(idle)  # what it could have read


def test_more_clients_than_a_second_may_have_wait(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(control, "RATE", 3)
    monkeypatch.setattr(control, "time", clock)
    with Server(desk.press, desk.status, folder=tmp_path):
        for _ in range(3):
            ask(["still"], folder=tmp_path)
        with raw(tmp_path) as link:
            link.sendall(json.dumps({"words": ["still"]}).encode() + b"\n")
            link.settimeout(0.3)
            with pytest.raises(TimeoutError):
                link.recv(1)
            clock.now += 1.1
            link.settimeout(10)
            assert b"did still" in everything(link)
    assert len(desk.pressed) == 4


@needs_unix
def test_only_the_user_comes_in(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    with Server(desk.press, desk.status, folder=place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE(endpoints(place)[0].stat().st_mode) == 0o600
        if hasattr(socket, "SO_PEERCRED"):
            monkeypatch.setattr(os, "getuid", lambda: 12345)
            with pytest.raises(UserError):
                ask(["still"], folder=place)
    assert desk.pressed == []


@needs_unix
def test_a_folder_of_somebody_else_is_not_used(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody can come in, and the filter runs all the same."""
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with Server(desk.press, desk.status, folder=tmp_path) as served:
        assert served.endpoint is None
        assert "another user" in served.problem


def test_a_port_needs_its_token(desk: Desk, tmp_path: Path) -> None:
    with Server(desk.press, desk.status, folder=tmp_path, is_unix=False):
        (file,) = endpoints(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 or sys.platform == "win32"
        for token in ("", "x" * 64, 3, None, ["x"]):
            with raw(tmp_path) as link:
                link.sendall(json.dumps({"words": ["still"], "token": token}).encode() + b"\n")
                assert b"token" in everything(link)
        assert desk.pressed == []


def test_filters_have_names_of_their_own(tmp_path: Path) -> None:
    one, two = Desk(), Desk()
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


def test_a_tenth_filter_runs_out_of_reach(desk: Desk, tmp_path: Path) -> None:
    held = [Server(desk.press, desk.status, folder=tmp_path) for _ in range(control.FILTERS + 1)]
    assert [one.endpoint is None for one in held] == [False] * control.FILTERS + [True]
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


def test_what_a_killed_process_left_is_cleaned(desk: Desk, tmp_path: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", SERVE, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert killed.stdout
    assert killed.stdout.readline() == "ready\n"
    killed.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    killed.communicate()
    assert endpoints(tmp_path)
    assert running(tmp_path) == []
    with Server(desk.press, desk.status, folder=tmp_path) as served:
        assert served.endpoint
        assert served.endpoint.name == "1"
        assert ask(["still"], folder=tmp_path)["answer"] == "did still"
    assert endpoints(tmp_path) == []


def test_faults_of_the_filter_end_nothing(tmp_path: Path) -> None:
    ticks, again = iter((1, 0, 1)), threading.Event()

    def tick() -> None:
        again.set() if next(ticks) == 0 else 1 / 0

    def broken() -> dict[str, object]:
        raise RuntimeError("no status")

    with Server(str, broken, tick, folder=tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "TICK", 0.0)
        with pytest.raises(UserError, match="no status"):
            ask(["status"], folder=tmp_path)
        assert again.wait(10)


@needs_unix
@pytest.mark.parametrize("words", [["style", "x"], ["style", "x", "--json"], ["status"], ["nonsense", "--json"]])
def test_the_short_way_of_ctl_is_the_long_one(tmp_path: Path, words: list[str]) -> None:
    """A plain action goes past Typer; with --filter it does not."""
    desk = Desk()

    def press(text: str) -> str:
        return desk.press("refuse" if text == "nonsense" else text)

    def status() -> dict[str, object]:
        return {**open_controls(Settings()).status(), **desk.facts}

    (tmp_path / "run").mkdir(mode=0o700)
    env = HEADLESS | {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    with Server(press, status, folder=tmp_path / "run" / "livestyle"):
        short, long = (
            subprocess.run(
                [sys.executable, "-m", "livestyle", "ctl", *words, *more],
                env=env, capture_output=True, text=True, check=False,
            )
            for more in ((), ("--filter", "1"))
        )  # fmt: skip
        assert (short.returncode, short.stdout, short.stderr) == (long.returncode, long.stdout, long.stderr)
        assert short.returncode == (2 if words[0] == "nonsense" else 0)
        other = [sys.executable, "-m", "livestyle", "ctl", "still", "--filter", "3"]
        refused = subprocess.run(other, env=env, capture_output=True, text=True, check=False)
        assert (refused.returncode, refused.stderr) == (2, "No filter '3' is running.\nThere is: 1.\n")


class Shell:
    """Two shells of one user: a filter in one, commands in the other."""

    def __init__(self, root: Path) -> None:
        self.file = root / "config.toml"
        self.file.touch()
        for name in ("run", "state"):
            (root / name).mkdir(mode=0o700)
        self.env = HEADLESS | {
            "XDG_RUNTIME_DIR": str(root / "run"), "XDG_STATE_HOME": str(root / "state"), "HOME": str(root),
            "LIVESTYLE_CONFIG": str(self.file),
        }  # fmt: skip

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "livestyle", "live", "--source", "demo", "--sink", "null", *arguments]
        self.live = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env)
        self.until(lambda line: "demo ->" in line)
        return self.live

    def until(self, wanted: Callable[[str], bool]) -> str:
        assert self.live.stderr
        return next(line for line in self.live.stderr if wanted(line))

    def ctl(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "livestyle", "ctl", *words],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def status(self) -> Any:
        return json.loads(self.ctl("status", "--json"))


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    if hasattr(shell, "live"):
        shell.live.kill()
        shell.live.communicate()


@needs_unix
def test_a_live_run_is_driven_from_another_process(shell: Shell, tmp_path: Path) -> None:
    assert shell.ctl("next-style", code=2) == "No filter is running.\nStart one: livestyle live\n"
    shell.start("--seconds", "120", "--json")
    first = shell.status()
    assert {"background", "person", "paused", "recording", "fps", "frames"} <= set(first)
    assert "starry_night" in shell.ctl("style", "starry_night")
    assert shell.status()["background"] == "starry_night"
    assert "Choose from: next-style" in shell.ctl("nekst-style", code=2)
    assert "no style 'stary_night'" in shell.ctl("background", "stary_night", code=2)
    (tmp_path / "bad.onnx").write_bytes(b"no net")
    shell.ctl("background", str(tmp_path / "bad.onnx"))
    said = json.loads(shell.ctl("panic", "--json"))
    assert (said["paused"], said["panicked"]) == (True, True)
    shell.ctl("confirm")
    watch = subprocess.Popen(
        [sys.executable, "-m", "livestyle", "ctl", "watch"], env=shell.env, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout
    backgrounds = (json.loads(line)["background"] for line in watch.stdout)
    assert next(name for name in backgrounds if name == "starry_night")  # the one that cannot be had is gone
    shell.file.write_text("strenght = 1\n")
    assert "line 1" in shell.until(lambda line: "strenght" in line)
    assert shell.status()["background"] == "starry_night"
    shell.file.write_text('background = "blur:0.4"\n')  # while it runs
    assert next(name for name in backgrounds if name == "blur:0.4")
    assert "1" in shell.ctl("list", "--json")
    shell.file.write_text("")
    assert next(name for name in backgrounds if name == first["background"])
    shell.ctl("background", "color:#102030")
    assert shell.ctl("quit") == "The end\n"
    assert watch.wait(20) == 0
    facts = json.loads(shell.live.communicate(timeout=60)[0])
    assert shell.live.returncode == 0
    assert facts["background"] == "color:#102030"
    shell.start("--frames", "2", "--json")  # as it was left
    assert json.loads(shell.live.communicate(timeout=60)[0])["background"] == "color:#102030"
