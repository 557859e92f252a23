"""What the sinks show, recorded while a switch is on: encoded on a thread of its own, playable after any end."""

import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import platformdirs

from livestyle.errors import UserError
from livestyle.files import MIN_FREE_BYTES, is_disk_full
from livestyle.image.types import Frame
from livestyle.video.sinks.clip import ClipWriter
from livestyle.video.sinks.queued import MAX_QUEUED_FRAMES
from livestyle.video.sinks.sink import Sink, SinkInfo, Stream
from livestyle.video.worker import DiskWatch, Worker


class Switch(Protocol):
    """What turns recording on and off. Each time that it is turned on, a new take begins.

    Attributes:
        take: the number of the take that is wanted now, higher than any before it; None while recording is off.
    """

    @property
    def take(self) -> int | None: ...

    def end_take(self, number: int) -> None:
        """Turn recording off if this take is still wanted. Any thread may call this, also for a take long past."""


class Recorder(Sink):
    """Record to Matroska: H.264 (VP9 where there is no H.264), and what the stream's microphone hears.

    Files are named by date and time, and none is ever overwritten. What is written stays playable up to the last second
    when the process is killed. Frames that the encoder cannot keep up with are left out and counted. The sender never
    waits for it. A take that fails turns the switch off, unless a newer take is wanted by then.

    Args:
        folder: of the recordings, created with the first; None is `livestyle` in the user's videos.
        stream: what is recorded. Its own sound is not.
        switch: says whether to record.
    """

    info = SinkInfo("recording")

    def __init__(self, folder: Path | None, stream: Stream, switch: Switch) -> None:
        self._folder = (folder or Path(platformdirs.user_videos_dir()) / "livestyle").absolute()
        self._stream, self._switch = replace(stream, audio=None), switch
        self._takes: list[Take] = []  # those that are not written yet, the newest last
        self._newest: int | None = None
        self._messages: deque[str] = deque()

    def send(self, frame: Frame) -> None:
        """Record a frame if the switch is on. The first frame of a take makes its file."""
        self._takes = [take for take in self._takes if take.is_alive]
        wanted = self._switch.take  # read once: any thread may change it
        for take in self._takes:
            if take.number != wanted:
                take.end()
        if wanted is not None and wanted != self._newest:
            self._newest = wanted
            self._takes.append(Take(wanted, self._folder, self._stream, self._switch, self._messages))
        for take in self._takes:
            if take.number == wanted:
                take.send(frame)

    def is_watched(self) -> bool:
        """Return whether a recording is on."""
        return self._switch.take is not None

    def messages(self) -> list[str]:
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def close(self) -> None:
        for take in self._takes:
            take.end()
            take.join()


class Take:
    """One recording.

    Args:
        number: what the switch calls it.
        folder, stream, switch: see Recorder.
        messages: takes what people should read.
    """

    def __init__(self, number: int, folder: Path, stream: Stream, switch: Switch, messages: deque[str]) -> None:
        self.number, self._folder, self._stream = number, folder, stream
        self._switch, self._messages = switch, messages
        self._worker = Worker(self._work, "recording", MAX_QUEUED_FRAMES)

    @property
    def is_alive(self) -> bool:
        """Whether the file is not finished yet."""
        return self._worker.is_alive

    @property
    def waiting(self) -> int:
        """The number of frames that wait to be encoded."""
        return self._worker.waiting

    def send(self, frame: Frame) -> None:
        """Have a frame encoded, if there is room for it."""
        self._worker.put(replace(frame, image=frame.image.copy()))

    def end(self) -> None:
        """Finish the file when all is written that waits. This never waits."""
        self._worker.end()

    def join(self) -> None:
        """Wait until the file is finished."""
        self._worker.join()

    def _work(self, frames: Iterator[Frame]) -> None:
        try:
            self._record(claim(self._folder), frames)
        except Exception as error:  # the call goes on
            self._fail(str(error) if isinstance(error, UserError) else f"Recording ended: {error}")

    def _fail(self, words: str) -> None:
        self._switch.end_take(self.number)
        self._messages.append(words)

    def _record(self, path: Path, frames: Iterator[Frame]) -> None:
        self._messages.append(f"Recording to {path}{', with sound' if self._stream.microphone else ''}.")
        clip = ClipWriter(path, self._stream, is_crash_safe=True)
        try:
            seconds = self._encode(clip, DiskWatch(path.parent), frames)
            clip.finish()
        except BaseException:
            clip.abandon()
            raise
        with path.open("rb") as file:
            os.fsync(file.fileno())
        left_out = f" {self._worker.dropped} frames were left out." if self._worker.dropped else ""
        self._messages.append(f"Recorded {seconds:.0f} s.{left_out}")

    def _encode(self, clip: ClipWriter, disk: DiskWatch, frames: Iterator[Frame]) -> float:
        """Write until there is no more to write, or no room for it, and return the length in seconds."""
        first: Frame | None = None
        last = 0.0
        for frame in frames:
            first = first or frame
            last = frame.time - first.time
            clip.write(replace(frame, time=last))
            self._messages.extend(clip.messages())
            if disk.is_full():
                self._fail(f"Recording ended: less than {MIN_FREE_BYTES >> 20} MB are free in {disk.folder}.")
                break
        return last


def claim(folder: Path) -> Path:
    """Make a new, empty file named by the time, and return its path.

    Args:
        folder: of the file, created if need be.

    Raises:
        UserError: the folder cannot be written, or the disk is nearly full.
    """
    stamp, number = time.strftime("%Y-%m-%d_%H-%M-%S"), 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_disk_full(folder):
            raise UserError(
                f"Less than {MIN_FREE_BYTES >> 20} MB are free in {folder}.",
                "Free space, or choose another folder for recordings.",
                "recordings",
            )
        while True:
            path = folder / (f"{stamp}.mkv" if number == 1 else f"{stamp}-{number}.mkv")
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"{folder} cannot be written: {reason}.", "Choose another folder for recordings.", "recordings"
        ) from None
