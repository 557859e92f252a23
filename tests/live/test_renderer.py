"""The renderer: what the automatic quality measures, and when a quality is taken."""

from support.driver import COLOUR, Cards

from livestyle.config.look import Look, parse_plane
from livestyle.config.quality import LADDER, QUALITIES, START, Quality
from livestyle.config.settings import Settings
from livestyle.live.actions import make_controls
from livestyle.live.autoquality import AutoQuality
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
