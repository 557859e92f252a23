"""What one who sits at this machine sees of a run, and the keys pressed there."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.types import Size
from livestyle.video.window.canvas import TITLE, Drop, Event, Fault
from livestyle.video.window.dialog import FileDialog
from livestyle.video.window.overlay import Overlay, Scene
from livestyle.video.window.toolkits import open_canvas

PROMPT = "search the styles (enter, esc): "
TYPING_S = 6.0  # after the last letter, the keys have their usual meaning again
HOVER_WORDS = "Let go, and it is painted with. With Shift, it is shown behind you."
ALL = "all"  # the search that finds every style


class Preview:
    """Show a run to one who sits at this machine, and take the keys pressed there. This one does neither.

    Attributes:
        name: what a person calls it, or "" where there is none.
    """

    name = note = ""

    def show(self, image: Image, scene: Scene) -> None:
        """Show a picture.

        Args:
            image: uint8 (H, W, 3) RGB, as all others see it. It is not changed.
            scene: what is shown beside the picture and over it.
        """

    def notice(self, text: str) -> None:
        """Show a line for a moment, over the next pictures."""

    def ask_file(self, action: str) -> None:
        """Open a dialog that asks for the file of an action. What is chosen becomes an event, once it is."""

    def ask_words(self) -> None:
        """Take the next keys for words to search for, until Enter or Esc. They become an event."""

    def events(self) -> list[str]:
        """Return the keys pressed since the last call, and what clicks stand for, as `Controls.press_key` takes them.

        "quit" says that the window was closed.
        """
        return []

    def is_watched(self) -> bool:
        """Return whether somebody looks."""
        return False

    def close(self) -> None:
        """Take it away. This may be called twice."""


class Previews(Preview):
    """Several previews as one.

    Args:
        previews: none, one or several.
    """

    def __init__(self, previews: Sequence[Preview]) -> None:
        self.previews = tuple(previews)
        self.name = ", ".join(preview.name for preview in previews)
        self.note = " ".join(preview.note for preview in previews if preview.note)

    def show(self, image: Image, scene: Scene) -> None:
        for preview in self.previews:
            preview.show(image, scene)

    def notice(self, text: str) -> None:
        for preview in self.previews:
            preview.notice(text)

    def ask_file(self, action: str) -> None:
        for preview in self.previews[:1]:
            preview.ask_file(action)

    def ask_words(self) -> None:
        for preview in self.previews[:1]:
            preview.ask_words()

    def events(self) -> list[str]:
        return [event for preview in self.previews for event in preview.events()]

    def is_watched(self) -> bool:
        return any(preview.is_watched() for preview in self.previews)

    def close(self) -> None:
        with ExitStack() as stack:  # closes all, even if one fails
            for preview in self.previews:
                stack.callback(preview.close)


class Window(Preview):
    """A window.

    Args:
        size: of the pictures, in pixels.
        toolkit: one of TOOLKITS, or "" for the first that works here.
        is_below: words and styles stand below the picture, and not over it.

    Raises:
        UserError: there is no screen, no such toolkit, or it does not work here.
    """

    def __init__(self, size: Size, toolkit: str = "", is_below: bool = False) -> None:
        self._canvas = open_canvas(size, toolkit, is_below)
        self._overlay, self._scene = Overlay(is_below), Scene()
        self._is_dragging, self._typing_ends = False, 0.0
        self._dialog: FileDialog | None = None
        self._asking = ""  # the action that the dialog asks for
        self.name, self.note = f"window ({self._canvas.name})", self._canvas.note

    def show(self, image: Image, scene: Scene) -> None:
        before, self._scene = self._scene, scene
        if scene.title != before.title:
            self._canvas.title(f"{TITLE} - {scene.title}")
        if ("full-screen" in scene.showing) != ("full-screen" in before.showing):
            self._canvas.full_screen("full-screen" in scene.showing)
        self._canvas.show(self._overlay.draw(image, scene, self._canvas.size, self._canvas.scale))

    def notice(self, text: str) -> None:
        self._overlay.notice(text)

    def ask_file(self, action: str) -> None:
        self._asking = action
        try:
            self._dialog = self._dialog or FileDialog()
        except (UserError, OSError) as error:
            self.notice(str(error))

    def ask_words(self) -> None:
        self._overlay.prompt, self._typing_ends = PROMPT, time.monotonic() + TYPING_S

    def events(self) -> list[str]:
        if time.monotonic() > self._typing_ends:
            self._overlay.prompt = ""
        keys = [key for event in self._canvas.events() for key in self._keys(event)]
        if self._dialog and not self._dialog.is_open:
            path, self._dialog = self._dialog.close(), None
            keys += [f"{self._asking} {path}"] if path else []
        return keys

    def is_watched(self) -> bool:
        return True

    def _keys(self, event: Event) -> list[str]:
        """Return what an event asks for, as keys or actions with their arguments."""
        if isinstance(event, str):
            return self._typed(event) if self._overlay.prompt and event != "quit" else [event]
        if isinstance(event, Fault):
            self.notice(event.text)
            return []
        if isinstance(event, Drop):
            return self._dropped(event)
        if event.kind == "press":
            self._overlay.prompt = ""
        self._overlay.hover(event.x, event.y)
        target = self._overlay.at(event.x, event.y)
        if event.kind == "second":
            name = target.removeprefix("style ")
            return [f"person {'none' if name == self._scene.chosen[1] else name}"] if name != target else []
        if event.kind == "press":
            self._is_dragging = target == "split"
        if event.kind == "double" and target in ("", "split"):
            return ["full-screen"]
        if self._is_dragging and event.kind != "hover":
            self._overlay.drag(event.x)
        return [target] if event.kind == "press" and target not in ("", "split") else []

    def _typed(self, key: str) -> list[str]:
        """Add a key to the words that are searched for. Return what they ask for, once they are complete."""
        text = self._overlay.prompt.removeprefix(PROMPT)
        if key in ("enter", "esc"):
            self._overlay.prompt = ""
            return [f"search {text.strip() or ALL}"] if key == "enter" else []
        text = text[:-1] if key == "backspace" else text + (" " if key == "space" else key if len(key) == 1 else "")
        self._overlay.prompt, self._typing_ends = PROMPT + text, time.monotonic() + TYPING_S
        return []

    def _dropped(self, drop: Drop) -> list[str]:
        """Return what dropped files ask for."""
        if not drop.paths:
            self.notice(HOVER_WORDS)
            return []
        return [f"{'backdrop' if drop.is_backdrop else 'open-picture'} " + "\n".join(drop.paths)]

    def close(self) -> None:
        if self._dialog:
            self._dialog.close()
            self._dialog = None
        self._canvas.close()
