"""Sources at their own pace: a clip in real time, the latest frame of a camera."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from livestyle.errors import UserError
from livestyle.image.types import Frame
from livestyle.video.sources.source import Source, Wrapper

STALL_S = 5.0  # without a frame, after which a source that cannot come back counts as gone
MIN_ABSENCE_S = 0.4  # without a frame, after which a camera counts as away
MIN_ABSENCE_FRAMES = 2.5  # the same in frames, for slow cameras; the longer of both counts
BLANK_INTERVAL_S = 0.1  # between the blank frames that stand for a camera which is away
MAX_LAG_S = 1.0  # by which a clip may be behind its time


class Paced(Wrapper):
    """A source that gives each frame at its time, as a camera does."""

    def __init__(self, source: Source) -> None:
        super().__init__(source, replace(source.info, is_live=True))
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        start = time.monotonic()
        for frame in self._source:
            wait = start + frame.time - time.monotonic()
            start += -wait if wait < -MAX_LAG_S else 0.0  # the machine slept: the missed frames are not hurried through
            if self._ended.wait(max(0.0, wait)):
                return
            yield replace(frame, captured=time.monotonic())

    def end(self) -> None:
        self._ended.set()
        super().end()


class Latest(Wrapper):
    """The newest frame of a live source, captured on a thread of its own.

    Frames that are not taken in time are dropped. While a source that comes back is silent, blank frames stand for it.

    Raises:
        UserError: where frames are taken: the source failed, or one that does not come back sent none for STALL_S.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source, replace(source.info, is_live=True))
        self._blanks = 0
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
        self._thread.start()

    def _capture(self) -> None:
        try:
            for frame in self._source:
                with self._changed:
                    if self._ended:
                        return
                    self._dropped += self._frame is not None
                    self._frame = frame
                    self._changed.notify()
        except BaseException as error:  # raised again where frames are taken
            self._error = error
        finally:
            self._source.close()  # here, not in close(): a device that is released in mid-read can crash
            with self._changed:
                self._ended = True
                self._changed.notify()

    def __iter__(self) -> Iterator[Frame]:
        info = self.info
        absence = max(MIN_ABSENCE_S, MIN_ABSENCE_FRAMES / info.fps)
        last, timeout = Frame(np.zeros((*info.size[::-1], 3), np.uint8), -1, 0.0), absence
        while True:
            with self._changed:
                arrived = self._changed.wait_for(
                    lambda: self._frame is not None or self._ended, timeout if info.comes_back else STALL_S
                )
                frame, self._frame = self._frame, None
            if frame is not None:
                last, timeout = replace(frame, index=frame.index + self._blanks), absence
            elif arrived:
                if self._error:
                    raise self._error
                return
            elif info.comes_back:
                last, timeout = self._blank(last), BLANK_INTERVAL_S
            else:
                raise UserError(f"The {info.name} sent no frame for {STALL_S:g} s.", "Plug it in again.")
            yield last

    def _blank(self, last: Frame) -> Frame:
        """Return a blank frame that follows the last one."""
        self._blanks += 1
        now = time.monotonic()
        return Frame(np.zeros_like(last.image), last.index + 1, last.time + now - last.captured, now, is_blank=True)

    def close(self) -> None:
        self.end()
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(STALL_S)
