"""What this machine has and lacks, and the command that mends it."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livestyle import __version__
from livestyle.config.load import load_config
from livestyle.errors import UserError, has_package, pip, pip_install
from livestyle.live.client import running, runtime_folder
from livestyle.live.endpoint import private
from livestyle.live.keys import checked_keys
from livestyle.nets.card import ROW
from livestyle.nets.engine import choose_engine, cpu_name
from livestyle.nets.gallery_rows import read_row
from livestyle.nets.library import cache_folder, find_nets, find_rows
from livestyle.nets.style_reader import MIN_SIDE_PX
from livestyle.render.picture_rows import open_predictor
from livestyle.video.devices import loopback
from livestyle.video.devices.devices import IS_LINUX, Device, holders, video_devices
from livestyle.video.devices.loopback import loopbacks
from livestyle.video.devices.v4l2 import Mode, modes
from livestyle.video.sinks.sink import Stream
from livestyle.video.sinks.virtual_camera import VirtualCamera
from livestyle.video.sound import microphones
from livestyle.video.window.display import has_display
from livestyle.video.window.toolkits import TOOLKITS, qt_fix

PACKAGES = (
    "numpy",
    "opencv-contrib-python",
    "openvino",
    "av",
    "typer",
    "rich",
    "platformdirs",
    "pyvirtualcam",
    "pillow",
    "safetensors",
)
EXTRAS = {
    "torch": "torch", "mediapipe": "mediapipe", "PySide6-Essentials": "window", "sounddevice": "microphone",
    "pillow-heif": "heif", "pymatting": "matting",
}  # fmt: skip
LOADED = {  # of these, what is loaded to see whether that works, and what mends it
    "PySide6-Essentials": ("PySide6.QtWidgets", qt_fix),
    "pillow-heif": ("pillow_heif", lambda reason: pip("install --force-reinstall pillow-heif")),
}
USUAL = ("MJPG", "YUYV", "NV12", "H264")  # formats of cameras
LEAST_DISK = 1.0  # GB
REINSTALL = pip("install --force-reinstall livestyle")


@dataclass(frozen=True)
class Check:
    """A finding; `fix` is what to do where it is not ok. Optional things are ok when missing, and say so."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def _python() -> Iterator[Check]:
    ok = (3, 10) <= sys.version_info[:2] <= (3, 13)
    system = f"Python {platform.python_version()} on {platform.platform()}, {cpu_name()}, {os.cpu_count()} cores"
    yield Check("livestyle", True, __version__)
    yield Check("python", ok, system, "" if ok else "Install Python 3.10 to 3.13.")


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(f"package {name}", True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(f"package {name}", False, "missing", pip(f"install {name}"))
    doubles = [n for n in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless") if _has(n)]
    if doubles:
        fix = f"{pip('uninstall -y')} {' '.join(doubles)} && {pip('install --force-reinstall opencv-contrib-python')}"
        yield Check("one OpenCV", False, f"{', '.join(doubles)} overwrites opencv-contrib-python", fix)
    for name, extra in EXTRAS.items():
        lacking = Check(f"extra {name}", True, f"not installed (optional: {pip_install(extra)})")
        yield _loaded(name) if _has(name) else lacking


def _loaded(name: str) -> Check:
    """Check that an installed package can be loaded: in a process of its own, which it may end."""
    version, (module, mend) = importlib.metadata.version(name), LOADED.get(name, ("", None))
    reason = why_not_loaded(module) if module else ""
    detail = f"{version} does not load: {reason}" if reason else version
    return Check(f"extra {name}", not reason, detail, mend(reason) if reason and mend else "")


def why_not_loaded(module: str) -> str:
    """Return why a module cannot be imported here, or ""."""
    program = f"import sys; sys.path[:] = {sys.path}; import {module}"
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    said = done.stderr.strip().splitlines() or [f"it ends its process ({done.returncode})"]
    return said[-1].partition("Error: ")[2] or said[-1] if done.returncode else ""


def _has(distribution: str) -> bool:
    try:
        return bool(importlib.metadata.version(distribution))
    except importlib.metadata.PackageNotFoundError:
        return False


def _engines() -> Iterator[Check]:
    for device in ("cpu", "cuda", "mps"):
        if device != "cpu" and not has_package("torch"):
            continue
        try:
            yield Check(f"engine {device}", True, choose_engine(device).detail)
        except UserError as error:
            yield Check(f"engine {device}", device != "cpu", f"not here (optional): {error.problem}")
    yield Check("engine auto", True, f"--device auto takes: {choose_engine().detail}")


def _cameras() -> Iterator[Check]:
    """Check the formats and rates of each camera, the rights, and who uses it."""
    found = [device for device in video_devices() if device not in loopbacks()]
    for device in found:
        yield _camera(device)
    if not found:
        is_known = IS_LINUX
        detail = "none found" if is_known else "not looked for on this system; try: livestyle live --source 0"
        fix = "Plug one in; until then: livestyle live --source demo" if is_known else ""
        yield Check("camera", not is_known, detail, fix)


def _camera(device: Device) -> Check:
    name = f"camera {device.path}"
    if not os.access(device.path, os.R_OK | os.W_OK):
        return Check(
            name, False, f"{device.name}: you may not open it", 'sudo usermod -aG video "$USER", then log in again'
        )
    users = holders(device.path)
    if users:
        who = ", ".join(f"{program} (process {number})" for number, program in users)
        return Check(name, False, f"{device.name}: in use by {who}", f"Close it, or: kill {users[0][0]}")
    return Check(name, True, f"{device.name}: {offer(modes(device.path)) or 'it does not list what it gives'}")


def offer(found: list[Mode]) -> str:
    """Return the three largest sizes of the usual formats, with their rates."""
    words, codes = [], dict.fromkeys(mode.code for mode in found)
    for code in [code for code in USUAL if code in codes] or list(codes)[:2]:
        sizes = sorted((m for m in found if m.code == code), key=lambda m: (m.width * m.height, m.fps), reverse=True)
        words.append(f"{code} " + ", ".join(f"{m.width}x{m.height} at {m.fps:g}" for m in sizes[:3]))
    return "; ".join(words)


def _loopback() -> Iterator[Check]:
    """Check the kernel module that makes virtual cameras on Linux."""
    if not IS_LINUX:
        return
    install = loopback.install_command()
    if not loopback.MODULE.exists():
        fix = f"{install}{loopback.MODPROBE}"
        if is_secure_boot():
            fix += "  (Secure Boot loads signed modules only: sudo mokutil --import /var/lib/dkms/mok.pub, and restart)"
        yield Check("v4l2loopback", False, "not loaded" if not install else "not installed", fix)
        return
    made = loopback.loopbacks()
    exclusive = loopback.exclusive()
    names = ", ".join(f"{device.path} ({device.name})" for device in made) or "no device"
    yield Check("v4l2loopback", bool(made), f"{loopback.version()}: {names}", "" if made else loopback.RELOAD)
    yield Check(
        "v4l2loopback exclusive_caps", exclusive, "1" if exclusive else "0: browsers do not list the device",
        "" if exclusive else loopback.RELOAD,
    )  # fmt: skip
    kept = loopback.is_loaded_at_start()
    hint = "" if kept else f"not loaded when the computer starts (optional: {loopback.AT_START})"
    yield Check("v4l2loopback at start", True, hint or "loaded when the computer starts")


def is_secure_boot() -> bool:
    """Return whether the firmware started the system with Secure Boot."""
    with suppress(OSError):
        return any(f.read_bytes()[4:5] == b"\1" for f in Path("/sys/firmware/efi/efivars").glob("SecureBoot-*"))
    return False


def _virtual_camera() -> Iterator[Check]:
    try:
        with VirtualCamera("", Stream((640, 360), 30.0)) as camera:
            yield Check("virtual camera", True, camera.info.name)
    except UserError as error:
        fix = error.step.removeprefix("Make one: ").partition("\n")[0]
        yield Check("virtual camera", False, error.problem, fix)


def _obs() -> Iterator[Check]:
    """OBS, whose virtual camera macOS and Windows need."""
    if platform.system() == "Darwin":
        listed = said("systemextensionsctl", "list")
        ok = "com.obsproject.obs-studio.mac-camera-extension" in listed and "activated enabled" in listed
        fix = "Install OBS 30 or newer, press Start Virtual Camera once, allow it among Login Items & Extensions"
        yield Check("OBS camera extension", ok, "active" if ok else "not active", "" if ok else fix)
    elif platform.system() == "Windows":
        listed = said("reg", "query", r"HKCR\CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}")
        fix = "Install OBS Studio (https://obsproject.com) and press Start Virtual Camera once"
        yield Check(
            "OBS virtual camera", bool(listed), "registered" if listed else "not registered", "" if listed else fix
        )


def said(*command: str) -> str:
    """Return what a program prints, or "" if it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _pipewire() -> Iterator[Check]:
    """Check PipeWire, through which sandboxed browsers see cameras."""
    if not IS_LINUX:
        return
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    running = processes()
    is_on = (runtime / "pipewire-0").exists()
    version = said("pipewire", "--version").partition("libpipewire ")[2].split()
    portals = sorted(name for name in running if name.startswith("xdg-desktop-por"))
    detail = f"{' '.join(version[:1])} running".strip() if is_on else "not running (optional)"
    if is_on and not loopback.MODULE.exists():
        detail += f"; it is no virtual camera by itself: {loopback.WITHOUT}"
    yield Check("PipeWire", True, detail)
    words = "running" if portals else "not running (optional; sandboxed programs ask it for cameras and shared windows)"
    yield Check("camera portal", True, words)


def _microphone() -> Iterator[Check]:
    """Check what recordings can hear."""
    try:
        found = microphones()
        yield Check("microphone", True, ", ".join(found) or "none found (optional; for --microphone)")
    except UserError as error:
        command = error.step.removeprefix("Run: ")
        yield Check("microphone", True, f"not to be heard (optional; for --microphone: {command})")


def processes() -> set[str]:
    """Return the names of running processes. Linux gives at most 15 letters of each."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            found.add(file.read_text().strip())
    return found


def _display() -> Iterator[Check]:
    """Check the screen, and which toolkits open windows on it."""
    kind = os.environ.get("XDG_SESSION_TYPE", "")
    shown = [f"{name}={value}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if (value := os.environ.get(name))]
    detail = " ".join([kind, *shown]).strip() or sys.platform
    if not has_display():
        yield Check("display", False, f"none ({detail})", "Use --sink file:OUT.mp4 or virtual-camera.")
        return
    yield Check("display", True, detail)
    reasons = {name: why() for name, (why, _) in TOOLKITS.items()}
    lacking = "; ".join(f"not {name}: {reason}" for name, reason in reasons.items() if reason)
    works = [name for name, reason in reasons.items() if not reason]
    fix = "" if works else qt_fix(lacking)
    yield Check("window", bool(works), "; ".join([*works[:1], *([lacking] if lacking else [])]), fix)


def _gpu() -> Iterator[Check]:
    """Check the graphics cards, and whether an installed package can use them."""
    makers = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
    cards = set()
    for file in Path("/sys/class/drm").glob("card[0-9]/device/vendor"):
        with suppress(OSError):
            cards.add(makers.get(file.read_text().strip(), "another maker's"))
    if Path("/proc/driver/nvidia/version").exists():
        cards.add("NVIDIA")
    detail = ", ".join(sorted(cards)) or "none found"
    if "NVIDIA" in cards and not has_package("torch"):
        detail += f" (optional: {pip_install('torch')} uses it)"
    yield Check("graphics card", True, detail)


def _room() -> Iterator[Check]:
    """Disk and memory."""
    for name, folder in (("home", Path.home()), ("cache", cache_folder())):
        there = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
        free = shutil.disk_usage(there).free / 1e9
        ok = free > LEAST_DISK
        yield Check(f"disk {name}", ok, f"{free:.1f} GB free", "" if ok else f"Free space: at least {LEAST_DISK:g} GB")


def _models() -> Iterator[Check]:
    for kind in ("style", "segmenter"):
        cards = find_nets(kind)
        bad = []
        for card in cards.values():
            try:
                card.path(".safetensors" if card.net == ROW else ".onnx")
            except UserError as error:
                bad.append(str(error))
        ok = bool(cards) and not bad
        yield Check(f"{kind}s", ok, "; ".join(bad) or ", ".join(cards) or "none", "" if ok else REINSTALL)
    yield _gallery()
    yield _predictor()


def _gallery() -> Check:
    """The styles that are rows of one network: they share a file."""
    try:
        rows = find_rows()
        for card in rows.values():
            read_row(card)
    except UserError as error:
        return Check("gallery", False, str(error), REINSTALL)
    return Check("gallery", True, f"{len(rows)} styles")


def _predictor() -> Check:
    """Check that any picture can be a style: read one that is made here."""
    try:
        predictor = open_predictor(None)
        predictor.card.path(".onnx")
        predictor.read(np.zeros((MIN_SIDE_PX, MIN_SIDE_PX, 3), np.uint8))
    except UserError as error:
        return Check("pictures as styles", False, error.problem, REINSTALL)
    return Check("pictures as styles", True, predictor.card.name)


def _config() -> Iterator[Check]:
    """Config files, and whether a running filter can be reached."""
    try:
        found = load_config()
        checked_keys(found.keys)
        files = ", ".join(map(str, found.files))
        yield Check("config", True, files or "no file, so all is as by default")
    except UserError as error:
        yield Check("config", False, error.problem, "livestyle config edit")
    try:
        private(runtime_folder())
        filters = running()
        yield Check("ctl", True, f"running: {', '.join(filters)}" if filters else "no filter is running")
    except OSError as error:
        yield Check("ctl", False, str(error), "export XDG_RUNTIME_DIR=/run/user/$(id -u)")


CHECKS: dict[str, Callable[[], Iterator[Check]]] = {  # what is checked, by name, in this order
    "python": _python, "packages": _packages, "engines": _engines, "gpu": _gpu, "cameras": _cameras,
    "loopback": _loopback, "virtual-camera": _virtual_camera, "obs": _obs, "pipewire": _pipewire,
    "microphone": _microphone, "display": _display, "models": _models, "config": _config, "room": _room,
}  # fmt: skip


def examine() -> list[Check]:
    """Yield the results of every check of CHECKS."""
    return [check for checks in CHECKS.values() for check in checks()]
