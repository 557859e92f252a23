"""Sources at their own pace: a clip in real time, the latest frame of a camera."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video.sources.source import Source

STALL = 5.0  # seconds without a frame after which a source counts as gone for good, if it cannot come back
ABSENT, SLOW = 0.4, 2.5  # seconds, and intervals, without a frame after which a camera counts as away
BLANK = 0.1  # seconds between frames that stand for a camera which is away
LATE = 1.0  # seconds by which a clip may be behind its time


class Paced(Source):
    """A source that gives each frame at its time, as a camera does."""

    is_live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.size, self.fps, self.audio = source.name, source.size, source.fps, source.audio

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for frame in self._source:
            wait = start + frame.time - time.monotonic()
            start += -wait if wait < -LATE else 0.0  # the machine slept: what was missed is not run through
            time.sleep(max(0.0, wait))
            yield replace(frame, captured=time.monotonic())
        self.warning = self._source.warning

    def close(self) -> None:
        self._source.close()


class Latest(Source):
    """The newest frame of a live source, captured on a thread of its own; what is not taken in time is dropped.

    A source that comes back is stood for by blank frames while it is silent. An error on the thread is raised where
    frames are taken; other sources' silence for STALL seconds is one.
    """

    is_live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.size, self.fps, self.audio = source.name, source.size, source.fps, source.audio
        self.comes_back = source.comes_back
        self.dropped = self._blanks = 0
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._thread.start()

    def _capture(self) -> None:
        try:
            for frame in self._source:
                with self._news:
                    if self._ended:
                        return
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._news.notify()
        except BaseException as error:  # raised again where frames are taken
            self._error = error
        finally:
            self.warning = self._source.warning
            self._source.close()  # here, not in close(): a device let go of in mid-read can crash
            with self._news:
                self._ended = True
                self._news.notify()

    def __iter__(self) -> Iterator[Frame]:
        absent = max(ABSENT, SLOW / self.fps)
        last, patience = Frame(np.zeros((*self.size[::-1], 3), np.uint8), -1, 0.0), absent
        while True:
            with self._news:
                arrived = self._news.wait_for(
                    lambda: self._frame is not None or self._ended, patience if self.comes_back else STALL
                )
                frame, self._frame = self._frame, None
            if frame is not None:
                last, patience = replace(frame, index=frame.index + self._blanks), absent
            elif arrived:
                if self._error:
                    raise self._error
                return
            elif self.comes_back:
                last, patience = self._blank(last), BLANK
            else:
                raise UserError(f"The {self.name} sent no frame for {STALL:g} s.", "Plug it in again.")
            yield last

    def _blank(self, last: Frame) -> Frame:
        """What follows a frame after which none came."""
        self._blanks += 1
        now = time.monotonic()
        return Frame(np.zeros_like(last.image), last.index + 1, last.time + now - last.captured, now, is_blank=True)

    def rest(self, resting: bool) -> None:
        self._source.rest(resting)

    def end(self) -> None:
        self._source.end()

    def close(self) -> None:
        self.end()
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(STALL)
