"""Every command that the README shows exists, with every flag that it shows; its tables are the program's."""

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from livestyle.live.actions import ACTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
COMMANDS = sorted(set(re.findall(r"(?:^|`)(livestyle [^`#\n]*)", BLOCKS + README, re.MULTILINE)))


@cache
def help_of(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "livestyle", *command, "--help"], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_exists(line: str) -> None:
    words = [word for word in shlex.split(line)[1:] if word != "..."]
    command = tuple(words[: 2 if words[:1] in (["train"], ["evaluate"], ["jobs"], ["config"]) else 1])
    shown = help_of(command)
    assert shown, f"there is no {command}"
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"(?<!\S){flag}(?![\w-])", shown), f"{command} has no {flag}"


def test_the_set_up_is_two_lines() -> None:
    lines = [line for line in BLOCKS.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith("livestyle live")
    assert lines[1].endswith("pytest -n 2 --dist loadfile")


def test_every_key_is_in_the_readme() -> None:
    keys = README.split("Keys in the window:")[1].split("\n\n")[1]
    rows = [f"| `{action.key}` | `{action.name}` | {action.words} |" for action in ACTIONS if action.key]
    assert keys.splitlines()[2:] == rows


def test_links_and_pictures_are_there() -> None:
    heads = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", README, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in heads, target
        else:
            assert target.startswith("https://") or (ROOT / target).exists(), target


def test_modules_are_named() -> None:
    for file in (ROOT / "livestyle").glob("*.py"):
        if not file.name.startswith("__"):
            assert f"`{file.name}`" in README, file.name
