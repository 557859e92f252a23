"""Text, panels and thumbnails, drawn once and stamped on pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from livestyle.image.io import load_image
from livestyle.image.pixels import fit
from livestyle.image.types import Image
from livestyle.types import Color, Size
from livestyle.video.window.layout import leading_of

if TYPE_CHECKING:
    from PIL import Image as Pil
    from PIL import ImageFont

Line = tuple[str, Color]
Piece = tuple[str, Color, Color | None]  # words, their colour, and that of the pill that they stand in
WHITE, GRAY, BACKGROUND, PERSON = (245, 245, 245), (175, 175, 175), (255, 205, 90), (120, 215, 255)
NUMBERED_STYLES = 10  # that have a digit
MIN_LETTER_PX = 9


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small picture to click on, which is no file.

    Args:
        image: uint8 (H, W, 3) RGB. It is never changed.
    """

    image: Image


@dataclass(frozen=True)
class Stamp:
    """A drawn box, ready to be blended into pictures.

    Args:
        color: uint8 (H, W, 3) RGB, its colours times its opacity.
        keep: uint8 (H, W, 3), how much of the picture beneath stays, in 0..255.
    """

    color: Image
    keep: Image

    def onto(self, canvas: Image, left: int, top: int, opacity: float = 1.0) -> None:
        """Blend the box into a picture. What lies outside is cut off.

        Args:
            canvas: uint8 (H, W, 3) RGB, changed in place.
            left, top: of the box, in pixels; they may be negative.
            opacity: in 0..1.
        """
        height, width = self.color.shape[:2]
        x, y = max(0, -left), max(0, -top)
        part = canvas[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        if not part.size:
            return
        h, w = part.shape[:2]
        mine = slice(y, y + h), slice(x, x + w)
        drawn = cv2.add(cv2.multiply(part, self.keep[mine], scale=1 / 255), self.color[mine])
        part[:] = drawn if opacity >= 1 else cv2.addWeighted(drawn, opacity, part, 1 - opacity, 0)


def stamp(picture: "Pil.Image") -> Stamp:
    """Return an RGBA picture as a stamp."""
    rgba = np.asarray(picture, np.uint8)
    alpha = np.ascontiguousarray(np.repeat(rgba[..., 3:], 3, axis=2))
    color = cv2.multiply(np.ascontiguousarray(rgba[..., :3]), alpha, scale=1 / 255)
    return Stamp(np.asarray(color, np.uint8), np.asarray(255 - alpha, np.uint8))


@lru_cache(16)
def font(letters: int) -> "ImageFont.FreeTypeFont":
    """Return the font that comes with Pillow, at a height in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(letters)  # type: ignore[return-value]


def boxed(lines: Sequence[Line], letters: int, width: int, ground: int | Color) -> "Pil.Image":
    """Return lines of words on a ground, broken to a width.

    Args:
        lines: texts with their colours.
        letters: height of a letter in pixels.
        width: of the box at most, in pixels.
        ground: opacity of a black ground in 0..255, or the colour of the ground.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    face, pad, leading = font(letters), letters // 2, leading_of(letters)
    rows = [(row, color) for text, color in lines for row in broken(text, face, width - 2 * pad)]
    w = 2 * pad + round(max((face.getlength(row) for row, _ in rows), default=0))
    picture = Pil.new("RGBA", (w, pad + leading * len(rows)))
    pen = ImageDraw.Draw(picture)
    fill = (0, 0, 0, ground) if isinstance(ground, int) else (*ground, 235)
    pen.rounded_rectangle((0, 0, w - 1, picture.height - 1), pad, fill)
    for at, (row, color) in enumerate(rows):
        pen.text((pad, pad // 2 + at * leading), row, (*color, 255), face)
    return picture


def drawn_rows(rows: Sequence[Sequence[Piece]], letters: int, width: int) -> "Pil.Image":
    """Return rows of words, each as far as it fits a width.

    Args:
        rows: of pieces that stand side by side.
        letters: height of a letter in pixels.
        width: of the picture, in pixels.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    face, leading, pad = font(letters), leading_of(letters), letters // 2
    picture = Pil.new("RGBA", (max(1, width), leading * len(rows)))
    pen = ImageDraw.Draw(picture)
    for at, row in enumerate(rows):
        left, top = 0, at * leading
        for text, color, pill in row:
            inset = pad if pill else 0
            words = cut(text, face, width - left - 2 * inset)
            wide = round(face.getlength(words)) + 2 * inset
            if pill and words:
                pen.rounded_rectangle((left, top, left + wide - 1, top + leading - 2), pad, (*pill, 235))
            pen.text((left + inset, top + leading // 2), words, (*color, 255), face, anchor="lm")
            left += wide + letters
    return picture


def cut(text: str, face: "ImageFont.FreeTypeFont", width: int) -> str:
    """Return a text, or as much of it as fits a width in pixels, with dots behind it."""
    if face.getlength(text) <= width:
        return text
    fits = next((n for n in range(len(text) - 1, 0, -1) if face.getlength(f"{text[:n]}...") <= width), 0)
    return f"{text[:fits].rstrip()}..." if fits else ""


def draw_button(key: str, words: str, letters: int, is_lit: bool) -> "Pil.Image":
    """Return a button: a key, and what it does.

    Args:
        letters: height of a letter in pixels.
        is_lit: the mouse is over it, or what it opens is open.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    face, pad = font(letters), letters // 2
    behind = round(face.getlength(f"{key} ")) + pad // 2 if key else 0
    picture = Pil.new("RGBA", (behind + round(face.getlength(words)) + 2 * pad, 2 * letters))
    pen, middle = ImageDraw.Draw(picture), letters
    ground = (115, 115, 115, 255) if is_lit else (72, 72, 72, 235)
    pen.rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), pad, ground)
    pen.text((pad, middle), key, (*BACKGROUND, 255), face, anchor="lm")
    pen.text((pad + behind, middle), words, (*WHITE, 255), face, anchor="lm")
    return picture


def broken(text: str, face: "ImageFont.FreeTypeFont", width: int) -> list[str]:
    """Return a text as lines of a width in pixels, broken between words. A word that is longer is broken, too."""
    rows, words = [""], text.split(" ")
    while words:
        word = words.pop(0)
        longer = f"{rows[-1]} {word}" if rows[-1] else word
        wide = face.getlength(longer)
        if wide <= width or len(longer) == 1:
            rows[-1] = longer
        elif rows[-1]:
            rows.append("")
            words.insert(0, word)
        else:
            fits = max(1, int(0.9 * len(word) * width / wide))
            words[:0] = [word[:fits], word[fits:]]
    return rows


def draw_tile(
    name: str, number: int, picture_of: Path | Thumbnail, size: Size, rim: tuple[Color, ...]
) -> "Pil.Image":  # fmt: skip
    """Return a style to click on: its thumbnail, its number, and its name if it is chosen or has no thumbnail.

    Args:
        number: from 1 on; 0 for none.
        picture_of: the thumbnail, or its path.
        size: in pixels.
        rim: colours of the frames around it, one for each plane that has the style.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    picture = Pil.new("RGBA", size, (60, 60, 60, 255))
    image = None
    if isinstance(picture_of, Thumbnail):
        image = picture_of.image
    elif picture_of.is_file():
        image = load_image(picture_of)
    if image is not None:
        picture.paste(Pil.fromarray(fit(image, size)))
    pen, letters = ImageDraw.Draw(picture), max(MIN_LETTER_PX, size[1] // 5)
    if 1 <= number <= NUMBERED_STYLES:
        pen.rectangle((0, 0, letters, letters * 5 // 4), (0, 0, 0, 170))
        pen.text((letters // 4, 0), str(number % 10), (*WHITE, 255), font(letters))
    if rim or image is None:
        words = words_of(name)
        face = font(max(MIN_LETTER_PX, min(letters, int(letters * (size[0] - 8) / font(letters).getlength(words)))))
        pen.rectangle((0, size[1] - letters * 3 // 2, size[0], size[1]), (0, 0, 0, 190))
        # Where it is too long even in the smallest letters, its beginning tells more than its middle.
        left, anchor = (size[0] // 2, "mm") if face.getlength(words) <= size[0] - 4 else (3, "lm")
        pen.text((left, size[1] - letters * 3 // 4), words, (*WHITE, 255), face, anchor=anchor)
    thick = max(2, size[1] // 25)
    for at, color in enumerate(rim):
        inset = at * thick
        pen.rectangle((inset, inset, size[0] - 1 - inset, size[1] - 1 - inset), outline=(*color, 255), width=thick)
    return picture


def words_of(name: str) -> str:
    """Return what to call a style, or a look that is a picture: the name of its file."""
    return name.replace("/", "\\").rpartition("\\")[2] if ":" in name else name.replace("_", " ")


def draw_number(text: str, letters: int) -> "Pil.Image":
    """Return a number with a dark rim, to be seen over any picture.

    Args:
        text: the number; letters: its height in pixels.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    face, rim = font(letters), max(2, letters // 24)
    left, top, right, bottom = face.getbbox(text, stroke_width=rim)
    picture = Pil.new("RGBA", (round(right - left), round(bottom - top)))
    pen = ImageDraw.Draw(picture)
    pen.text((-left, -top), text, (*WHITE, 235), face, stroke_width=rim, stroke_fill=(0, 0, 0, 170))
    return picture


def help_page(keys: Sequence[tuple[str, str]], size: Size, largest: int) -> "Pil.Image":
    """Return all keys over a dark ground, as large as fits and in as many columns.

    Args:
        keys: with what they do.
        size: of the page, in pixels.
        largest: height of a letter at most, in pixels.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw

    picture = Pil.new("RGBA", size, (0, 0, 0, 215))
    pen = ImageDraw.Draw(picture)
    for letters in range(largest, MIN_LETTER_PX - 2, -1):
        face, leading = font(letters), round(letters * 1.45)
        rows = max(1, (size[1] - 2 * letters) // leading)
        columns = -(-len(keys) // rows)
        behind = round(max(face.getlength(f"{key}   ") for key, _ in keys))
        wide = behind + round(max(face.getlength(words) for _, words in keys)) + 2 * letters
        if columns * wide <= size[0]:
            break
    rows = -(-len(keys) // columns)
    left, top = max(letters, (size[0] - columns * wide) // 2), max(0, (size[1] - rows * leading) // 2)
    for at, (key, words) in enumerate(keys):
        x, y = left + at // rows * wide, top + at % rows * leading
        pen.text((x, y), key, (*BACKGROUND, 255), face)
        pen.text((x + behind, y), words, (*WHITE, 255), face)
    return picture
