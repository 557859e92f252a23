"""`livestyle list ...`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from livestyle.cli.app import app, examples
from livestyle.cli.completion import families
from livestyle.cli.console import show
from livestyle.cli.flags import AsJson, Profile, with_settings
from livestyle.config.favorites import FAVORITES, load_favorites
from livestyle.config.names import choose, matching
from livestyle.config.settings import TRAINABLE, Settings

COLUMNS = ("name", "title", "license", "source")
GALLERY_COLUMNS = ("name", "families", "title", "artist", "year", "license")
LIMITS = "livestyle list styles --family prints", "livestyle list styles --search hokusai"
Search = Annotated[str | None, typer.Option(metavar="WORDS", help="Only those whose name, title or artist has them.")]
Family = Annotated[str | None, typer.Option(
    metavar="NAME", help="Only the styles of a family, or: favorites.", autocompletion=families)]  # fmt: skip


@app.command("list", epilog=examples("livestyle list", "livestyle list styles --json", *LIMITS))
@with_settings(only=("models",))
def list_(
    settings: Settings,
    what: Annotated[str | None, typer.Argument(
        metavar="[WHAT]", help="styles, segmenters, loss-networks, cameras, microphones or sinks.")] = None,
    search: Search = None, family: Family = None, profile: Profile = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """List what there is, where it comes from, its licence and the terms of its data."""
    if what is None:
        return _show_lists(as_json)
    name = choose("list", what, LISTS)
    rows = _only(LISTS[name](settings.models), search, family)
    if as_json:
        return print(json.dumps(rows, indent=2))
    if not rows:
        return print(f"no {name} found")
    from livestyle.nets.card import ROW

    gallery = [row for row in rows if row.get("net") == ROW and row["families"]]
    if len(gallery) < len(rows):
        _show_list([row for row in rows if row not in gallery])
    _show_gallery(gallery)


def _add_short_command(what: str) -> None:
    @app.command(what, epilog=examples(f"livestyle {what} --json"), help=f"The same as: livestyle list {what}.")
    @with_settings(only=("models",))
    def short(
        settings: Settings, search: Search = None, family: Family = None, profile: Profile = None,
        as_json: AsJson = False,
    ) -> None:  # fmt: skip
        list_.function(settings, what, search, family, profile, as_json)


for what in ("styles", "segmenters"):
    _add_short_command(what)


def _only(rows: list[dict[str, Any]], search: str | None, family: str | None) -> list[dict[str, Any]]:
    """Return the rows of a family that a search finds.

    Raises:
        UserError: there is no such family.
    """
    if family is not None:
        known = sorted({one for row in rows for one in row.get("families", ())})
        name = choose("family", family, (*known, FAVORITES))
        rows = [row for row in rows if name in row.get("families", ()) or (name == FAVORITES and row.get("favorite"))]
    if search is not None:
        found = matching(search, {row["name"]: _words(row) for row in rows})
        rows = [row for row in rows if row["name"] in found]
    return rows


def _words(row: dict[str, Any]) -> str:
    """Return all that a row can be found by."""
    painting = row.get("painting", {})
    facts = (painting.get(fact, "") for fact in ("title", "artist", "year"))
    return " ".join((row["name"], row["title"], *facts, *row.get("families", ())))


def _show_lists(as_json: bool) -> None:
    """Print which lists there are."""
    rows = [{"name": name, "title": words, "license": "", "source": f"livestyle list {name}"}
            for name, words in LIST_TITLES.items()]  # fmt: skip
    if as_json:
        return print(json.dumps(rows, indent=2))
    print("\n".join(f"{row['source']:32}{row['title']}" for row in rows))


def _show_list(rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> None:
    """Print names in full, since they are typed. Print the terms of the data below, once if they are the same."""
    terms: dict[str, list[str]] = {}
    for row in rows:
        terms.setdefault(row.get("data", ""), []).append(row["name"])
    notes = ["* the default"] if any(row.get("default") for row in rows) else []
    notes += [
        f"Training data{'' if len(names) == len(rows) else ' of ' + ', '.join(names)}: {data}"
        for data, names in terms.items() if data
    ]  # fmt: skip
    favorites = [row["name"] for row in rows if row.get("favorite")]
    notes += [f"Favourites: {', '.join(favorites)}"] if favorites else []
    starred = [row | {"name": row["name"] + " *" * row.get("default", False)} for row in rows]
    show([{key: str(row[key]) for key in columns} for row in starred], notes=notes, align="left")


def _show_gallery(rows: list[dict[str, Any]]) -> None:
    """Print the styles of a gallery, by family."""
    if rows:
        told = [row | {key: row["painting"][key] for key in ("artist", "year")} for row in rows]
        told = [row | {"families": ", ".join(row["families"])} for row in told]
        _show_list(sorted(told, key=lambda row: str(row["families"])), GALLERY_COLUMNS)


def _cards(kind: str, models: Path | None) -> list[dict[str, Any]]:
    from livestyle.nets.library import find_cards

    shown = ("name", "title", "default", "license", "source", "data")
    return [{key: getattr(card, key) for key in shown} for card in find_cards(kind, models).values()]


def _styles(models: Path | None) -> list[dict[str, Any]]:
    from livestyle.nets.library import find_cards

    cards, favorites = find_cards("style", models), load_favorites()
    return [
        row | {"painting": card.painting, "families": card.families, "favorite": card.name in favorites,
               "net": card.net}
        for row, card in zip(_cards("style", models), cards.values(), strict=True)
    ]  # fmt: skip


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
