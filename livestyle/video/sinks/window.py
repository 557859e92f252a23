"""The preview window."""

from livestyle.image.types import Frame
from livestyle.video.sinks.sink import Sink, Stream
from livestyle.video.window.overlay import Overlay, Scene
from livestyle.video.window.toolkits import TITLE, Event, open_canvas


class Window(Sink):
    """A preview, with all that a scene says over it; keys and clicks.

    Args:
        toolkit: see `open_canvas`.

    Raises:
        UserError: there is no screen.
    """

    is_live = True

    def __init__(self, stream: Stream, toolkit: str = "") -> None:
        self._canvas = open_canvas(stream.size, toolkit)
        self._overlay, self._scene = Overlay(), Scene()
        self._is_dragging = False
        self.name = f"window ({self._canvas.name})"

    def describe(self, scene: Scene) -> None:
        before, self._scene = self._scene, scene
        if scene.title != before.title:
            self._canvas.title(f"{TITLE} - {scene.title}")
        if ("full-screen" in scene.showing) != ("full-screen" in before.showing):
            self._canvas.full_screen("full-screen" in scene.showing)

    def send(self, frame: Frame) -> None:
        self._canvas.show(self._overlay.draw(frame.image, self._scene, self._canvas.size, self._canvas.scale))

    def notice(self, text: str) -> None:
        self._overlay.notice(text)

    def pressed(self) -> list[str]:
        return [key for event in self._canvas.events() for key in self._keys(event)]

    def _keys(self, event: Event) -> list[str]:
        """What an event asks for, as keys or actions with their arguments."""
        if isinstance(event, str):
            return [event]
        target = self._overlay.at(event.x, event.y)
        if event.kind == "second":
            name = target.removeprefix("style ")
            return [f"person {'none' if name == self._scene.chosen[1] else name}"] if name != target else []
        if event.kind == "press":
            self._is_dragging = target == "split"
        if event.kind == "double" and target in ("", "split"):
            return ["full-screen"]
        if self._is_dragging:
            self._overlay.drag(event.x)
        return [target] if event.kind == "press" and target not in ("", "split") else []

    def close(self) -> None:
        self._canvas.close()
