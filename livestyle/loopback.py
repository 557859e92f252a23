"""v4l2loopback on Linux: its devices, found by name and freed, and the commands that make one."""

import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from livestyle.devices import Device, holders, video_devices

QUERY_CAPABILITIES, STREAM_ON = 0x80685600, 0x40045612  # ioctls of videodev2.h
CAPABILITIES = struct.Struct("16s32s32sIII12x")  # driver, card, bus, version, of the driver, of this device
CAPTURE, OUTPUT = 0x1, 0x2
OUTPUT_BUFFERS = struct.pack("i", 2)
LABEL = "livestyle"
MODULE = Path("/sys/module/v4l2loopback")
MODPROBE = f"sudo modprobe v4l2loopback video_nr=10 card_label={LABEL} exclusive_caps=1"
RELOAD = f"sudo modprobe -r v4l2loopback && {MODPROBE}"
INSTALL = {  # by ID or ID_LIKE of /etc/os-release
    "debian": 'sudo apt install v4l2loopback-dkms "linux-headers-$(uname -r)"',
    "fedora": "sudo dnf install akmod-v4l2loopback && sudo akmods",  # from RPM Fusion
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
    "gentoo": "sudo emerge media-video/v4l2loopback",
    "void": "sudo xbps-install v4l2loopback",
}


def loopbacks() -> list[Device]:
    """The v4l2loopback devices, those called LABEL first."""
    found = [device for device in video_devices() if device.model == "virtual" and is_loopback(device.path)]
    return sorted(found, key=lambda device: device.name != LABEL)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """A device's file descriptor.

    Raises:
        OSError: it does not open.
    """
    file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield file
    finally:
        os.close(file)


def capabilities(path: str) -> tuple[str, int]:
    """The driver of a device and what it can do now, as flags.

    Raises:
        OSError: it does not open, or is no video device.
    """
    import fcntl

    with opened(path) as file:
        answer = fcntl.ioctl(file, QUERY_CAPABILITIES, bytes(CAPABILITIES.size))
    driver, _, _, _, _, now = CAPABILITIES.unpack(answer)
    return driver.rstrip(b"\0").decode(errors="replace"), now


def is_loopback(path: str) -> bool:
    """Whether a device is v4l2loopback's, as far as we may know."""
    try:
        return capabilities(path)[0] == "v4l2 loopback"
    except OSError:
        return False


def free(path: str) -> None:
    """Make a device a sink again that its last sender left as neither source nor sink (v4l2loopback before 0.13, with
    exclusive_caps); others are left alone."""
    import fcntl

    with suppress(OSError):
        driver, now = capabilities(path)
        if driver == "v4l2 loopback" and not now & (CAPTURE | OUTPUT):
            with opened(path) as file:
                fcntl.ioctl(file, STREAM_ON, OUTPUT_BUFFERS)  # is refused, and resets the device


def find(name: str) -> str:
    """The path of a virtual camera, freed, for its name or path; for "", the first that nobody sends to, else ""."""
    paths = [device.path for device in loopbacks() if not name or name in (device.path, device.name)]
    for path in paths:
        free(path)
        with suppress(OSError):
            if capabilities(path)[1] & OUTPUT:
                return path
    return paths[0] if paths and name else name


def trouble(name: str) -> tuple[str, str]:
    """Why there is no virtual camera to write to, and the command that makes one."""
    made = loopbacks()
    wanted = [device for device in made if not name or name in (device.path, device.name)]
    for device in wanted:
        users = holders(device.path)
        if users:
            who = ", ".join(f"{program} (process {number})" for number, program in users)
            return f"The virtual camera {device.path} is in use by {who}.", "Close that, or name another device."
    path = name if name.startswith("/") else ""
    if path and os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        return f"You may not open {path}.", 'Run: sudo usermod -aG video "$USER", and log in again.'
    if path and os.path.exists(path) and not wanted:
        return f"{path} is no virtual camera.", f"Choose from: {', '.join(d.path for d in made) or MODPROBE}."
    problem = f"There is no virtual camera{name and ' '}{name} to write to."
    if MODULE.exists():
        return problem, f"Make one: {RELOAD}"
    return problem, f"Make one: {install_command()}{MODPROBE}"


def install_command() -> str:
    """What installs the module on this distribution, with the && behind it; "" where it is installed."""
    kernel = Path("/lib/modules", platform.release())
    if any(kernel.rglob("v4l2loopback.ko*")):
        return ""
    kinds = distribution()
    command = next((INSTALL[kind] for kind in kinds if kind in INSTALL), INSTALL["debian"])
    return f"{command} && "


def distribution() -> list[str]:
    """ID of this Linux, then those of its ancestors."""
    facts = {}
    with suppress(OSError):
        facts = platform.freedesktop_os_release()
    words = f"{facts.get('ID', '')} {facts.get('ID_LIKE', '')}".split()
    return ["suse" if "suse" in word else {"ubuntu": "debian", "rhel": "fedora"}.get(word, word) for word in words]
