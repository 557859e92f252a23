"""What contributors read is true: the files that are named exist, and CI runs every supported Python."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\]\((?!https:)([^)]+)\)|`((?:\.ci|\.github|docs|livestyle|models|scripts|tests)/[\w./]*)")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", ".github/pull_request_template.md"])
def test_every_file_that_is_named_exists(page: str) -> None:
    file = ROOT / page
    found = NAMED.findall(file.read_text("utf-8"))
    assert found
    for link, path in found:
        assert (file.parent / link if link else ROOT / path).exists(), link or path


def test_ci_runs_every_supported_python() -> None:
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    matrices = re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    assert len(supported) == 4
    assert matrices == [", ".join(f'"{version}"' for version in supported)] * 2
