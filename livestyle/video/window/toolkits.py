"""Windows of two toolkits behind one small face: Qt, where PySide6 is installed, else OpenCV's own.

Qt has sharp letters on fine screens, Wayland without XWayland, and keys that do not repeat.
"""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.types import Size

TITLE = "livestyle"
LEAST = 640  # pixels that a window is wide at first
CODES = {9: "tab", 10: "enter", 13: "enter", 27: "esc", 32: "space"}
HEADLESS = {"offscreen", "minimal"}  # of QT_QPA_PLATFORM
XCB, WAYLAND = "xcb", "wayland"


@dataclass(frozen=True)
class Pointer:
    """What the mouse did: "press", "move" with the button down, "double", or "second" for a press of the right
    button; in pixels of the content."""

    kind: str
    x: int
    y: int


Event = str | Pointer  # a key: one character, or a word for one that is none; "quit": the window was closed


class Canvas:
    """A window that shows pictures of its own size.

    Attributes:
        name: of the toolkit; size: of the content in pixels; scale: pixels per point.
    """

    name: str
    size: Size
    scale = 1.0

    def show(self, image: Image) -> None:
        """Show a picture."""
        raise NotImplementedError

    def events(self) -> list[Event]:
        """What happened since the last call."""
        raise NotImplementedError

    def title(self, text: str) -> None:
        """Name the window."""

    def full_screen(self, wanted: bool) -> None:
        """Fill the screen, or no longer."""

    def close(self) -> None:
        """Take it away."""


class OpenCvCanvas(Canvas):
    """OpenCV highgui: everywhere, in the size of points."""

    name = "OpenCV"

    def __init__(self, size: Size) -> None:
        self._shown, self._full, self._events = False, False, list[Event]()
        self.size = size
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(TITLE, *size)
        cv2.setMouseCallback(TITLE, self._pointed)

    def _pointed(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        kinds = {
            cv2.EVENT_LBUTTONDOWN: "press", cv2.EVENT_LBUTTONDBLCLK: "double", cv2.EVENT_RBUTTONDOWN: "second",
        }  # fmt: skip
        dragged = event == cv2.EVENT_MOUSEMOVE and flags & cv2.EVENT_FLAG_LBUTTON
        if kind := "move" if dragged else kinds.get(event):
            self._events.append(Pointer(kind, x, y))

    def show(self, image: Image) -> None:
        cv2.imshow(TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._shown = True

    def events(self) -> list[Event]:
        code = cv2.waitKeyEx(1) & 0xFFFF  # without NumLock and the like; keys without a character lie above 0xFF00
        if self._shown and not self._is_open():
            self._shown = False
            return ["quit"]
        _, _, width, height = cv2.getWindowImageRect(TITLE)
        if width > 0 and height > 0:
            self.size = width, height
        events, self._events = self._events, []
        if code in CODES or 32 < code < 127:
            events.append(CODES.get(code, chr(code)))
        return events

    def _is_open(self) -> bool:
        try:
            return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # Qt forgets everything with its last window
            return False

    def title(self, text: str) -> None:
        cv2.setWindowTitle(TITLE, text)

    def full_screen(self, wanted: bool) -> None:
        cv2.setWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN if wanted else cv2.WINDOW_NORMAL)

    def close(self) -> None:
        if self._shown:
            self._shown = False
            cv2.destroyAllWindows()
            cv2.waitKey(1)


class QtCanvas(Canvas):
    """Qt 6 through PySide6."""

    name = "Qt"

    def __init__(self, size: Size) -> None:
        from PySide6.QtWidgets import QApplication

        with qt_of_its_own():
            self._app = QApplication.instance() or QApplication([TITLE])
        self._widget = qt_widget()
        self._widget.resize(*size)
        self._widget.setWindowTitle(TITLE)
        self._widget.show()
        self._app.processEvents()
        self._measure()

    def _measure(self) -> None:
        self.scale = self._widget.devicePixelRatio()
        self.size = max(1, round(self._widget.width() * self.scale)), max(1, round(self._widget.height() * self.scale))

    def show(self, image: Image) -> None:
        self._widget.put(image, self.scale)

    def events(self) -> list[Event]:
        self._app.processEvents()
        self._measure()
        events: list[Event] = self._widget.taken()
        return events

    def title(self, text: str) -> None:
        self._widget.setWindowTitle(text)

    def full_screen(self, wanted: bool) -> None:
        if wanted:
            self._widget.showFullScreen()
        else:
            self._widget.showNormal()

    def close(self) -> None:
        self._widget.close()
        self._app.processEvents()


def qt_widget() -> Any:
    """A widget that shows a picture and notes what happens to it: `put(image, scale)`, `taken()`."""
    from PySide6.QtCore import QEvent, Qt
    from PySide6.QtGui import QCloseEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
    from PySide6.QtWidgets import QWidget

    words = {
        Qt.Key.Key_Space: "space", Qt.Key.Key_Tab: "tab", Qt.Key.Key_Escape: "esc", Qt.Key.Key_Return: "enter",
        Qt.Key.Key_Enter: "enter",
    }  # fmt: skip
    kinds = {
        QEvent.Type.MouseButtonPress: "press", QEvent.Type.MouseButtonDblClick: "double", QEvent.Type.MouseMove: "move",
    }  # fmt: skip

    class Widget(QWidget):
        def __init__(self) -> None:
            super().__init__()
            self._image, self._events = QImage(), list[Event]()
            self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
            self.setMinimumSize(240, 135)

        def put(self, image: Image, scale: float) -> None:
            height, width = image.shape[:2]
            self._pixels = np.ascontiguousarray(image)  # QImage does not keep it
            self._image = QImage(self._pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
            self._image.setDevicePixelRatio(scale)
            self._scale = scale
            self.update()

        def taken(self) -> list[Event]:
            events, self._events = self._events, []
            return events

        def paintEvent(self, event: QPaintEvent) -> None:
            painter = QPainter(self)
            if self._image.isNull():
                painter.fillRect(self.rect(), Qt.GlobalColor.black)
            else:
                painter.drawImage(self.rect(), self._image)
            painter.end()

        def focusNextPrevChild(self, forward: bool) -> bool:
            return False  # Tab is a key as any other

        def keyPressEvent(self, event: QKeyEvent) -> None:
            text = event.text()
            word = words.get(Qt.Key(event.key())) or (text if text.isprintable() else "")
            if word and not event.isAutoRepeat():
                self._events.append(word)

        def _pointed(self, event: QMouseEvent) -> None:
            is_second = event.button() == Qt.MouseButton.RightButton
            if is_second or event.buttons() & Qt.MouseButton.LeftButton:
                at = event.position() * self._scale
                self._events.append(Pointer("second" if is_second else kinds[event.type()], int(at.x()), int(at.y())))

        mousePressEvent = mouseMoveEvent = mouseDoubleClickEvent = _pointed

        def closeEvent(self, event: QCloseEvent) -> None:
            self._events.append("quit")
            super().closeEvent(event)

    return Widget()


@contextmanager
def qt_of_its_own() -> Iterator[None]:
    """Keep Qt 6 from OpenCV's Qt 5, which names its own plugins in the environment."""
    names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "QT_QPA_PLATFORM")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    if sys.platform.startswith("linux"):
        asked = before.get("QT_QPA_PLATFORM")
        os.environ["QT_QPA_PLATFORM"] = asked or qt_platform()
    try:
        yield
    finally:
        os.environ.pop("QT_QPA_PLATFORM", None)
        os.environ.update(before)


def qt_platform() -> str:
    """Of the two on Linux, the one that is there."""
    return WAYLAND if has_wayland_display() else XCB


QT = "pip install 'livestyle[window]'"
QT_LIBRARIES = (  # of X, which Qt does not bring
    "sudo apt install libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxkbcommon-x11-0"
)


def why_no_qt() -> str:
    """Why PySide6 opens no window here, or "". Qt ends the process where it cannot, so this looks first."""
    try:
        from PySide6.QtCore import QLibraryInfo
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        return str(error)
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


def needs_display() -> bool:
    """Whether windows want a server that may be missing."""
    return sys.platform.startswith("linux") and os.environ.get("QT_QPA_PLATFORM") not in HEADLESS


def has_x_display() -> bool:
    """Whether an X server answers."""
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
    """Whether a Wayland compositor has its socket there."""
    name = os.environ.get("WAYLAND_DISPLAY", "")
    return bool(name) and (Path(os.environ.get("XDG_RUNTIME_DIR", "")) / name).is_socket()


def has_display() -> bool:
    """Whether there is a screen."""
    return not needs_display() or has_x_display() or has_wayland_display()


def open_canvas(size: Size, toolkit: str = "") -> Canvas:
    """A window of about that size.

    Args:
        toolkit: one of TOOLKITS, or "" for the first of them that works here.

    Raises:
        UserError: there is no screen, no such toolkit, or it does not work here.
    """
    if toolkit and toolkit not in TOOLKITS:
        raise UserError(f"There is no toolkit '{toolkit}'.", f"Choose from: {', '.join(TOOLKITS)}.")
    grown = max(1.0, LEAST / size[0])
    size = round(size[0] * grown), round(size[1] * grown)
    reasons = {}
    for name in [toolkit] if toolkit else TOOLKITS:
        why, opened = TOOLKITS[name]
        reasons[name] = why()
        if not reasons[name]:
            return opened(size)
    if not has_display():
        raise UserError(
            "There is no screen to open a window on.",
            "Write a clip instead: livestyle live --source demo --sink file:demo.mp4 --seconds 5",
        )
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise UserError(f"No window opens here ({told}).", f"Run: {QT_LIBRARIES if '.so' in told else QT}")


def why_no_opencv() -> str:
    """Why OpenCV opens no window here, or "". Its Qt brings the X11 plugin alone."""
    return "" if not needs_display() or has_x_display() else "it needs an X server"


TOOLKITS: dict[str, tuple[Callable[[], str], Callable[[Size], Canvas]]] = {  # why one does not work, and its window
    "qt": (why_no_qt, QtCanvas),
    "opencv": (why_no_opencv, OpenCvCanvas),
}
