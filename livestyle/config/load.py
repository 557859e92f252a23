"""What is settled once instead of typed each time: TOML files, profiles, variables; and where each value stands.

A value is taken from the first of these that has it:

    flag  >  $LIVESTYLE_KEY  >  the profile asked for  >  project file  >  user file  >  last look  >  default

The project file, `livestyle.toml` in the current folder, may come with a folder that others made. So it may set how the
picture is painted, never what is opened, written, run or hidden: see `Setting.in_project`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livestyle.config.look import PICTURE, STYLE_FILES, anchored, parse_plane
from livestyle.config.names import did_you_mean
from livestyle.config.options import read_text
from livestyle.config.picture import PREFIX, located, read_mix
from livestyle.config.settings import SETTINGS
from livestyle.config.toml import lines_of, parse_toml, toml
from livestyle.errors import UserError

VARIABLE = "LIVESTYLE_CONFIG"  # names another user file; "none": nothing but flags counts
PROJECT_FILE = "livestyle.toml"
LARGEST = 1 << 16  # bytes of a file
OTHERS = ("LIVESTYLE_CONFIG", "LIVESTYLE_PROFILE", "LIVESTYLE_DEBUG", "LIVESTYLE_PROGRESS")


@dataclass(frozen=True)
class Given:
    """A value, as its flag takes it, and where it stands."""

    value: Any
    origin: str = "default"


@dataclass(frozen=True)
class Config:
    """What was found: values by name of the setting, keys of the window by action, and the files that were read."""

    values: dict[str, Given] = field(default_factory=dict)
    keys: dict[str, Given] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def blame(self, problem: str) -> str:
        """Return where the value was set that an error message quotes, or ""."""
        quoted = set(re.findall(r"'([^']+)'", problem))
        for given in self.values.values():
            texts = given.value if isinstance(given.value, list) else [str(given.value)]
            words = {word for text in texts for word in (text, *re.split(r"[+@,]", text))}
            if quoted & words and given.origin not in problem:
                return f"It stands in {given.origin}."
        return ""


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's file, whether it exists or not."""
    import platformdirs  # `--help` does not need it

    named = environment.get(VARIABLE, "")
    if named not in ("", "none"):
        return Path(named)
    return Path(platformdirs.user_config_dir("livestyle", appauthor=False)) / "config.toml"


def project_file() -> Path:
    """Return the path of the current folder's file, whether it exists or not."""
    return here() / PROJECT_FILE


def here() -> Path:
    """Return the current folder, even if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def load_config(profile: str | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Load what files, profiles and variables set.

    Args:
        profile: the tables [profile.NAME] to take; None: that of $LIVESTYLE_PROFILE, if any.

    Raises:
        UserError: a file that cannot be read, a wrong key or value, a profile that no file has.
    """
    profile = profile or environment.get("LIVESTYLE_PROFILE") or None
    if environment.get(VARIABLE) == "none":
        if profile:
            raise UserError(f"There is no profile '{profile}': ${VARIABLE} is none.", f"Unset ${VARIABLE}.")
        return Config()
    found = find_files(environment)
    values: dict[str, Given] = {}
    for file in found:
        values |= file.plain
    if profile is not None:
        values |= _profile(profile, found)
    values |= dict(_variables(environment))
    return Config(values, found[0].keys if found else {}, tuple(file.path for file in found))


def find_files(environment: Mapping[str, str] = os.environ) -> "list[File]":
    """Return the user's file and the folder's, if they exist.

    Raises:
        UserError: one of them is wrong.
    """
    user, project = user_file(environment), project_file()
    if environment.get(VARIABLE) not in (None, "", "none") and not user.is_file():
        raise UserError(f"There is no file {user}.", f"Check ${VARIABLE}.")
    found = [File(user)] if user.is_file() else []
    if project.is_file() and not (found and os.path.samefile(user, project)):
        found.append(File(project, is_project=True))
    return found


def _profile(name: str, found: "list[File]") -> dict[str, Given]:
    known = sorted({profile for file in found for profile in file.profiles})
    if name not in known:
        step = f"There is: {', '.join(known)}." if known else f"Write a table [profile.{name}] into {user_file()}."
        raise UserError(f"There is no profile '{name}'.{did_you_mean(name, known)}", step)
    return {key: given for file in found for key, given in file.profiles.get(name, {}).items()}


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    known = {one.variable: name for name, one in SETTINGS.items()}
    for variable, text in environment.items():
        if variable in known and text:
            yield known[variable], Given(checked(known[variable], text, f"${variable}", here()), f"${variable}")
        elif variable.startswith("LIVESTYLE_") and variable not in (*known, *OTHERS):  # or of another program
            near = did_you_mean(variable.removeprefix("LIVESTYLE_"), map(str.upper, SETTINGS))
            if near:
                raise UserError(f"Nothing reads the variable {variable}.{near}", f"Run: unset {variable}")


class File:
    """A config file, checked.

    Args:
        is_project: it is a folder's own, which may hold some of the settings, and no keys.

    Raises:
        UserError: it cannot be read, or holds what it may not: with the line.
    """

    def __init__(self, path: Path, is_project: bool = False) -> None:
        self.path, self._is_project = path, is_project
        self.text = text = self._text()
        try:
            found = parse_toml(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is no TOML: {str(error)[:200]}.", "Mend it: livestyle config edit") from None
        self._lines = lines_of(text)
        tables = {name: found.pop(name) for name in ("keys", "profile") if isinstance(found.get(name), dict)}
        self.plain = self._settings(found, ())
        self.profiles: dict[str, dict[str, Given]] = {}
        for name, table in tables.get("profile", {}).items():
            if not isinstance(table, dict):
                raise UserError(f"{self.at('profile', name)}: {name} is not a table.", f"Write [profile.{name}].")
            self.profiles[name] = self._settings(table, ("profile", name))
        self.keys = self._keys(tables.get("keys", {}))

    def _text(self) -> str:
        try:
            if self._is_project and hasattr(os, "getuid") and self.path.stat().st_uid not in (os.getuid(), 0):
                raise UserError(
                    f"{self.path} belongs to another user, so it is not read.", "Run livestyle in another folder."
                )
            with self.path.open("rb") as file:
                data = file.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise UserError(f"{self.path} is too large for a config file.", "Make it smaller than 64 KB.")
            return data.decode("utf-8-sig")  # editors of Windows begin with a mark
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}.", "Check its rights.") from None
        except UnicodeDecodeError:
            raise UserError(f"{self.path} is not UTF-8 text.", "Save it as UTF-8.") from None

    def at(self, *keys: str) -> str:
        """Return the file with the line of a key, if that is known."""
        line = self._lines.get(keys)
        return f"{self.path}, line {line}" if line else str(self.path)

    def _settings(self, table: dict[str, Any], place: tuple[str, ...]) -> dict[str, Given]:
        found = {}
        for key, value in table.items():
            name, origin = key.replace("-", "_"), self.at(*place, key)
            if name not in SETTINGS:
                near = did_you_mean(key, [one.key for one in SETTINGS.values()])
                raise UserError(f"{origin}: There is no key '{key}'.{near}", "All keys: livestyle config show")
            if self._is_project and not SETTINGS[name].in_project:
                raise UserError(
                    f"{origin}: '{key}' may not be set by a folder's file, which others may have made.",
                    f"Set it in {user_file()}, or on the command line.", name,
                )  # fmt: skip
            found[name] = Given(checked(name, value, origin, self.path.parent), origin)
            self._stays_inside(name, found[name])
        return found

    def _stays_inside(self, name: str, given: Given) -> None:
        """Refuse paths outside the folder of a project file."""
        if not self._is_project or name not in ("background", "person"):
            return
        plane = parse_plane(given.value)
        styles = (style for style, _ in plane.styles)
        pictures = [one.path for one in read_mix(plane.text.removeprefix(PREFIX))] if plane.kind == PICTURE else []
        for path in (plane.path, *pictures, *(style for style in styles if style.lower().endswith(STYLE_FILES))):
            if path and not Path(path).resolve().is_relative_to(self.path.parent.resolve()):
                raise UserError(
                    f"{given.origin}: {path} is not inside the folder of {self.path.name}.", "Copy it there."
                )

    def _keys(self, table: dict[str, Any]) -> dict[str, Given]:
        if table and self._is_project:
            raise UserError(f"{self.at('keys')}: a folder's file may set no keys.", f"Set them in {user_file()}.")
        found: dict[str, Given] = {}
        for action, key in table.items():
            origin = self.at("keys", action)
            if not isinstance(key, str):
                raise UserError(f"{origin}: the key of {action} is not a text.", 'Write a key such as "n".')
            found[action] = Given(key, origin)
        return found


def checked(name: str, value: Any, origin: str, base: Path) -> Any:
    """Return the value of a setting as its flag takes it, with its paths absolute.

    Args:
        origin: where it stands, for the error; base: the folder that its paths are relative to.

    Raises:
        UserError: it is wrong.
    """
    setting = SETTINGS[name]
    try:
        if name in ("background", "person"):
            value = anchored(read_text(value), base)
        value = setting.read(value)
    except ValueError as error:
        shown = toml(value) if isinstance(value, bool | int | float | str) else f"a {type(value).__name__}"
        raise UserError(f"{origin}: {setting.key} = {shown[:60]} is not {error}.", "Mend it there.") from None
    except UserError as error:
        raise UserError(f"{origin}: {error.problem}", error.step) from None
    return located(str(value), base) if setting.is_path else value
