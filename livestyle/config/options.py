"""What a setting is: a row with its name, its type, its default, and who may set it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

from livestyle.config.names import find_name
from livestyle.types import Size

Texts = tuple[str, ...]
# From a value in TOML, or the text of a variable, to what the flag takes. A ValueError says what it should be.
Read = Callable[[Any], Any]
Made = TypeVar("Made")
LARGEST_SIDE = 16384
LARGEST = 1e12  # of a number without a bound


@dataclass(frozen=True)
class Setting:
    """A row. From it come a flag and its documentation; of those in SETTINGS also a key in config files and a variable.

    Args:
        name: of the flag, with underscores.
        help: what `--help` says.
        type: str, Path, bool, int, float, Size or Texts.
        default: what holds where nobody sets it.
        room: the class of settings that it belongs to. A plug-in names Settings, for how pictures are rendered, or
            LiveSettings, for where frames come from and go.
        metavar: what `--help` writes for the value; "" is a number's range or the type's own word.
        flags: as typed, where they are not made from the name; panel: the box of `--help` that they stand in.
        choices: the values that there are, or the name of a list of `livestyle.cli.completion`.
        low, high: the bounds of a number.
        in_project: whether a folder's own file may set it.
        reader: reads it from files and variables; None is the reader of its type.
        field: its name in its class; "" where it is none of its fields, so that it lands in `extra`.
    """

    name: str
    help: str
    type: Any = str
    default: Any = dataclasses.field(default=None, hash=False)  # which may be a list
    room: Any = None
    metavar: str = ""
    flags: Texts = ()
    panel: str = ""
    choices: Texts | str = ()
    low: float | None = None
    high: float | None = None
    in_project: bool = False
    reader: Read | None = None
    field: str = ""

    @property
    def key(self) -> str:
        """The name in files; with two dashes before it, the flag."""
        return self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"LIVESTYLE_{self.name.upper()}"

    @property
    def is_path(self) -> bool:
        """Whether it names a file or folder, relative to the file that holds it."""
        return bool(self.type is Path)

    @property
    def bounds(self) -> str:
        """The bounds of a number, for `--help`."""
        if self.low is None:
            return ""
        return f">={self.low:g}" if self.high is None else f"{self.low:g}..{self.high:g}"

    def read(self, value: Any) -> Any:
        """Return what the flag takes for a value in TOML, or for the text of a variable.

        Raises:
            ValueError: it is wrong. The message says what it should be.
        """
        if self.reader:
            return self.reader(value)
        if self.type in (int, float):
            return self._number(value)
        if self.choices and not isinstance(self.choices, str):
            found = find_name(str(value), self.choices)
            if found is None:
                raise ValueError(f"one of {', '.join(self.choices)}")
            return found
        return READERS[self.type](value)

    def _number(self, value: Any) -> float:
        low, high = (either if own is None else own for own, either in ((self.low, -LARGEST), (self.high, LARGEST)))
        try:
            number: float = self.type(value)
            is_right = low <= number <= high and not isinstance(value, bool) and number == float(value)
        except (TypeError, ValueError, OverflowError):
            is_right = False
        if not is_right:
            bounds = "" if self.low is None else f" >= {low:g}" if self.high is None else f" from {low:g} to {high:g}"
            raise ValueError(f"a {'whole ' if self.type is int else ''}number{bounds}")
        return number


def row(default: Any, help: str, metavar: str = "", **more: Any) -> Any:
    """Return a dataclass field with its row. `Setting` documents the other keywords."""
    return dataclasses.field(default=default, metadata={"help": help, "metavar": metavar, **more})


@lru_cache
def rows_of(kind: type) -> dict[str, Setting]:
    """Return the rows of a class of settings by name."""
    hints, found = get_type_hints(kind), {}
    for one in fields(kind):
        if one.metadata:
            more, type_ = {"name": one.name, **one.metadata}, bare(hints[one.name])
            default = as_flag(type_, one.default)
            found[more["name"]] = Setting(**more, type=type_, default=default, room=kind, field=one.name)
    return found


def as_flag(kind: Any, value: Any) -> Any:
    """Return the value of a field as its flag takes it."""
    if kind == Size and value is not None:
        return "x".join(map(str, value))
    return list(value) if kind == Texts else value


def bare(hint: Any) -> Any:
    """Return a type hint without None."""
    return next(part for part in get_args(hint) if part is not NoneType) if isinstance(hint, UnionType) else hint


def made(rows: Mapping[str, Setting], kind: type[Made], values: Mapping[str, Any]) -> Made:
    """Return an object of a class of settings.

    Args:
        values: by the names of their rows. One that is missing or None has its default.
    """
    given = [(one, values[name]) for name, one in rows.items() if values.get(name) is not None]
    known = {one.field: tuple(value) if one.type == Texts else value for one, value in given if one.field}
    extra = {one.name: value for one, value in given if not one.field}
    return kind(**known, **({"extra": extra} if extra else {}))


def read_text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def read_source(value: Any) -> str:
    """Read a text, or the number of a camera."""
    return read_text(str(value) if type(value) is int else value)


def read_bool(value: Any) -> bool:
    """True or false, also in words."""
    known = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False, "1": True, "0": False}
    found = value if isinstance(value, bool) else known.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("true or false")
    return found


def read_size(text: str) -> Size:
    """Return (width, height) of a text such as 640x360.

    Raises:
        ValueError: it is no size. The message says what one looks like.
    """
    width, _, height = text.lower().partition("x")
    sides = [int(side) if side.isascii() and side.isdecimal() and len(side) < 6 else 0 for side in (width, height)]
    if not all(0 < side <= LARGEST_SIDE for side in sides):
        raise ValueError("a size such as 640x360")
    return sides[0], sides[1]


def read_size_text(value: Any) -> str:
    """Read a size such as "640x360"."""
    read_size(read_text(value))
    return str(value)


def read_texts(value: Any) -> list[str]:
    """Read a list of texts, or one text with commas."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError('a text, or a list of texts such as ["window", "virtual-camera"]')
    return [part.strip() for part in parts]


def read_look(value: Any) -> str:
    """Read a LOOK. Its files must exist."""
    from livestyle.config.look import parse_plane

    parse_plane(read_text(value))
    return str(value)


def read_backdrop(value: Any) -> str:
    """Read a CSS colour."""
    from livestyle.config.colors import read_color

    if read_color(read_text(value)) is None:
        raise ValueError("a colour, such as white, #204060 or green")
    return str(value)


def read_person_look(value: Any) -> str:
    """Read a LOOK that a person can have."""
    from livestyle.config.look import LOOK_KINDS, parse_plane

    if LOOK_KINDS[parse_plane(read_text(value)).kind].is_background_only:
        kinds = " and ".join(f"{name}:" for name, kind in LOOK_KINDS.items() if kind.is_background_only)
        raise ValueError(f"a look for the person; {kinds} are for the background")
    return str(value)


READERS: dict[Any, Read] = {
    str: read_text, Path: read_text, bool: read_bool, Size: read_size_text, Texts: read_texts,
}  # fmt: skip
