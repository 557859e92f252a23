"""A real window on a virtual screen, driven with real key presses."""

import ctypes
import ctypes.util
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from livestyle.image.io import load_image, save_image
from livestyle.live.jobs import CANCELLED, Jobs
from livestyle.live.shown import placeholder
from livestyle.nets.library import find_card, find_cards
from livestyle.video.sources.open import open_source
from livestyle.video.window.toolkits import TOOLKITS

NEEDED = ("Xvfb", "xdotool")
pytestmark = [
    pytest.mark.window,
    pytest.mark.skipif(any(not shutil.which(tool) for tool in NEEDED), reason=f"needs {' and '.join(NEEDED)}"),
]


@pytest.fixture
def screen(tmp_path: Path):  # type: ignore[no-untyped-def]
    """The environment with DISPLAY of a fresh virtual screen, where nobody has chosen a look before."""
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1000x700x24"], pass_fds=[writer], stderr=subprocess.DEVNULL
    )
    os.close(writer)
    number = os.read(reader, 16).decode().strip()  # the server says when it is ready
    yield {**os.environ, "DISPLAY": f":{number}", "XDG_STATE_HOME": str(tmp_path / "states")}
    server.terminate()
    server.wait()
    os.close(reader)


def xdotool(screen: dict[str, str], *arguments: str) -> str:
    return subprocess.run(
        ["xdotool", *arguments], env=screen, capture_output=True, text=True, check=True, timeout=60
    ).stdout


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent of Xlib.h."""

    _fields_ = (
        ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong), ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5), ("padding", ctypes.c_long * 12),
    )  # fmt: skip


def ask_to_close(display: str, window: int) -> None:
    """What a window manager sends when the cross is clicked (ICCCM 4.2.8.1)."""
    x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    server = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    protocols, delete = (x11.XInternAtom(server, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    event = ClientMessage(type=33, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    x11.XSendEvent(server, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XCloseDisplay(server)


def wait_for(screen: dict[str, str], title: str) -> None:
    """The title says that a key has been taken."""
    xdotool(screen, "search", "--sync", "--name", title)


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_keys_and_clicks_reach_the_filter(
    screen: dict[str, str], tmp_path: Path, toolkit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Next style, bypass, a click on another style, panic and quit, seen in the clip written beside the window; what
    lies over the picture there is not in the clip."""
    monkeypatch.setenv("DISPLAY", screen["DISPLAY"])
    if why := TOOLKITS[toolkit][0]():
        pytest.skip(why)
    out = tmp_path / "seen.mp4"
    command = [
        *(sys.executable, "-m", "livestyle", "live", "--source", "demo", "--sink", f"window:{toolkit}"),
        *("--sink", f"file:{out}", "--json"),
    ]
    running = subprocess.Popen(command, env=screen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    window = xdotool(screen, "search", "--sync", "--onlyvisible", "--name", "^livestyle").split()[0]

    def press(*keys: str) -> None:
        xdotool(screen, "windowfocus", "--sync", window, "key", "--window", window, *keys)

    default, gallery = find_card("style", None).name, list(find_cards("style"))
    title = following = gallery[(gallery.index(default) + 1) % len(gallery)]
    wait_for(screen, default)
    for key, title in (("bracketright", following), ("o", "bypassed"), ("o", following)):
        press(key)
        wait_for(screen, title)
        press("Insert")  # which has no character, and does nothing
    press("t")
    until, places = time.monotonic() + 60, cycle(("12", "68"))  # too far apart for a double click
    while following in title and time.monotonic() < until:
        # The strip may take a frame to be there.
        xdotool(screen, "mousemove", "--window", window, next(places), "510", "click", "1")
        title = xdotool(screen, "getwindowname", window)
    assert any(name in title for name in gallery)
    press("p")
    wait_for(screen, "livestyle - hidden")
    press("q")
    stdout, stderr = running.communicate(timeout=120)
    assert running.returncode == 0, stderr
    assert json.loads(stdout)["background"] in title
    with open_source(str(out)) as source:
        images = [frame.image for frame in source]
    with open_source("demo") as source:
        original = next(iter(source)).image
    changes = [np.abs(image[:100, :150].astype(int) - original[:100, :150]).mean() for image in images]
    assert changes[0] > 10  # styled
    assert min(changes) < 8  # bypassed; the light of the demo flickers by up to 5.4
    assert np.abs(images[-1].astype(int) - placeholder((640, 360))).mean() < 2


def test_stills_are_saved_and_queued_from_the_window(screen: dict[str, str], tmp_path: Path) -> None:
    """The keys s and g; then the window is closed, and the job is still there."""
    stills, painting, state = tmp_path / "stills", tmp_path / "painting.png", tmp_path / "state"
    save_image(painting, np.zeros((40, 40, 3), np.uint8))
    command = [
        *(sys.executable, "-m", "livestyle", "live", "--source", "demo", "--size", "320x180", "--background", "blur"),
        *("--stills", str(stills), "--gatys-style", str(painting)),
    ]
    place = {**screen, "XDG_STATE_HOME": str(state)}
    running = subprocess.Popen(command, env=place, stderr=subprocess.PIPE, text=True)
    assert running.stderr
    window = xdotool(screen, "search", "--sync", "--onlyvisible", "--name", "^livestyle").split()[0]
    xdotool(screen, "search", "--sync", "--name", "background blur")
    for key, words in (("s", "Saved"), ("g", "Saved"), ("", "Job 1 paints")):
        if key:
            xdotool(screen, "windowfocus", "--sync", window, "key", "--window", window, key)
        assert any(words in line for line in iter(running.stderr.readline, ""))
    ask_to_close(screen["DISPLAY"], int(window))
    assert running.wait(120) == 0
    jobs = Jobs(state / "livestyle" / "jobs")
    (job,) = jobs.all()
    assert jobs.cancel(job.id).state == CANCELLED  # it waited or ran
    kinds = sorted(path.stem.rpartition("-")[2] for path in stills.iterdir())
    assert kinds == sorted(["matte", "original", "styled"] * 2)
    original = Path(job.command[1])
    assert original in stills.iterdir()
    images = [
        load_image(original.with_name(original.name.replace("original", k))) for k in ("original", "matte", "styled")
    ]
    assert {image.shape for image in images} == {(180, 320, 3)}
    person, behind = images[1][..., 0] == 255, images[1][..., 0] == 0
    assert (images[2][person] == images[0][person]).all()
    assert (images[2][behind] != images[0][behind]).any()


def test_closing_the_window_ends_the_run(screen: dict[str, str]) -> None:
    command = [sys.executable, "-m", "livestyle", "live", "--source", "demo", "--background", "blur"]
    running = subprocess.Popen(command, env=screen, stderr=subprocess.PIPE, text=True)
    window = xdotool(screen, "search", "--sync", "--onlyvisible", "--name", "^livestyle").split()[0]
    xdotool(screen, "search", "--sync", "--name", "background blur")
    ask_to_close(screen["DISPLAY"], int(window))
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 0, stderr


@pytest.fixture
def compositor(tmp_path: Path):  # type: ignore[no-untyped-def]
    """The environment of a Wayland compositor without a screen, and without any X server."""
    if not shutil.which("weston"):
        pytest.skip("needs weston")
    folder = tmp_path / "runtime"
    folder.mkdir(0o700)
    place = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(tmp_path / "states")}
    place.pop("DISPLAY", None)
    command = ["weston", "--backend=headless-backend.so", "--socket=wayland-9", "--idle-time=0"]
    server = subprocess.Popen(command, env=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout
    assert any("weston-desktop-shell" in line for line in server.stdout), "weston did not start"
    yield {**place, "WAYLAND_DISPLAY": "wayland-9"}
    server.terminate()
    server.communicate()


def test_the_window_opens_on_wayland(compositor: dict[str, str]) -> None:
    """Qt's does; OpenCV's needs X, and says so."""
    pytest.importorskip("PySide6")
    command = [sys.executable, "-m", "livestyle", "live", "--source", "demo", "--background", "blur", "--frames", "5"]
    shown, refused = (
        subprocess.run(
            [*command, "--sink", f"window:{toolkit}", "--json"], env=compositor, capture_output=True, text=True,
            check=False, timeout=120,
        )
        for toolkit in ("qt", "opencv")
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "window (Qt)" in shown.stderr
    assert json.loads(shown.stdout)["frames"] == 5
    assert refused.returncode == 2
    assert "it needs an X server" in refused.stderr
    assert "livestyle[window]" in refused.stderr
