"""The styles to choose from, in order."""

import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from livestyle.config.look import Plane, parse_plane
from livestyle.errors import UserError
from livestyle.nets.library import find_cards


@dataclass(frozen=True)
class Gallery:
    """Styles by name.

    Args:
        names: of the styles, in the order of their numbers.
        thumbnails: picture files of those that can be clicked on, by name.
        titles: what people read, by name.
    """

    names: tuple[str, ...] = ()
    thumbnails: Mapping[str, Path] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

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
            UserError: there is no such look, style or number.
        """
        if text.isdecimal():
            index = (int(text) or 10) - 1
            if index >= len(self.names):
                raise UserError(f"There is no style {text}.", f"There are {len(self.names)}.")
            text = self.names[index]
        return parse_plane(text, self.known)

    def step(self, now: str, by: int, extra: Iterable[str] = ()) -> Plane:
        """Return the style `by` places after the one named `now`; from any other look the first or last.

        Args:
            extra: names of looks before the first style.

        Raises:
            UserError: there are no styles.
        """
        names = (*extra, *self.names)
        if not names:
            raise UserError("There are no styles.", "Install livestyle again, or train one.")
        index = names.index(now) + by if now in names else 0 if by > 0 else -1
        return parse_plane(names[index % len(names)], self.known)


def plane_of_file(path: str) -> Plane:
    """Return the look that shows a user's file: a picture, a clip, or the first picture of a folder.

    Raises:
        UserError: there is no such file, or no picture in the folder.
    """
    from livestyle.image.io import READABLE_SUFFIXES, list_pictures  # which the table of actions does not need

    if Path(path).is_dir():
        path = str(list_pictures(Path(path))[0])
    elif "://" in path:
        raise UserError(f"{path} is not on this computer.", "Save it first, and open the file.")
    is_picture = path.lower().endswith(READABLE_SUFFIXES) or "image" in (mimetypes.guess_type(path)[0] or "")
    kind = "image" if is_picture and not path.lower().endswith(".gif") else "video"  # most of which move
    return parse_plane(f"{kind}:{path}")


def open_gallery(models: Path | None) -> Gallery:
    """Return the styles that are installed, those in the folder `models` first."""
    cards = find_cards("style", models)
    thumbnails = {name: (card.folder or Path()) / "thumbnail.png" for name, card in cards.items()}
    return Gallery(tuple(cards), thumbnails, {name: card.title for name, card in cards.items()})
