"""Reload the look from config files that change during a run, and remember the look for the next run."""

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
    """Apply changes of the look in config files to a run, at each call.

    Only fields that changed in the files are applied, so changes by keys stay. If a file has an error, nothing changes
    and a message says so.

    Args:
        controls: of the run.
        settings: at the start of the run.
        default: style of the background if none is set.
        profile: of the config files; None for no profile.
        typed: fields of the look that flags gave. Files do not override them.
        say: takes messages for people.
    """

    def __init__(
        self, controls: Controls, settings: Settings, default: str, profile: str | None, typed: Collection[str],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._controls, self._settings, self._default, self._say = controls, settings, default, say
        self._profile, self._names = profile, [name for name in LOOKS if name not in typed]
        self._look, self._stamps = self._read(settings), self._stamp()

    def __call__(self) -> None:
        """Apply the changes since the last call, if a file has changed."""
        stamps = self._stamp()
        if stamps == self._stamps or any(old and not new for old, new in zip(self._stamps, stamps, strict=True)):
            return  # a missing file may be one that an editor is just replacing
        self._stamps, config = stamps, Config()
        try:
            config = load_config(self._profile)
            values = {name: one.value for name, one in config.values.items()}
            given = {name: values.get(name, SETTINGS[name].default) for name in self._names}
            look = self._read(replace(self._settings, **given))
            changes = {field.name: getattr(look, field.name) for field in fields(Look)}
            changes = {name: value for name, value in changes.items() if value != getattr(self._look, name)}
            if changes:
                self._say(f"From your files: {self._controls.adopt(changes)}")
            self._look = look
        except UserError as error:
            line = f"{error} {config.blame(error.problem)}".strip()
            self._controls.notice(line)
            self._say(line)

    def _read(self, settings: Settings) -> Look:
        return look_of(settings, self._default, self._controls.gallery.titles or None)

    def _stamp(self) -> list[tuple[int, ...]]:
        """Return what changes whenever a file does, for each file; () for a missing one."""
        stamps: list[tuple[int, ...]] = []
        for file in (user_file(), project_file()):
            try:
                facts = file.stat()
                stamps.append((facts.st_mtime_ns, facts.st_size, facts.st_ino))
            except OSError:
                stamps.append(())
        return stamps


def last_file() -> Path:
    """Return the path of the remembered look."""
    return Path(platformdirs.user_state_dir("livestyle", appauthor=False)) / "last-look.json"


def load_last() -> dict[str, Any]:
    """Return the settings of the remembered look, or {} if there is none that is valid.

    With LIVESTYLE_CONFIG=none nothing is remembered.
    """
    if os.environ.get(VARIABLE) == "none":
        return {}
    try:
        facts = json.loads(last_file().read_text("utf-8"))
        return {name: checked(name, facts[name], "", here()) for name in LOOKS if name in facts}
    except (OSError, ValueError, TypeError, UserError, RecursionError):
        return {}


def save_last(look: Look) -> None:
    """Remember a look for the next run, if it can be written."""
    if os.environ.get(VARIABLE) == "none":
        return
    facts = {
        "background": anchored(look.background.text, here()),
        "person": anchored(look.person.text, here()),
        "background_strength": look.background_strength,
        "person_strength": look.person_strength,
        "keep_colors": look.keep_colors,
        "brush": look.brush,
    }
    file = last_file()
    with suppress(OSError, UserError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as part:
            part.write_text(json.dumps(facts, indent=2), "utf-8")
