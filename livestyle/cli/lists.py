"""`livestyle list ...`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.console import show
from livestyle.cli.flags import AsJson, Profile, with_settings
from livestyle.config.names import choose
from livestyle.config.settings import TRAINABLE, Settings


@app.command("list", epilog=examples("livestyle list", "livestyle list styles --json"))
@with_settings(only=("models",))
def list_(
    settings: Settings,
    what: Annotated[str | None, typer.Argument(
        metavar="[WHAT]", help="styles, segmenters, loss-networks, cameras, microphones or sinks.")] = None,
    profile: Profile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List what there is, where it comes from, its licence and the terms of its data."""
    if what is None:
        return _show_lists(as_json)
    name = choose("list", what, LISTS)
    rows = LISTS[name](settings.models)
    if as_json:
        return print(json.dumps(rows, indent=2))
    if not rows:
        return print(f"no {name} found")
    _show_list(rows)


def _add_short_command(what: str) -> None:
    @app.command(what, epilog=examples(f"livestyle {what} --json"), help=f"The same as: livestyle list {what}.")
    @with_settings(only=("models",))
    def short(settings: Settings, profile: Profile = None, as_json: AsJson = False) -> None:
        list_.function(settings, what, profile, as_json)


for what in ("styles", "segmenters"):
    _add_short_command(what)


def _show_lists(as_json: bool) -> None:
    """Print which lists there are."""
    rows = [{"name": name, "title": words, "license": "", "source": f"livestyle list {name}"}
            for name, words in LIST_TITLES.items()]  # fmt: skip
    if as_json:
        return print(json.dumps(rows, indent=2))
    print("\n".join(f"{row['source']:32}{row['title']}" for row in rows))


def _show_list(rows: list[dict[str, Any]]) -> None:
    """Print names in full, since they are typed. Print the terms of the data below, once if they are the same."""
    terms: dict[str, list[str]] = {}
    for row in rows:
        terms.setdefault(row.get("data", ""), []).append(row["name"])
    notes = ["* the default"] if any(row.get("default") for row in rows) else []
    notes += [
        f"Training data{'' if len(names) == len(rows) else ' of ' + ', '.join(names)}: {data}"
        for data, names in terms.items() if data
    ]  # fmt: skip
    columns = [key for key in rows[0] if key not in {"default", "data", "painting"}]
    starred = [row | {"name": row["name"] + " *" * row.get("default", False)} for row in rows]
    show([{key: str(row[key]) for key in columns} for row in starred], notes=notes, align="left")


def _cards(kind: str, models: Path | None) -> list[dict[str, Any]]:
    from livestyle.nets.library import find_cards

    shown = ("name", "title", "default", "license", "source", "data")
    return [{key: getattr(card, key) for key in shown} for card in find_cards(kind, models).values()]


def _styles(models: Path | None) -> list[dict[str, Any]]:
    from livestyle.nets.library import find_cards

    cards = find_cards("style", models)
    return [row | {"painting": cards[row["name"]].painting} for row in _cards("style", models)]


def _segmenters(models: Path | None) -> list[dict[str, Any]]:
    from livestyle.matting.published import SEGMENTERS, state

    settings, cards = Settings(models=models), _cards("segmenter", models)
    foreign = [
        {"name": name, "title": f"{one.title} ({state(name, settings)})", "default": False,
         "license": one.license, "source": one.source, "data": one.data}
        for name, one in SEGMENTERS.items() if name not in {card["name"] for card in cards}
    ]  # fmt: skip
    untrained = [
        {"name": name, "title": "not trained here", "default": False,
         "license": "yours", "source": f"livestyle train segmenter {name}", "data": "yours"}
        for name in TRAINABLE if name not in {row["name"] for row in (*cards, *foreign)}
    ]  # fmt: skip
    return [*cards, *foreign, *untrained]


def _camera_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sources.camera import list_cameras

    return [{"name": d, "title": n, "license": "", "source": d} for d, n in list_cameras().items()]


def _microphone_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sound import microphones

    return [{"name": name, "title": name, "license": "", "source": "PortAudio"} for name in microphones()]


def _sink_rows(_: Path | None) -> list[dict[str, Any]]:
    from livestyle.video.sinks.open import SINKS

    return [
        {"name": name, "title": f"{kind.form}: {kind.words}", "license": kind.license, "source": kind.source}
        for name, kind in SINKS.items()
    ]


LIST_TITLES = {
    "styles": "what pictures are painted in", "segmenters": "what finds the person",
    "loss-networks": "what styles are trained with", "cameras": "where frames come from",
    "microphones": "what recordings hear", "sinks": "where pictures go",
}  # fmt: skip
LISTS: dict[str, Callable[[Path | None], list[dict[str, Any]]]] = {
    "styles": _styles, "segmenters": _segmenters,
    "loss-networks": lambda models: _cards("loss-network", models), "cameras": _camera_rows,
    "microphones": _microphone_rows, "sinks": _sink_rows,
}  # fmt: skip
