"""The window of Qt without a screen: what it shows, and what happens to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from livestyle.errors import UserError
from livestyle.image.io import load_image
from livestyle.video.window import pasted

CODE = """
import sys

import numpy as np
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QApplication
from livestyle.video.window.canvas import Pointer
from livestyle.video.window.toolkits import open_canvas

canvas = open_canvas((320, 180), "qt")
widget = canvas._widget
before = sys.getrefcount(None)
for _ in range(100):
    canvas.title("none")
    canvas.events()
assert before - sys.getrefcount(None) < 50, "calls of Qt lose references to None"
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


def paste(**offered):
    given = QMimeData()
    for what, value in offered.items():
        getattr(given, f"set{what}")(value)
    QApplication.clipboard().setMimeData(given)
    control = Qt.KeyboardModifier.ControlModifier
    QApplication.sendEvent(widget, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_V, control, "\\x16"))


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
drag(QDragEnterEvent, QPoint(9, 9), "https://c.d/e.png")
drag(QDropEvent, QPointF(9, 9), "https://c.d/e.png")
paste(Urls=[QUrl("file:///a.jpg")])
paste(Text=f'"{__file__}"\\nno path')
paste(Text="no path")
paste(ImageData=QImage(picture.data, 800, 450, 2400, QImage.Format.Format_RGB888))
widget.close()
for event in canvas.events():
    print(f"{event.kind} {event.x} {event.y}" if isinstance(event, Pointer) else event)
canvas.close()
"""


def test_keys_clicks_drops_pasted_things_and_the_cross_are_noted(tmp_path: Path) -> None:
    pytest.importorskip("PySide6.QtWidgets")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CACHE_HOME": str(tmp_path)}
    script = tmp_path / "a.py"
    script.write_text(CODE)
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    taken = ["left CopyAction", *["taken CopyAction"] * 4]  # never moved: the file stays
    pointers = ["press 12 34", "double 12 34", "second 12 34", "hover 12 34", "hover -1 -1"]
    kept = [*(tmp_path / "livestyle/pasted").iterdir()]
    drops = [(), ("/a b.jpg",), (), ("https://c.d/e.png",), ("/a.jpg",), (str(script),), None, (str(kept[0]),)]
    told = [
        "Fault(text='That is no picture. Give a file, or a picture itself.')" if drop is None else
        f"Drop(paths={drop}, is_backdrop=False)" for drop in drops
    ]  # fmt: skip
    assert done.stdout.splitlines() == [*taken, "tab", "x", *pointers, *told, "quit"], done.stderr
    assert (load_image(kept[0]) == (200, 100, 50)).all()
    assert os.name == "nt" or kept[0].stat().st_mode & 0o777 == 0o600


def test_what_is_pasted_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pasted.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path))
    paths = [Path(pasted.keep_picture(bytes([n]), ".png")) for n in range(pasted.MAX_KEPT + 3)]
    for age, path in enumerate(path for path in paths if path.exists()):
        os.utime(path, (age, age))
    newest = Path(pasted.keep_picture(b"new", ".png"))
    assert len([*newest.parent.iterdir()]) == pasted.MAX_KEPT
    assert newest.read_bytes() == b"new"
    monkeypatch.setattr(pasted, "MAX_PICTURE_MB", 0)
    with pytest.raises(UserError, match="more than 0 MB"):
        pasted.keep_picture(b"x", ".png")
