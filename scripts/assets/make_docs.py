"""Write the generated parts of the documentation from the program's own tables.

    python scripts/assets/make_docs.py            write them
    python scripts/assets/make_docs.py --check    exit code 1 if a page is stale; names it

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; NAME is a row of PARTS.
"""

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

import livestyle
from livestyle.cli.main import app  # with all commands registered
from livestyle.config.settings import SETTINGS
from livestyle.config.toml import toml
from livestyle.live.actions import ACTIONS
from livestyle.nets.library import find_nets, find_rows
from livestyle.video.devices import loopback

ROOT = Path(__file__).parents[2]
PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
TEN = ("panic", "confirm", "next-style", "previous-style", "paint", "blur", "split", "strip", "record", "help")
ROOMS = ("cli", "evaluate", "train", "stills", "live", "render", "matting", "nets", "video", "image", "config")
DISTRIBUTIONS = {"debian": "Debian, Ubuntu, Mint", "suse": "openSUSE"}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *map(list, rows)]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def shell(*commands: str) -> str:
    """A block of commands."""
    return "```sh\n" + "".join(f"{command}\n" for command in commands) + "```\n"


def keys(names: tuple[str, ...] = ()) -> str:
    """The keys of the window: all, or those of some actions."""
    rows = [action for action in ACTIONS if action.key and (not names or action.name in names)]
    return table(("key", "name", "does"), ((f"`{one.key}`", f"`{one.name}`", one.words) for one in rows))


def arguments() -> str:
    """The actions that take an argument."""
    rows = ((f"`{one.name}`", f"`{one.argument}`", one.words) for one in ACTIONS if one.argument)
    return table(("action", "argument", "does"), rows)


@cache
def commands() -> Any:
    """The command line as click sees it."""
    return get_command(app)


def settings() -> str:
    """Every setting with its default and the help of its flag."""
    rows = (
        (f"`{one.key}`", f"`{toml(one.default)}`" if one.default is not None else "", plain(one.help))
        for one in SETTINGS.values()
    )
    return table(("key", "default", "meaning"), rows)


def project() -> str:
    """The settings that a folder's file may have."""
    return ", ".join(f"`{one.key}`" for one in SETTINGS.values() if one.in_project) + ".\n"


def styles() -> str:
    """The styles that ship with a network of their own."""
    rows = []
    for card in find_nets("style", ROOT / "models").values():
        title, artist, year, source = (card.painting.get(fact, "") for fact in ("title", "artist", "year", "source"))
        name = f"`{card.name}`{' (the default)' if card.default else ''}"
        rows.append((name, title or card.title, artist, year, source.partition(";")[0]))
    return table(("name", "painting", "artist", "year", "where it is"), rows)


def gallery() -> str:
    """The styles of the gallery, by the first of their families."""
    cards = find_rows(ROOT / "models").values()
    rows = (
        (f"`{card.name}`", ", ".join(card.families), card.title, card.painting["artist"], card.painting["year"])
        for card in sorted(cards, key=lambda card: (card.families, card.name))
    )
    return table(("name", "families", "picture", "artist", "year"), rows)


def rooms() -> str:
    """The packages of livestyle from the top down, then its modules, each with the first line of its docstring."""
    packages = {file.parent.name: file for file in (ROOT / "livestyle").glob("*/__init__.py")}
    if packages.keys() != set(ROOMS):
        raise SystemExit(f"ROOMS should be, in the order of the layers: {', '.join(sorted(packages))}")
    modules = sorted(file for file in (ROOT / "livestyle").glob("*.py") if not file.name.startswith("__"))
    files = {f"`{name}/`": packages[name] for name in ROOMS} | {f"`{file.name}`": file for file in modules}
    return table(("room", "what"), ((name, first_line(file)) for name, file in files.items()))


def first_line(file: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]


def diagram() -> str:
    """The diagram of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    return text[text.index("```text") : text.index("```\n", text.index("```text") + 3) + 4]


def distributions() -> str:
    """What installs v4l2loopback."""
    rows = ((DISTRIBUTIONS.get(name, name.capitalize()), f"`{line}`") for name, line in loopback.INSTALL.items())
    return table(("distribution", "command"), rows)


def cli() -> str:
    """The page of all commands."""
    context = typer.Context(commands(), info_name="livestyle")
    text = plain(get_docs_for_click(obj=commands(), ctx=context, name="livestyle", title="Commands"))
    for short, whole in shortened(commands()):
        text = text.replace(f": {plain(short)}\n", f": {whole}\n")
    text = re.sub(r"^Examples?: (.*?)(?=\n\n|\Z)", examples, text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def shortened(group: Any) -> Iterable[tuple[str, str]]:
    """What click makes of the first lines of commands' help, and the lines."""
    for command in group.commands.values():
        yield command.get_short_help_str(), plain((command.help or "").partition("\n\n")[0])
        if hasattr(command, "commands"):
            yield from shortened(command)


def examples(found: re.Match[str]) -> str:
    """Examples of a command, a line each."""
    lines = (" ".join(line.replace("**", "").split()) for line in found[1].split("  |") for line in line.split("|  "))
    return "**Examples**:\n\n" + shell(*(line for line in lines if line))


def plain(text: str) -> str:
    """Help as Markdown: Rich's bold and its escapes."""
    return re.sub(r"\[/?b\]", "**", text).replace("\\[", "[")


def api() -> str:
    """A directive of mkdocstrings for each public name."""
    return "\n".join(f"::: livestyle.{name}\n" for name in getattr(livestyle, "__all__", ()) if name[0] != "_")


PARTS: dict[str, Callable[[], str]] = {
    "keys": keys,
    "ten-keys": partial(keys, TEN),
    "arguments": arguments,
    "settings": settings,
    "project": project,
    "styles": styles,
    "gallery": gallery,
    "rooms": rooms,
    "diagram": diagram,
    "distributions": distributions,
    "modprobe": partial(shell, loopback.MODPROBE),
    "at-start": partial(shell, *loopback.AT_START.split(" && ")),
    "cli": cli,
    "api": api,
}


def renewed(text: str) -> str:
    """A page with its generated parts written anew."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", text)


def main() -> int:
    """Write or check all pages; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is stale")
    is_check = parser.parse_args().check
    stale = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        before = page.read_text("utf-8")
        after = renewed(before)
        if after != before:
            stale.append(str(page.relative_to(ROOT)))
            if not is_check:
                page.write_text(after, "utf-8")
    if stale:
        print(f"{'Stale' if is_check else 'Written'}: {', '.join(stale)}")
    return int(is_check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
