"""What a shell offers behind commands and flags when Tab is pressed; nothing where it cannot be found out."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import typer

from livestyle.config.favorites import FAVORITES
from livestyle.config.look import bare_names
from livestyle.config.options import Setting
from livestyle.config.picture import PREFIX, media_type
from livestyle.errors import UserError

ASIDE = {  # what is asked of a running filter besides actions
    "status": "how things are",
    "watch": "how things are, a line whenever that changes, until Ctrl-C",
    "list": "all actions, and the filters that run",
}


def names_of(kind: str) -> list[str]:
    """Return the names of the models of a kind."""
    from livestyle.nets.library import find_cards

    with suppress(UserError):
        return list(find_cards(kind))
    return []


def starting(incomplete: str, choices: Iterable[str]) -> list[str]:
    """Return the choices that begin with what is typed."""
    return [choice for choice in choices if choice.startswith(incomplete)]


def families(incomplete: str) -> list[str]:
    """Complete a family of styles."""
    from livestyle.nets.library import find_cards

    with suppress(UserError):
        known = {family for card in find_cards("style").values() for family in card.families}
        return starting(incomplete, [*sorted(known), FAVORITES])
    return []


def looks(incomplete: str) -> list[str]:
    """Complete a LOOK, and after `A+` the second style or picture of a blend."""
    first, plus, second = incomplete.rpartition("+")
    if plus:
        return [f"{first}+{name}" for name in [*starting(second, names_of("style")), *pictures(second)]]
    return [*starting(incomplete, [*bare_names(), *names_of("style")]), *pictures(incomplete)]


def pictures(incomplete: str) -> list[str]:
    """Complete the path of a picture, or a folder on the way to it, also behind `picture:`."""
    head = PREFIX if incomplete.startswith(PREFIX) else ""
    folder, slash, start = incomplete.removeprefix(PREFIX).rpartition("/")
    with suppress(OSError, ValueError):
        there = sorted((e for e in os.scandir(folder + slash or ".") if e.name.startswith(start)), key=lambda e: e.name)
        found = [(entry.is_dir(), f"{head}{folder}{slash}{entry.name}") for entry in there if entry.name[0] != "."]
        return [
            f"{path}/" if is_folder else path for is_folder, path in found if is_folder or media_type(path) == "image"
        ]
    return []


def segmenters(incomplete: str) -> list[str]:
    """Complete the name of a segmenter."""
    return starting(incomplete, names_of("segmenter"))


def microphones(incomplete: str) -> list[str]:
    """Complete `--microphone`."""
    from livestyle.video.sound import microphones as found

    with suppress(UserError):
        return starting(incomplete, found())
    return []


LISTS: dict[str, Callable[[str], list[str]]] = {"looks": looks, "segmenters": segmenters, "microphones": microphones}


def choices_of(setting: Setting) -> Callable[[str], list[str]]:
    """Return the function that completes the flag of a setting."""
    choices = setting.choices
    return LISTS[choices] if isinstance(choices, str) else lambda incomplete: starting(incomplete, choices)


def profiles(incomplete: str) -> list[str]:
    """Complete the profiles of the config files."""
    from livestyle.config.load import find_files

    with suppress(UserError):
        return starting(incomplete, sorted({name for file in find_files() for name in file.profiles}))
    return []


def actions(incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete the actions of `livestyle ctl`, with what they do."""
    from livestyle.live.actions import ACTIONS

    for name, words in [*((one.name, one.words) for one in ACTIONS), *ASIDE.items()]:
        if name.startswith(incomplete):
            yield name, words


def arguments(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the argument of the action that is typed already."""
    from livestyle.live.actions import ACTIONS

    words = next((one.argument for one in ACTIONS if one.name == context.params.get("action")), "")
    if words == "LOOK":
        return looks(incomplete)
    if words == "FAMILY":
        return families(incomplete)
    return starting(incomplete, names_of("style") if words.startswith("NAME") else words.split("|"))
