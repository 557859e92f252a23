"""What is settled once instead of typed each time: TOML files, profiles, variables; and where each value stands.

A value is taken from the first of these that has it:

    flag  >  $LIVESTYLE_KEY  >  the profile asked for  >  project file  >  user file  >  last look  >  default

The project file, `livestyle.toml` in the current folder, may come with a folder that others made. So it may set how the
picture is painted, never what is opened, written, run or hidden: see PROJECT.
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from livestyle.deck import ACTIONS, Deck, bind
from livestyle.errors import UserError
from livestyle.look import STYLE_FILES, Look, anchored, look_of, parse_plane
from livestyle.settings import PERSON_COUNTS, QUALITIES, LiveSettings, Settings, read_size

VARIABLE = "LIVESTYLE_CONFIG"  # names another user file; "none": nothing but flags counts
PROJECT_FILE = "livestyle.toml"
LARGEST = 1 << 16  # bytes of a file
LONGEST = 100  # lines of one statement, beyond which its line is not looked for
LOOKS = ("background", "person", "strength", "background_strength", "person_strength", "keep_colors")
PROJECT = (*LOOKS, "auto_light", "segmenter", "keep", "person_count", "refine", "quality", "size", "fps", "mirror")
OTHERS = ("LIVESTYLE_CONFIG", "LIVESTYLE_PROFILE", "LIVESTYLE_DEBUG", "LIVESTYLE_PROGRESS")

Read = Callable[
    [Any], Any
]  # a value from TOML, or the text of a variable, to what a flag takes; ValueError says why not


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
        """Where the value stands that an error's sentence quotes; "" where none does."""
        quoted = set(re.findall(r"'([^']+)'", problem))
        for given in self.values.values():
            texts = given.value if isinstance(given.value, list) else [str(given.value)]
            words = {word for text in texts for word in (text, *re.split(r"[+@,]", text))}
            if quoted & words and given.origin not in problem:
                return f"It stands in {given.origin}."
        return ""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def _source(value: Any) -> str:
    return _text(str(value) if type(value) is int else value)


def _bool(value: Any) -> bool:
    known = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False, "1": True, "0": False}
    found = value if isinstance(value, bool) else known.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("true or false")
    return found


def _number(low: float, high: float, whole: bool = False) -> Read:
    def read(value: Any) -> float:
        words = f"a {'whole ' if whole else ''}number " + (f"from {low:g} to {high:g}" if high < 1e9 else f">= {low:g}")
        try:
            number = (int if whole else float)(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(words) from None
        if isinstance(value, bool) or not low <= number <= high or (whole and number != float(value)):
            raise ValueError(words)
        return number

    return read


def _one_of(*choices: str) -> Read:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return read


def _size(value: Any) -> str:
    read_size(_text(value))
    return str(value)


def _texts(value: Any) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError('a text, or a list of texts such as ["window", "virtual-camera"]')
    return [part.strip() for part in parts]


def _look(value: Any) -> str:
    parse_plane(_text(value))
    return str(value)


def _person(value: Any) -> str:
    if _look(value).startswith(("image:", "video:")):
        raise ValueError("a look for the person; image: and video: are for the background")
    return str(value)


_share, _rate = _number(0, 1), _number(1, 240)
READERS: dict[str, Read] = {
    "background": _look, "person": _person, "strength": _share, "background_strength": _share,
    "person_strength": _share, "keep_colors": _bool, "segmenter": _text, "keep": _text,
    "person_count": _one_of(*PERSON_COUNTS), "model_file": _text, "refine": _text, "auto_light": _bool,
    "device": _text, "quality": _one_of("auto", *QUALITIES), "models": _text,
    "source": _source, "sink": _texts, "size": _size, "fps": _rate, "mirror": _bool, "private": _bool,
    "on_demand": _bool, "frames": _number(1, 1e12, whole=True), "seconds": _number(0, 1e12), "stills": _text,
    "recordings": _text, "gatys_style": _text,
}  # fmt: skip
PATHS = ("model_file", "models", "stills", "recordings", "gatys_style")
DEFAULTS: dict[str, Any] = {  # by the names of the flags
    name.replace("sinks", "sink"): list(value) if isinstance(value, tuple) else value
    for name, value in (asdict(Settings()) | asdict(LiveSettings())).items()
}


def toml(value: Any) -> str:
    """A value as it is written in TOML; nothing for None. JSON's texts, numbers and lists are TOML, too."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def key_of(name: str) -> str:
    """A setting as it is written in files: its flag without the dashes before."""
    return name.replace("_", "-")


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return f"LIVESTYLE_{name.upper()}"


def user_file(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's own file, whether it is there or not."""
    named = environment.get(VARIABLE, "")
    return (
        Path(named)
        if named not in ("", "none")
        else Path(platformdirs.user_config_dir("livestyle", appauthor=False)) / "config.toml"
    )


def project_file() -> Path:
    """The file of the current folder, whether it is there or not."""
    return here() / PROJECT_FILE


def here() -> Path:
    """The current folder, even where it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def load_config(profile: str | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """All that is settled.

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
    """The user's file and the folder's, where they are there.

    Raises:
        UserError: one of them is wrong.
    """
    user, project = user_file(environment), project_file()
    if environment.get(VARIABLE) not in (None, "", "none") and not user.is_file():
        raise UserError(f"There is no file {user}.", f"Check ${VARIABLE}.")
    found = [File(user)] if user.is_file() else []
    if project.is_file() and not (found and os.path.samefile(user, project)):
        found.append(File(project, PROJECT))
    return found


def _profile(name: str, found: "list[File]") -> dict[str, Given]:
    known = sorted({profile for file in found for profile in file.profiles})
    if name not in known:
        step = f"There is: {', '.join(known)}." if known else f"Write a table [profile.{name}] into {user_file()}."
        raise UserError(f"There is no profile '{name}'.{nearest(name, known)}", step)
    return {key: given for file in found for key, given in file.profiles.get(name, {}).items()}


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    known = {variable_of(name): name for name in DEFAULTS}
    for variable, text in environment.items():
        if variable in known and text:
            yield known[variable], Given(_read(known[variable], text, f"${variable}", here()), f"${variable}")
        elif variable.startswith("LIVESTYLE_") and variable not in (*known, *OTHERS):  # or of another program
            near = nearest(variable.removeprefix("LIVESTYLE_"), map(str.upper, DEFAULTS))
            if near:
                raise UserError(f"Nothing reads the variable {variable}.{near}", f"Run: unset {variable}")


def _read(name: str, value: Any, origin: str, base: Path) -> Any:
    """A value checked, its paths made absolute.

    Raises:
        UserError: it is wrong.
    """
    try:
        if name in ("background", "person"):
            value = anchored(_text(value), base)
        value = READERS[name](value)
    except ValueError as error:
        shown = toml(value) if isinstance(value, bool | int | float | str) else f"a {type(value).__name__}"
        raise UserError(f"{origin}: {key_of(name)} = {shown[:60]} is not {error}.", "Mend it there.") from None
    except UserError as error:
        raise UserError(f"{origin}: {error.problem}", error.step) from None
    return str(base / Path(value).expanduser()) if name in PATHS else value


def nearest(word: str, known: Iterable[str]) -> str:
    """The question whether a known word was meant; empty where none is near."""
    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f" Did you mean {near[0]}?" if near else ""


class File:
    """A config file, checked.

    Args:
        allowed: the settings that it may have; None is all, and keys.

    Raises:
        UserError: it cannot be read, or holds what it may not: with the line.
    """

    def __init__(self, path: Path, allowed: tuple[str, ...] | None = None) -> None:
        self.path, self._allowed = path, allowed
        text = self._text()
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
            if self._allowed is not None and hasattr(os, "getuid") and self.path.stat().st_uid not in (os.getuid(), 0):
                raise UserError(
                    f"{self.path} belongs to another user, so it is not read.", "Run livestyle in another folder."
                )
            with self.path.open("rb") as file:
                data = file.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise UserError(f"{self.path} is too large for a config file.", "Make it smaller than 64 KB.")
            return data.decode("utf-8")
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}.", "Check its rights.") from None
        except UnicodeDecodeError:
            raise UserError(f"{self.path} is not UTF-8 text.", "Save it as UTF-8.") from None

    def at(self, *keys: str) -> str:
        """The file, with the line of a key where it is known."""
        line = self._lines.get(keys)
        return f"{self.path}, line {line}" if line else str(self.path)

    def _settings(self, table: dict[str, Any], place: tuple[str, ...]) -> dict[str, Given]:
        found = {}
        for key, value in table.items():
            name, origin = key.replace("-", "_"), self.at(*place, key)
            if name not in DEFAULTS:
                raise UserError(
                    f"{origin}: There is no key '{key}'.{nearest(key, map(key_of, DEFAULTS))}",
                    "All keys: livestyle config show",
                )
            if self._allowed is not None and name not in self._allowed:
                raise UserError(
                    f"{origin}: '{key}' may not be set by a folder's file, which others may have made.",
                    f"Set it in {user_file()}, or by --{key_of(name)}.",
                )
            found[name] = Given(_read(name, value, origin, self.path.parent), origin)
            self._stays_inside(name, found[name])
        return found

    def _stays_inside(self, name: str, given: Given) -> None:
        """A folder's file has no say over files elsewhere."""
        if self._allowed is None or name not in ("background", "person"):
            return
        plane = parse_plane(given.value)
        for path in (plane.path, *(style for style, _ in plane.styles if style.lower().endswith(STYLE_FILES))):
            if path and not Path(path).resolve().is_relative_to(self.path.parent.resolve()):
                raise UserError(
                    f"{given.origin}: {path} is not inside the folder of {self.path.name}.", "Copy it there."
                )

    def _keys(self, table: dict[str, Any]) -> dict[str, Given]:
        if table and self._allowed is not None:
            raise UserError(f"{self.at('keys')}: a folder's file may set no keys.", f"Set them in {user_file()}.")
        found: dict[str, Given] = {}
        for action, key in table.items():
            origin = self.at("keys", action)
            if action not in (names := [one.name for one in ACTIONS]):
                problem = f"{origin}: There is no action '{action}'.{nearest(action, names)}"
                raise UserError(problem, f"Choose from: {', '.join(names)}.")
            if not isinstance(key, str):
                raise UserError(f"{origin}: the key of {action} is not a text.", 'Write a key such as "n".')
            found[action] = Given(key, origin)
        try:
            bind({name: one.value for name, one in found.items()})
        except UserError as error:
            origin = next((one.origin for name, one in found.items() if f"'{name}'" in error.problem), str(self.path))
            raise UserError(f"{origin}: {error.problem}", error.step) from None
        return found


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError, RecursionError: it is none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """The line on which each table and key of a TOML text begins, counted from 1; tomllib does not tell.

    A statement is the least number of whole lines that are TOML by themselves.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    statement, start = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        statement += line
        try:
            parsed = parse_toml(statement)
        except (ValueError, RecursionError):
            if number - start < LONGEST:
                continue
            parsed = {}
        is_header = statement.lstrip().startswith("[")
        for path in _paths(parsed):
            found.setdefault(path if is_header else table + path, start)
            table = path if is_header else table
        statement, start = "", number + 1
    return found


def _paths(parsed: Any, depth: int = 3) -> Iterator[tuple[str, ...]]:
    """The tables and keys that one statement names, outermost first; not deeper than a config file goes."""
    if isinstance(parsed, dict) and depth:
        for key, value in parsed.items():
            yield (key,)
            yield from ((key, *path) for path in _paths(value, depth - 1))


class Reload:
    """Called now and then, has a running filter adopt the looks of files as these change. What was changed by keys and
    not in the files stays; what cannot be read is said, and all stays.

    Args:
        settings: as they were settled when the run began; default: the style of no look.
        typed: the flags that were, which go before any file.
    """

    def __init__(
        self, deck: Deck, settings: Settings, default: str, profile: str | None, typed: Collection[str],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._deck, self._settings, self._default, self._say = deck, settings, default, say
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
            given = {name: values.get(name, DEFAULTS[name]) for name in self._names}
            look = look_of(replace(self._settings, **given), self._default)
            changes = {one.name: getattr(look, one.name) for one in fields(Look)}
            changes = {name: part for name, part in changes.items() if part != getattr(self._look, name)}
            if changes:
                self._say(f"From your files: {self._deck.adopt(changes)}")
            self._look = look
        except UserError as error:
            line = f"{error} {found.blame(error.problem)}".strip()
            self._deck.tell(line)
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
        return {name: _read(name, facts[name], "", here()) for name in LOOKS if name in facts}
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
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(facts, indent=2), "utf-8")
        os.replace(part, file)
