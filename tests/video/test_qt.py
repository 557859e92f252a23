"""The window of Qt without a screen: what it shows, and what happens to it."""

import os
import subprocess
import sys

import pytest

CODE = """
import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication
from livestyle.video.window.toolkits import open_canvas

canvas = open_canvas((320, 180), "qt")
widget = canvas._widget
assert (canvas.name, canvas.size) == ("Qt", (640, 360))


def key(code, text="", again=False):
    QApplication.sendEvent(
        widget, QKeyEvent(QEvent.Type.KeyPress, code, Qt.KeyboardModifier.NoModifier, text, again)
    )


def click(kind, button, buttons=None):
    at = QPointF(12, 34)
    none = Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QMouseEvent(kind, at, at, button, button if buttons is None else buttons, none))


picture = np.full((360, 640, 3), (200, 100, 50), np.uint8)
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
widget.close()
for event in canvas.events():
    print(event if isinstance(event, str) else f"{event.kind} {event.x} {event.y}")
canvas.close()
"""


def test_keys_clicks_and_the_cross_are_noted() -> None:
    pytest.importorskip("PySide6.QtWidgets")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=60)
    noted = ["tab", "x", "press 12 34", "double 12 34", "second 12 34", "quit"]
    assert done.stdout.splitlines() == noted, done.stderr
