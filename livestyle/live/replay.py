"""The last seconds of what was shown, saved as a GIF or WebP when somebody asks for them."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from livestyle.image.pixels import fit
from livestyle.image.types import Frame, size_of
from livestyle.live.controls import Controls
from livestyle.live.saver import Saver, unused_name
from livestyle.live.shown import Shown
from livestyle.video.sinks.animation import MAX_FPS, Thinned, animation_size
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream

MAX_WAITING = 1  # animations that wait to be written


class Replay(Saver):
    """Keep small copies of what was shown, and save them on request.

    Nothing of a time before the picture was hidden is kept: whoever hides wants that forgotten.

    Args:
        seconds: how many are kept; 0 keeps nothing.
        folder: of the animations, created with the first; None is `livestyle` in the user's pictures.
    """

    def __init__(self, seconds: float, folder: Path | None = None) -> None:
        self._seconds = seconds
        self._frames: deque[Frame] = deque(maxlen=max(1, round(seconds * MAX_FPS)))
        self._thinned = Thinned()
        super().__init__("animation", "replay", folder, room=MAX_WAITING)

    def follow(self, frame: Frame, shown: Shown, controls: Controls) -> Iterator[str]:
        """Keep what is shown, and save what is kept if the controls ask for it. Yield lines for people.

        Args:
            frame: as the source gave it; shown: what everybody sees of it; controls: ask for animations.
        """
        if shown.hidden or controls.panicked:
            self._frames.clear()
        elif self._seconds and self._thinned.takes(frame.time):
            small = fit(shown.picture, animation_size(size_of(shown.picture)))
            self._frames.append(replace(frame, image=small.copy() if small is shown.picture else small))
            while frame.time - self._frames[0].time > self._seconds:  # frames may come more rarely
                self._frames.popleft()
        for kind in controls.ordered_animations():
            if not self._frames:
                yield "Nothing is kept of what was shown." if self._seconds else "Set gif-seconds above 0 first."
            elif not self._worker.put((kind, tuple(self._frames))):
                yield "The last animation is still being saved."
        yield from self.messages()

    def _save(self, order: tuple[str, Sequence[Frame]]) -> None:
        kind, frames = order
        with unused_name(self._folder, time.strftime("%Y-%m-%d_%H-%M-%S")) as stem:
            path = stem.with_name(f"{stem.name}-live.{kind}")
            with ClipSink(path, Stream(size_of(frames[-1].image), MAX_FPS)) as sink:
                for frame in frames:
                    sink.send(replace(frame, time=frame.time - frames[0].time))
        self._messages.append(f"Saved {path}: {frames[-1].time - frames[0].time + 1 / MAX_FPS:.0f} s.")
