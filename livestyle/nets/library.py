"""Where models are found, by kind and name."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from livestyle.errors import UserError
from livestyle.nets.card import KIND_FOLDERS, Card, load_card


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


def find_cards(kind: str, models: Path | None = None) -> dict[str, Card]:
    """Return every model of a kind by name, sorted. An earlier folder hides models of the same name in later ones."""
    cards: dict[str, Card] = {}
    for place in model_folders(models):
        for file in (place / KIND_FOLDERS[kind]).glob("*/card.json"):
            cards.setdefault(file.parent.name, load_card(file))
    return dict(sorted(cards.items()))


def find_card(kind: str, name: str | None, models: Path | None = None, others: Iterable[str] = ()) -> Card:
    """Return a model by name, or the default one for None.

    Args:
        kind: of KIND_FOLDERS.
        name: to find.
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
    if name not in cards:
        near = difflib.get_close_matches(name, [*cards, *others], 3, 0.4) or list(cards)
        hint = f"Near it: {', '.join(near)}; all: livestyle list {KIND_FOLDERS[kind]}."
        raise UserError(f"There is no {kind} '{name}'.", hint)
    return cards[name]
