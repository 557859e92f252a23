"""What the picture should be now: a look for each plane, and its parser."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from livestyle.config.settings import Settings
from livestyle.errors import UserError

FORMS = (
    "none, a style, A+B@0.3, PATH.onnx, PATH.safetensors, blur[:0..1], bokeh[:0..1], color:#rrggbb, image:PATH, "
    "video:PATH"
)
BOTH = "both"
BLURS = ("blur", "bokeh")
STYLE_FILES = (".onnx", ".safetensors")
COVERED = 0.5  # the strength from which a look covers what is beneath it


@dataclass(frozen=True)
class Plane:
    """The look of one plane.

    Args:
        kind: none, style, blur, bokeh, color, image or video.
        text: as typed.
        styles: of a style: names or paths with their shares, which sum to 1.
        amount: of a blur or bokeh, 0..1; color: RGB; path: of a picture or clip.
    """

    kind: str
    text: str
    styles: tuple[tuple[str, float], ...] = ()
    amount: float = 0.0
    color: tuple[int, int, int] = (0, 0, 0)
    path: str = ""


NONE = Plane("none", "none")


def described(plane: Plane, strength: float) -> str:
    """A plane's look in words, with its strength where that is not whole."""
    return plane.text if strength == 1 or plane == NONE else f"{plane.text} {strength:.0%}"


@dataclass(frozen=True)
class Look:
    """Both planes, and how strongly; replaced whole, never changed."""

    background: Plane
    person: Plane = NONE
    background_strength: float = 1.0
    person_strength: float = 1.0
    keep_colors: bool = False
    bypass: bool = False

    def __str__(self) -> str:
        if self.bypass:
            return "bypassed"
        kept = ", colours kept" if self.keep_colors else ""
        behind = described(self.background, self.background_strength)
        return f"background {behind}, person {described(self.person, self.person_strength)}{kept}"

    def with_planes(self, planes: Mapping[str, Plane]) -> "Look":
        """The same with other looks on planes, by their names, and no longer bypassed."""
        background, person = (planes.get(name, getattr(self, name)) for name in ("background", "person"))
        return replace(self, background=background, person=person, bypass=False)

    @property
    def is_bare(self) -> bool:
        """Whether the room shows."""
        faint = self.background.kind in ("style", *BLURS) and self.background_strength < COVERED
        return self.background.kind == "none" or faint

    def uncovers(self, before: "Look") -> bool:
        """Whether it shows the room, or all of the camera's own picture, where another did not."""
        return (self.bypass and not before.bypass) or (self.is_bare and not before.is_bare)

    @property
    def styled_planes(self) -> dict[str, str]:
        """Each style of the look with the plane that it paints: background, person or BOTH."""
        behind, ahead = ({style for style, _ in plane.styles} for plane in (self.background, self.person))
        return {
            style: BOTH if style in behind & ahead else "background" if style in behind else "person"
            for style in sorted(behind | ahead)
        }

    @property
    def is_whole(self) -> bool:
        """Whether one rendering serves both planes, so that no matte is needed. Blurs never do: they feed on it."""
        same = self.background == self.person and self.background_strength == self.person_strength
        return self.bypass or (same and self.background.kind not in BLURS)


def parse_plane(text: str) -> Plane:
    """Read a LOOK.

    Raises:
        UserError: it is none.
    """
    head, _, rest = text.partition(":")
    if head in PARSERS and not text.lower().endswith(STYLE_FILES):
        return PARSERS[head](text, rest)
    return _style(text)


def anchored(look: str, base: Path) -> str:
    """A LOOK whose path is relative to a folder, as one that holds anywhere."""
    head, colon, rest = look.partition(":")
    if colon and head in ("image", "video"):
        return f"{head}:{base / at_home(rest)}"
    return str(base / at_home(look)) if look.lower().endswith(STYLE_FILES) else look


def at_home(path: str) -> Path:
    """A path whose ~ is the user's home; left as it is where there is none, such as that of a user unknown."""
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):
        return Path(path)


def _none(text: str, rest: str) -> Plane:
    if rest:
        raise _unreadable(text)
    return NONE


def _blur(text: str, rest: str) -> Plane:
    return Plane(text.partition(":")[0], text, amount=_share(text, rest or "0.5"))


def _color(text: str, rest: str) -> Plane:
    if not re.fullmatch(r"#?[0-9a-fA-F]{6}", rest):
        raise _unreadable(text)
    red, green, blue = bytes.fromhex(rest.removeprefix("#"))
    return Plane("color", text, color=(red, green, blue))


def _file(text: str, rest: str) -> Plane:
    if not rest:
        raise _unreadable(text)
    if not os.path.isfile(rest):
        raise UserError(f"There is no file {rest}.", "Check the name.")
    return Plane(text.partition(":")[0], text, path=rest)


def _style(text: str) -> Plane:
    if text.lower().endswith(STYLE_FILES):
        if not os.path.isfile(text):
            raise UserError(f"There is no file {text}.", "Check the name.")
        return Plane("style", text, ((text, 1.0),))
    blend = re.fullmatch(r"([\w.-]+)(?:\+([\w.-]+)(?:@([^@]*))?)?", text)
    if not blend:
        raise _unreadable(text)
    first, second, share = blend.groups()
    if second is None:
        return Plane("style", text, ((first, 1.0),))
    other = _share(text, share or "0.5")
    return Plane("style", text, ((first, 1 - other), (second, other)))


def _share(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise _unreadable(text) from None
    if not 0 <= value <= 1:
        raise UserError(f"In the look '{text}', {number} is not between 0 and 1.", "Choose a number from 0 to 1.")
    return value


def _unreadable(text: str) -> UserError:
    return UserError(f"The look '{text}' cannot be read.", f"Choose from: {FORMS}.")


PARSERS: dict[str, Callable[[str, str], Plane]] = {
    "none": _none, "blur": _blur, "bokeh": _blur, "color": _color, "image": _file, "video": _file,
}  # fmt: skip


def look_of(settings: Settings, default_style: str) -> Look:
    """The look that the flags ask for.

    Raises:
        UserError: a look that cannot be parsed, or is not one for its plane.
    """
    person = parse_plane(settings.person)
    if person.kind in {"image", "video"}:
        raise UserError(f"'{settings.person}' is a look for the background only.", "Use --background for it.")

    def strength(of_plane: float | None) -> float:
        value = settings.strength if of_plane is None else of_plane
        if not 0 <= value <= 1:
            raise UserError(f"A strength of {value:g} is not between 0 and 1.", "Choose a number from 0 to 1.")
        return value

    return Look(
        parse_plane(default_style if settings.background is None else settings.background),
        person,
        strength(settings.background_strength),
        strength(settings.person_strength),
        settings.keep_colors,
    )
