"""The command `livestyle ctl`: a running filter, driven from anywhere."""

import json
from contextlib import closing
from typing import Annotated

import typer

from livestyle.cli.app import examples
from livestyle.cli.completion import ASIDE, actions, arguments
from livestyle.cli.console import say

EPILOG = examples(
    "livestyle ctl next-style",
    "livestyle ctl style great_wave",
    "livestyle ctl background blur:0.7",
    "livestyle ctl background picture:mona.jpg",
    "livestyle ctl panic",
    "livestyle ctl status --json",
    "livestyle ctl list",
)


def ctl(
    action: Annotated[str, typer.Argument(
        metavar="ACTION", help="See: livestyle ctl list.", autocompletion=actions)] = "list",
    argument: Annotated[str, typer.Argument(
        metavar="ARG", help="Of the actions that take one.", autocompletion=arguments)] = "",
    name: Annotated[str | None, typer.Option("--filter", metavar="N", help="Where several run: which one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object; watch does anyway.")] = False,
) -> None:  # fmt: skip
    """Drive the running filter from a script, a shortcut of the desktop, a Stream Deck."""
    from livestyle.live.client import press

    if action == "list":
        return _list(as_json)
    if action == "watch":
        return _watch(name)
    print(press([action, *([argument] if argument else [])], name, as_json))


def _list(as_json: bool) -> None:
    from livestyle.live.actions import ACTIONS
    from livestyle.live.client import running

    filters = running()
    rows = [(f"{one.name} {one.argument}".strip(), one.key, one.words) for one in ACTIONS]
    rows += [(name, "", words) for name, words in ASIDE.items()]
    if as_json:
        found = [dict(zip(("action", "key", "does"), row, strict=True)) for row in rows]
        return print(json.dumps({"actions": found, "running": filters}, indent=2))
    print("\n".join(f"{action:36}{key:8}{words}" for action, key, words in rows))
    say(f"Running: {', '.join(filters)}" if filters else "No filter is running.")


def _watch(name: str | None) -> None:
    from livestyle.live.client import replies_to

    with closing(replies_to(["watch"], name)) as replies:
        for reply in replies:
            print(json.dumps(reply["status"]), flush=True)
