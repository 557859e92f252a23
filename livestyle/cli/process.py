"""What `livestyle` changes for its whole process. `__main__` alone calls this: `import livestyle` has no effects."""

import os
import warnings

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


def prepare_process() -> None:
    """Set the variables that libraries read, unless the user set them, and have freed memory kept."""
    warnings.filterwarnings("ignore", module="PIL")  # about pictures whose notes are damaged
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    keep_memory()


def keep_memory() -> None:
    """Have glibc keep freed memory: handing it back and faulting it in again took half the time of small steps."""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        import ctypes

        mmap_max, trim_threshold, arena_max = -4, -1, -8  # of malloc.h
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)
        libc.mallopt(arena_max, 2)  # each arena keeps its own: 40 MB less than with one for each thread
