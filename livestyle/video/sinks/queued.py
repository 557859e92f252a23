"""A sink that may be slow, or fail, without the call noticing: it works on a thread of its own."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from livestyle.errors import UserError
from livestyle.files import MIN_FREE_BYTES
from livestyle.image.types import Frame
from livestyle.video.sinks.sink import Sink
from livestyle.video.worker import DiskWatch, Worker

MAX_QUEUED_FRAMES = 12  # that wait for a sink: 33 MB at 1280x720
CLOSE_TIMEOUT_S = 10.0  # for the frames that wait at the end


class Queued(Sink):
    """Another sink, fed on a thread of its own.

    Frames that it cannot keep up with are left out and counted. If it fails, a message says so and the run goes on. At
    the end the failure is raised. A sink that writes a file ends before the disk is full, with its file whole.

    Args:
        sink: shows nothing to anybody who sits here.
        is_alone: whether no other sink is left if it fails. Then the run ends.
    """

    def __init__(self, sink: Sink, is_alone: bool = False) -> None:
        self.info, self._sink, self._is_alone = sink.info, sink, is_alone
        self._disk = DiskWatch(sink.info.folder) if sink.info.folder else None
        self._messages: deque[str] = deque()
        self._is_closed = False
        self._worker = Worker(self._write, "sink", MAX_QUEUED_FRAMES)

    def send(self, frame: Frame) -> None:
        """Have a frame taken, if there is room for it.

        Raises:
            UserError: the sink failed, and there is no other.
        """
        if self._worker.error is None:
            self._worker.put(replace(frame, image=frame.image.copy()))
        elif self._is_alone:
            raise self._worker.error

    def messages(self) -> list[str]:
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def _write(self, frames: Iterator[Frame]) -> None:
        try:
            for frame in frames:
                self._sink.send(frame)
                self._messages.extend(self._sink.messages())
                if self._disk and self._disk.is_full():
                    self._end_before_full(self._disk.folder)
        except Exception as error:  # raised again at the end
            self._messages.append(str(error) if isinstance(error, UserError) else f"{self.info.name} failed: {error}")
            raise

    def _end_before_full(self, folder: Path) -> None:
        self._sink.close()
        raise UserError(
            f"{self.info.name} ends here: less than {MIN_FREE_BYTES >> 20} MB are free in {folder}.", "Free space."
        )

    def close(self) -> None:
        """Finish when all is taken that waits.

        Raises:
            UserError: the sink failed, or does not answer.
        """
        self._end()
        if self._is_closed:
            return
        self._is_closed = True
        if self._worker.dropped:
            self._messages.append(f"{self.info.name}: {self._worker.dropped} frames were left out.")
        if self._worker.error:
            self._sink.discard()
            raise self._worker.error
        self._sink.close()

    def discard(self) -> None:
        self._worker.clear()
        self._end()
        self._is_closed = True
        self._sink.discard()

    def _end(self) -> None:
        self._worker.end()
        if not self._worker.join(CLOSE_TIMEOUT_S):
            raise UserError(f"{self.info.name} takes no more pictures, and is not whole.", "Check the disk.")
