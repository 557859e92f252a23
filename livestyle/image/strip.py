"""The strip of a photo booth: pictures on white paper."""

from collections.abc import Sequence

import numpy as np

from livestyle.image.pixels import cover, fit
from livestyle.image.types import Image, size_of

MAX_CELL_PX = 960  # long side of a picture on the strip
MARGIN = 0.045  # around each picture, as a share of its long side
CAPTION = 2.2  # height of the line below, in margins
PAPER, INK = (250, 249, 246), (70, 66, 62)


def lay_out_strip(pictures: Sequence[Image], columns: int, caption: str = "") -> Image:
    """Return pictures as one: in columns from the upper left on, a last row that is not full in the middle.

    Args:
        pictures: at least one, uint8 (H, W, 3) RGB. All get the size of the first; what then juts out is cut off.
        columns: how many stand side by side.
        caption: a line below; "" for none.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    from PIL import Image as Pil
    from PIL import ImageDraw, ImageFont

    width, height = size_of(pictures[0])
    share = min(1.0, MAX_CELL_PX / max(width, height))
    size = width, height = max(1, round(width * share)), max(1, round(height * share))
    margin = max(2, round(MARGIN * max(size)))
    columns, foot = min(columns, len(pictures)), round(CAPTION * margin) if caption else 0
    rows = -(-len(pictures) // columns)
    paper = Pil.new(
        "RGB", (margin + columns * (width + margin), margin + rows * (height + margin) + foot), PAPER
    )  # fmt: skip
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        missing = columns - min(columns, len(pictures) - row * columns)
        left = margin + column * (width + margin) + missing * (width + margin) // 2
        picture = picture if size_of(picture) == size_of(pictures[0]) else cover(picture, size)
        paper.paste(Pil.fromarray(fit(picture, size)), (left, margin + row * (height + margin)))
    if caption:
        middle = paper.width / 2, paper.height - margin / 2 - foot / 2
        face = ImageFont.load_default(letters := 1.1 * margin)
        face = ImageFont.load_default(letters * min(1.0, (paper.width - 2 * margin) / face.getlength(caption)))
        ImageDraw.Draw(paper).text(middle, caption, INK, face, anchor="mm")
    return np.array(paper, np.uint8)
