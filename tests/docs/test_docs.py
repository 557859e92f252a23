"""README and the documentation are short, current and right: commands parse, paths exist, generated parts are fresh."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import Context
from typer.main import get_command

import livestyle
from livestyle.cli.completion import ASIDE
from livestyle.cli.main import ALONE, app
from livestyle.live.actions import ACTIONS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
LONGEST = 200  # lines of the README
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "models/README.md")]
OLD = ("measurements.md", "history")  # tell what was run, under the names of then
PAGES = [*FRONT, *(page for page in (ROOT / "docs").rglob("*.md") if not {*page.parts} & {*OLD})]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(livestyle\b[^#\n]*)", re.MULTILINE)
INLINE = re.compile(r"`(livestyle [^`\n]+)`")
ACTION_NAMES = {action.name for action in ACTIONS} | {*ASIDE}

PROOF = """
import livestyle
from livestyle.config.look import Look, parse_plane
from livestyle.live.actions import make_controls

livestyle.run("grey", ["count"], background="grey:9", segmenter="everything", device="cpu")
assert Count.frames == 90
assert make_controls(Look(parse_plane("grey:9"))).press("v") == "waves"
assert CHECKS["lamp"]
"""


def commands_of(text: str) -> set[str]:
    """The command lines of a page."""
    blocks = "\n".join(SHELL.findall(text)).replace("\\\n", " ")
    return {line.strip() for line in (*COMMAND.findall(blocks), *INLINE.findall(SHELL.sub("", text)))}


COMMANDS = sorted({line for page in PAGES for line in commands_of(page.read_text("utf-8"))})


def test_the_pages_show_commands() -> None:
    assert len(commands_of(README)) >= 10
    assert len(COMMANDS) >= 60


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mona.jpg").touch()
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line)[1:]
    if not words or (words[0].startswith("-") and words[0] not in ALONE):
        words.insert(0, "live")
    command, context, path = get_command(app), Context(get_command(app)), 0
    given: dict[str, object] = {}
    while command is not None:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
        if not rest or not hasattr(command, "resolve_command"):
            break
        _, command, words = command.resolve_command(context, rest)
        context, path = Context(command, parent=context), path + 1
    if given.get("help"):
        return
    assert not rest, f"{rest} is too much"
    lacking = [param.name for param in command.params if param.required and given.get(param.name) in (None, ())]
    is_mention = len(shlex.split(line)) == path + 1  # such as "see livestyle photo"
    assert not lacking or is_mention, f"{lacking} is missing"
    if command.name == "ctl" and given.get("action") != "ACTION":
        assert given.get("action") in {*ACTION_NAMES, None}


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


def test_the_set_up_is_two_lines() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith("livestyle")
    assert lines[1].endswith("pytest -n 2 --dist loadfile")


@pytest.mark.parametrize("page", FRONT, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text("utf-8")), target


def anchors(text: str) -> set[str]:
    """What links into a page may name."""
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:\w[\w-]*/)+[\w.-]+\.(?:py|sh|md|json)|\w+/)[:`]", page.read_text("utf-8")):
        is_here = any((root / name).exists() for root in (ROOT, ROOT / "livestyle", page.parent))
        assert is_here or name in {"runs/", "cost/"}, name


@pytest.mark.readme
def test_the_examples_of_the_api_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    livestyle.run("demo", sinks=["file:talk.mp4"], background="none", frames=10)
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    names: dict[str, Any] = {"image": np.full((120, 160, 3), 128, np.uint8)}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["painted"].shape[2] == 3
    assert names["matte"].shape == (120, 160)
    assert names["report"].frames == 100
    assert (tmp_path / "painted.mp4").exists()


@pytest.mark.readme
def test_the_rows_of_adding_things_work() -> None:
    page = (ROOT / "docs" / "adding-things.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import" in block]
    program = "\n".join([*blocks, PROOF])
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_generated_parts_are_fresh() -> None:
    command = [sys.executable, "scripts/assets/make_docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nRun: python scripts/assets/make_docs.py"


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
