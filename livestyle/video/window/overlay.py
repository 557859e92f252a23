"""What lies over the preview: state, help, thumbnails, the split line."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from livestyle.image.pixels import fit, to_gray
from livestyle.image.types import Image, Matte, size_of
from livestyle.types import Size
from livestyle.video.window.drawing import (
    BACKGROUND,
    GRAY,
    LETTERS_PER_HEIGHT,
    MAX_LETTER_PT,
    NUMBERED_STYLES,
    PERSON,
    WHITE,
    Color,
    Line,
    Stamp,
    boxed,
    draw_tile,
    help_page,
    stamp,
)

if TYPE_CHECKING:
    from PIL import Image as Pil

Rect = tuple[int, int, int, int]  # left, top, width, height, in pixels
PILLS = {"alert": (200, 30, 40), "note": (185, 120, 0)}
SHADE = 165  # opacity of the ground behind words, of 255
MAX_STAMPS = 64  # boxes that are kept once drawn
PACE_HOLD_S = 0.5  # for which numbers stand, so that they can be read
FADE_S = 0.6  # in which a notice fades
MIN_NOTICE_S, MAX_NOTICE_S = 1.6, 6.0  # for which a notice stands
LETTERS_PER_S = 20  # that are read


@dataclass(frozen=True)
class Scene:
    """All that a preview shows beside the picture.

    Args:
        title: of the window.
        lines: of the HUD, with their colours.
        pace: the numbers of the HUD.
        badges: words with their kind, one of PILLS.
        view: "split", "matte", "inset", or "" for the picture alone.
        showing: what lies over it, of "hud", "help" and "strip"; and "full-screen".
        original: the camera's own picture, uint8 (H, W, 3) RGB; None where it must not be seen.
        matte: float32 (H, W) in 0..1; None where the view does not want it.
        mirror: whether to mirror the picture. The words are not mirrored.
        keys: with what they do, for the help.
        styles: names with the paths of their thumbnails, for the strip.
        chosen: the styles of background and person, "" for none.
    """

    title: str = ""
    lines: tuple[Line, ...] = ()
    pace: str = ""
    badges: tuple[tuple[str, str], ...] = ()
    view: str = ""
    showing: frozenset[str] = frozenset()
    original: Image | None = None
    matte: Matte | None = None
    mirror: bool = False
    keys: tuple[tuple[str, str], ...] = ()
    styles: tuple[tuple[str, Path], ...] = ()
    chosen: tuple[str, str] = ("", "")


class Overlay:
    """Draw scenes. It keeps what was drawn, the notices, and where the picture is divided.

    Attributes:
        divide: where before ends and after begins, in 0..1 of the picture's width.
    """

    def __init__(self) -> None:
        self.divide = 0.5
        self._stamps: OrderedDict[tuple[object, ...], Stamp] = OrderedDict()
        self._notices: list[tuple[float, str]] = []  # until when
        self._pace, self._paced = "", 0.0
        self._hits: list[tuple[Rect, str]] = []
        self._frame: Rect = (0, 0, 1, 1)

    def notice(self, text: str) -> None:
        """Show a line for a moment, a long one for longer. One that is still there is not shown twice."""
        until, text = (
            time.monotonic() + min(MAX_NOTICE_S, MIN_NOTICE_S + len(text) / LETTERS_PER_S),
            text.replace(str(Path.home()), "~"),
        )
        self._notices = [*[note for note in self._notices if note[1] != text][-2:], (until, text)]

    def at(self, x: int, y: int) -> str:
        """Return what lies at a pixel to be clicked on: "style NAME", "split" for the dividing line, or ""."""
        return next((name for (l, t, w, h), name in reversed(self._hits) if l <= x < l + w and t <= y < t + h), "")  # noqa: E741

    def drag(self, x: int) -> None:
        """Divide the picture at a column of the window, in pixels."""
        left, _, width, _ = self._frame
        self.divide = min(1.0, max(0.0, (x - left) / width))

    def draw(self, picture: Image, scene: Scene, size: Size, scale: float = 1.0) -> Image:
        """Return the content of the window, uint8 (H, W, 3) RGB.

        Args:
            picture: uint8 (H, W, 3) RGB of any size. It is not changed.
            scene: what is drawn beside and over it.
            size: of the window in pixels.
            scale: pixels per point, above 1 on fine screens.
        """
        width, height = size
        letters = round(min(max(height / LETTERS_PER_HEIGHT, 13 * scale), MAX_LETTER_PT * scale))
        margin = letters // 2
        self._hits = []
        canvas = self._place(picture, scene, size)
        if "help" in scene.showing:
            self._stamp("help", help_page, scene.keys, size, round(MAX_LETTER_PT * scale)).onto(canvas, 0, 0)
            return canvas
        if scene.original is not None:
            if scene.view == "split":
                self._divide(canvas, scene.original, scene.mirror, letters)
            elif scene.view == "inset":
                self._inset(canvas, scene.original, scene.mirror, margin)
        top, foot = margin, height - margin
        if "strip" in scene.showing and scene.styles:
            foot = self._strip(canvas, scene, letters) - margin
        if "hud" in scene.showing:
            pace = self._steady(scene.pace)
            lines = (*scene.lines, (pace, GRAY)) if pace else scene.lines
            top += self._box(canvas, margin, top, lines, letters, width, SHADE) + margin
        for text, kind in scene.badges:
            top += self._box(canvas, margin, top, ((text, WHITE),), letters, width, PILLS[kind]) + margin
        self._notes(canvas, foot, letters)
        return canvas

    def _place(self, picture: Image, scene: Scene, size: Size) -> Image:
        """Return the picture as large as fits, in the middle. It is a copy in any case."""
        if scene.view == "matte" and scene.matte is not None and scene.original is not None:
            picture = np.asarray(cv2.cvtColor(to_gray(scene.matte), cv2.COLOR_GRAY2RGB), np.uint8)
        (width, height), (w, h) = size, size_of(picture)
        share = min(width / w, height / h)
        w, h = min(width, round(w * share)), min(height, round(h * share))
        left, top = (width - w) // 2, (height - h) // 2
        self._frame = left, top, w, h
        laid = self._lay(picture, (w, h), scene.mirror)
        if (w, h) == size:
            return laid.copy() if laid is picture else laid
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[top : top + h, left : left + w] = laid
        return canvas

    @staticmethod
    def _lay(picture: Image, size: Size, mirror: bool) -> Image:
        laid = fit(picture, size)
        return np.asarray(cv2.flip(laid, 1), np.uint8) if mirror else laid

    def _divide(self, canvas: Image, original: Image, mirror: bool, letters: int) -> None:
        """Draw the original left of a line that can be dragged."""
        left, top, width, height = self._frame
        x = left + round(self.divide * width)
        canvas[top : top + height, left:x] = self._lay(original, (width, height), mirror)[:, : x - left]
        canvas[top : top + height, max(left, x - 1) : x + 1] = WHITE
        cv2.circle(canvas, (x, top + height // 2), letters // 2, WHITE, -1, cv2.LINE_AA)
        for words, at in (("before", -1), ("after", 1)):
            label = self._stamp("box", boxed, ((words, WHITE),), letters, width, SHADE)
            h, w = label.color.shape[:2]
            label.onto(canvas, x + letters if at > 0 else x - letters - w, top + (height - h) // 2)
        self._hits.append((self._frame, "split"))

    def _inset(self, canvas: Image, original: Image, mirror: bool, margin: int) -> None:
        """Draw the original in the upper right corner."""
        left, top, width, height = self._frame
        w, h = width // 4, height // 4
        x, y = left + width - w - margin, top + margin
        if w and h and x > left and y + h < top + height:
            canvas[y - 1 : y + h + 1, x - 1 : x + w + 1] = WHITE
            canvas[y : y + h, x : x + w] = self._lay(original, (w, h), mirror)

    def _strip(self, canvas: Image, scene: Scene, letters: int) -> int:
        """Draw the styles along the lower edge, and return their upper edge.

        Where there is no room for all, draw those around the chosen one.
        """
        height, width = size_of(canvas)[::-1]
        gap = max(2, letters // 5)
        w = max(3 * letters, min(height // 5, width // min(len(scene.styles), NUMBERED_STYLES) - gap))
        h = w * 9 // 16
        room = max(1, width // (w + gap))
        names = [name for name, _ in scene.styles]
        now = next((names.index(name) for name in scene.chosen if name in names), 0)
        first = min(max(0, now - room // 2), max(0, len(names) - room))
        shown = scene.styles[first : first + room]
        left, top = (width - len(shown) * (w + gap) + gap) // 2, height - h - gap
        for at, (name, path) in enumerate(shown):
            rim = tuple(c for c, chosen in zip((BACKGROUND, PERSON), scene.chosen, strict=True) if chosen == name)
            tile = self._stamp("tile", draw_tile, name, first + at + 1, path, (w, h), rim)
            tile.onto(canvas, left + at * (w + gap), top)
            self._hits.append(((left + at * (w + gap), top, w, h), f"style {name}"))
        return top

    def _notes(self, canvas: Image, foot: int, letters: int) -> None:
        """Draw the notices, the newest lowest. They fade at their end."""
        now, width = time.monotonic(), canvas.shape[1]
        self._notices = [(until, text) for until, text in self._notices if until > now]
        for until, text in reversed(self._notices):
            note = self._stamp("box", boxed, ((text, WHITE),), letters, round(width * 0.9), 210)
            h, w = note.color.shape[:2]
            foot -= h
            note.onto(canvas, (width - w) // 2, foot, (until - now) / FADE_S)
            foot -= letters // 3

    def _steady(self, pace: str) -> str:
        now = time.monotonic()
        if now > self._paced + PACE_HOLD_S:
            self._pace, self._paced = pace, now
        return self._pace

    def _box(
        self, canvas: Image, left: int, top: int, lines: tuple[Line, ...], letters: int, width: int, ground: int | Color
    ) -> int:
        """Draw words in a box, and return its height."""
        box = self._stamp("box", boxed, lines, letters, width - 2 * left, ground)
        box.onto(canvas, left, top)
        return size_of(box.color)[1]

    def _stamp(self, kind: str, make: "Callable[..., Pil.Image]", *facts: object) -> Stamp:
        """Return what `make` draws of the facts. What was drawn before is kept."""
        key = kind, *facts
        if key not in self._stamps:
            self._stamps[key] = stamp(make(*facts))
            if len(self._stamps) > MAX_STAMPS:
                self._stamps.popitem(last=False)
        self._stamps.move_to_end(key)
        return self._stamps[key]
