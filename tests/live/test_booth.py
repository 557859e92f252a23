"""The photo booth and the last seconds: what is kept of a run, and that nothing is of a time when it was hidden."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from support.cli import run_here
from support.driver import COLOUR, QUICK, Cards, Collect, go
from support.pictures import draw_card

from livestyle.config.booth import BoothSettings
from livestyle.errors import UserError
from livestyle.image.io import load_image
from livestyle.image.types import Image
from livestyle.live.actions import make_controls
from livestyle.live.booth import Booth
from livestyle.live.driver import Limits
from livestyle.live.replay import Replay
from livestyle.live.shown import Follower, Shown
from livestyle.render.filter import Filter
from livestyle.video.window.overlay import Overlay, Scene

SECOND = 30  # frames of Cards


def run(followers: tuple[Follower, ...], script: dict[int, str], frames: int) -> tuple[list[str], Collect]:
    """Run test cards in one colour while a script presses keys."""
    sink, controls = Collect(script), make_controls(COLOUR)
    _, said = go(Cards(), sink, Limits(frames=frames), controls, Filter(QUICK), followers=followers)
    return said, sink


def test_a_series_becomes_pictures_and_a_strip(tmp_path: Path) -> None:
    asked = BoothSettings(countdown=0.5, pictures=3, layout="grid", date=False)
    with Booth(QUICK, asked, tmp_path / "new") as booth:
        booth.has_window = False
        said, sink = run((booth,), {5: "e"}, 3 * SECOND)
    *counted, saved = (*said, *booth.messages())
    assert counted == [line for number in (1, 2, 3) for line in ("1 ...", f"Picture {number} of 3")]
    assert sink.notices.count("photo booth") == 1
    assert booth.strip is not None
    assert str(booth.strip) in saved
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    stem = booth.strip.stem
    assert names == [f"{stem}-1.png", f"{stem}-2.png", f"{stem}-3.png", f"{stem}.png"]
    pictures = [load_image(path) for path in booth.saved]
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    assert (pictures[0] == (128, 64, 32)).all(2).mean() > 0.2  # painted, not the camera's own
    assert not np.array_equal(pictures[0], pictures[1])
    assert load_image(booth.strip).shape == (48 * 2 + 3 * 3, 64 * 2 + 3 * 3, 3)
    for frame, other in zip(sink.frames, run((), {}, 3 * SECOND)[1].frames, strict=True):
        assert np.array_equal(frame.image, other.image)  # others see nothing of the countdown


def test_only_the_preview_counts() -> None:
    picture = draw_card(160, 90)
    drawn = Overlay().draw(picture, Scene(countdown="3"), (160, 90))
    changed = (drawn != picture).any(2)
    assert changed[:, 100:].any()
    assert not changed[:, :100].any()


def test_a_key_of_its_own_ends_a_series_and_so_does_hiding(tmp_path: Path) -> None:
    for key in ("e", "p"):
        with Booth(QUICK, BoothSettings(countdown=1), tmp_path / key) as booth:
            said, _ = run((booth,), {2: "booth 2", 40: key}, 3 * SECOND)
        assert said == ["Picture 1 of 2", "The photo booth ended after 1 of 2 pictures."]
        assert [path.suffix for path in booth.saved] == [".png"]
        assert booth.strip is None


def test_nothing_is_taken_while_the_picture_is_hidden_or_old(tmp_path: Path) -> None:
    booth, controls = Booth(QUICK, BoothSettings(countdown=0), tmp_path), make_controls(COLOUR)
    frame = next(iter(Cards()))
    controls.toggle_booth()
    for hidden, is_old in ((True, False), (False, False), (True, False), (False, True)):
        assert list(booth.follow(frame, Shown(frame, frame.image, COLOUR, hidden, is_old), controls)) == []
    assert list(booth.follow(frame, Shown(frame, frame.image, COLOUR), controls)) == ["Picture 1 of 4"]
    booth.close()
    controls.panic()
    for press in ("e", "u"):
        with pytest.raises(UserError, match="hidden"):
            controls.press(press)


def test_a_picture_that_fails_is_said_and_never_saved_raw(tmp_path: Path) -> None:
    class Broken(Filter):
        def __call__(self, *_: object) -> Image:
            raise RuntimeError("the segmenter broke")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("livestyle.live.booth.Filter", Broken)
        with Booth(QUICK, BoothSettings(countdown=0, pictures=2), tmp_path) as booth:
            said, _ = run((booth,), {2: "e"}, SECOND)
    assert [*said, *booth.messages()].count("The picture was not saved: the segmenter broke") == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_a_series_without_a_screen(tmp_path: Path) -> None:
    look = ("--background", "blur", "--segmenter", "kmeans", "--size", "64x36")
    words = ("booth", "--source", "demo", *look, "--stills", tmp_path, "--pictures", 2, "--countdown", 0.1, "--json")
    found = json.loads(run_here(*words, XDG_STATE_HOME=str(tmp_path / "state")).stdout)
    assert [Path(path).is_file() for path in (found["strip"], *found["pictures"])] == [True] * 3
    assert "13" in run_here("booth", "--pictures", 13, code=2).stderr


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_the_last_seconds_are_saved(kind: str, tmp_path: Path) -> None:
    with Replay(1.0, tmp_path) as replay:
        said, _ = run((replay,), {2 * SECOND: f"gif {kind}"}, 2 * SECOND + 1)
    (saved,) = (*said, *replay.messages())
    (path,) = tmp_path.iterdir()
    assert str(path) in saved
    with Pil.open(path) as animation:
        assert (animation.format, animation.size, animation.info["loop"]) == (kind.upper(), (64, 48), 0)
        assert 11 <= animation.n_frames <= 13


def test_nothing_is_kept_of_a_time_before_hiding(tmp_path: Path) -> None:
    with Replay(5.0, tmp_path) as replay:
        run((replay,), {SECOND: "p", SECOND + 10: "enter", SECOND + 25: "gif"}, 2 * SECOND)
    (path,) = tmp_path.iterdir()
    with Pil.open(path) as animation:
        assert 5 <= animation.n_frames <= 8
    controls = make_controls(COLOUR)
    controls.press("gif")
    controls.panic()
    assert list(controls.ordered_animations()) == []
    with Replay(0.0, tmp_path / "none") as replay:
        said, _ = run((replay,), {2: "gif"}, 4)
    assert said == ["Set gif-seconds above 0 first."]


def test_actions_refuse_what_they_do_not_know() -> None:
    controls = make_controls(COLOUR)
    for words, named in (("booth 13", "12"), ("booth many", "many"), ("gif mp4", "webp")):
        with pytest.raises(UserError, match=named):
            controls.press(words)
