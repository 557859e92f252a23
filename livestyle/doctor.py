"""What this machine has and lacks, and the command that mends it."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from livestyle.engine import choose_engine, cpu_name, has_package
from livestyle.errors import UserError
from livestyle.sinks import Stream, VirtualCamera, has_display
from livestyle.sources import list_cameras
from livestyle.weights import find_cards

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
)
EXTRAS = {"torch": "livestyle[torch]", "mediapipe": "livestyle[mediapipe]"}
REINSTALL = "pip install --force-reinstall livestyle"


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
    yield Check("python", ok, system, "" if ok else "Install Python 3.10 to 3.13.")


def _packages() -> Iterator[Check]:
    for name in PACKAGES:
        try:
            yield Check(f"package {name}", True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(f"package {name}", False, "missing", f"pip install {name}")
    doubles = [n for n in ("opencv-python", "opencv-python-headless", "opencv-contrib-python-headless") if _has(n)]
    if doubles:
        fix = f"pip uninstall -y {' '.join(doubles)} && pip install --force-reinstall opencv-contrib-python"
        yield Check("one OpenCV", False, f"{', '.join(doubles)} overwrites opencv-contrib-python", fix)
    for name, extra in EXTRAS.items():
        found = importlib.metadata.version(name) if _has(name) else f"not installed (optional: pip install '{extra}')"
        yield Check(f"extra {name}", True, found)


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
    found = list_cameras()
    if found:
        for device, name in found.items():
            ok = os.access(device, os.R_OK | os.W_OK)
            yield Check(f"camera {device}", ok, name, "" if ok else 'sudo usermod -aG video "$USER", then log in again')
    elif not sys.platform.startswith("linux"):
        yield Check("camera", True, "not looked for on this system; try: livestyle live --source 0")
    else:
        yield Check("camera", False, "none found", "Plug one in; until then: livestyle live --source demo")


def _virtual_camera() -> Iterator[Check]:
    try:
        with VirtualCamera("", Stream((640, 360), 30.0)) as camera:
            yield Check("virtual camera", True, camera.name)
    except UserError as error:
        yield Check("virtual camera", False, error.problem, error.step.removeprefix("Make one: "))


def _display() -> Iterator[Check]:
    ok = has_display()
    detail = os.environ.get("DISPLAY") or sys.platform
    yield Check("display", ok, detail if ok else "none", "" if ok else "Use --sink file:OUT.mp4 or virtual-camera.")


def _models() -> Iterator[Check]:
    for kind in ("style", "segmenter"):
        cards = find_cards(kind)
        bad = []
        for card in cards.values():
            try:
                card.path(".onnx")
            except UserError as error:
                bad.append(str(error))
        ok = bool(cards) and not bad
        yield Check(f"{kind}s", ok, "; ".join(bad) or ", ".join(cards) or "none", "" if ok else REINSTALL)


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    _python, _packages, _engines, _cameras, _virtual_camera, _display, _models,
)  # fmt: skip


def examine() -> list[Check]:
    """Every check of CHECKS."""
    return [check for checks in CHECKS for check in checks()]
