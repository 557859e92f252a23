"""A sink that may be slow, or fail, without the call noticing: it works on a thread of its own."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from queue import Empty, Full, Queue

from livestyle.errors import UserError
from livestyle.files import RESERVE, is_full
from livestyle.image.types import Frame
from livestyle.video.sinks.sink import Sink

ROOM = 12  # frames that may wait: 33 MB at 1280x720
LOOK = 1.0  # seconds between looks at the disk
POLL = 0.1  # seconds after which the end is noticed
PATIENCE = 10.0  # seconds for what waits, at the end


class Queued(Sink):
    """Another sink, fed from a thread. Frames that it cannot keep up with are left out and counted; where it fails,
    that is said and the rest goes on. At the end the failure is raised.

    Args:
        sink: has no keys and no watchers of its own; is_alone: no other sink is left if it fails, so the run ends.
        folder: where it writes; it ends there, whole, before the disk is full.
    """

    def __init__(self, sink: Sink, is_alone: bool = False, folder: Path | None = None) -> None:
        self.name, self.is_live, self.is_call = sink.name, sink.is_live, sink.is_call
        self._sink, self._is_alone, self._folder = sink, is_alone, folder
        self._frames: Queue[Frame] = Queue(ROOM)
        self._over, self._left_out, self._news = threading.Event(), 0, list[str]()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="sink", daemon=True)
        self._thread.start()

    def send(self, frame: Frame) -> None:
        """Have a frame taken, if there is room for it.

        Raises:
            UserError: the sink failed, and there is no other.
        """
        if self._error:
            if self._is_alone:
                raise self._error
            return
        try:
            self._frames.put_nowait(replace(frame, image=frame.image.copy()))
        except Full:
            self._left_out += 1

    def news(self) -> list[str]:
        news, self._news = self._news, []
        return news

    def _work(self) -> None:
        looked = time.monotonic()
        try:
            while (frame := self._next()) is not None:
                self._sink.send(frame)
                if self._folder and time.monotonic() - looked >= LOOK:
                    looked = time.monotonic()
                    self._end_before_full(self._folder)
        except Exception as error:  # raised again at the end
            self._error = error
            self._news.append(str(error) if isinstance(error, UserError) else f"{self.name} failed: {error}")

    def _end_before_full(self, folder: Path) -> None:
        if is_full(folder):
            self._sink.close()
            raise UserError(f"{self.name} ends here: less than {RESERVE >> 20} MB are free in {folder}.", "Free space.")

    def _next(self) -> Frame | None:
        """What to send; None at the end."""
        while True:
            try:
                return self._frames.get(timeout=POLL)
            except Empty:
                if self._over.is_set():
                    return None

    def close(self) -> None:
        """Finish when all is taken that waits.

        Raises:
            UserError: the sink failed, or does not answer.
        """
        self._end()
        if self._left_out:
            self._news.append(f"{self.name}: {self._left_out} frames were left out.")
            self._left_out = 0
        error, self._error = self._error, None
        if error:
            self._sink.discard()
            raise error
        self._sink.close()

    def discard(self) -> None:
        while not self._frames.empty():
            self._frames.get_nowait()
        self._end()
        self._sink.discard()

    def _end(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise UserError(f"{self.name} takes no more pictures, and is not whole.", "Check the disk.")
