"""Virtual cameras on Linux: found, freed, and made by the command that fits; the pace of what is sent to them."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from support.pictures import draw_card
from support.virtual_camera import FakeCamera, Taker

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.live.shown import placeholder
from livestyle.video.devices import devices, loopback
from livestyle.video.devices.devices import Device
from livestyle.video.sinks import virtual_camera
from livestyle.video.sinks.open import open_sink
from livestyle.video.sinks.sink import Null, Stream, Tee
from livestyle.video.sinks.virtual_camera import FIRST_GREY, Pacer, VirtualCamera

LOOPBACK, CAMERA = "v4l2 loopback", "uvcvideo"
linux = pytest.mark.skipif(not devices.IS_LINUX, reason="v4l2loopback is Linux's")


class Machine:
    """Made-up devices: {path: [driver, flags]}; freeing one makes it a sink again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: dict[str, tuple[str, int, str]]) -> None:
        self.flags = {path: [driver, flags] for path, (driver, flags, _) in devices.items()}
        shown = [
            Device(path, name, "virtual" if driver == LOOPBACK else "usb", "", path[5:])
            for path, (driver, _, name) in devices.items()
        ]
        self.freed: list[str] = []
        self.users: dict[str, list[tuple[int, str]]] = {}
        monkeypatch.setattr(loopback, "video_devices", lambda: shown)
        monkeypatch.setattr(loopback, "capabilities", self.capabilities)
        monkeypatch.setattr(loopback, "holders", lambda path: self.users.get(path, []))
        monkeypatch.setattr(loopback, "free", self.free)

    def capabilities(self, path: str) -> tuple[str, int]:
        if path not in self.flags:
            raise FileNotFoundError(path)
        driver, flags = self.flags[path]
        return str(driver), int(flags)

    def free(self, path: str) -> None:
        if path in self.flags and not self.flags[path][1]:
            self.flags[path][1] = loopback.OUTPUT
            self.freed.append(path)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(
        monkeypatch,
        {
            "/dev/video0": (CAMERA, loopback.CAPTURE, "Webcam"),
            "/dev/video4": (LOOPBACK, loopback.CAPTURE, "OBS"),  # another program sends to it
            "/dev/video9": (LOOPBACK, loopback.OUTPUT, "Spare"),
            "/dev/video10": (LOOPBACK, 0, "livestyle"),  # left unusable by its last sender
        },
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("", "/dev/video10"), ("Spare", "/dev/video9"), ("OBS", "/dev/video4"), ("/dev/video9", "/dev/video9"),
        ("/dev/video10", "/dev/video10"), ("Nobody's", "Nobody's"), ("/dev/video77", "/dev/video77"),
    ],
)  # fmt: skip
def test_a_virtual_camera_is_found_by_name_or_path_else_the_one_called_livestyle(
    machine: Machine, name: str, path: str
) -> None:
    assert loopback.find(name) == path
    assert machine.freed == (["/dev/video10"] if path == "/dev/video10" else [])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/video4", "in use by obs (process 7)"), ("OBS", "in use by obs (process 7)"),
        ("/dev/video77", "modprobe"),
        ("Nobody's", "modprobe"),
    ],
)  # fmt: skip
def test_the_trouble_is_named(machine: Machine, name: str, words: str) -> None:
    machine.users["/dev/video4"] = [(7, "obs")]
    assert words in " ".join(loopback.trouble(name))


def test_a_file_is_no_virtual_camera(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is no virtual camera. Choose from: /dev/video10" in " ".join(loopback.trouble(str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({"ID": "debian"}, "apt install"), ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "apt install"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "apt install"), ({"ID": "fedora"}, "dnf install"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf install"),
        ({"ID": "manjaro", "ID_LIKE": "arch"}, "pacman -S"),
        ({"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse"}, "zypper"), ({}, "apt install"),
    ],
)  # fmt: skip
def test_the_command_fits_the_distribution(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, str], command: str
) -> None:
    monkeypatch.setattr(loopback.platform, "freedesktop_os_release", lambda: facts)
    monkeypatch.setattr(loopback.platform, "release", lambda: "no such kernel")
    monkeypatch.setattr(loopback, "MODULE", Path("/no/such/module"))
    problem, step = loopback.trouble("")
    assert "no virtual camera" in problem
    assert command in step
    made, without = step.splitlines()
    assert made.endswith(loopback.MODPROBE)
    assert without.endswith(loopback.WITHOUT)


@linux
def test_what_is_no_video_device_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    loopback.free(str(path))
    loopback.free(str(tmp_path / "none"))
    assert path.read_bytes() == b"mine"
    assert not loopback.is_loopback(str(path))


@pytest.mark.parametrize(
    ("driver", "now", "asked"),
    [(LOOPBACK, 0, 1), (LOOPBACK, loopback.CAPTURE, 0), (LOOPBACK, loopback.OUTPUT, 0), (CAMERA, 0, 0)],
)
def test_only_what_is_stuck_is_reset_and_seen_to_be_free(
    monkeypatch: pytest.MonkeyPatch, driver: str, now: int, asked: int
) -> None:
    openings: list[str] = []

    @contextmanager
    def opened(_: str) -> Iterator[int]:
        openings.append("reset")
        yield 3

    def capabilities(_: str) -> tuple[str, int]:
        openings.append("look")
        return driver, loopback.OUTPUT if "reset" in openings else now

    def refuse(*_: object) -> bytes:
        raise OSError(22, "Invalid argument")

    for name, made in (("opened", opened), ("capabilities", capabilities), ("ask", refuse)):
        monkeypatch.setattr(loopback, name, made)
    loopback.free("/dev/video10")
    assert openings == ["look", "reset", "look"][: 1 + 2 * asked]


def test_a_picture_is_repeated_until_there_is_a_new_one() -> None:
    taker = Taker()
    pacer = Pacer(taker, 0.002)
    for number in range(3):
        pacer.send(np.full((2, 2, 3), number, np.uint8))
        taker.wait(len(taker.images) + 5)
    pacer.close()
    shown = [int(image[0, 0, 0]) for image in taker.images]
    assert sorted(set(shown)) == [0, 1, 2]
    assert shown == sorted(shown)


def test_a_sink_that_blocks_does_not_hold_the_sender_up() -> None:
    taker = Taker(free=False)
    pacer = Pacer(taker, 0.001)
    for number in range(1000):
        pacer.send(np.full((2, 2, 3), number % 256, np.uint8))
    taker.gate.set()
    taker.wait(2)
    pacer.close()
    assert int(taker.images[-1][0, 0, 0]) == 999 % 256


def test_what_fails_in_the_sink_reaches_the_sender() -> None:
    failed = threading.Event()

    def fail(_: object) -> None:
        failed.set()
        raise OSError("The device is gone.")

    pacer = Pacer(fail, 0.001)
    pacer.send(np.zeros((2, 2, 3), np.uint8))
    assert failed.wait(10)
    pacer._thread.join(10)
    with pytest.raises(OSError, match="gone"):
        pacer.send(np.zeros((2, 2, 3), np.uint8))
    pacer.close()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pyvirtualcam")
    module.Camera, module.PixelFormat = FakeCamera, SimpleNamespace(RGB="rgb")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyvirtualcam", module)


@linux
def test_a_virtual_camera_is_even_gets_copies_and_is_freed(fake: None, machine: Machine) -> None:
    machine.flags["/dev/video10"][1] = loopback.OUTPUT
    sink = VirtualCamera("livestyle", Stream((65, 47), 25))
    image = draw_card(65, 47)
    sink._camera.wait(1)
    sink.send(Frame(image, 0, 0.0))
    image[:] = 0
    sink._camera.wait(len(sink._camera.images) + 3)
    machine.flags["/dev/video10"][1] = 0
    sink.close()
    assert (sink._camera.images[0] == FIRST_GREY).all()
    assert (sink._camera.images[-1] == draw_card(65, 47)[:46, :64]).all()
    assert sink._camera.closed
    assert machine.freed == ["/dev/video10"]
    with pytest.raises(UserError, match="/dev/video4"):
        open_sink("virtual-camera:OBS", Stream((64, 48), 25))


@linux
def test_a_panic_reaches_watchers_while_the_next_frame_is_still_being_made(fake: None, machine: Machine) -> None:
    sink = VirtualCamera("", Stream((64, 48), 25))
    sink.send(Frame(draw_card(64, 48), 0, 0.0))
    sink._camera.wait(3)
    pressing = threading.Thread(target=Tee([sink, Null()]).hide, args=(placeholder((64, 48)),))
    pressing.start()
    pressing.join()
    sink._camera.wait(len(sink._camera.images) + 2)
    sink.close()
    assert (sink._camera.images[-1] == placeholder((64, 48))).all()


@linux
def test_who_only_glances_does_not_watch(fake: None, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    now, opened = [100.0], [False]
    monkeypatch.setattr(
        virtual_camera, "Openings", lambda _: SimpleNamespace(any=lambda: opened[0], close=lambda: None)
    )
    monkeypatch.setattr(virtual_camera.time, "monotonic", lambda: now[0])
    sink = VirtualCamera("", Stream((64, 48), 25))
    seen = []
    for later, is_open in (
        (0, False), (1, True), (0.1, False), (1, True), (0.2, True), (0.2, True), (5, False), (1, False), (1, True),
        (1, False), (2, False), (1.5, False), (0.1, True),
    ):  # fmt: skip
        now[0], opened[0] = now[0] + later, is_open
        seen.append(sink.is_watched())
    sink.close()
    assert seen == [False] * 5 + [True] * 6 + [False] * 2
