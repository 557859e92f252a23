"""TOML: read, written, and the lines on which its statements stand."""

import json
import sys
from collections.abc import Iterator
from typing import Any

LONGEST = 100  # lines of one statement, beyond which its line is not looked for


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
    """Return the line of each table and key of a TOML text, counted from 1. tomllib does not tell.

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
        for path in paths_in(parsed):
            found.setdefault(path if is_header else table + path, start)
            table = path if is_header else table
        statement, start = "", number + 1
    return found


def paths_in(parsed: Any, depth: int = 3) -> Iterator[tuple[str, ...]]:
    """Yield the tables and keys that one statement names, outermost first, as deep as a config file goes."""
    if isinstance(parsed, dict) and depth:
        for key, value in parsed.items():
            yield (key,)
            yield from ((key, *path) for path in paths_in(value, depth - 1))


def toml(value: Any) -> str:
    """Return a value as TOML, or "" for None. Texts, numbers and lists of JSON are valid TOML."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)
