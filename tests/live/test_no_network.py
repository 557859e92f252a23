"""No network connection is opened. The kernel watches, so native libraries and child processes count, too."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import HEADLESS

NUMBERS = {"x86_64": (41, 317), "aarch64": (198, 277)}  # of socket() and seccomp() by machine

# Runs a command. At the first network socket that it or a child opens, the exit code is 99: seccomp_unotify(2).
# The exit code is 98 if the kernel cannot watch.
WATCH = """
import ctypes, os, select, struct, subprocess, sys

ASK_SOCKET, ASK_SECCOMP, IO_URING = int(sys.argv[1]), int(sys.argv[2]), 425
ALLOW, NOTIFY, LOAD, EQUALS, RETURN = 0x7FFF0000, 0x7FC00000, 0x20, 0x15, 0x06
IPV4, IPV6, PACKET = 2, 10, 17
steps = [
    (LOAD, 0, 0, 0), (EQUALS, 6, 0, IO_URING), (EQUALS, 0, 4, ASK_SOCKET),
    (LOAD, 0, 0, 16), (EQUALS, 3, 0, IPV4), (EQUALS, 2, 0, IPV6), (EQUALS, 1, 0, PACKET),
    (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, NOTIFY),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
system = ctypes.CDLL(None, use_errno=True)
system.prctl(38, 1, 0, 0, 0)  # no new privileges
listener = system.syscall(ASK_SECCOMP, 1, 8, program)
if listener < 0:
    sys.exit(98)
child = subprocess.Popen(sys.argv[3:])
ended = os.pidfd_open(child.pid)
ready, _, _ = select.select([listener, ended], [], [])
if listener in ready:
    child.kill()
    sys.exit(99)
sys.exit(child.wait())
"""


def watched(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command under watch. It ends with 99 at its first network socket."""
    numbers = NUMBERS.get(platform.machine())
    if not sys.platform.startswith("linux") or numbers is None:
        pytest.skip("needs Linux")
    words = [sys.executable, "-c", WATCH, *map(str, numbers), *command]
    done = subprocess.run(
        words, env=HEADLESS | environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode == 98:
        pytest.skip("needs seccomp_unotify")
    return done


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket(socket.AF_INET6)",
        "import ctypes; ctypes.CDLL(None).socket(2, 2, 0)",
        "import os, sys; os.fork() and os._exit(os.wait()[1]); os.execv(sys.executable, "
        "[sys.executable, '-c', 'import socket; socket.create_connection((\"127.0.0.1\", 9))'])",
    ],
    ids=["python", "native", "child"],
)
def test_a_network_socket_is_noticed(code: str) -> None:
    assert watched(sys.executable, "-c", "import socket; socket.socketpair()").returncode == 0
    assert watched(sys.executable, "-c", code).returncode == 99


def test_live_opens_no_network_connection(tmp_path: Path) -> None:
    """With nets, styles, a clip and the server, and without a consent file of any library."""
    for name in ("run", "state"):
        (tmp_path / name).mkdir(mode=0o700)
    live = ["live", "--source", "demo", "--background", "great_wave", "--person", "blur", "--frames", "20"]
    sinks = ["--sink", "null", "--sink", f"file:{tmp_path / 'out.mp4'}", "--json"]
    done = watched(
        sys.executable, "-m", "livestyle", *live, *sinks, HOME=str(tmp_path),
        XDG_RUNTIME_DIR=str(tmp_path / "run"), XDG_STATE_HOME=str(tmp_path / "state"),
        PYTHONPATH=os.pathsep.join(sys.path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"frames": 20' in done.stdout
    assert (tmp_path / "out.mp4").stat().st_size > 1000
