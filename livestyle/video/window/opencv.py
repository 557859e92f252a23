"""Windows of OpenCV's highgui."""

import cv2

from livestyle.image.types import Image
from livestyle.video.window.canvas import TITLE, Canvas, Event, Fit, Pointer
from livestyle.video.window.display import screen_size

KEYS = {8: "backspace", 9: "tab", 10: "enter", 13: "enter", 27: "esc", 32: "space"}  # by code


class OpenCvCanvas(Canvas):
    """A window of OpenCV. It works everywhere, and its pixels are points.

    Args:
        fit: chooses the size of the content at first.
    """

    name = "OpenCV"

    def __init__(self, fit: Fit) -> None:
        self._shown, self._events = False, list[Event]()
        self.size = fit(screen_size())
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(TITLE, *self.size)
        cv2.setMouseCallback(TITLE, self._pointed)

    def _pointed(self, event: int, x: int, y: int, flags: int, _: object) -> None:
        kinds = {
            cv2.EVENT_LBUTTONDOWN: "press", cv2.EVENT_LBUTTONDBLCLK: "double", cv2.EVENT_RBUTTONDOWN: "second",
        }  # fmt: skip
        moved = "move" if flags & cv2.EVENT_FLAG_LBUTTON else "hover"
        if kind := moved if event == cv2.EVENT_MOUSEMOVE else kinds.get(event):
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
        if code in KEYS or 32 < code < 127:
            events.append(KEYS.get(code, chr(code)))
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
