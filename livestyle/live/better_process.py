"""The process that makes a picture's style better: how it is started, fed, heard and ended.

It reads a line of JSON, then frames, and writes a line of JSON now and then. The end of its input ends it, so it does
not outlive this process. Frames are in its memory only.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from livestyle.errors import UserError
from livestyle.image.types import Image
from livestyle.live.job_process import detached
from livestyle.nets.card import printable
from livestyle.video.worker import Worker

MODULE = "livestyle.train.better"
MAX_LINE_BYTES = 1 << 16
MAX_WAITING_FRAMES = 64
END_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Step:
    """How far the process is: what it writes in a line.

    Args:
        seconds: since it began to learn.
        images: that were painted.
        loss, start_loss: of pictures that it does not learn from, now and in the style that was there at once.
        saved: file of a better network; None where there is none since the line before.
    """

    seconds: float
    images: int
    loss: float
    start_loss: float
    saved: Path | None = None


class BetterProcess:
    """Run the process, with two threads beside it.

    Args:
        order: what to do, as JSON.
        keep: called on a thread with each step that saved a network. What it raises is the end.

    Attributes:
        step: the newest one, or None; heard: how many there were; changed: notified of each.
        problem: why it failed, or "".

    Raises:
        OSError: it cannot be started.
    """

    COMMAND = (sys.executable, "-m", "livestyle.live.job_process", MODULE)

    def __init__(self, order: dict[str, Any], keep: Callable[[Step], None]) -> None:
        self.step: Step | None = None
        self.heard, self.problem, self._keep, self.changed = 0, "", keep, threading.Condition()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by `end`
        self._process = subprocess.Popen(
            self.COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            **detached(low_priority=sys.platform == "win32"),
        )  # fmt: skip
        self._feeder = Worker[bytes](self._feed, "better frames", MAX_WAITING_FRAMES)
        self._feeder.put(json.dumps(order, default=str).encode() + b"\n")
        self._listener = threading.Thread(target=self._listen, name="better", daemon=True)
        self._listener.start()

    def send(self, frame: Image) -> None:
        """Have the process learn from a frame, too, unless many wait. This never waits.

        Args:
            frame: uint8 (H, W, 3) RGB, of the size that was ordered. It must not change any more.
        """
        self._feeder.put(frame.tobytes())

    @property
    def is_running(self) -> bool:
        """Whether it, or what it said, is not at its end yet."""
        return self._listener.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it, and what it said, is at its end, and return whether it is."""
        self._listener.join(timeout_s)
        return not self.is_running

    def end(self) -> None:
        """End the process."""
        self._feeder.clear()
        self._feeder.end()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
        self._feeder.join(END_TIMEOUT_S)
        if threading.current_thread() is not self._listener:
            self._listener.join(END_TIMEOUT_S)

    def _feed(self, blocks: Iterator[bytes]) -> None:
        """Write what waits. The pipe stays open until the end, for its end ends the process."""
        assert self._process.stdin
        with suppress(OSError), self._process.stdin as pipe:  # the process may be gone
            for block in blocks:
                pipe.write(block)
                pipe.flush()

    def _listen(self) -> None:
        assert self._process.stdout
        try:
            with self._process.stdout as lines:
                while line := lines.readline(MAX_LINE_BYTES):
                    step = read_step(line)
                    if step.saved:
                        self._keep(step)
                    with self.changed:
                        self.step, self.heard = step, self.heard + 1
                        self.changed.notify_all()
            code = self._process.wait()
            self.problem = self._last_words() or f"its process ended with code {code}" if code else ""
        except Exception as error:
            self.problem = str(error) or type(error).__name__
        finally:
            self._process.kill()
            self._process.wait()
            self._errors.close()

    def _last_words(self) -> str:
        """Return the last line of what it wrote to its errors."""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - MAX_LINE_BYTES))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


def read_step(line: bytes) -> Step:
    """Return what a line of the process says.

    Raises:
        UserError: it says what is wrong; ValueError: it cannot be read.
    """
    try:
        facts = json.loads(line)
        if "problem" in facts:
            raise UserError(printable(str(facts["problem"])), printable(str(facts.get("step", ""))))
        numbers = {one.name: float(facts[one.name]) for one in fields(Step)[:-1]}
        if not all(map(math.isfinite, numbers.values())):
            raise ValueError(line)
        saved = facts["saved"]
        return Step(**{**numbers, "images": int(numbers["images"])}, saved=Path(saved) if saved else None)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("its process said what cannot be read") from None
