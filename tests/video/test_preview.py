"""The preview: a window without a screen, several as one, and that nobody else sees what it shows."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.driver import Cards, Collect, go
from support.pictures import draw_card

from livestyle.image.types import Frame, Image
from livestyle.video.window import dialog, preview
from livestyle.video.window.canvas import Canvas, Drop, Event, Fault, Pointer
from livestyle.video.window.overlay import Scene
from livestyle.video.window.preview import Preview, Previews, Window


class Glass(Canvas):
    """A window without a screen: keeps what it is shown, and what happens to it is said beforehand."""

    def __init__(self, events: list[list[Event]]) -> None:
        self.name, self.size, self.images, self.script = "glass", (640, 360), list[Image](), events
        self.titles, self.full = list[str](), list[bool]()

    def show(self, image: Image) -> None:
        self.images.append(image)

    def events(self) -> list[Event]:
        return self.script.pop(0) if self.script else []

    def title(self, text: str) -> None:
        self.titles.append(text)

    def full_screen(self, wanted: bool) -> None:
        self.full.append(wanted)


def window_of(monkeypatch: pytest.MonkeyPatch, *events: list[Event]) -> tuple[Window, Glass]:
    glass = Glass(list(events))
    monkeypatch.setattr(preview, "open_canvas", lambda size, toolkit, is_below: glass)
    return Window((640, 360)), glass


def test_a_notice_shows_in_the_window_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    window, glass = window_of(monkeypatch)
    image, scene = draw_card(640, 360), Scene("a look", (("background: wave", (255, 255, 255)),))
    window.show(image, Scene())
    window.notice("Saved")
    window.show(image, replace(scene, showing=frozenset({"hud"})))
    assert (image == draw_card(640, 360)).all()  # others get it without
    assert (glass.images[0] == image).all()
    assert (glass.images[1][-45:] != image[-45:]).mean() > 0.5
    assert glass.titles == ["livestyle - a look"]


def test_clicks_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    window, glass = window_of(
        monkeypatch, ["x", Pointer("press", 290, 350)], [Pointer("press", 300, 100), Pointer("move", 160, 100)],
        [Pointer("press", 290, 350), Pointer("move", 500, 100)], [Pointer("double", 300, 100)], ["quit"],
    )  # fmt: skip
    image = np.zeros((360, 640, 3), np.uint8)
    styles = tuple((name, Path("none.png")) for name in ("alpha", "beta"))
    scene = Scene(view="split", original=image + 200, styles=styles, showing=frozenset({"strip"}))
    edges = []
    for pressed in (["x"], [], [], ["full-screen"], ["quit"]):
        window.show(image, scene)
        edges.append(int((glass.images[-1][5, :, 0] == 200).sum()))
        clicked = window.events()
        assert [name for name in clicked if not name.startswith("style")] == pressed
    assert abs(edges[0] - 320) <= 1
    assert [abs(edge - 160) <= 1 for edge in edges[2:]] == [True] * 3  # not dragged by what began on a style
    for chosen, key in (("", "person alpha"), ("alpha", "person none")):
        window.show(image, Scene(styles=styles, chosen=("beta", chosen), showing=frozenset({"strip"})))
        glass.script = [[Pointer("second", 290, 350), Pointer("second", 290, 100)]]
        assert window.events() == [key]
    window.show(image, Scene(showing=frozenset({"full-screen"})))
    window.show(image, Scene())
    assert glass.full == [True, False]


def test_files_that_are_dropped_or_chosen_become_actions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    """The dialog is a command that prints a path; here one of the name of GNOME's."""
    tool = tmp_path / "bin/zenity"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n[ -z $QT_QPA_PLATFORM_PLUGIN_PATH ] && echo '/a b/c.jpg'\n")
    tool.chmod(0o700)
    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", "/of/another/Qt")
    monkeypatch.setattr(dialog.sys, "platform", "linux")
    window, glass = window_of(
        monkeypatch, [Drop()], [Drop(("a.txt", "b.JPG", "c.jpg"))], [Drop(("c.jpg",), is_backdrop=True)],
        [Fault("Not that.")],
    )  # fmt: skip
    asked = [window.events() for _ in range(4)]
    assert asked == [[], ["open-picture a.txt\nb.JPG\nc.jpg"], ["backdrop c.jpg"], []]
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    for action in ("open-picture", "backdrop"):
        window.ask_file(action)  # the second time, one is open already
    chosen = list[str]()
    while not chosen:
        chosen = window.events()
    assert chosen == ["backdrop /a b/c.jpg"]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(dialog, "has_module", lambda name: False)
    glass.images.clear()
    window.ask_file("backdrop")
    window.show(np.zeros((360, 640, 3), np.uint8), Scene())
    assert glass.images[0].any()  # the reason
    window.ask_file("backdrop")
    window.close()


def test_words_are_typed_until_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    window, glass = window_of(
        monkeypatch, [*"van", "space"], ["p", "backspace", "tab", "g", "enter"], ["p"], ["x", "esc", "p"], ["enter"],
        ["x", Pointer("press", 1, 1), "p"], ["quit"], ["p"],
    )  # fmt: skip
    image, scene = np.zeros((360, 640, 3), np.uint8), Scene(showing=frozenset({"hud"}))
    window.show(image, scene)
    window.ask_words()
    assert window.events() == []
    window.show(image, scene)
    assert (glass.images[0] != glass.images[1]).any()  # what is typed
    assert window.events() == ["search van g"]
    assert window.events() == ["p"]
    window.ask_words()
    assert window.events() == ["p"]
    window.ask_words()
    assert window.events() == ["search all"]
    window.ask_words()
    assert window.events() == ["p"]
    window.ask_words()
    assert window.events() == ["quit"]
    window.ask_words()
    later = time.monotonic() + 2 * preview.TYPING_S
    monkeypatch.setattr(preview.time, "monotonic", lambda: later)
    assert window.events() == ["p"]  # hides at once


class Noted(Preview):
    """Notes what it is asked to do."""

    name = "noted"

    def __init__(self) -> None:
        self.asked = list[str]()

    def show(self, image: Image, scene: Scene) -> None:
        self.asked.append(f"show {scene.title}")

    def notice(self, text: str) -> None:
        self.asked.append(text)

    def events(self) -> list[str]:
        return ["x"]

    def is_watched(self) -> bool:
        return True

    def close(self) -> None:
        self.asked.append("close")


def test_several_windows_show_the_same() -> None:
    one, other = Noted(), Noted()
    both = Previews([one, other])
    both.show(draw_card(8, 8), Scene("a look"))
    both.notice("Saved")
    assert both.events() == ["x", "x"]
    assert (both.name, both.is_watched()) == ("noted, noted", True)
    both.close()
    assert one.asked == other.asked == ["show a look", "Saved", "close"]


def test_where_there_is_no_window_nothing_happens() -> None:
    for none in (Preview(), Previews([])):
        none.show(draw_card(8, 8), Scene())
        none.notice("Saved")
        assert (none.name, none.events(), none.is_watched()) == ("", [], False)
        none.close()


def test_others_have_each_picture_before_it_is_shown_here() -> None:
    order = list[str]()

    class Both(Collect):
        def send(self, frame: Frame) -> None:
            super().send(frame)
            order.append(f"send {frame.index}")

        def show(self, image: Image, scene: Scene) -> None:
            order.append("show")
            assert image is self.frames[-1].image

    go(Cards(3), Both())
    assert order == ["send 0", "show", "send 1", "show", "send 2", "show"]
