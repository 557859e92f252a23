"""Looks that outlive what set them: files that change while a filter runs, and the look that one was left with."""

import json
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.config.load import VARIABLE, Config, checked, here, load_config, project_file, user_file
from livestyle.config.look import Look, anchored, look_of
from livestyle.config.settings import LOOKS, SETTINGS, Settings
from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.live.controls import Controls


class Reload:
    """Called now and then, has a running filter adopt the looks of files as these change. What was changed by keys and
    not in the files stays; what cannot be read is said, and all stays.

    Args:
        settings: as they were settled when the run began; default: the style of no look.
        typed: the flags that were, which go before any file.
    """

    def __init__(
        self, controls: Controls, settings: Settings, default: str, profile: str | None, typed: Collection[str],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._controls, self._settings, self._default, self._say = controls, settings, default, say
        self._profile, self._names = profile, [name for name in LOOKS if name not in typed]
        self._look, self._stamps = look_of(settings, default), self._stamp()

    def __call__(self) -> None:
        """See whether a file has changed."""
        stamps = self._stamp()
        if stamps == self._stamps or any(old and not new for old, new in zip(self._stamps, stamps, strict=True)):
            return  # gone: an editor may be about to put it back
        self._stamps, found = stamps, Config()
        try:
            found = load_config(self._profile)
            values = {name: one.value for name, one in found.values.items()}
            given = {name: values.get(name, SETTINGS[name].default) for name in self._names}
            look = look_of(replace(self._settings, **given), self._default)
            changes = {one.name: getattr(look, one.name) for one in fields(Look)}
            changes = {name: part for name, part in changes.items() if part != getattr(self._look, name)}
            if changes:
                self._say(f"From your files: {self._controls.adopt(changes)}")
            self._look = look
        except UserError as error:
            line = f"{error} {found.blame(error.problem)}".strip()
            self._controls.tell(line)
            self._say(line)

    def _stamp(self) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        for file in (user_file(), project_file()):
            try:
                facts = file.stat()
                found.append((facts.st_mtime_ns, facts.st_size, facts.st_ino))
            except OSError:
                found.append(())
        return found


def last_file() -> Path:
    """Where the last look is remembered."""
    return Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "last-look.json"


def load_last() -> dict[str, Any]:
    """The settings of the last look; empty where there is none that can be used, or only flags are to count."""
    if os.environ.get(VARIABLE) == "none":
        return {}
    try:
        facts = json.loads(last_file().read_text("utf-8"))
        return {name: checked(name, facts[name], "", here()) for name in LOOKS if name in facts}
    except (OSError, ValueError, TypeError, UserError, RecursionError):
        return {}


def save_last(look: Look) -> None:
    """Remember a look for the next start; where that cannot be written it is not."""
    facts = {
        "background": anchored(look.background.text, here()),
        "person": anchored(look.person.text, here()),
        "background_strength": look.background_strength,
        "person_strength": look.person_strength,
        "keep_colors": look.keep_colors,
    }
    if os.environ.get(VARIABLE) == "none":
        return
    file = last_file()
    with suppress(OSError, UserError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_text(json.dumps(facts, indent=2), "utf-8")
