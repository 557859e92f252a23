"""What each setting may be, wherever it is written."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from livestyle.config.look import LOOK_KINDS, anchored, at_home, parse_plane
from livestyle.config.quality import QUALITIES
from livestyle.config.settings import PERSON_COUNTS, LiveSettings, Settings, read_size
from livestyle.config.toml import toml
from livestyle.errors import UserError

LOOKS = ("background", "person", "strength", "background_strength", "person_strength", "keep_colors")
PROJECT = (*LOOKS, "auto_light", "segmenter", "keep", "person_count", "refine", "quality", "size", "fps", "mirror")

# From a value in TOML, or the text of a variable, to what a flag takes; a ValueError says what it should be.
Read = Callable[[Any], Any]


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
    if LOOK_KINDS[parse_plane(_text(value)).kind].is_background_only:
        kinds = " and ".join(f"{name}:" for name, kind in LOOK_KINDS.items() if kind.is_background_only)
        raise ValueError(f"a look for the person; {kinds} are for the background")
    return str(value)


_share, _rate = _number(0, 1), _number(1, 240)
READERS: dict[str, Read] = {
    "background": _look, "person": _person, "strength": _share, "background_strength": _share,
    "person_strength": _share, "keep_colors": _bool, "segmenter": _text, "keep": _text,
    "person_count": _one_of(*PERSON_COUNTS), "model_file": _text, "refine": _text, "auto_light": _bool,
    "device": _text, "quality": _one_of("auto", *QUALITIES), "models": _text,
    "source": _source, "sink": _texts, "size": _size, "fps": _rate, "mirror": _bool, "private": _bool,
    "on_demand": _bool, "frames": _number(1, 1e12, whole=True), "seconds": _number(0, 1e12), "stills": _text,
    "recordings": _text, "microphone": _text, "gatys_style": _text,
}  # fmt: skip
PATHS = ("model_file", "models", "stills", "recordings", "gatys_style")
DEFAULTS: dict[str, Any] = {  # by the names of the flags
    name.replace("sinks", "sink"): list(value) if isinstance(value, tuple) else value
    for name, value in (asdict(Settings()) | asdict(LiveSettings())).items()
}


def key_of(name: str) -> str:
    """A setting as it is written in files: its flag without the dashes before."""
    return name.replace("_", "-")


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return f"LIVESTYLE_{name.upper()}"


def checked(name: str, value: Any, origin: str, base: Path) -> Any:
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
    return str(base / at_home(value)) if name in PATHS else value
