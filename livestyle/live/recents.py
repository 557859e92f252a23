"""The pictures that were painted in lately: small ones to click on, painted on the live view, kept for later runs."""

import json
import os
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import platformdirs

from livestyle.config.load import VARIABLE
from livestyle.config.look import PICTURE, parse_plane
from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.image.io import load_image
from livestyle.image.pixels import cover
from livestyle.image.types import Frame, Image
from livestyle.live.controls import Controls, Recent
from livestyle.live.shown import Follower, Shown
from livestyle.render.picture_rows import SMALL_SIZE, SmallPainter
from livestyle.video.window.drawing import Thumbnail

MAX_RECENT = 8
PAUSE_S, SHORT_PAUSE_S = 1.0, 0.2  # between two small pictures that are painted, and that are read


class Recents(Follower):
    """Note the pictures that are painted in, and make small pictures of them on a thread of its own.

    While the styles are shown in the window, one small picture a second is painted on the newest frame. Those that were
    painted before the picture was hidden are forgotten.

    Args:
        models: a folder of models that goes before all others, or None.
        file: that holds the pictures of earlier runs; None keeps nothing.
    """

    def __init__(self, models: Path | None, file: Path | None) -> None:
        self._models, self._file = models, file
        self._recents = tuple(Recent(text) for text in read_recents(file))
        self._frame: Image | None = None  # to paint small pictures on
        self._is_mirrored = False
        self._painter: SmallPainter | None = None
        self._turn = 0
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="recents", daemon=True)

    def follow(self, frame: Frame, shown: Shown, controls: Controls) -> tuple[str, ...]:
        """Note the pictures of what is shown; see `Follower.follow`."""
        is_hidden, preview = shown.hidden or controls.panicked, controls.preview
        texts = [plane.text for plane in (shown.look.background, shown.look.person) if plane.kind == PICTURE]
        with self._lock:
            new = [Recent(text) for text in dict.fromkeys(texts) if text not in [one.text for one in self._recents]]
            if new and not is_hidden:
                self._recents = (*new, *self._recents)[:MAX_RECENT]
            if is_hidden:
                self._recents = tuple(replace(one, painted=None) for one in self._recents)
            wanted = preview.is_shown and "strip" in preview.panels and not is_hidden
            self._frame = frame.image if wanted else None
            self._is_mirrored = preview.is_mirrored
            preview.recents = self._recents
        return ()

    def _work(self) -> None:
        kept = self._texts()
        while not self._ending.wait(SHORT_PAUSE_S if any(one.own is None for one in self._recents) else PAUSE_S):
            with suppress(Exception):  # what cannot be painted stays as it is: the view goes on
                self._draw_next()
            if self._texts() != kept:
                kept = self._texts()
                write_recents(self._file, kept)

    def _texts(self) -> list[str]:
        with self._lock:
            return [one.text for one in self._recents]

    def _draw_next(self) -> None:
        """Make the next small picture: of a picture that has none, else painted on the newest frame."""
        with self._lock:
            recents, frame, self._turn = self._recents, self._frame, self._turn + 1
            is_mirrored = self._is_mirrored
        bare = next((one for one in recents if one.own is None), None)
        if bare:
            try:
                self._keep(bare, replace(bare, own=small_picture(parse_plane(bare.text).path)))
            except UserError:
                self._keep(bare, None)
        elif recents and frame is not None:
            one = recents[self._turn % len(recents)]
            self._painter = self._painter or SmallPainter(self._models)
            painted = self._painter(cover(frame, SMALL_SIZE), one.text)
            self._keep(one, replace(one, painted=Thumbnail(np.fliplr(painted) if is_mirrored else painted)))

    def _keep(self, old: Recent, new: Recent | None) -> None:
        """Replace a recent picture by another state of it, unless all was hidden meanwhile; None drops it."""
        with self._lock:
            if new and new.painted is not None and self._frame is None:
                return
            states = [(new if one is old else one) for one in self._recents]
            self._recents = tuple(one for one in states if one)

    def __enter__(self) -> "Recents":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join(PAUSE_S)
        write_recents(self._file, self._texts())


def small_picture(path: str) -> Thumbnail:
    """Return a picture, small.

    Raises:
        UserError: it is not there any more, or cannot be read.
    """
    return Thumbnail(cover(load_image(Path(path), 2 * min(SMALL_SIZE)), SMALL_SIZE))


def recents_file() -> Path | None:
    """Return the path of the list of recent pictures. With LIVESTYLE_CONFIG=none there is none."""
    if os.environ.get(VARIABLE) == "none":
        return None
    return Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "recent-pictures.json"


def read_recents(file: Path | None) -> list[str]:
    """Return the looks `picture:...` in a list that can still be read; [] where there is no list."""
    found = list[str]()
    with suppress(OSError, ValueError, RecursionError):
        texts = json.loads(file.read_text("utf-8")) if file else []
        for text in [text for text in texts if isinstance(text, str)][:MAX_RECENT]:
            with suppress(UserError):
                found += [text] if parse_plane(text).kind == PICTURE else []
    return found


def write_recents(file: Path | None, texts: list[str]) -> None:
    """Write the list of recent pictures, if that can be done."""
    if file and (texts or file.is_file()):
        with suppress(OSError, UserError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(file) as part:
                part.write_text(json.dumps(texts, indent=2), "utf-8")
