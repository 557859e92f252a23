"""Where models are found, by kind and name."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from livestyle.config.look import LOOK_KINDS, STYLE, STYLE_FILES
from livestyle.config.names import find_name, unknown
from livestyle.config.picture import RowTitle
from livestyle.errors import UserError
from livestyle.files import sha256
from livestyle.nets.card import KIND_FOLDERS, ROW, Card, load_card
from livestyle.nets.gallery_rows import FILE, load_gallery


def user_folder() -> Path:
    """Return the folder of the user's own models."""
    return Path(platformdirs.user_data_dir("livestyle", appauthor=False)) / "models"


def cache_folder() -> Path:
    """Return the folder of results that took long to compute, and can be computed again."""
    return Path(platformdirs.user_cache_dir("livestyle", appauthor=False))


def model_folders(models: Path | None = None) -> list[Path]:
    """Return the folders of models, the first match first: `models`, $LIVESTYLE_MODELS, the user's, the package's own.

    Raises:
        UserError: a folder that was named is not there.
    """
    package, variable = Path(__file__).parents[1], os.environ.get("LIVESTYLE_MODELS")
    named = [place for place in (models, Path(variable) if variable else None) if place is not None]
    for place in named:
        if not place.is_dir():
            raise UserError(
                f"There is no folder of models {place}.", "Check the name, and $LIVESTYLE_MODELS.", "models"
            )
    usual = [user_folder(), package / "models", package.parent / "models"]
    return [*named, *(place for place in usual if place.is_dir())]


def find_nets(kind: str, models: Path | None = None) -> dict[str, Card]:
    """Return every model of a kind that has a network of its own, by name, sorted.

    An earlier folder hides models of the same name in later ones.
    """
    cards: dict[str, Card] = {}
    for place in model_folders(models):
        for file in (place / KIND_FOLDERS[kind]).glob("*/card.json"):
            cards.setdefault(file.parent.name, load_card(file))
    return dict(sorted(cards.items()))


def find_rows(models: Path | None = None) -> dict[str, Card]:
    """Return the styles of all galleries by name: a gallery in the order of its rows, then the next one."""
    cards: dict[str, Card] = {}
    for place in model_folders(models):
        for file in sorted((place / KIND_FOLDERS["predictor"]).glob(f"*/gallery/{FILE}")):
            cards |= {name: card for name, card in load_gallery(file).items() if name not in cards}
    return cards


def find_cards(kind: str, models: Path | None = None) -> dict[str, Card]:
    """Return every model of a kind by name: those of `find_nets`, then of styles those of `find_rows`."""
    cards = find_nets(kind, models)
    return cards | find_rows(models) | cards if kind == "style" else cards


def find_card(kind: str, name: str | None, models: Path | None = None, others: Iterable[str] = ()) -> Card:
    """Return a model by name, or the default one for None.

    Args:
        kind: of KIND_FOLDERS.
        name: to find; it need not be exact.
        models: a folder of models that takes precedence.
        others: names without a card that may be meant.

    Raises:
        UserError: there is none of that name; similar names are listed.
    """
    cards = find_cards(kind, models)
    if not cards:
        raise UserError(f"No {kind} is installed.", "Install livestyle again.")
    if name is None:
        return next((card for card in cards.values() if card.default), next(iter(cards.values())))
    found = find_name(name, dict.fromkeys(others, "") | {name: card.title for name, card in cards.items()})
    if found not in cards:
        raise unknown(kind, name, [*cards, *others], f"All: livestyle list {KIND_FOLDERS[kind]}.")
    return cards[str(found)]


def check_style_name(name: str) -> None:
    """Check that a text can be the name of a style.

    Raises:
        UserError: it has another meaning, or other signs.
    """
    is_taken = name in LOOK_KINDS and name != STYLE
    if not re.fullmatch(r"\w[\w.-]*", name) or is_taken or name.lower().endswith(STYLE_FILES):
        raise UserError(f"'{name}' cannot be a style's name.", "Take letters, digits, - and _.")


def style_titles(models: Path | None = None) -> dict[str, str]:
    """Return the titles of the styles by name; those of rows are RowTitles."""
    return titles_of(find_cards("style", models))


def titles_of(cards: Mapping[str, Card]) -> dict[str, str]:
    """Return the titles of styles by name; those of rows are RowTitles."""
    return {name: RowTitle(card.title) if card.net == ROW else card.title for name, card in cards.items()}


def find_painting(style: str, models: Path | None = None) -> Path:
    """Return the picture of a style's painting: the one beside its card, or else the one that it was trained from.

    Raises:
        UserError: there is no such style, its picture is damaged, or none is on this machine.
    """
    card = find_card("style", style, models)
    shipped = card.painting_file()
    if shipped is not None:
        return shipped
    with suppress(OSError):  # the source may be any text
        if Path(card.source).is_file() and sha256(Path(card.source)) == card.painting_sha256:
            return Path(card.source).absolute()
    raise UserError(f"The painting of '{style}' is not on this machine.", "Give the file of a painting.")
