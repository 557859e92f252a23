"""The public API, as `import livestyle` gives it."""

from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any

from livestyle.config.look import Look, parse_plane
from livestyle.config.names import unknown
from livestyle.config.options import made
from livestyle.config.settings import LiveSettings, Settings, rows_for
from livestyle.image.types import Frame, Image, Matte
from livestyle.live.actions import open_controls
from livestyle.live.driver import run_live
from livestyle.live.privacy import privacy_of
from livestyle.live.report import Report
from livestyle.matting.published import SEGMENTERS
from livestyle.nets.library import find_cards, style_titles
from livestyle.render import filter as rendering
from livestyle.render.looks import look_from
from livestyle.types import FrameProgress, Say, Size
from livestyle.video.sinks import open as sinks
from livestyle.video.sinks.sink import Sink, Stream


class Filter:
    """Paint pictures, or the frames of a clip or camera, from Python.

    Networks are loaded when they are first needed. Close the filter, or use it in `with`.

    Args:
        settings: the fields of `Settings` by name, such as `background="starry_night"`, `person="none"`,
            `strength=0.8`, `segmenter="unet"`, `device="cpu"`, `quality="best"`.

    Raises:
        UserError: a setting is unknown or wrong, or a model is not there.
    """

    def __init__(self, **settings: Any) -> None:
        rows = rows_for(Settings)
        _check_names(settings, rows)
        self._settings = made(rows, Settings, settings)
        self._look = look_from(self._settings)
        self._filters: dict[bool, rendering.Filter] = {}  # by whether frames follow one another
        self._frames = 0

    @property
    def look(self) -> Look:
        """The look of both planes.

        Set it to another `Look`, or to a text such as "great_wave" or "blur:0.7" for another background.
        """
        return self._look

    @look.setter
    def look(self, look: "Look | str") -> None:
        look = look if isinstance(look, Look) else self._with_background(look)
        for filter in self._filters.values():
            filter.prepare(look)
        self._look = look

    def paint(self, image: Image, time: float | None = None) -> Image:
        """Return an image painted in the look.

        Args:
            image: uint8 (H, W, 3) RGB.
            time: seconds of the source, rising, for frames of a clip or camera: mattes and paintings are then smoothed
                over time. None for a picture that stands alone.

        Returns:
            uint8 (H, W, 3) RGB. It may share memory with `image` where nothing is to be done.

        Raises:
            UserError: a model is missing or damaged.
        """
        return self._filter(time is not None)(self._frame(image, time), self._look)

    def matte(self, image: Image, time: float | None = None) -> Matte:
        """Return the person's matte of an image: float32 (H, W) in 0..1, where 1 is person.

        Args:
            image: as of `paint`.
            time: as of `paint`.

        Raises:
            UserError: a model is missing or damaged.
        """
        return self._filter(time is not None).matte(self._frame(image, time))

    def close(self) -> None:
        """Release the networks and end the threads."""
        for filter in self._filters.values():
            filter.close()
        self._filters.clear()

    def __enter__(self) -> "Filter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _with_background(self, text: str) -> Look:
        return self._look.with_planes({"background": parse_plane(text, style_titles(self._settings.models))})

    def _frame(self, image: Image, time: float | None) -> Frame:
        self._frames += 1
        return Frame(image, self._frames, time or 0.0)

    def _filter(self, live: bool) -> rendering.Filter:
        if live not in self._filters:
            self._filters[live] = rendering.Filter(self._settings, live=live)
            self._filters[live].prepare(self._look)
        return self._filters[live]


def run(
    source: str = "0",
    sinks: Sequence[str] = ("window",),
    *,
    say: Say = lambda line: None,
    watch: FrameProgress = lambda frames: None,
    **settings: Any,
) -> Report:
    """Run the live filter until it ends, as `livestyle live` does; return how it went.

    Args:
        source: a camera's index or path, a file, a URL, or "demo".
        sinks: "window", "virtual-camera[:DEVICE]", "file:PATH" or "null".
        say: takes messages for people.
        watch: takes the number of frames done.
        settings: the fields of `Settings` and `LiveSettings` by name, such as `frames=100`.

    Raises:
        UserError: a setting is unknown or wrong, or something cannot be opened.
    """
    of_look, of_run = rows_for(Settings), rows_for(LiveSettings)
    _check_names(settings, (of_look | of_run).keys() - {"source", "sink"})
    rendered = made(of_look, Settings, settings)
    live = made(of_run, LiveSettings, {**settings, "source": source, "sink": sinks})
    return run_live(rendered, live, open_controls(rendered, privacy_of(live)), say, watch)


def open_sink(text: str, size: Size, fps: float = 30.0) -> Sink:
    """Open what frames can be sent to; use it in `with`.

    Args:
        text: "window", "virtual-camera[:DEVICE]", "file:PATH" or "null".
        size: of the frames, (width, height) in pixels.
        fps: frames per second.

    Raises:
        UserError: there is no such sink, or it cannot be opened.
    """
    return sinks.open_sink(text, Stream(size, fps))


def styles() -> tuple[str, ...]:
    """Return the names of the installed styles, in the order of their numbers."""
    return tuple(find_cards("style", None))


def segmenters() -> tuple[str, ...]:
    """Return the names of the segmenters that can be used, the installed ones first."""
    installed = tuple(find_cards("segmenter", None))
    others = [name for name in SEGMENTERS if name not in installed]
    return (*installed, *others)


def _check_names(settings: dict[str, Any], known: Collection[str]) -> None:
    for name in settings:
        if name not in known:
            raise unknown("setting", name, known, f"Known: {', '.join(sorted(known))}.")
