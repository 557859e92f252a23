"""The table of sources, and how they are opened."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from livestyle.image.io import READABLE_SUFFIXES
from livestyle.image.synthetic import seed_of
from livestyle.image.types import WHITE
from livestyle.types import Color, Size
from livestyle.video.sources.camera import Reconnecting, is_camera
from livestyle.video.sources.clip import ClipSource, Demo
from livestyle.video.sources.faults import Faults, camera_faults
from livestyle.video.sources.source import Asked, Source
from livestyle.video.sources.still import StillSource


@dataclass(frozen=True)
class SourceKind:
    """A row of SOURCES.

    Args:
        name: what it is called in messages and tests.
        words: what it is.
        matches: whether a text that users type means it.
        open: opens it from the text, and what is asked for.
    """

    name: str
    words: str
    matches: Callable[[str], bool]
    open: Callable[[str, Asked], Source]


SOURCES = [  # the first that matches is opened, so the last matches all
    SourceKind("demo", "a clip inside the package", lambda t: t.strip().lower() == "demo", lambda t, a: Demo(a.size)),
    SourceKind(
        "faults", "for tests: a camera that fails, by a seed",
        lambda t: t.startswith("faults:") and not os.path.isfile(t),
        lambda t, a: Faults(camera_faults(seed_of(t)), a.size, a.fps),
    ),
    SourceKind("camera", "an index or a device path", is_camera, lambda t, a: Reconnecting(t, a.size, a.fps)),
    SourceKind("still", "a picture", lambda t: t.lower().endswith(READABLE_SUFFIXES), StillSource),
    SourceKind(
        "video", "a file or URL that FFmpeg reads", lambda t: True,
        lambda t, a: ClipSource(t, a.size, backdrop=a.backdrop),
    ),
]  # fmt: skip


def kind_of(text: str) -> SourceKind:
    """Return the first row of SOURCES that matches a text."""
    return next(kind for kind in SOURCES if kind.matches(text))


def open_source(text: str, size: Size | None = None, fps: float | None = None, backdrop: Color = WHITE) -> Source:
    """Open a source.

    Args:
        text: a camera's index or path, a file, a URL, or "demo"; see SOURCES.
        size: what frames should have, in pixels; None for the source's own. Cameras may send others.
        fps: rate asked of a camera, in frames per second; None for its own.
        backdrop: what shows through where pictures and clips are transparent, RGB in 0..255.

    Raises:
        UserError: it cannot be opened.
    """
    return kind_of(text).open(text, Asked(size, fps, backdrop))
