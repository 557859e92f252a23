"""The renderer: what the automatic quality measures, and when a quality and a look are taken."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.driver import COLOUR, Cards
from support.pictures import draw_card

from livestyle.config.look import Look, parse_plane
from livestyle.config.quality import LADDER, QUALITIES, START, Quality
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.image.io import save_image
from livestyle.live.actions import make_controls
from livestyle.live.autoquality import AutoQuality
from livestyle.live.privacy import Privacy
from livestyle.live.renderer import Renderer
from livestyle.live.shown import placeholder
from livestyle.render.filter import Filter
from livestyle.types import Size

SIZE = 64, 48


class Recorded(AutoQuality):
    """Record what is measured, and stay at the first quality."""

    def __init__(self) -> None:
        super().__init__(1 / 30, SIZE)
        self.measured: list[tuple[float, float, float]] = []

    def feed(self, time_s: float, busy_s: float, styles_s: float) -> None:
        self.measured.append((time_s, busy_s, styles_s))


def render(look: Look, count: int) -> list[tuple[float, float, float]]:
    """Return what is measured of some frames, in the order of their times."""
    auto, controls = Recorded(), make_controls(look)
    with Filter(Settings()) as filter:
        filter.quality = auto.quality
        renderer = Renderer(filter, placeholder(SIZE), controls, lambda line: None, auto)
        for frame in Cards(count):
            renderer(frame, look)
    return auto.measured


def test_the_automatic_quality_measures_the_styles_of_painted_frames() -> None:
    measured = render(Look(parse_plane("great_wave")), 4)
    assert [time for time, _, _ in measured] == [n / 30 for n in range(4)]
    assert any(styles_s > 0 for _, _, styles_s in measured)
    assert all(busy_s >= styles_s for _, busy_s, styles_s in measured)


def test_without_styles_no_time_for_styles_is_measured() -> None:
    measured = render(COLOUR, 3)
    assert len(measured) == 3
    assert all(busy_s > 0 == styles_s for _, busy_s, styles_s in measured)


class Compiling(Filter):
    """A filter that compiles each quality until `is_ready` is set."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.is_ready = False

    def warm_up(self, quality: Quality, look: Look, size: Size) -> bool:
        return self.is_ready


def test_a_quality_is_taken_once_it_is_compiled_and_nothing_is_measured_meanwhile() -> None:
    auto, controls = Recorded(), make_controls(COLOUR)
    with Compiling() as filter:
        filter.quality = QUALITIES["fast"]
        renderer = Renderer(filter, placeholder(SIZE), controls, lambda line: None, auto)
        frames = iter(Cards())
        renderer(next(frames), COLOUR)
        assert filter.quality == QUALITIES["fast"]
        assert not auto.measured
        filter.is_ready = True
        renderer(next(frames), COLOUR)
        assert filter.quality == LADDER[START]
        assert len(auto.measured) == 1


def test_a_quality_that_is_chosen_by_name_is_taken_at_once() -> None:
    controls = make_controls(COLOUR)
    with Filter(Settings()) as filter:
        renderer = Renderer(filter, placeholder(SIZE), controls, lambda line: None)
        controls.press("quality best")
        renderer(next(iter(Cards())), COLOUR)
        assert filter.quality == QUALITIES["best"]


BARE, BLUE = Look(parse_plane("none")), Look(parse_plane("color:#0000ff"))


class Loading(Compiling):
    """A filter that loads BLUE until `is_ready` is set, and fails to if `error` is."""

    error: Exception | None = None

    def warm_up(self, quality: Quality, look: Look, size: Size) -> bool:
        if self.error:
            raise self.error
        return self.is_ready or look != BLUE


@pytest.mark.parametrize(("before", "is_call"), [(COLOUR, False), (COLOUR, True), (BARE, False), (BARE, True)])
def test_while_a_look_is_loaded_the_one_before_is_drawn_unless_it_shows_the_room_in_a_call(
    before: Look, is_call: bool
) -> None:
    controls = make_controls(before, privacy=Privacy(is_call))
    with Loading() as filter:
        renderer = Renderer(filter, placeholder(SIZE), controls, lambda line: None, is_live=True)
        frames = iter(Cards())
        assert renderer(next(frames), before).look == before
        meanwhile = renderer(next(frames), BLUE)
        assert meanwhile.answers == BLUE
        assert meanwhile.hidden == (is_call and before == BARE)
        assert meanwhile.hidden or meanwhile.look == before
        filter.is_ready = True
        shown = renderer(next(frames), BLUE)
        assert (shown.look, shown.hidden) == (BLUE, False)


def test_what_cannot_be_loaded_leaves_the_look_before_and_bypass_waits_for_nothing() -> None:
    controls = make_controls(COLOUR)
    with Loading() as filter:
        renderer = Renderer(filter, placeholder(SIZE), controls, lambda line: None, is_live=True)
        frames = iter(Cards())
        renderer(next(frames), COLOUR)
        controls.show(BLUE)
        filter.error = UserError("It is broken.", "Give another.")
        assert renderer(next(frames), controls.look).look == controls.look == COLOUR
        assert list(controls.notices()) == ["It is broken. Give another."]
        controls.press("bypass")
        assert renderer(next(frames), controls.look).look.bypass


def test_a_file_that_was_mended_is_loaded_when_it_is_asked_for_again(tmp_path: Path) -> None:
    """In the background, and what fails is not tried again before."""
    file = tmp_path / "a.png"
    file.write_bytes(b"no picture")

    def loaded(filter: Filter, look: Look) -> None:
        while not filter.warm_up(filter.quality, look, SIZE):
            pass

    with Filter(Settings(segmenter="kmeans")) as filter:
        look = Look(parse_plane(f"image:{file}"))
        for _ in range(2):
            with pytest.raises(UserError, match=r"a\.png"):
                loaded(filter, look)
            save_image(file, draw_card(*SIZE))
        loaded(filter, replace(look))
        picture = filter(next(iter(Cards())), look)
        assert (picture[:8, :8] == draw_card(*SIZE)[:8, :8]).all()
