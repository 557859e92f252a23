"""What the process needs before video is used. Only the command line asks for it; importing changes nothing."""

import os

CAMERA_TIMEOUT_S = 1  # for a frame of a frozen camera; by itself OpenCV waits 10 seconds


def prepare() -> None:
    """Set environment variables that OpenCV reads when it first waits for a camera, unless the user has set them."""
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(CAMERA_TIMEOUT_S))
