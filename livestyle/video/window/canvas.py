"""What every toolkit's window can do, and what happens to one."""

from collections.abc import Callable
from dataclasses import dataclass

from livestyle.image.types import Image
from livestyle.types import Size

TITLE = "livestyle"


@dataclass(frozen=True)
class Pointer:
    """What the mouse did.

    Args:
        kind: "press", "move" with the button down, "double", "second" for a press of the right button, or "hover".
        x, y: where, in pixels of the content; negative where it left the window.
    """

    kind: str
    x: int
    y: int


@dataclass(frozen=True)
class Drop:
    """Files were dragged onto the window, or pasted.

    Args:
        paths: of the files, or their addresses; () while they are not let go yet.
        is_backdrop: they are to be shown as they are.
    """

    paths: tuple[str, ...] = ()
    is_backdrop: bool = False


@dataclass(frozen=True)
class Fault:
    """Something was dropped or pasted that cannot be used.

    Args:
        text: for people.
    """

    text: str


Fit = Callable[[Size], Size]  # from the size of the screen to that of the content at first, in points
Event = (
    str | Pointer | Drop | Fault
)  # a key: one character, or a word for one that is none; "quit": the window was closed


class Canvas:
    """A window that shows pictures of its own size.

    Attributes:
        name: of the toolkit.
        size: width and height of the content in pixels.
        scale: pixels per point.
        note: what people should know of the choice of this toolkit, or "".
    """

    name: str
    size: Size
    scale = 1.0
    note = ""

    def show(self, image: Image) -> None:
        """Show a picture, uint8 (H, W, 3) RGB."""
        raise NotImplementedError

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        raise NotImplementedError

    def title(self, text: str) -> None:
        """Name the window."""

    def full_screen(self, wanted: bool) -> None:
        """Fill the screen, or no longer."""

    def close(self) -> None:
        """Take the window away."""
