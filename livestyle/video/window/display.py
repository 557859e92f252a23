"""Whether there is a screen to open a window on."""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from livestyle.types import Size

HEADLESS = {"offscreen", "minimal"}  # of QT_QPA_PLATFORM
USUAL_SCREEN = 1366, 768
XCB, WAYLAND = "xcb", "wayland"  # Qt's names for X11 and Wayland


def needs_display() -> bool:
    """Return whether windows want a server that may be missing."""
    return sys.platform.startswith("linux") and os.environ.get("QT_QPA_PLATFORM") not in HEADLESS


def has_x_display() -> bool:
    """Return whether an X server answers."""
    try:
        with x_display() as (_, display):
            return bool(display.value)
    except OSError:
        return bool(os.environ.get("DISPLAY"))


@contextmanager
def x_display() -> Iterator[tuple[ctypes.CDLL, ctypes.c_void_p]]:
    """Give Xlib and a connection to the X server, which is null where none answers.

    Raises:
        OSError: there is no Xlib.
    """
    x11 = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    try:
        yield x11, display
    finally:
        if display.value:
            x11.XCloseDisplay(display)


def screen_size() -> Size:
    """Return the width and height of the screen, for toolkits that do not tell; a usual size where it is unknown."""
    size = 0, 0
    with suppress(OSError, AttributeError):
        if sys.platform == "win32":
            size = ctypes.windll.user32.GetSystemMetrics(0), ctypes.windll.user32.GetSystemMetrics(1)
        elif sys.platform == "darwin":
            quartz = ctypes.CDLL(ctypes.util.find_library("CoreGraphics"))
            main = quartz.CGMainDisplayID()
            size = quartz.CGDisplayPixelsWide(main), quartz.CGDisplayPixelsHigh(main)
        else:
            size = x_screen_size()
    return size if min(size) > 0 else USUAL_SCREEN


class XMonitor(ctypes.Structure):
    """XineramaScreenInfo of Xinerama.h."""

    _fields_ = (
        ("number", ctypes.c_int), ("left", ctypes.c_short), ("top", ctypes.c_short), ("width", ctypes.c_short),
        ("height", ctypes.c_short),
    )  # fmt: skip


def x_screen_size() -> Size:
    """Return the width and height of the first monitor of X, or of all as one where X does not tell them apart.

    Raises:
        OSError: there is no Xlib.
    """
    with x_display() as (x11, display):
        if not display.value:
            return 0, 0
        with suppress(OSError):
            xinerama, count = ctypes.CDLL(ctypes.util.find_library("Xinerama") or "libXinerama.so.1"), ctypes.c_int()
            xinerama.XineramaQueryScreens.restype = ctypes.POINTER(XMonitor)
            monitors = xinerama.XineramaQueryScreens(display, ctypes.byref(count))
            if count.value and monitors:
                size = monitors[0].width, monitors[0].height
                x11.XFree(monitors)
                return size
        screen = x11.XDefaultScreen(display)
        return x11.XDisplayWidth(display, screen), x11.XDisplayHeight(display, screen)


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
