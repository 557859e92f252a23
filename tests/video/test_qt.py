"""The window of Qt without a screen: what it shows, and what happens to it."""

import os
import subprocess
import sys

import pytest

CODE = """
import numpy as np
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication
from livestyle.video.window.canvas import Drop
from livestyle.video.window.toolkits import open_canvas

canvas = open_canvas((320, 180), "qt")
widget = canvas._widget
assert (canvas.name, canvas.size) == ("Qt", (800, 450))  # the whole width of the offscreen platform's screen


def key(code, text="", again=False):
    QApplication.sendEvent(
        widget, QKeyEvent(QEvent.Type.KeyPress, code, Qt.KeyboardModifier.NoModifier, text, again)
    )


def click(kind, button, buttons=None):
    at = QPointF(12, 34)
    none = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QMouseEvent(kind, at, at, button, button if buttons is None else buttons, none))


def drag(kind, at, *addresses):
    dragged = QMimeData()
    if addresses:
        dragged.setUrls([QUrl(address) for address in addresses])
    keys, move = Qt.KeyboardModifier.NoModifier, Qt.DropAction.MoveAction | Qt.DropAction.CopyAction
    event = kind(at, move, dragged, Qt.MouseButton.LeftButton, keys)
    QApplication.sendEvent(widget, event)
    print("taken" if event.isAccepted() else "left", event.dropAction().name)


picture = np.full((450, 800, 3), (200, 100, 50), np.uint8)
canvas.show(picture)
shown = widget.grab().toImage().pixelColor(5, 5)
assert (shown.red(), shown.green(), shown.blue()) == (200, 100, 50)
key(Qt.Key.Key_Tab, "\\t")
key(Qt.Key.Key_X, "x")
key(Qt.Key.Key_X, "x", again=True)
key(Qt.Key.Key_Shift)
click(QEvent.Type.MouseButtonPress, Qt.MouseButton.LeftButton)
click(QEvent.Type.MouseButtonDblClick, Qt.MouseButton.LeftButton)
click(QEvent.Type.MouseButtonPress, Qt.MouseButton.RightButton)
click(QEvent.Type.MouseMove, Qt.MouseButton.NoButton)
QApplication.sendEvent(widget, QEvent(QEvent.Type.Leave))
drag(QDragEnterEvent, QPoint(9, 9))
drag(QDragEnterEvent, QPoint(9, 9), "file:///a%20b.jpg")
drag(QDropEvent, QPointF(9, 9), "file:///a%20b.jpg", "https://c.d/e.png")
widget.close()
for event in canvas.events():
    print(event if isinstance(event, str | Drop) else f"{event.kind} {event.x} {event.y}")
canvas.close()
"""


def test_keys_clicks_and_the_cross_are_noted() -> None:
    pytest.importorskip("PySide6.QtWidgets")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=60)
    taken = ["left CopyAction", "taken CopyAction", "taken CopyAction"]  # never moved: the file stays
    drops = ["Drop(paths=())", "Drop(paths=('/a b.jpg', 'https://c.d/e.png'))"]
    pointers = ["press 12 34", "double 12 34", "second 12 34", "hover 12 34", "hover -1 -1"]
    assert done.stdout.splitlines() == [*taken, "tab", "x", *pointers, *drops, "quit"], done.stderr
