"""What the sinks show, recorded while a switch is on: encoded on a thread of its own, playable after any end."""

import os
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Protocol

import platformdirs

from livestyle.errors import UserError
from livestyle.files import RESERVE, is_full
from livestyle.image.types import Frame
from livestyle.video.sinks.clip import ClipWriter
from livestyle.video.sinks.sink import Sink, Stream

ROOM = 12  # frames that may wait to be encoded: 33 MB at 1280x720
LOOK = 1.0  # seconds between looks at the disk
POLL = 0.1  # seconds after which a recording that ends notices it


class Switch(Protocol):
    """What turns recording on and off; turned off here when the disk is full."""

    recording: bool


class Recorder(Sink):
    """Matroska with H.264 (VP9 where there is no H.264), with what the stream's microphone hears;
    named by date and time, none ever overwritten.

    What is written stays playable up to the last second when the process is killed. Frames that the encoder cannot keep
    up with are left out and counted; the sender never waits for it.

    Args:
        folder: of the recordings; None is `livestyle` in the user's videos. It is created with the first.
    """

    name = "recording"

    def __init__(self, folder: Path | None, stream: Stream, switch: Switch) -> None:
        self._folder = (folder or Path(platformdirs.user_videos_dir()) / "livestyle").absolute()
        self._stream, self._switch = replace(stream, audio=None), switch
        self._takes: list[Take] = []
        self._news: deque[str] = deque()

    def send(self, frame: Frame) -> None:
        """Record it, if the switch is on; the first makes the file."""
        self._takes = [take for take in self._takes if take.is_alive()]
        if not self._switch.recording:
            for take in self._takes:
                take.end()
            return
        if not self._takes or self._takes[-1].is_ending:
            self._takes.append(Take(self._folder, self._stream, self._switch, self._news))
        self._takes[-1].send(frame)

    def is_watched(self) -> bool:
        """Whether a recording is on."""
        return self._switch.recording

    def news(self) -> list[str]:
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self) -> None:
        for take in self._takes:
            take.end()
            take.join()


class Take(threading.Thread):
    """One recording."""

    def __init__(self, folder: Path, stream: Stream, switch: Switch, news: deque[str]) -> None:
        super().__init__(name="recording", daemon=True)
        self._folder, self._stream, self._switch, self._news = folder, stream, switch, news
        self._frames: Queue[Frame] = Queue(ROOM)
        self._left_out = 0
        self.is_ending = False
        self.start()

    def send(self, frame: Frame) -> None:
        """Have a frame encoded, if there is room for it."""
        try:
            self._frames.put_nowait(replace(frame, image=frame.image.copy()))
        except Full:
            self._left_out += 1

    def end(self) -> None:
        """Finish the file when all is written that waits; never waits."""
        self.is_ending = True

    def run(self) -> None:
        """Make the file."""
        try:
            self._record(claim(self._folder))
        except Exception as error:  # the call goes on
            self._fail(str(error) if isinstance(error, UserError) else f"Recording ended: {error}")

    def _fail(self, words: str) -> None:
        self._switch.recording, self.is_ending = False, True
        self._news.append(words)

    def _record(self, path: Path) -> None:
        self._news.append(f"Recording to {path}{', with sound' if self._stream.microphone else ''}.")
        clip = ClipWriter(path, self._stream, is_lasting=True)
        try:
            seconds = self._encode(clip, path.parent)
            clip.finish()
        except BaseException:
            clip.abandon()
            raise
        with path.open("rb") as file:
            os.fsync(file.fileno())
        left_out = f" {self._left_out} frames were left out." if self._left_out else ""
        self._news.append(f"Recorded {seconds:.0f} s.{left_out}")

    def _encode(self, clip: ClipWriter, folder: Path) -> float:
        """Write until there is no more to write, or no room for it; the seconds."""
        first: Frame | None = None
        last, looked = 0.0, time.monotonic()
        while True:
            try:
                frame = self._frames.get(timeout=POLL)
            except Empty:
                if self.is_ending:
                    return last
                continue
            first = first or frame
            last = frame.time - first.time
            clip.write(replace(frame, time=last))
            self._news.extend(clip.news())
            if time.monotonic() - looked >= LOOK:
                looked = time.monotonic()
                if is_full(folder):
                    self._fail(f"Recording ended: less than {RESERVE >> 20} MB are free in {folder}.")
                    return last


def claim(folder: Path) -> Path:
    """A new, empty file named by the time.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    stamp, number = time.strftime("%Y-%m-%d_%H-%M-%S"), 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_full(folder):
            raise UserError(f"Less than {RESERVE >> 20} MB are free in {folder}.", "Free space, or use --recordings.")
        while True:
            path = folder / (f"{stamp}.mkv" if number == 1 else f"{stamp}-{number}.mkv")
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{folder} cannot be written: {reason}.", "Choose another with --recordings.") from None
