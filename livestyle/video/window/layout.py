"""How large a window and its letters are."""

from livestyle.types import Size

MIN_WIDTH_PT = 960  # of the picture at first, where the screen has room
MIN_BAR_PT = 560  # of the width of the bar at first, below a picture that is narrow
TITLE_BAR_PT = 40  # of the height of the screen, for what the system draws around a window
LETTERS_PER_WIDTH = 64  # how many letters, as wide as they are high, a window is wide
MIN_LETTER_PT, MAX_LETTER_PT = 13, 22
ROWS = 2  # of the bar
MIN_TILE_LETTERS = 4  # of the width of a style's picture, in letters
MAX_TILE_ROWS = 3


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

    The picture keeps its shape, and a bar may be wider. The picture is as large as it is, but at least MIN_WIDTH_PT and
    half the screen wide.
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
    wide, high = max(1, round(width * share)), max(1, round(height * share))
    if not is_below:
        return wide, high
    wide = max(wide, min(screen[0], MIN_BAR_PT))
    return wide, high + bar_height(letters_of(wide))


class Tiles:
    """Where the pictures of styles stand: in as few rows as leave them large enough.

    Args:
        count: of styles.
        window: its width and height, in pixels.
        letters: height of a letter, in pixels.

    Attributes:
        size: width and height of one, in pixels.
        count: how many have room.
        height: of all rows and the gaps around them, in pixels; 0 for none.
    """

    def __init__(self, count: int, window: Size, letters: int) -> None:
        self._gap = max(2, letters // 5)
        most = max(1, window[0] // (MIN_TILE_LETTERS * letters + self._gap))
        rows = min(MAX_TILE_ROWS, -(-count // most))
        self._columns = -(-min(count, rows * most) // max(1, rows))
        self.count = min(count, rows * self._columns)
        widest = window[0] // max(1, self._columns) - self._gap
        width = max(MIN_TILE_LETTERS * letters, min(window[1] // 5, widest))
        self.size = width, width * 9 // 16
        self.height = rows * (self.size[1] + self._gap) + self._gap if count else 0

    def place(self, number: int, width: int, top: int) -> tuple[int, int]:
        """Return where one stands: its left and upper edge in pixels.

        Args:
            number: from 0 on.
            width: of the window, in pixels.
            top: of all rows, in pixels.
        """
        across, down = self.size[0] + self._gap, self.size[1] + self._gap
        row, column = divmod(number, self._columns)
        start = (width - min(self._columns, self.count) * across + self._gap) // 2
        return start + column * across, top + self._gap + row * down
