"""Cameras are known again by what they are; who watches a device is seen."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.video.devices import devices
from livestyle.video.devices.devices import Device, Openings, find_again, holders, identify, video_devices

pytestmark = pytest.mark.skipif(not devices.IS_LINUX, reason="/sys and /proc are Linux's")


class Bus:
    """A made-up /sys/class/video4linux."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.video = folder, folder / "class"
        self.video.mkdir(parents=True)

    def plug(self, number: int, port: str, name: str = "HD Webcam", product: str = "0825", serial: str = "") -> str:
        """Returns the device path."""
        usb = self.folder / "usb" / port
        (usb / "interface").mkdir(parents=True)
        facts = {"idVendor": "046d", "idProduct": product, **({"serial": serial} if serial else {})}
        for file, content in facts.items():
            (usb / file).write_text(content + "\n")
        place = usb / f"{port}:1.0"
        place.mkdir()
        (place / "bInterfaceNumber").write_text("00\n")
        for node, index in ((number, 0), (number + 1, 1)):  # a camera has a metadata node beside it
            entry = self.video / f"video{node}"
            entry.mkdir()
            (entry / "name").write_text(name + "\n")
            (entry / "index").write_text(f"{index}\n")
            (entry / "device").symlink_to(place)
        return f"/dev/video{number}"

    def unplug(self, number: int) -> None:
        shutil.rmtree((self.video / f"video{number}" / "device").resolve().parent)
        for node in (number, number + 1):
            shutil.rmtree(self.video / f"video{node}")


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bus:
    made = Bus(tmp_path / "sys")
    monkeypatch.setattr(devices, "VIDEO", made.video)
    return made


def test_cameras_are_listed_by_number_without_their_metadata_nodes(bus: Bus) -> None:
    bus.plug(10, "1-5", "Other")
    bus.plug(2, "1-4", "HD Webcam", serial="A1")
    assert [(d.path, d.name, d.serial) for d in video_devices()] == [
        ("/dev/video2", "HD Webcam", "A1"), ("/dev/video10", "Other", ""),
    ]  # fmt: skip
    assert identify("2") == video_devices()[0] == identify("/dev/video2")
    assert identify("3") is None


def test_a_camera_is_found_under_another_number_and_in_another_port(bus: Bus) -> None:
    bus.plug(0, "1-4", serial="A1")
    lost = identify("0")
    assert lost
    bus.unplug(0)
    assert find_again(lost) is None
    bus.plug(0, "1-2", "Built-in", product="9999")
    assert find_again(lost) is None
    bus.plug(4, "2-1", serial="A1")
    found = find_again(lost)
    assert found
    assert found.path == "/dev/video4"


def test_its_twin_beside_it_is_never_taken_for_it(bus: Bus) -> None:
    bus.plug(0, "1-4")
    bus.plug(2, "1-5")
    lost, twin = identify("0"), identify("2")
    assert lost
    assert twin
    bus.unplug(0)
    assert find_again(lost, [twin]) is None
    bus.plug(6, "1-6")
    assert find_again(lost, [twin]) == identify("6")
    bus.plug(0, "1-4")
    assert find_again(lost, [twin]) == lost


def test_another_serial_in_its_port_is_another_camera(bus: Bus) -> None:
    bus.plug(0, "1-4", serial="A1")
    lost = identify("0")
    assert lost
    bus.unplug(0)
    bus.plug(0, "1-4", serial="B2")
    assert find_again(lost) is None


few = st.sampled_from(["a", "b"])
some = st.builds(Device, path=st.sampled_from(["/dev/video0", "/dev/video2"]), name=few, model=few,
                 serial=st.sampled_from(["", "s"]), port=st.sampled_from(["1", "2", "3"]))  # fmt: skip


@given(lost=some, now=st.lists(some, max_size=4, unique_by=lambda d: d.port), others=st.lists(some, max_size=2))
def test_what_is_found_is_always_of_the_same_kind_and_was_not_there_before(
    lost: Device, now: list[Device], others: list[Device]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "video_devices", lambda: now)
        found = find_again(lost, others)
    if found:
        assert found in now
        assert found.is_like(lost)
        assert found.port not in {d.port for d in others}
    elif lost in now:
        assert lost.port in {d.port for d in others}


def test_elsewhere_an_index_is_trusted_while_the_same_cameras_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["FaceTime", "HD Webcam"]
    monkeypatch.setattr(devices, "IS_LINUX", False)
    monkeypatch.setattr(devices, "_camera_names", lambda: names)
    lost = identify("1")
    assert lost
    assert find_again(lost) == lost
    names = ["FaceTime"]
    assert find_again(lost) is None
    names = []
    assert identify("1") is None


def test_who_holds_and_who_watches_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "video10"
    path.touch()
    opened = Openings(str(path))
    assert not opened.any()
    assert not holders(str(path))
    code = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.readline()"
    watcher = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(watcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        assert opened.any()
        assert opened.any()
        ((number, name),) = holders(str(path))
        assert number == process.pid
        assert name.startswith("python")
        process.communicate("end\n")
    assert not opened.any()
    with path.open(), path.open():
        assert opened.any()
    assert not opened.any()
    opened.close()
    opened.close()
    with pytest.raises(FileNotFoundError):
        Openings(str(tmp_path / "none"))
