"""The page of promises names tests that exist, and each file of tests."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "promises.md").read_text("utf-8")
NAMED = set(re.findall(r"`tests/([\w/]+\.py)::(test_\w+)`", PAGE))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]


def found_in(file: Path) -> set[tuple[str, str]]:
    """Return the tests of a file, each with the file's path."""
    tree = ast.parse(file.read_text("utf-8"))
    names = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    return {(file.relative_to(TESTS).as_posix(), name) for name in names}


def test_every_test_that_is_named_exists() -> None:
    known = set().union(*map(found_in, TESTS.rglob("test_*.py")))
    assert len(NAMED) > 300
    assert not NAMED - known, "rename them in docs/promises.md, too"


def test_every_test_file_is_named() -> None:
    files = {file.relative_to(TESTS).as_posix() for file in TESTS.rglob("test_*.py")}
    assert files == {file for file, _ in NAMED}, "write into docs/promises.md what the tests of the file promise"


def test_every_promise_has_a_test_or_says_that_it_has_none() -> None:
    assert len(ROWS) > 80
    for row in ROWS:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row) or "No test" in row, row
