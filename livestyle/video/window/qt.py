"""Windows of Qt 6. This imports PySide6, so import it only where that is installed.

Qt has sharp letters on fine screens, Wayland without XWayland, and keys that do not repeat.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PySide6.QtCore import QBuffer, QEvent, QIODevice, QMimeData, Qt, QUrl
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.video.window.canvas import TITLE, Canvas, Drop, Event, Fault, Fit, Pointer
from livestyle.video.window.display import qt_platform
from livestyle.video.window.pasted import keep_picture

KEYS = {
    Qt.Key.Key_Space: "space", Qt.Key.Key_Tab: "tab", Qt.Key.Key_Escape: "esc", Qt.Key.Key_Return: "enter",
    Qt.Key.Key_Enter: "enter", Qt.Key.Key_Backspace: "backspace",
}  # fmt: skip
POINTER_KINDS = {
    QEvent.Type.MouseButtonPress: "press", QEvent.Type.MouseButtonDblClick: "double", QEvent.Type.MouseMove: "move",
}  # fmt: skip
PICTURE_TYPES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/bmp": ".bmp"}
MAX_WORDS = 4000  # letters of a text that is looked through for paths
UNCOMPRESSED = 100  # of Qt's quality of a PNG, since somebody waits


class QtCanvas(Canvas):
    """A window of Qt.

    Args:
        fit: chooses the size of the content at first.
    """

    name = "Qt"

    def __init__(self, fit: Fit) -> None:
        with qt_of_its_own():
            self._app = QApplication.instance() or QApplication([TITLE])
        self._widget = Widget()
        screen = QGuiApplication.primaryScreen().availableGeometry()
        self._widget.resize(*fit((screen.width(), screen.height())))
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
        return self._widget.taken()

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


class Widget(QWidget):
    """Shows a picture, and notes what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self._image, self._events, self._scale = QImage(), list[Event](), 1.0
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(240, 135)
        self.setMouseTracking(True)
        self.setAcceptDrops(True)

    def put(self, image: Image, scale: float) -> None:
        """Show a picture.

        Args:
            image: uint8 (H, W, 3) RGB, of the size of the widget in pixels.
            scale: pixels per point.
        """
        height, width = image.shape[:2]
        self._pixels = np.ascontiguousarray(image)  # QImage does not keep it
        self._image = QImage(self._pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._image.setDevicePixelRatio(scale)
        self._scale = scale
        self.update()

    def taken(self) -> list[Event]:
        """Return what happened since the last call."""
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
        if event.matches(QKeySequence.StandardKey.Paste):
            self._events.append(given(QGuiApplication.clipboard().mimeData()))
            return
        text = event.text()
        word = KEYS.get(Qt.Key(event.key())) or (text if text.isprintable() else "")
        if word and not event.isAutoRepeat():
            self._events.append(word)

    def _pointed(self, event: QMouseEvent) -> None:
        at, kind = event.position() * self._scale, POINTER_KINDS[event.type()]
        if event.button() == Qt.MouseButton.RightButton:
            kind = "second"
        elif not event.buttons() & Qt.MouseButton.LeftButton:
            kind = "hover"
        self._events.append(Pointer(kind, int(at.x()), int(at.y())))

    mousePressEvent = mouseMoveEvent = mouseDoubleClickEvent = _pointed

    def leaveEvent(self, event: QEvent) -> None:
        self._events.append(Pointer("hover", -1, -1))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            self._take(event)
            self._events.append(Drop())

    @staticmethod
    def _take(event: QDropEvent) -> None:
        event.setDropAction(Qt.DropAction.CopyAction)  # a move would let the other program delete the file
        event.accept()

    def dropEvent(self, event: QDropEvent) -> None:
        self._take(event)
        is_backdrop = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._events.append(given(event.mimeData(), is_backdrop))

    def closeEvent(self, event: QCloseEvent) -> None:
        self._events.append("quit")
        super().closeEvent(event)


def given(mime: QMimeData, is_backdrop: bool = False) -> Drop | Fault:
    """Return the event of what was dropped or pasted: files, else a picture's data, else addresses."""
    urls = mime.urls() or urls_in(mime.text())
    paths = [url.toLocalFile() for url in urls if url.isLocalFile()]
    try:
        data, suffix = (b"", "") if paths else picture_data(mime)
        paths = [keep_picture(data, suffix)] if data else paths
    except UserError as error:
        return Fault(str(error))
    found = tuple(paths or [url.toString() for url in urls])
    return Drop(found, is_backdrop) if found else Fault("That is no picture. Give a file, or a picture itself.")


def urls_in(text: str) -> list[QUrl]:
    """Return the addresses and the paths of files among the lines of a text."""
    lines = [line.strip(" '\"\r\t") for line in text[:MAX_WORDS].split("\n")]
    return [
        QUrl(line) if "://" in line else QUrl.fromLocalFile(line)
        for line in lines if "://" in line or (Path(line).is_absolute() and os.path.exists(line))
    ]  # fmt: skip


def picture_data(mime: QMimeData) -> tuple[bytes, str]:
    """Return the file of a picture that comes without one, and the suffix of its name; b"" where there is none."""
    for kind, suffix in PICTURE_TYPES.items():
        if mime.hasFormat(kind):
            return bytes(mime.data(kind).data()), suffix
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if mime.hasImage():
        QImage(mime.imageData()).save(buffer, "PNG", UNCOMPRESSED)  # type: ignore[call-overload]
    return bytes(buffer.data().data()), ".png"


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
