"""The styles to choose from, in order: all, those of a family, the favourites, or what a search finds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from livestyle.config.favorites import FAVORITES, load_favorites
from livestyle.config.look import Plane, parse_plane
from livestyle.config.names import matching, unknown
from livestyle.errors import UserError
from livestyle.live.pictures import check_pictures
from livestyle.nets.library import find_cards, titles_of

ALL = "all"  # beside the families and FAVORITES


@dataclass(frozen=True)
class Gallery:
    """Styles by name. It is replaced whole, never changed.

    Args:
        names: of the styles, in their order.
        thumbnails: picture files of those that can be clicked on, by name.
        titles: what people read, by name.
        words: all that a search looks through, by name.
        families: of each style, by name.
        favorites: names of the user's favourites.
        only: what the choice is limited to: a family, FAVORITES, or words to search for; ALL for no limit.
    """

    names: tuple[str, ...] = ()
    thumbnails: Mapping[str, Path] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    families: Mapping[str, Iterable[str]] = field(default_factory=dict)
    favorites: tuple[str, ...] = ()
    only: str = ALL

    @cached_property
    def chosen(self) -> tuple[str, ...]:
        """The styles that `only` leaves, in the order of their numbers."""
        if self.only == ALL:
            return self.names
        if self.only == FAVORITES:
            return tuple(name for name in self.names if name in self.favorites)
        if self.only in self.all_families:
            return tuple(name for name in self.names if self.only in self.families.get(name, ()))
        return tuple(matching(self.only, self.words))

    @cached_property
    def all_families(self) -> tuple[str, ...]:
        """The families of all styles, sorted."""
        return tuple(sorted({family for name in self.names for family in self.families.get(name, ())}))

    def limited(self, only: str) -> "Gallery":
        """Return the gallery with another limit.

        Raises:
            UserError: it leaves no style.
        """
        limited = replace(self, only=only)
        if not limited.chosen and only == FAVORITES:
            raise UserError("There are no favourites yet.", "Choose a style that you like, then: favorite")
        if not limited.chosen:
            raise unknown("style", only, " ".join(self.words.values()).split(), "All: livestyle list styles.")
        return limited

    def with_favorite(self, name: str) -> "Gallery":
        """Return the gallery with a style as a favourite, or no longer one. A limit that leaves nothing is dropped."""
        others = tuple(one for one in self.favorites if one != name)
        changed = replace(self, favorites=others if name in self.favorites else (*others, name))
        return changed if changed.chosen else replace(changed, only=ALL)

    @property
    def known(self) -> dict[str, str]:
        """The titles of the styles by name."""
        return {name: self.titles.get(name, "") for name in self.names}

    @property
    def first(self) -> Plane:
        """The first style, or none where there are no styles."""
        return parse_plane((*self.names, "none")[0], self.known)

    def find(self, text: str) -> Plane:
        """Return the look that a text from outside stands for: a LOOK, or the number of a style from 1 on.

        Raises:
            UserError: there is no such look, style or number, or its file is no picture.
        """
        if text.isdecimal():
            index = (int(text) or 10) - 1
            if index >= len(self.chosen):
                raise UserError(f"There is no style {text}.", f"There are {len(self.chosen)}.")
            text = self.chosen[index]
        plane = parse_plane(text, self.known)
        check_pictures(plane)
        return plane

    def step(self, now: str, by: int, extra: Iterable[str] = ()) -> Plane:
        """Return the chosen style `by` places after the one named `now`; from any other look the first or last.

        Args:
            extra: names of looks before the first style.

        Raises:
            UserError: there are no styles.
        """
        names = (*extra, *self.chosen)
        if not names:
            raise UserError("There are no styles.", "Install livestyle again, or train one.")
        index = names.index(now) + by if now in names else 0 if by > 0 else -1
        return parse_plane(names[index % len(names)], self.known)


def open_gallery(models: Path | None) -> Gallery:
    """Return the styles that are installed, those in the folder `models` first."""
    cards = find_cards("style", models)
    return Gallery(
        tuple(cards),
        {name: card.thumbnail for name, card in cards.items()},
        titles_of(cards),
        {name: card.words for name, card in cards.items()},
        {name: card.families for name, card in cards.items()},
        load_favorites(),
    )
