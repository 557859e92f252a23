"""Errors below the command line name settings; the command line alone speaks of flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import livestyle
from livestyle.cli.main import app

PACKAGE = Path(livestyle.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z]")
COMMAND = re.compile(r"(livestyle [a-z]|torchrun|pip install|sudo ).*")  # a whole command to copy may have flags
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] not in ("cli", "models"))


def flags(command: object) -> Iterator[str]:
    """The names of all flags of a command and of those below it, with underscores."""
    for parameter in getattr(command, "params", ()):
        yield str(parameter.name)
        yield from (option.removeprefix("--").replace("-", "_") for option in parameter.opts)
    for one in getattr(command, "commands", {}).values():
        yield from flags(one)


def errors(file: Path) -> Iterator[ast.Call]:
    """The calls in a file that make a UserError."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UserError", "Unreachable"):
            yield node


def test_errors_are_found() -> None:
    """Else the test below would look at nothing."""
    assert sum(1 for file in FILES for _ in errors(file)) > 100


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_an_error_names_a_setting_and_no_flag(file: Path) -> None:
    known = set(flags(get_command(app)))
    for call in errors(file):
        texts = [
            node.value for argument in call.args[:2] for node in ast.walk(argument)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]  # fmt: skip
        assert not [text for text in texts if FLAG.search(COMMAND.sub("", text))], ast.unparse(call)
        fields = [*call.args[2:3], *(word.value for word in call.keywords if word.arg == "field")]
        assert all(isinstance(field, ast.Name) or field.value in known for field in fields), ast.unparse(call)
