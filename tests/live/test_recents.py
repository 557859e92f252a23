"""Recent pictures: which are noted, what is shown of them, and what later runs know."""

from pathlib import Path

import numpy as np
import pytest
from support.driver import Cards
from support.pictures import draw_card

from livestyle.config.look import NONE, Look, parse_plane
from livestyle.image.io import save_image
from livestyle.live import recents as module
from livestyle.live.actions import make_controls
from livestyle.live.controls import Controls
from livestyle.live.preview import scene_of
from livestyle.live.recents import MAX_RECENT, Recents, read_recents, recents_file, write_recents
from livestyle.live.shown import Shown

FRAME = next(iter(Cards()))


def pictures(folder: Path, count: int) -> list[str]:
    for number in range(count):
        save_image(folder / f"{number}.png", np.full((40, 60, 3), 20 * number, np.uint8))
    return [f"picture:{folder}/{number}.png" for number in range(count)]


def show(recents: Recents, controls: Controls, text: str, hidden: bool = False) -> list[str]:
    """Show a look, and return the texts of the recent pictures in the window."""
    shown = Shown(FRAME, FRAME.image, Look(parse_plane(text)), hidden)
    recents.follow(FRAME, shown, controls)
    scene = scene_of(controls, shown, "", lambda frame: np.zeros((1, 1), np.float32))
    return [name for name, _ in scene.recents]


def test_pictures_are_noted_once_and_those_that_vanish_drop_out(tmp_path: Path) -> None:
    controls, recents = make_controls(Look(NONE)), Recents(None, None)
    texts = pictures(tmp_path, MAX_RECENT + 1)
    for text in (*texts, texts[3], "none"):
        show(recents, controls, text)
    assert [one.text for one in controls.preview.recents] == texts[:0:-1]
    (tmp_path / "4.png").unlink()
    for _ in range(MAX_RECENT):
        recents._draw_next()
    wanted = [text for text in texts[:0:-1] if text != texts[4]]
    assert show(recents, controls, "none") == wanted
    assert show(recents, controls, texts[0], hidden=True) == wanted  # nothing is noted while all is hidden
    controls.gallery = controls.gallery.__class__(only="prints")
    assert show(recents, controls, "none") == []


def test_they_are_painted_on_the_live_view_only_while_they_are_seen_and_nothing_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Red:
        def __init__(self, models: Path | None) -> None:
            pass

        def __call__(self, image: np.ndarray, text: str) -> np.ndarray:
            return image // 2

    monkeypatch.setattr(module, "SmallPainter", Red)
    controls, recents = make_controls(Look(NONE)), Recents(None, None)
    (text,) = pictures(tmp_path, 1)

    def painted() -> bool:
        for _ in range(2):
            recents._draw_next()
        show(recents, controls, text)
        return controls.preview.recents[0].painted is not None

    show(recents, controls, text)
    assert not painted()  # the strip is closed
    controls.preview.is_shown, controls.preview.panels = True, frozenset({"strip"})
    show(recents, controls, text)
    assert painted()
    own = controls.preview.recents[0].own
    hidden = Shown(FRAME, FRAME.image, Look(NONE), hidden=True)
    scene = scene_of(controls, hidden, "", lambda frame: np.zeros((1, 1), np.float32))
    assert scene.recents == ((text, own),)
    controls.panicked = True
    show(recents, controls, text, hidden=True)
    recents._draw_next()
    assert controls.preview.recents[0].painted is None
    assert recents._recents[0].painted is None


def test_later_runs_know_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, controls = tmp_path / "states/recent.json", make_controls(Look(NONE))
    texts = pictures(tmp_path, 2)
    with Recents(None, file) as recents:
        show(recents, controls, texts[0])
        show(recents, controls, texts[1])
    assert read_recents(file) == texts[::-1]
    Path(texts[0].removeprefix("picture:")).unlink()
    assert read_recents(file) == texts[1:]
    for damaged in ("[", '["none", 3, "picture:"]', "[" * 100_000):
        file.write_text(damaged)
        assert read_recents(file) == []
    write_recents(None, texts)
    monkeypatch.setenv("LIVESTYLE_CONFIG", "none")
    assert recents_file() is None
    monkeypatch.delenv("LIVESTYLE_CONFIG")
    assert recents_file()


def test_a_small_picture_is_painted_by_one_network(tmp_path: Path) -> None:
    painter = module.SmallPainter(None)
    texts = []
    for name, size in (("a", (120, 120)), ("b", (140, 120))):
        save_image(tmp_path / f"{name}.png", draw_card(*size))
        texts.append(f"picture:{tmp_path}/{name}.png")
    card = draw_card(*module.SMALL_SIZE)
    one, other = (painter(card, text) for text in texts)
    assert one.shape == other.shape == card.shape
    assert np.abs(one.astype(int) - card).mean() > 5
    assert not (one == other).all()
