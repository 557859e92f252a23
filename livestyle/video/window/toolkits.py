"""The table of toolkits: Qt where PySide6 is installed, else OpenCV's own windows."""

import ctypes
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from livestyle.config.names import unknown
from livestyle.errors import UserError, has_package, pip, pip_install
from livestyle.types import Size
from livestyle.video.window.canvas import Canvas, Fit
from livestyle.video.window.display import XCB, has_display, has_x_display, needs_display, qt_platform
from livestyle.video.window.layout import first_size
from livestyle.video.window.opencv import OpenCvCanvas

QT_LIBRARIES = (  # of the system, which PySide6 does not bring
    "sudo apt install libegl1 libgl1 libfontconfig1 libdbus-1-3 libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 "
    "libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0"
)


def qt_fix(reason: str) -> str:
    """Return the command that mends Qt, by why it does not work."""
    if ".so" in reason:
        return QT_LIBRARIES
    return (
        pip("install --force-reinstall 'PySide6-Essentials<6.12'") if has_package("PySide6") else pip_install("window")
    )


def why_no_qt() -> str:
    """Return why PySide6 opens no window here, or "". Qt ends the process where it cannot, so this looks first."""
    try:
        from PySide6 import __version_info__ as version_info
        from PySide6.QtCore import QLibraryInfo
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        return str(error)
    if sys.version_info < (3, 12) and version_info[:2] >= (6, 12):
        return f"PySide6 {version_info[0]}.{version_info[1]} ends programs of Python before 3.12 within minutes"
    if not needs_display() or QApplication.instance():
        return ""
    platform = qt_platform()
    if platform == XCB and not has_x_display():
        return "there is no screen"
    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms"
    reason = f"there is no plugin for {platform} in {folder}"
    for plugin in sorted(folder.glob(f"libq{platform}*.so")):
        try:
            ctypes.CDLL(str(plugin))
        except OSError as error:
            reason = str(error)
        else:
            return ""
    return reason


def open_qt(fit: Fit) -> Canvas:
    """Open a window of Qt. `fit` chooses the size of its content."""
    from livestyle.video.window.qt import QtCanvas

    return QtCanvas(fit)


def why_no_opencv() -> str:
    """Return why OpenCV opens no window here, or "". Its Qt brings the X11 plugin alone."""
    return "" if not needs_display() or has_x_display() else "it needs an X server"


TOOLKITS: dict[str, tuple[Callable[[], str], Callable[[Fit], Canvas]]] = {  # why one does not work, and its window
    "qt": (why_no_qt, open_qt),
    "opencv": (why_no_opencv, OpenCvCanvas),
}


def open_canvas(size: Size, toolkit: str = "", is_below: bool = False) -> Canvas:
    """Open a window.

    Args:
        size: of the pictures in pixels. The window suits them and the screen.
        toolkit: one of TOOLKITS, or "" for the first of them that works here.
        is_below: there is a bar below the pictures.

    Raises:
        UserError: there is no screen, no such toolkit, or it does not work here.
    """
    if toolkit and toolkit not in TOOLKITS:
        raise unknown("toolkit", toolkit, TOOLKITS)
    reasons = {}
    for name in [toolkit] if toolkit else TOOLKITS:
        why, opened = TOOLKITS[name]
        reasons[name] = why()
        if not reasons[name]:
            canvas = opened(partial(first_size, size, is_below))
            if reasons.get("qt") and has_package("PySide6"):
                canvas.note = (
                    f"The window is {canvas.name}'s: Qt does not load ({reasons['qt']}). See: livestyle doctor"
                )
            return canvas
    if not has_display():
        raise UserError(
            "There is no screen to open a window on.",
            "Write a clip instead: livestyle live --source demo --sink file:demo.mp4 --seconds 5",
        )
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise UserError(f"No window opens here ({told}).", f"Run: {qt_fix(told)}")
