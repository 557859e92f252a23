"""How large a window and its letters are."""

from livestyle.types import Size

MIN_WIDTH_PT = 960  # of the picture at first, where the screen has room
TITLE_BAR_PT = 40  # of the height of the screen, for what the system draws around a window
LETTERS_PER_WIDTH = 64  # how many letters, as wide as they are high, a window is wide
MIN_LETTER_PT, MAX_LETTER_PT = 13, 22
ROWS = 2  # of the bar


def letters_of(width: int, scale: float = 1.0) -> int:
    """Return the height of a letter in pixels.

    Args:
        width: of the window, in pixels.
        scale: pixels per point.
    """
    return round(min(max(width / LETTERS_PER_WIDTH, MIN_LETTER_PT * scale), MAX_LETTER_PT * scale))


def leading_of(letters: int) -> int:
    """Return the distance of two rows in pixels, for letters of a height in pixels."""
    return round(letters * 1.4)


def bar_height(letters: int) -> int:
    """Return the height of the bar in pixels, for letters of a height in pixels."""
    return ROWS * leading_of(letters) + letters


def first_size(picture: Size, is_below: bool, screen: Size) -> Size:
    """Return the size of a window's content that suits a screen. All sizes are in points.

    The picture keeps its shape. It is as large as it is, but at least MIN_WIDTH_PT and half the screen wide.
    Screen, title and bar leave room for less at times.

    Args:
        picture: its width and height.
        is_below: the bar lies below the picture.
        screen: its width and height.
    """
    width, height = picture
    wanted = min(screen[0], max(width, MIN_WIDTH_PT, screen[0] // 2))
    bar = bar_height(letters_of(wanted)) if is_below else 0
    share = min(wanted / width, max(1, screen[1] - TITLE_BAR_PT - bar) / height)
    wide = max(1, round(width * share))
    bar = bar_height(letters_of(wide)) if is_below else 0
    return wide, max(1, round(height * share)) + bar
