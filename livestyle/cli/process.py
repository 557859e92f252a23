"""What `livestyle` changes for its whole process. `__main__` alone calls this: `import livestyle` has no effects."""

import codecs
import errno
import io
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

PLAIN = str.maketrans(
    {"…": "...", **dict.fromkeys("─━", "-"), **dict.fromkeys("│┃", "|"), **dict.fromkeys("╭╮╰╯", "+")}
)
NO_MEMORY = "There is not enough memory for this.", "Allow more (see: ulimit -a), or give a smaller picture or size."
NEAR_LIMIT = 0.85  # of the memory allowed: with so much in use, a fault comes of that
SCARCE = re.compile(  # how libraries say that they got no memory, or no thread, which needs some
    r"MemoryError|bad_alloc|can(no|')t alloc|[Ff]ailed to (map|alloc)|[Ii]nsufficient memory|[Oo]ut of memory"
    r"|[Mm]emory allocation|start new thread|Resource temporarily unavailable|error return without exception"
)
HANDED_ON = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))  # Windows has no SIGHUP
ENDED: list[int] = []  # the pipe of `tell_end`


def prepare_process() -> None:
    """Set the variables that libraries read, unless the user set them, and see to memory and home."""
    warnings.filterwarnings("ignore", module="PIL")  # about pictures whose notes are damaged
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    watch_child()
    find_home()
    keep_memory()


def open_streams() -> None:
    """Open what is closed of stdin, stdout and stderr, so that no other file takes their place; let them take any text.

    Without stderr, `print` would write to stdout what is meant for it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    codecs.register_error("plain", plain)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = Printed(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="plain")


class Printed(io.TextIOWrapper):
    """stdout, whose faults the user can fix. A reader that went away is none."""

    def __init__(self, stdout: io.TextIOWrapper) -> None:
        line, through = stdout.line_buffering, stdout.write_through
        super().__init__(stdout.buffer, stdout.encoding, "plain", line_buffering=line, write_through=through)
        self._owner = stdout  # which would close what it shares

    def write(self, text: str) -> int:
        with self._told():
            return super().write(text)

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # Python's end would try again
            raise UserError(f"stdout takes nothing: {error.strerror}.", "Free space, or send it elsewhere.") from None


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


def memory_limit() -> float:
    """Return how many bytes this process may have (`ulimit -v`, `ulimit -d`)."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    found = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return min((limit for limit in found if limit != resource.RLIM_INFINITY), default=math.inf)


def is_scarce(error: BaseException) -> bool:
    """Return whether an error came of too little memory, or the error that it was made from, and does not say so."""
    before = error.__cause__ or error.__context__
    if isinstance(error, UserError):
        return before is not None and "memory" not in error.problem and is_scarce(before)
    is_said = getattr(error, "errno", None) == errno.ENOMEM or SCARCE.search(f"{type(error).__name__}: {error}")
    return bool(is_said) or (before is not None and is_scarce(before)) or is_near_limit()


def is_near_limit() -> bool:
    """Return whether this process has had nearly all memory that it may have."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmPeak"))
        return peak * 1024 > NEAR_LIMIT * memory_limit()
    return False


def watch_child() -> None:
    """Go on in a child process where memory is limited, and return there alone.

    A native library that gets no memory may end its process. This one waits, hands signals on, and says so.
    """
    if memory_limit() == math.inf:
        return
    told, tells = os.pipe()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    heeded = {*HANDED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heeded)  # they wait here, and none is missed
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(told)
        os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which hands it on
        ENDED.append(tells)
        return
    os.close(tells)
    ended = 0
    while not ended:
        number = signal.sigwait(heeded)
        if number != signal.SIGCHLD:
            os.kill(child, number)
        ended, status = os.waitpid(child, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status)
    if code and not os.read(told, 1):
        print(*NO_MEMORY, file=sys.stderr, flush=True)
        code = 2
    os._exit(code)


def tell_end() -> None:
    """Tell the process that watches this one that it ends in good order."""
    while ENDED:
        os.write(ENDED.pop(), b".")
