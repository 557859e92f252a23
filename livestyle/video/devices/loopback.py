"""v4l2loopback on Linux: find its devices, free them, and name the commands that make one."""

import os
import platform
from contextlib import suppress
from pathlib import Path

from livestyle.video.devices.devices import Device, holders, video_devices
from livestyle.video.devices.v4l2 import CAPTURE, OUTPUT, OUTPUT_BUFFERS, STREAM_ON, ask, capabilities, opened

LABEL = "livestyle"
MODULE = Path("/sys/module/v4l2loopback")
MODPROBE = f"sudo modprobe v4l2loopback video_nr=10 card_label={LABEL} exclusive_caps=1"
RELOAD = f"sudo modprobe -r v4l2loopback && {MODPROBE}"
WITHOUT = "livestyle live, and share its window in the call, or capture it in OBS."
AT_START = (
    "echo v4l2loopback | sudo tee /etc/modules-load.d/v4l2loopback.conf && "
    f"echo options {MODPROBE.removeprefix('sudo modprobe ')} | sudo tee /etc/modprobe.d/v4l2loopback.conf"
)
INSTALL = {  # by ID or ID_LIKE of /etc/os-release
    "debian": 'sudo apt install v4l2loopback-dkms "linux-headers-$(uname -r)"',
    "fedora": "sudo dnf install akmod-v4l2loopback && sudo akmods",  # from RPM Fusion
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
    "gentoo": "sudo emerge media-video/v4l2loopback",
    "void": "sudo xbps-install v4l2loopback",
}


def loopbacks() -> list[Device]:
    """Return the v4l2loopback devices, those called LABEL first."""
    found = [device for device in video_devices() if device.model == "virtual" and is_loopback(device.path)]
    return sorted(found, key=lambda device: device.name != LABEL)


def is_loopback(path: str) -> bool:
    """Return whether a device is v4l2loopback's, as far as we may know."""
    try:
        return capabilities(path)[0] == "v4l2 loopback"
    except OSError:
        return False


def free(path: str) -> None:
    """Make a device a sink again that its last sender left as neither source nor sink. Leave others alone.

    v4l2loopback before 0.13 leaves it so, with exclusive_caps.
    """
    with suppress(OSError):
        for _ in range(3):  # it takes one more opening until it is one
            driver, now = capabilities(path)
            if driver != "v4l2 loopback" or now & (CAPTURE | OUTPUT):
                return
            with suppress(OSError), opened(path) as file:
                ask(file, STREAM_ON, OUTPUT_BUFFERS)  # is refused, and resets the device


def find(name: str) -> str:
    """Return the path of a virtual camera, and free it.

    Args:
        name: its name or path, or "" for the first to which nobody sends.

    Returns:
        The path. It is `name` itself where there is none.
    """
    paths = [device.path for device in loopbacks() if not name or name in (device.path, device.name)]
    for path in paths:
        free(path)
        with suppress(OSError):
            if capabilities(path)[1] & OUTPUT:
                return path
    return paths[0] if paths and name else name


def trouble(name: str) -> tuple[str, str]:
    """Return why there is no virtual camera to write to, and the command that makes one."""
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
        paths = ", ".join(device.path for device in made)
        return f"{path} is no virtual camera.", f"Choose from: {paths}." if made else f"Make one: {MODPROBE}"
    if name and wanted:
        problem = f"The virtual camera {wanted[0].path} takes no pictures: another program may hold it."
        return problem, f"Close that, or run: {RELOAD}"
    problem = f"There is no virtual camera{name and ' '}{name} to write to."
    if MODULE.exists():
        return problem, f"Make one: {RELOAD}"
    return problem, f"Make one: {install_command()}{MODPROBE}\nWithout one: {WITHOUT}"


def install_command() -> str:
    """Return what installs the module on this distribution, with " && " behind it; "" where it is installed."""
    kernel = Path("/lib/modules", platform.release())
    if any(kernel.rglob("v4l2loopback.ko*")):
        return ""
    kinds = distribution()
    command = next((INSTALL[kind] for kind in kinds if kind in INSTALL), INSTALL["debian"])
    return f"{command} && "


def distribution() -> list[str]:
    """Return the ID of this Linux, then those of its ancestors."""
    facts = {}
    with suppress(OSError):
        facts = platform.freedesktop_os_release()
    words = f"{facts.get('ID', '')} {facts.get('ID_LIKE', '')}".split()
    return ["suse" if "suse" in word else {"ubuntu": "debian", "rhel": "fedora"}.get(word, word) for word in words]


def version() -> str:
    """Return the version of the module that is loaded, as far as it tells."""
    with suppress(OSError):
        return (MODULE / "version").read_text().strip()
    return "loaded"


def exclusive() -> bool:
    """Return whether every device is a camera only while somebody sends to it, which browsers ask for."""
    with suppress(OSError):
        flags = (MODULE / "parameters" / "exclusive_caps").read_text().strip().split(",")
        return all(flag == "Y" for flag in flags[: len(loopbacks())])
    return True  # it does not tell


def is_loaded_at_start() -> bool:
    """Return whether a file says that the module is loaded at start."""
    for folder in ("/etc/modules-load.d", "/usr/lib/modules-load.d", "/etc/modules"):
        for file in Path(folder).glob("*.conf") if Path(folder).is_dir() else [Path(folder)]:
            with suppress(OSError):
                if any(line.strip() == "v4l2loopback" for line in file.read_text().splitlines()):
                    return True
    return False
