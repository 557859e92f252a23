"""What `livestyle` changes for its whole process. `__main__` alone calls this: `import livestyle` has no effects."""

import codecs
import io
import os
import sys
import warnings
from pathlib import Path

from livestyle.errors import UserError

VARIABLES = {
    "OPENCV_LOG_LEVEL": "OFF",  # the libraries' own chatter
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "QT_LOGGING_RULES": "*=false",
    "GLOG_minloglevel": "3",  # of MediaPipe
    # PyTorch's threads would spin while they wait: beside other work, steps of a training took four times longer.
    "OMP_WAIT_POLICY": "PASSIVE",
    # As much work is done side by side as there are stages.
    "OPENCV_FOR_THREADS_NUM": str(max(1, (os.cpu_count() or 1) // 4)),
    # Seconds that OpenCV waits for a frame of a frozen camera, in place of 10.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1",
}

PLAIN = str.maketrans({"…": "...", **dict.fromkeys("─━", "-"), **dict.fromkeys("│┃", "|"), **dict.fromkeys("╭╮╰╯", "+")})


def prepare_process() -> None:
    """Set the variables that libraries read, unless the user set them, and have freed memory kept."""
    warnings.filterwarnings("ignore", module="PIL")  # about pictures whose notes are damaged
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    find_home()
    keep_memory()


def open_streams() -> None:
    """Open what is closed of stdin, stdout and stderr, so that no other file takes their place; let them take any text.

    Without stderr, `print` would write to stdout what is meant for it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    codecs.register_error("plain", plain)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def flush_streams() -> None:
    """Write what was printed.

    Raises:
        UserError: stdout takes no more: its disk is full, for example.
    """
    for stream in (sys.stderr, sys.stdout):
        try:
            stream.flush()
        except OSError as error:
            number = os.open(os.devnull, os.O_WRONLY)
            os.dup2(number, stream.fileno())  # Python's end would try again
            if stream is sys.stdout and not isinstance(error, BrokenPipeError):
                raise UserError(f"stdout takes nothing: {error.strerror}.", "Send it elsewhere, or free space.") from None


def plain(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks: see `codecs.register_error`. Names of files may hold any bytes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN)
    return text.encode("ascii", "replace").decode(), error.end


def find_home() -> None:
    """Give an unknown user without HOME, as in containers, a private folder among the temporary files as home."""
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)
        try:
            Path.home()
        except RuntimeError:
            os.environ["HOME"] = str(temporary_home())


def temporary_home() -> Path:
    """Return the folder that serves as home: the same for each run of the user, unless it is another's."""
    import tempfile

    from livestyle.live.endpoint import private

    try:
        return private(Path(tempfile.gettempdir(), f"livestyle-{os.getuid()}"))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="livestyle-"))


def keep_memory() -> None:
    """Have glibc keep freed memory: handing it back and faulting it in again took half the time of small steps."""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        import ctypes

        mmap_max, trim_threshold, arena_max = -4, -1, -8  # of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(arena_max, 2)  # each arena keeps its own: 40 MB less than with one for each thread
