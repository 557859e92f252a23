"""Whether there is a screen to open a window on."""

import ctypes
import ctypes.util
import os
import sys
from pathlib import Path

HEADLESS = {"offscreen", "minimal"}  # of QT_QPA_PLATFORM
XCB, WAYLAND = "xcb", "wayland"  # Qt's names for X11 and Wayland


def needs_display() -> bool:
    """Return whether windows want a server that may be missing."""
    return sys.platform.startswith("linux") and os.environ.get("QT_QPA_PLATFORM") not in HEADLESS


def has_x_display() -> bool:
    """Return whether an X server answers."""
    try:
        x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    except OSError:
        return bool(os.environ.get("DISPLAY"))
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if display:
        x11.XCloseDisplay(display)
    return bool(display)


def has_wayland_display() -> bool:
    """Return whether a Wayland compositor has its socket there."""
    name = os.environ.get("WAYLAND_DISPLAY", "")
    return bool(name) and (Path(os.environ.get("XDG_RUNTIME_DIR", "")) / name).is_socket()


def has_display() -> bool:
    """Return whether there is a screen."""
    return not needs_display() or has_x_display() or has_wayland_display()


def qt_platform() -> str:
    """Return XCB or WAYLAND, whichever is there on Linux."""
    return WAYLAND if has_wayland_display() else XCB
