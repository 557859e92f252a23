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
    PERSON,
    WHITE,
    Line,
    Piece,
    Stamp,
    Thumbnail,
    boxed,
    draw_button,
    draw_number,
    draw_tile,
    drawn_rows,
    help_page,
    stamp,
    words_of,
)
from livestyle.video.window.layout import MAX_LETTER_PT, Tiles, bar_height, letters_of

if TYPE_CHECKING:
    from PIL import Image as Pil

Rect = tuple[int, int, int, int]  # left, top, width, height, in pixels
PILLS = {"alert": (200, 30, 40), "note": (185, 120, 0)}
BAR = 32, 32, 32  # colour of the ground below the picture
SHADE = 165  # opacity of the ground behind words, of 255
MAX_STAMPS = 96  # boxes that are kept once drawn
PACE_HOLD_S = 0.5  # for which numbers stand, so that they can be read
MIDDLE = 0.5  # where the picture is divided at first
FADE_S = 0.6  # in which a notice fades
MIN_NOTICE_S, MAX_NOTICE_S = 1.6, 6.0  # for which a notice stands
LETTERS_PER_S = 20  # that are read


@dataclass(frozen=True)
class Scene:
    """All that a preview shows beside the picture.

    Args:
        title: of the window.
        lines: of the display, with their colours, side by side.
        facts: of the display, in gray below them.
        pace: the numbers before the facts.
        badges: words with their kind, one of PILLS.
        buttons: actions to click on, each with its key and a word.
        view: "split", "matte", "inset", or "" for the picture alone.
        showing: what lies over it, of "hud", "help" and "strip"; and "full-screen".
        original: the camera's own picture, uint8 (H, W, 3) RGB; None where it must not be seen.
        matte: float32 (H, W) in 0..1; None where the view does not want it.
        mirror: whether to mirror the picture. The words are not mirrored.
        keys: with what they do, for the help.
        styles: names with the paths of their thumbnails, for the strip.
        chosen: the styles of background and person, "" for none.
        countdown: drawn large at the right; "" for nothing.
        recents: looks that are pictures with their thumbnails, before the styles.
    """

    title: str = ""
    lines: tuple[Line, ...] = ()
    facts: str = ""
    pace: str = ""
    badges: tuple[tuple[str, str], ...] = ()
    buttons: tuple[tuple[str, str, str], ...] = ()
    view: str = ""
    showing: frozenset[str] = frozenset()
    original: Image | None = None
    matte: Matte | None = None
    mirror: bool = False
    keys: tuple[tuple[str, str], ...] = ()
    styles: tuple[tuple[str, Path], ...] = ()
    chosen: tuple[str, str] = ("", "")
    countdown: str = ""
    recents: tuple[tuple[str, Thumbnail], ...] = ()


class Overlay:
    """Draw scenes. It keeps what was drawn, the notices, where the mouse is, and where the picture is divided.

    Args:
        is_below: the bar and the styles lie below the picture, as far as there is room, and not over it.

    Attributes:
        divide: where before ends and after begins, in 0..1 of the picture's width.
        prompt: what is typed, shown below the notices; "" for nothing.
    """

    def __init__(self, is_below: bool = False) -> None:
        self.divide, self.prompt = MIDDLE, ""
        self._is_below, self._mouse = is_below, (-1, -1)
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
        """Return what lies at a pixel to be clicked on: an action such as "style NAME", "split" for the line, or ""."""
        return next((name for (l, t, w, h), name in reversed(self._hits) if l <= x < l + w and t <= y < t + h), "")  # noqa: E741

    def hover(self, x: int, y: int) -> None:
        """Have what lies at a pixel stand out. It may lie outside."""
        self._mouse = x, y

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
        letters = letters_of(width, scale)
        self._hits = []
        if "help" in scene.showing:
            self._hits.append(((0, 0, width, height), "help"))
            canvas = self._place(picture, scene, size, height)
            self._stamp("help", help_page, scene.keys, size, round(MAX_LETTER_PT * scale)).onto(canvas, 0, 0)
            return canvas
        bar = bar_height(letters) if "hud" in scene.showing else 0
        count = len(scene.recents) + len(scene.styles)
        tiles = Tiles(count if "strip" in scene.showing else 0, size, letters)
        foot = height - bar - tiles.height
        is_below = self._is_below and 2 * foot >= height
        canvas = self._place(picture, scene, size, foot if is_below else height)
        if is_below:
            canvas[foot:] = BAR
        if scene.original is not None and foot > 0:
            self._views(canvas, scene, foot, letters)
        if tiles.count:
            self._strip(canvas, scene, foot, tiles, letters)
        if scene.countdown:
            number = self._stamp("number", draw_number, scene.countdown, max(letters, foot // 3))
            wide, high = size_of(number.color)
            number.onto(canvas, width - letters // 2 - max(wide, foot // 3), (foot - high) // 2)
        self._write(canvas, scene, bar, foot, letters)
        return canvas

    def _place(self, picture: Image, scene: Scene, size: Size, room: int) -> Image:
        """Return the picture as large as fits, in the middle of the upper `room` rows. It is a copy in any case."""
        if scene.view == "matte" and scene.matte is not None and scene.original is not None:
            picture = np.asarray(cv2.cvtColor(to_gray(scene.matte), cv2.COLOR_GRAY2RGB), np.uint8)
        (width, height), (w, h) = size, size_of(picture)
        share = min(width / w, room / h)
        w, h = min(width, max(1, round(w * share))), min(room, max(1, round(h * share)))
        left, top = (width - w) // 2, (room - h) // 2
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

    def _views(self, canvas: Image, scene: Scene, foot: int, letters: int) -> None:
        """Draw what compares the picture with the original. Their words stay away from heads, near the lower edge.

        Args:
            foot: row above which they stay.
        """
        if scene.view != "split":
            self.divide = MIDDLE
        if scene.view == "split":
            self._divide(canvas, scene, foot, letters)
        elif scene.view == "inset":
            self._inset(canvas, scene, foot, letters // 2)

    def _divide(self, canvas: Image, scene: Scene, foot: int, letters: int) -> None:
        """Draw the original left of a line that can be dragged."""
        left, top, width, height = self._frame
        x = left + round(self.divide * width)
        if scene.original is not None:
            before = self._lay(scene.original, (width, height), scene.mirror)
            canvas[top : top + height, left:x] = before[:, : x - left]
        canvas[top : top + height, max(left, x - 1) : x + 1] = WHITE
        middle = max(0, min(foot, top + height) - 2 * letters)
        cv2.circle(canvas, (x, middle), letters // 2, WHITE, -1, cv2.LINE_AA)
        for words, at in (("before", -1), ("after", 1)):
            label = self._stamp("box", boxed, ((words, WHITE),), letters, width, SHADE)
            h, w = label.color.shape[:2]
            label.onto(canvas, x + letters if at > 0 else x - letters - w, middle - h // 2)
        self._hits.append((self._frame, "split"))

    def _inset(self, canvas: Image, scene: Scene, foot: int, margin: int) -> None:
        """Draw the original in the lower right corner."""
        left, top, width, height = self._frame
        w, h = width // 4, height // 4
        x, y = left + width - w - margin, min(foot, top + height) - h - margin
        if scene.original is not None and w and h and x > left and y > top:
            canvas[y - 1 : y + h + 1, x - 1 : x + w + 1] = WHITE
            canvas[y : y + h, x : x + w] = self._lay(scene.original, (w, h), scene.mirror)

    def _strip(self, canvas: Image, scene: Scene, top: int, tiles: Tiles, letters: int) -> None:
        """Draw the recent pictures and the styles in rows, and the name of the one below the mouse.

        Where there is no room for all styles, draw those around the chosen one.
        """
        width, (w, h) = canvas.shape[1], tiles.size
        names, before = [name for name, _ in scene.styles], len(scene.recents[: tiles.count])
        now, room = next((names.index(name) for name in scene.chosen if name in names), 0), tiles.count - before
        first = min(max(0, now - room // 2), len(names) - room)
        named: tuple[int, int, str] | None = None
        for at, (name, thumbnail) in enumerate((*scene.recents[:before], *scene.styles[first : first + room])):
            left, y = tiles.place(at, width, top)
            rim = tuple(c for c, chosen in zip((BACKGROUND, PERSON), scene.chosen, strict=True) if chosen == name)
            number = first + at - before + 1 if at >= before else 0
            self._stamp("tile", draw_tile, name, number, thumbnail, (w, h), rim).onto(canvas, left, y)
            if self._offer((left, y, w, h), f"style {name}"):
                named = left + w // 2, y + h, words_of(name)
        if named:
            label = self._stamp("box", boxed, ((named[2], WHITE),), letters, width, (0, 0, 0))
            wide, high = size_of(label.color)
            label.onto(canvas, min(max(0, named[0] - wide // 2), width - wide), named[1] - high)

    def _offer(self, place: Rect, action: str) -> bool:
        """Have an action done at a click on a place, and return whether the mouse is there."""
        self._hits.append((place, action))
        return self.at(*self._mouse) == action

    def _write(self, canvas: Image, scene: Scene, bar: int, foot: int, letters: int) -> None:
        """Draw the bar, badges and notices.

        Args:
            bar: height of the bar in pixels, 0 for none.
            foot: row above which the badges and notices stay, where there is no bar.
        """
        height, width = canvas.shape[:2]
        pad, room, now = letters // 2, width - letters, time.monotonic()
        self._notices = [(until, text) for until, text in self._notices if until > now]
        rows: list[tuple[Piece, ...]] = [tuple((text, WHITE, PILLS[kind]) for text, kind in scene.badges)]
        if bar:
            if not self._is_below:
                canvas[height - bar :] = canvas[height - bar :] // 4
            room = self._buttons(canvas, scene, letters) - 2 * pad
            facts = ", ".join(words for words in (self._steady(scene.pace), scene.facts) if words)
            lines = tuple((*line, None) for line in scene.lines)
            rows = [rows[0] + lines, () if self._notices or self.prompt else ((facts, GRAY, None),)]
            foot = height
        elif not scene.badges:
            rows = []
        if rows:
            words = self._stamp("rows", drawn_rows, tuple(rows), letters, room)
            foot -= size_of(words.color)[1] + pad
            words.onto(canvas, pad, foot)
        self._notes(canvas, height if bar else foot, foot if bar else foot - 4 * letters, room, letters)

    def _buttons(self, canvas: Image, scene: Scene, letters: int) -> int:
        """Draw the buttons from the right end of the bar on, as far as half of it goes. Return their left edge."""
        width, height = size_of(canvas)
        left, pad = width - letters // 2, letters // 2
        for action, key, words in scene.buttons:
            plain = self._stamp("button", draw_button, key, words, letters, False)
            w, h = size_of(plain.color)
            if left - w < width // 2:
                break
            left -= w
            place = left, height - (bar_height(letters) + h) // 2, w, h
            is_lit = self._offer(place, action) or action in scene.showing
            lit = self._stamp("button", draw_button, key, words, letters, True) if is_lit else plain
            lit.onto(canvas, *place[:2])
            left -= pad
        return left

    def _notes(self, canvas: Image, foot: int, head: int, room: int, letters: int) -> None:
        """Draw the notices, the newest lowest: that one whole, and others where there is room. They fade at their end.

        Args:
            foot: row above which they stay.
            head: row below which they stay, but for the newest.
            room: how wide they may be, in pixels.
        """
        now = time.monotonic()
        prompt = [(now + MAX_NOTICE_S, f"{self.prompt}_")] if self.prompt else []
        for number, (until, text) in enumerate((*prompt, *reversed(self._notices))):
            note = self._stamp("box", boxed, ((text, WHITE),), letters, room, (64, 64, 64))
            foot -= size_of(note.color)[1]
            if number and foot < head:
                break
            note.onto(canvas, 0, foot, (until - now) / FADE_S)

    def _steady(self, pace: str) -> str:
        now = time.monotonic()
        if now > self._paced + PACE_HOLD_S:
            self._pace, self._paced = pace, now
        return self._pace

    def _stamp(self, kind: str, make: "Callable[..., Pil.Image]", *facts: object) -> Stamp:
        """Return what `make` draws of the facts. What was drawn before is kept."""
        key = kind, *facts
        if key not in self._stamps:
            self._stamps[key] = stamp(make(*facts))
            if len(self._stamps) > MAX_STAMPS:
                self._stamps.popitem(last=False)
        self._stamps.move_to_end(key)
        return self._stamps[key]
