"""The last seconds of what was shown, saved as a GIF or WebP when somebody asks for them."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from livestyle.errors import UserError
from livestyle.image.pixels import fit
from livestyle.image.types import Frame, size_of
from livestyle.live.controls import Controls
from livestyle.live.shown import Shown
from livestyle.live.snapshots import stills_folder, unused_name
from livestyle.video.sinks.animation import MAX_FPS, Thinned, animation_size
from livestyle.video.sinks.clip import ClipSink
from livestyle.video.sinks.sink import Stream
from livestyle.video.worker import Worker

MAX_WAITING = 1  # animations that wait to be written


class Replay:
    """Keep small copies of what was shown, and save them on request. Close it, or use it in `with`.

    Nothing of a time before the picture was hidden is kept: whoever hides wants that forgotten.

    Args:
        seconds: how many are kept; 0 keeps nothing.
        folder: of the animations, created with the first; None is `livestyle` in the user's pictures.
    """

    def __init__(self, seconds: float, folder: Path | None = None) -> None:
        self._seconds, self._folder = seconds, stills_folder(folder)
        self._frames: deque[Frame] = deque(maxlen=max(1, round(seconds * MAX_FPS)))
        self._thinned = Thinned()
        self._messages: deque[str] = deque()
        self._worker = Worker(self._work, "replay", MAX_WAITING)

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

    def messages(self) -> Iterator[str]:
        """Yield lines for people: where animations were saved."""
        while self._messages:
            yield self._messages.popleft()

    def _work(self, orders: Iterator[tuple[str, Sequence[Frame]]]) -> None:
        for kind, frames in orders:
            try:
                self._save(kind, frames)
            except Exception as error:  # the run goes on
                reason = str(error) if isinstance(error, UserError) else f"The animation was not saved: {error}"
                self._messages.append(reason)
            del frames  # which are large

    def _save(self, kind: str, frames: Sequence[Frame]) -> None:
        with unused_name(self._folder, time.strftime("%Y-%m-%d_%H-%M-%S")) as stem:
            path = stem.with_name(f"{stem.name}-live.{kind}")
            with ClipSink(path, Stream(size_of(frames[-1].image), MAX_FPS)) as sink:
                for frame in frames:
                    sink.send(replace(frame, time=frame.time - frames[0].time))
        self._messages.append(f"Saved {path}: {frames[-1].time - frames[0].time + 1 / MAX_FPS:.0f} s.")

    def close(self) -> None:
        """Save what waits, and end the thread."""
        self._worker.end()
        self._worker.join()

    def __enter__(self) -> "Replay":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
