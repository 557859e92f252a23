"""The table of sources, and how they are opened."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from livestyle.image.io import READABLE_SUFFIXES
from livestyle.image.synthetic import seed_of
from livestyle.types import Size
from livestyle.video.sources.camera import Reconnecting, is_camera
from livestyle.video.sources.clip import ClipSource, Demo
from livestyle.video.sources.faults import Faults, camera_faults
from livestyle.video.sources.source import Source
from livestyle.video.sources.still import StillSource

# OpenCV waits 10 seconds for a frame of a frozen camera; it reads this, in seconds, when it waits for the first time.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")


@dataclass(frozen=True)
class SourceKind:
    """A row of SOURCES."""

    name: str
    words: str
    matches: Callable[[str], bool]
    open: Callable[[str, Size | None, float | None], Source]


SOURCES = (
    SourceKind("demo", "a clip inside the package", lambda t: t == "demo", lambda t, s, f: Demo(s)),
    SourceKind(
        "faults", "for tests: a camera that fails, by a seed", lambda t: t.startswith("faults:"),
        lambda t, s, f: Faults(camera_faults(seed_of(t)), s, f),
    ),
    SourceKind("camera", "an index or a device path", is_camera, Reconnecting),
    SourceKind("still", "a picture", lambda t: t.lower().endswith(READABLE_SUFFIXES), StillSource),
    SourceKind("video", "a file or URL that FFmpeg reads", lambda t: True, lambda t, s, f: ClipSource(t, s)),
)  # fmt: skip


def kind_of(text: str) -> SourceKind:
    """The first row of SOURCES that matches."""
    return next(kind for kind in SOURCES if kind.matches(text))


def open_source(text: str, size: Size | None = None, fps: float | None = None) -> Source:
    """Open what the first row of SOURCES that matches `text` opens.

    Raises:
        UserError: it cannot be opened.
    """
    return kind_of(text).open(text, size, fps)
