"""livestyle: a real-time webcam filter that paints the background, the person, or both.

    import livestyle

    with livestyle.Filter(background="starry_night") as filter:
        painted = filter.paint(image)  # uint8 (H, W, 3) RGB, in and out

Importing this module imports nothing else. Each name is imported when it is first used.
"""

import importlib
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livestyle.config.look import Look
    from livestyle.config.settings import Settings
    from livestyle.errors import UserError
    from livestyle.image.types import Frame
    from livestyle.live.api import Filter, open_sink, run, segmenters, styles
    from livestyle.video.sources.open import open_source

__version__ = "0.1.0"
__all__ = [
    "Filter", "Frame", "Look", "Settings", "UserError", "__version__",
    "open_sink", "open_source", "run", "segmenters", "styles",
]  # fmt: skip

IMPORTED_S = time.monotonic()  # when, for the time to the first frame
_HOMES = {
    "Filter": "livestyle.live.api",
    "Frame": "livestyle.image.types",
    "Look": "livestyle.config.look",
    "Settings": "livestyle.config.settings",
    "UserError": "livestyle.errors",
    "open_sink": "livestyle.live.api",
    "open_source": "livestyle.video.sources.open",
    "run": "livestyle.live.api",
    "segmenters": "livestyle.live.api",
    "styles": "livestyle.live.api",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'livestyle' has no attribute '{name}'")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
