"""Write one setting into the user's config file. All else in it stays, comments too."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from livestyle.config.load import VARIABLE, File, Given, checked, here, user_file
from livestyle.config.look import parse_plane
from livestyle.config.names import choose, find_name, unknown
from livestyle.config.settings import SETTINGS
from livestyle.config.toml import toml
from livestyle.errors import UserError
from livestyle.files import atomic_write

Titles = Callable[[], Mapping[str, str]]  # returns the titles of models by name
CheckKeys = Callable[[Mapping[str, Given]], object]


def write_setting(
    key: str, text: str, profile: str | None, models: Mapping[str, Titles], check_keys: CheckKeys
) -> tuple[Path, str]:
    """Write a setting into the user's file, which is created where it is missing.

    Args:
        key: of a setting, or keys.ACTION.
        text: the value, as its flag takes it.
        profile: the table [profile.NAME] that it goes into; None for none.
        models: known models by the setting that names them.
        check_keys: refuses wrong keys of the window.

    Returns:
        The file, and the line that it holds now.

    Raises:
        UserError: there is no such key, the value is wrong, or the file is wrong or cannot be written.
    """
    if os.environ.get(VARIABLE) == "none":
        raise UserError(f"No config file is read: ${VARIABLE} is none.", f"Run: unset {VARIABLE}")
    file = user_file()
    old = File(file) if file.is_file() else None
    action = key.partition(".")[2] if key.startswith("keys.") else ""
    if action:
        check_keys({**(old.keys if old else {}), action: Given(text, f"keys.{action}")})
        name, value = action, text
    else:
        name, value = setting_value(key, text, models)
    table = ("keys",) if action else ("profile", profile) if profile else ()
    before = old.text if old else ""
    save(file, with_value(before, table, name, value))
    return file, f"{'.'.join((*table, name))} = {toml(value)}"


def setting_value(key: str, text: str, models: Mapping[str, Titles]) -> tuple[str, Any]:
    """Return the exact key of a setting, and its value for TOML.

    Raises:
        UserError: there is no such key, or the value is wrong.
    """
    flags = {flag.lstrip("-"): one.key for one in SETTINGS.values() for flag in (one.key, *one.flags)}
    name = find_name(key, flags, whole=True)
    if name is None:
        raise unknown("key", key, flags, "All keys: livestyle config show")
    setting = SETTINGS[flags[name].replace("-", "_")]
    try:
        value = checked(setting.name, text, "", here())
    except UserError as error:
        raise UserError(error.problem.removeprefix(": "), f"Write: livestyle config set {setting.key} VALUE") from None
    if setting.name in ("background", "person"):
        value = parse_plane(value, models[setting.name]()).text
    elif setting.name in models:
        value = choose(setting.name, value, models[setting.name]())
    return setting.key, value


def with_value(text: str, table: tuple[str, ...], key: str, value: Any) -> str:
    """Return a TOML text with a value set. A line that only lacks its value, as of the template, takes it.

    Args:
        text: TOML; table: the names of the table, outermost first; key: in it.
    """
    import tomlkit

    document = tomlkit.parse(text)
    place: Any = document
    for name in table:
        place = place.setdefault(name, tomlkit.table(is_super_table=name == "profile"))
    known = next((one for one in place if one.replace("_", "-") == key), None)
    commented = re.compile(rf"^# {re.escape(key)} = .*?(?=(  +# .*)?$)", re.MULTILINE)
    if known is None and not table and (line := commented.search(text)) and is_at_top(text[: line.start()]):
        return text[: line.start()] + f"{key} = {toml(value)}" + text[line.end() :]
    place[known or key] = value
    return tomlkit.dumps(document)


def is_at_top(text: str) -> bool:
    """Return whether no table has begun at the end of a TOML text."""
    return not re.search(r"^\s*\[", text, re.MULTILINE)


def save(file: Path, text: str) -> None:
    """Write the user's file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}.", "Check its folder's rights.") from None
    with atomic_write(file) as part:
        part.write_text(text, "utf-8")
