"""Where models are found, by kind and name."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs

from livestyle.errors import UserError
from livestyle.nets.card import KINDS, Card, load_card


def user_folder() -> Path:
    """The user's own models."""
    return Path(platformdirs.user_data_dir("livestyle", appauthor=False)) / "models"


def cache_folder() -> Path:
    """What was computed at length, and can be again."""
    return Path(platformdirs.user_cache_dir("livestyle", appauthor=False))


def model_folders(models: Path | None = None) -> list[Path]:
    """Where models are looked up, first match first: `models`, $LIVESTYLE_MODELS, the user's, the package's own.

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
    """Every model of a kind by name, sorted; an earlier folder hides a later one's model of the same name."""
    cards: dict[str, Card] = {}
    for place in model_folders(models):
        for file in (place / KINDS[kind]).glob("*/card.json"):
            cards.setdefault(file.parent.name, load_card(file))
    return dict(sorted(cards.items()))


def find_card(kind: str, name: str | None, models: Path | None = None, others: Iterable[str] = ()) -> Card:
    """A model by name, or the default one for None; `others` are names that are no cards but may be meant.

    Raises:
        UserError: there is none of that name; near names are listed.
    """
    cards = find_cards(kind, models)
    if not cards:
        raise UserError(f"No {kind} is installed.", "Install livestyle again.")
    if name is None:
        return next((card for card in cards.values() if card.default), next(iter(cards.values())))
    if name not in cards:
        near = difflib.get_close_matches(name, [*cards, *others], 3, 0.4) or list(cards)
        hint = f"Near it: {', '.join(near)}; all: livestyle list {KINDS[kind]}."
        raise UserError(f"There is no {kind} '{name}'.", hint)
    return cards[name]
