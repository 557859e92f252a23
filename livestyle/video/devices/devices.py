"""Video devices as the system shows them: what they are, how to know one again, who uses one."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

VIDEO = Path("/sys/class/video4linux")
PROCESSES = Path("/proc")
IS_LINUX = sys.platform.startswith("linux")
LISTERS = {"darwin": "avfoundation", "win32": "dshow"}  # what FFmpeg lists cameras with


@dataclass(frozen=True)
class Device:
    """A camera, or a device that passes for one.

    Args:
        path: what opens it. This alone may change while it is away.
        name: what its maker calls it.
        model: USB vendor, product and interface, or the driver.
        serial: "" where it has none.
        port: where on the bus it is plugged in.
    """

    path: str
    name: str
    model: str
    serial: str
    port: str

    def is_like(self, other: "Device") -> bool:
        """Return whether all agrees that belongs to the camera, wherever it is plugged in."""
        return (self.name, self.model, self.serial) == (other.name, other.model, other.serial)


def video_devices() -> list[Device]:
    """Return the capture devices that Linux shows, the lowest number first; elsewhere none."""
    found = []
    for entry in sorted(VIDEO.glob("video*"), key=lambda path: int(path.name[5:])):
        with suppress(OSError):  # it may go away while it is read
            if _read(entry / "index") == "0":  # the others are metadata nodes
                found.append(_device(entry))
    return found


def _device(entry: Path) -> Device:
    """Return the device of a folder in VIDEO."""
    path, name = f"/dev/{entry.name}", (entry / "name").read_text().strip()
    if not (entry / "device").exists():  # a virtual one; loopback modules know it by its number
        return Device(path, name, "virtual", "", entry.name)
    place = (entry / "device").resolve()
    vendor, product = _read(place.parent / "idVendor"), _read(place.parent / "idProduct")
    usb = f"{vendor}:{product} interface {_read(place / 'bInterfaceNumber')}" if vendor else ""
    return Device(path, name, usb or f"driver {driver_of(place)}", _read(place.parent / "serial"), place.name)


def driver_of(place: Path) -> str:
    """Return the driver of a device's folder in /sys, "" where none is bound."""
    return (place / "driver").resolve().name if (place / "driver").exists() else ""


def _read(path: Path) -> str:
    """Return a line of /sys, "" where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def identify(address: str) -> Device | None:
    """Return the device that a camera's index or path stands for now, None where the system does not tell."""
    if IS_LINUX:
        path = os.path.realpath(f"/dev/video{address}" if address.isdecimal() else address)
        return next((device for device in video_devices() if device.path == path), None)
    names = _camera_names()  # as long as the same cameras are there, an index means the same one
    return Device(address, address, ", ".join(sorted(names)), "", address) if names else None


def _camera_names() -> list[str]:
    import av

    lister = getattr(av, "enumerate_input_devices", None)  # since PyAV 17
    if lister is None or sys.platform not in LISTERS:
        return []
    with suppress(av.FFmpegError, ValueError, OSError):
        return [device.name for device in lister(LISTERS[sys.platform]) if "video" in device.media_types]
    return []


def find_again(lost: Device, others: Iterable[Device] = ()) -> Device | None:
    """Return the same camera, wherever it is plugged in now. Return None rather than another one.

    Args:
        lost: the camera as it was.
        others: the devices that were there while it was away, and so are not it.
    """
    if not IS_LINUX:
        now = identify(lost.path)
        return now if now == lost else None
    ports = {other.port for other in others}
    twins = [device for device in video_devices() if device.is_like(lost) and device.port not in ports]
    at_home = [device for device in twins if device.port == lost.port]
    if at_home:
        return at_home[0]
    return twins[0] if len(twins) == 1 else None


def holders(path: str) -> list[tuple[int, str]]:
    """Return id and name of the other processes that have a device open, as far as we may ask about them."""
    found = []
    for process in PROCESSES.glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if any(_opens(link, path) for link in (process / "fd").iterdir()):
                found.append((int(process.name), _read(process / "comm") or "?"))
    return sorted(found)


def _opens(link: Path, path: str) -> bool:
    try:
        return str(link.readlink()) == path
    except OSError:  # closed meanwhile
        return False


class Openings:
    """Watch whether others have a file open. inotify says that something changed, and /proc says what.

    Args:
        path: of the file.

    Raises:
        OSError: there is no inotify, or no such file.
    """

    OPEN, CLOSE = 0x20, 0x08 | 0x10
    HEAD = struct.Struct("iIII")

    def __init__(self, path: str) -> None:
        self._path, self._file = path, -1
        if not IS_LINUX:
            raise OSError("This system has no inotify.")
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0 or libc.inotify_add_watch(self._file, os.fsencode(path), self.OPEN | self.CLOSE) < 0:
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, os.strerror(number), path)
        self._seen = self._count = len(holders(path))

    def any(self) -> bool:
        """Return whether somebody opened the file and has not closed it yet."""
        changes = self._changes()
        if changes:
            seen = len(holders(self._path))
            # Equal events in a row come as one, so the count drifts; it serves for processes that we may not ask about.
            self._count = 0 if self._seen and not seen else max(seen, self._count + sum(changes), 0)
            self._seen = seen
        return self._count > 0

    def _changes(self) -> list[int]:
        """Return what happened since the last call: 1 for each opening, -1 for each closing."""
        found = []
        with suppress(BlockingIOError):
            while events := os.read(self._file, 4096):
                at = 0
                while at < len(events):
                    _, mask, _, length = self.HEAD.unpack_from(events, at)
                    at += self.HEAD.size + length
                    found.append(1 if mask & self.OPEN else -1)
        return found

    def close(self) -> None:
        """Stop watching."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
