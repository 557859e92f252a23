"""What commands share while they run: stopping, and the command line as typed."""

import _thread
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from livestyle.cli.console import recorder
from livestyle.errors import Stuck
from livestyle.types import Stop

HANG_UP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal
STOP = 5.0  # seconds after Ctrl-C for which a frame may still be in the making


def command_line() -> str:
    """Return the command as typed, for a model's card."""
    return shlex.join(["livestyle", *sys.argv[1:]])


def frame_count(source: str) -> int | None:
    """Return the number of frames in a clip's header, or None. A wrong name is an error at once."""
    from livestyle.video.sources.open import open_source

    with open_source(source) as opened:
        return opened.info.total


@contextmanager
def stopping(stop: Stop) -> Iterator[None]:
    """End the run in good order at Ctrl-C, termination or hang-up. A stuck filter is abandoned.

    A second Ctrl-C or termination ends it at once. A second hang-up does not: shells send one beside the system's.
    """
    late = threading.Event()

    def handle(number: int, _: Any) -> None:
        if number == HANG_UP:
            leave_terminal()
        if late.is_set():
            late.clear()
            if stop.is_driving:
                raise Stuck(f"The filter did not answer for {STOP:g} s and was left; what was written is whole.")
        elif stop.is_set():
            if number != HANG_UP:
                raise KeyboardInterrupt
        else:
            stop.set()
            recorder.stopped()
            timer.start()

    def nudge() -> None:
        late.set()
        if hasattr(signal, "pthread_kill"):  # which ends what the first thread waits for
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()

    timer = threading.Timer(STOP, nudge)
    timer.daemon = True

    heeded = [signal.SIGINT, signal.SIGTERM]
    if HANG_UP is not None and signal.getsignal(HANG_UP) is not signal.SIG_IGN:  # nohup ignores it
        heeded.append(HANG_UP)
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_terminal() -> None:
    """Send nowhere what would go to a terminal that is gone: it fails whoever writes to it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            os.write(stream.fileno(), b"")
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
