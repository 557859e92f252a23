"""CSS colours by name and number."""

import re
from collections.abc import Mapping

from livestyle.config.names import plain
from livestyle.types import Color


def color_names() -> Mapping[str, object]:
    """Return the names of the CSS colours."""
    from PIL import ImageColor

    return ImageColor.colormap


def read_color(text: str, bare: bool = False) -> Color | None:
    """Return the RGB of a CSS colour in 0..255, or None for any other text.

    Args:
        text: a name, #rgb, #rrggbb, rgb(...) or hsl(...).
        bare: read no more than names, #rgb and #rrggbb.
    """
    from PIL import ImageColor

    name = plain(text)
    if name in ImageColor.colormap:
        text = name
    elif bare and not text.startswith("#"):
        return None
    elif re.fullmatch(r"[0-9a-fA-F]{6}", text):
        text = f"#{text}"
    try:
        color = ImageColor.getrgb(text)
    except ValueError:
        return None
    return color if len(color) == 3 and max(color) < 256 else None
