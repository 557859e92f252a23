"""The photo booth: pictures after countdowns, painted at full quality on a thread of their own, and a strip of them."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from livestyle.config.booth import LAYOUTS, BoothSettings
from livestyle.config.look import Look
from livestyle.config.settings import Settings
from livestyle.image.io import save_image
from livestyle.image.strip import lay_out_strip
from livestyle.image.types import Frame, Image
from livestyle.live.controls import Controls
from livestyle.live.saver import Saver, unused_name
from livestyle.live.shown import Shown
from livestyle.render.filter import Filter

MAX_WAITING = 2  # pictures that wait to be painted; the next countdown ends no sooner


@dataclass
class Series:
    """The pictures that become a strip.

    Args:
        size: how many are wanted.
        due: when the next one is taken, in seconds of the source.
        taken: how many were.
        began: in seconds since the epoch.
        stem: path of all files, without what tells them apart; None before the first.
        painted: those that are finished.
    """

    size: int
    due: float
    taken: int = 0
    began: float = field(default_factory=time.time)
    stem: Path | None = None
    painted: list[Image] = field(default_factory=list)


class Booth(Saver):
    """Take the pictures that the controls ask for, and paint them.

    Only what is painted is saved. Nothing is taken while the picture is hidden, and hiding ends the series.

    Args:
        settings: how pictures are painted, but for the quality, which is that of stills.
        asked: how many pictures, and how they are laid out.
        folder: of the pictures, created with the first; None is `livestyle` in the user's pictures.
        ends_run: one series is taken as soon as there is something to see, and ends the run.

    Attributes:
        has_window: a preview shows the countdown. Else it is told in lines.
        saved: the pictures so far; strip: the last strip, None where there is none.
    """

    def __init__(
        self, settings: Settings, asked: BoothSettings = BoothSettings(), folder: Path | None = None,
        ends_run: bool = False,
    ) -> None:  # fmt: skip
        self._settings, self._asked = replace(settings, quality="auto"), asked
        self._ends_run, self.has_window, self.saved = ends_run, True, list[Path]()
        self.strip: Path | None = None
        self._series: Series | None = None
        self._filter: Filter | None = None
        super().__init__("picture", "booth", folder)

    def begin(self, controls: Controls) -> None:
        """Have the controls ask for the series that ends the run, if it is to be."""
        if self._ends_run:
            controls.booth = 0

    def follow(self, frame: Frame, shown: Shown, controls: Controls) -> Iterator[str]:
        """Count down, and take the picture that is shown when it is due. Yield lines for people.

        Args:
            frame: as the source gave it; shown: what everybody sees of it; controls: ask for a series.
        """
        wanted, series = controls.booth, self._series
        if wanted is None:
            if series is not None:
                self._series, controls.countdown = None, ""
                yield f"The photo booth ended after {series.taken} of {series.size} pictures."
        elif series is not None:
            yield from self._count(series, frame, shown, controls)
        elif not shown.hidden:
            self._series = Series(wanted or self._asked.pictures, frame.time + self._asked.countdown)
        yield from self.messages()

    def _count(self, series: Series, frame: Frame, shown: Shown, controls: Controls) -> Iterator[str]:
        left = math.ceil(series.due - frame.time)
        if left > 0:
            if str(left) != controls.countdown and not self.has_window:
                yield f"{left} ..."
            controls.countdown = str(left)
        elif not (shown.hidden or shown.is_old or frame.is_blank or self._worker.waiting >= MAX_WAITING):
            series.taken, series.due, controls.countdown = series.taken + 1, frame.time + self._asked.countdown, ""
            # The look that is bypassed: a picture of the bare room must be asked for by a look of none.
            self._worker.put((series, shown.frame, replace(shown.look, bypass=False)))
            yield f"Picture {series.taken} of {series.size}"
            if series.taken == series.size:
                self._series = controls.booth = None
                if self._ends_run:
                    controls.stop.set()

    def _work(self, orders: Iterator[tuple[Series, Frame, Look]]) -> None:
        try:
            super()._work(orders)
        finally:
            if self._filter:
                self._filter.close()

    def _save(self, order: tuple[Series, Frame, Look]) -> None:
        """Paint a picture and save it, and the strip after the last one."""
        series, frame, look = order
        self._filter = self._filter or Filter(self._settings, live=False)
        self._filter.prepare(look)
        picture = self._filter(frame, look)
        series.painted.append(picture)
        name = f"booth-{len(series.painted)}.png"
        if series.stem is None:
            stamp = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(series.began))
            with unused_name(self._folder, stamp) as stem:
                series.stem = stem
                self._write(stem.with_name(f"{stem.name}-{name}"), picture)
        else:
            self._write(series.stem.with_name(f"{series.stem.name}-{name}"), picture)
        if len(series.painted) == series.size:
            day = time.strftime("%d %B %Y", time.localtime(series.began)).lstrip("0") if self._asked.date else ""
            strip = series.stem.with_name(f"{series.stem.name}-booth.png")
            save_image(strip, lay_out_strip(series.painted, LAYOUTS[self._asked.layout], day))
            self.strip = strip
            self._messages.append(f"Saved {strip}, with each picture beside it.")

    def _write(self, path: Path, picture: Image) -> None:
        save_image(path, picture)
        self.saved.append(path)
