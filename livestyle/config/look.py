"""What the picture should be now: the kinds of look, a look for each plane, and its parser."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from livestyle.config.colors import color_names, read_color
from livestyle.config.names import did_you_mean, find_name, plain, unknown
from livestyle.config.picture import (
    PREFIX,
    anchored_mix,
    existing,
    is_picture,
    located,
    media_type,
    mix_text,
    mix_words,
    mixed_rows,
    pictures_in,
    read_mix,
    with_exact_names,
)
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.types import Color

BOTH = "both"
STYLE, PICTURE = "style", "picture"
STYLE_FILES = (".onnx", ".safetensors")
COVERED = 0.5  # the strength from which a look covers what is beneath it


@dataclass(frozen=True)
class Plane:
    """The look of one plane.

    Args:
        kind: a name in LOOK_KINDS.
        text: the look as typed.
        styles: names or paths of the styles with their shares, which sum to 1.
        amount: a number that the kind takes, such as the strength of a blur in 0..1.
        color: RGB in 0..255.
        path: of a picture or clip.
        words: what to call it, where that is not its text.
        folder: of pictures, which this one was chosen from.
    """

    kind: str
    text: str
    styles: tuple[tuple[str, float], ...] = ()
    amount: float = 0.0
    color: Color = (0, 0, 0)
    path: str = ""
    words: str = ""
    folder: str = ""


@dataclass(frozen=True)
class LookKind:
    """A kind of look: a row of LOOK_KINDS.

    Args:
        name: what a look of this kind begins with, before its colon.
        form: what a person writes, for help and messages.
        parse: reads the whole text and the part behind its colon. It raises UserError.
        shows_room: whether the camera's own picture can be recognized in it.
        is_mixed: whether a strength below 1 mixes it with the camera's picture.
        needs_matte: whether it is drawn from the pixels of its own plane alone. Such a look needs a matte even where
            both planes share it.
        is_background_only: whether it cannot be the look of the person.
        has_own_light: whether the person can be relit to match it (the setting `auto_light`).
        takes_path: whether a file stands behind the colon.
    """

    name: str
    form: str
    parse: Callable[[str, str], Plane]
    shows_room: bool
    is_mixed: bool = False
    needs_matte: bool = False
    is_background_only: bool = False
    has_own_light: bool = False
    takes_path: bool = False

    @property
    def is_painted(self) -> bool:
        """Whether it replaces the camera's pixels, and does not only change them as a blur does."""
        return not (self.shows_room or self.needs_matte)


NONE = Plane("none", "none")


def described(plane: Plane, strength: float) -> str:
    """Return a plane's look in words: with its file's name, and with a strength below 1 where that has an effect."""
    words = plane.words or (f"{plane.kind}:{Path(plane.path).name}" if plane.path else plane.text)
    return f"{words} {strength:.0%}" if strength < 1 and LOOK_KINDS[plane.kind].is_mixed else words


@dataclass(frozen=True)
class Look:
    """The look of the whole picture. It is replaced whole, never changed.

    Args:
        background: the look of the background.
        person: the look of the person.
        background_strength: in 0..1, the share of the look in a mix with the camera's picture.
        person_strength: the same of the person.
        keep_colors: whether styles keep the camera's colours.
        brush: how large strokes are, in 0.5..2.
        bypass: whether the camera's own picture is shown.
    """

    background: Plane
    person: Plane = NONE
    background_strength: float = 1.0
    person_strength: float = 1.0
    keep_colors: bool = False
    brush: float = 1.0
    bypass: bool = False

    def __str__(self) -> str:
        if self.bypass:
            return "bypassed"
        more = [
            *(["colours kept"] if self.keep_colors else []),
            *([f"brush {self.brush:g}"] if self.brush != 1 else []),
        ]
        with_ = "".join(f", {one}" for one in more if self.styled_planes)
        behind = described(self.background, self.background_strength)
        return f"background {behind}, person {described(self.person, self.person_strength)}{with_}"

    def with_planes(self, planes: Mapping[str, Plane]) -> "Look":
        """Return the look with other looks on planes, by their names, and no longer bypassed."""
        background, person = (planes.get(name, getattr(self, name)) for name in ("background", "person"))
        return replace(self, background=background, person=person, bypass=False)

    @property
    def is_bare(self) -> bool:
        """Whether the room shows."""
        kind = LOOK_KINDS[self.background.kind]
        return kind.shows_room or (kind.is_mixed and self.background_strength < COVERED)

    def uncovers(self, before: "Look") -> bool:
        """Return whether it shows the room, or all of the camera's picture, where the look before did not."""
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
        """Whether one rendering serves both planes, so that no matte is needed."""
        same = self.background == self.person and self.background_strength == self.person_strength
        return self.bypass or (same and not LOOK_KINDS[self.background.kind].needs_matte)


def parse_plane(text: str, styles: Mapping[str, str] | None = None) -> Plane:
    """Read a look as typed.

    Args:
        text: names need not be exact, and a CSS colour may stand alone.
        styles: titles of the styles that there are, by name. None takes any other text for the name of a style.

    Raises:
        UserError: the text is no look, its file is not there, or there is no such style.
    """
    text = text.strip()
    head, colon, rest = text.partition(":")
    if text.lower().endswith(STYLE_FILES) or (text in (styles or ()) and text not in LOOK_KINDS):
        return LOOK_KINDS[STYLE].parse(text, rest)
    kind = find_name(head, LOOK_KINDS, whole=True)
    if kind is None and is_picture(text):
        kind, colon, rest = PICTURE, ":", text
    if kind is not None:
        plane = LOOK_KINDS[kind].parse(f"{kind}{colon}{rest}", rest.strip())
        return plane if styles is None or kind != PICTURE else picture_plane(plane, styles)
    if read_color(text, bare=True):
        return LOOK_KINDS["color"].parse(f"color:{text}", text)
    plane = LOOK_KINDS[STYLE].parse(text, rest)
    return plane if styles is None else named(plane, styles)


def exact_look(text: str, styles: Mapping[str, str]) -> str:
    """Return a look with the exact names of its styles, or a text that is none as it is, such as a picture's path.

    Args:
        text: as typed; styles: titles of the styles that there are, by name.
    """
    try:
        return parse_plane(text, styles).text
    except UserError:
        return text


def named(plane: Plane, styles: Mapping[str, str]) -> Plane:
    """Return the look with the exact names of its styles.

    Args:
        plane: of the kind STYLE.
        styles: titles of the styles that there are, by name.

    Raises:
        UserError: there is no such style.
    """
    found = []
    for typed, share in plane.styles:
        name = find_name(typed, styles)
        if name is None:
            known = [*styles, *bare_names(), *(() if did_you_mean(typed, [*styles, *bare_names()]) else color_names())]
            raise unknown("style", typed, known, "All: livestyle list styles.")
        found.append((name, share))
    _, at, share_text = plane.text.partition("@")
    text = "+".join(name for name, _ in found) + at + share_text.strip()
    return replace(plane, text=text, styles=mixed_rows(found, styles))


def bare_names() -> list[str]:
    """Return the looks that are a name alone, for completion."""
    return [kind.name for kind in LOOK_KINDS.values() if kind.form.partition("[")[0] == kind.name]


def forms() -> str:
    """Return what a person may write for a look, for help and messages."""
    return ", ".join(kind.form for kind in LOOK_KINDS.values())


def check_person_look(plane: Plane, step: str) -> None:
    """Refuse a look that is not one for the person.

    Args:
        plane: the look; step: what to do instead.

    Raises:
        UserError: the look is for the background only.
    """
    if LOOK_KINDS[plane.kind].is_background_only:
        raise UserError(f"'{plane.text}' is a look for the background only.", step)


def anchored(look: str, base: Path) -> str:
    """Return a look with a relative path as one with an absolute path.

    Args:
        look: as typed; base: the folder that its path is relative to.
    """
    head, colon, rest = look.partition(":")
    if colon and head in LOOK_KINDS and LOOK_KINDS[head].takes_path:
        return f"{head}:{located(rest, base)}"
    if head == PICTURE or is_picture(look, base):
        return anchored_mix(rest if head == PICTURE else look, base)
    return located(look, base) if look.lower().endswith(STYLE_FILES) else look


def _none(text: str, rest: str) -> Plane:
    if rest:
        raise _unreadable(text)
    return NONE


def _blur(text: str, rest: str) -> Plane:
    return Plane(text.partition(":")[0], text, amount=_share(text, rest or "0.5"))


def _color(text: str, rest: str) -> Plane:
    color = read_color(rest)
    if color is None:
        raise UserError(
            f"The look '{text}' names no colour.{did_you_mean(rest, color_names())}",
            "Write color:#rrggbb, or color: and the name of a colour.",
        )
    return Plane("color", text, color=color)


def _file(text: str, rest: str) -> Plane:
    if not rest:
        raise _unreadable(text)
    if not os.path.isfile(rest):
        raise UserError(f"There is no file {rest}.", "Check the name.")
    return Plane(text.partition(":")[0], text, path=rest)


def _picture(text: str, rest: str) -> Plane:
    if not rest:
        raise _unreadable(text)
    folder = rest if os.path.isdir(rest) else ""
    mix = read_mix(pictures_in(folder)[0] if folder else rest)
    look, path = mix_text(mix), next((one.path for one in mix if one.path), "")
    return Plane(PICTURE, look, ((look, 1.0),), path=path, words=mix_words(mix), folder=folder)


def picture_plane(plane: Plane, styles: Mapping[str, str]) -> Plane:
    """Return the look of a picture with the exact names of the styles in its mix.

    Raises:
        UserError: there is no such style.
    """
    mix = with_exact_names(read_mix(plane.text.removeprefix(PREFIX)), styles)
    return replace(plane, text=mix_text(mix), styles=((mix_text(mix), 1.0),), words=mix_words(mix))


def _style(text: str, _: str) -> Plane:
    if text.lower().endswith(STYLE_FILES):
        if not os.path.isfile(text):
            raise UserError(f"There is no file {text}.", "Check the name.")
        return Plane(STYLE, text, ((text, 1.0),))
    if os.path.isfile(text):
        raise _not_a_style(text)
    if media_type(text):
        existing(text)
    blend = re.fullmatch(r"([^+@:/\\]+)(?:\+([^+@:/\\]+)(?:@([^@]*))?)?", text)
    if not blend or not all(plain(name) for name in blend.groups()[:2] if name is not None):
        raise _unreadable(text)
    first, second, share = (part and part.strip() for part in blend.groups())
    if second is None:
        return Plane(STYLE, text, ((first, 1.0),))
    other = _share(text, share or "0.5")
    return Plane(STYLE, text, ((first, 1 - other), (second, other)))


def _share(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise _unreadable(text) from None
    if not 0 <= value <= 1:
        raise UserError(f"In the look '{text}', {number} is not between 0 and 1.", "Choose a number from 0 to 1.")
    return value


def _unreadable(text: str) -> UserError:
    head, colon, rest = text.partition(":")
    near = did_you_mean(head, LOOK_KINDS).replace("?", f":{rest}?") if colon else ""
    return UserError(f"The look '{text}' cannot be read.{near}", f"Choose from: {forms()}.")


def _not_a_style(path: str) -> UserError:
    """Return the error for a file of another kind in place of a style, with what may be done with it."""
    if media_type(path) == "video":
        return UserError(f"{path} is a clip, not a style.", f"Write video:{path} to show it.")
    return UserError(f"{path} is neither a style nor a picture.", "Give another file.")


STYLE_FORM = "a style, A+B@0.3, PATH.onnx, PATH.safetensors"
PICTURE_FORM = "picture:PATH[#x,y,w,h]"
FILE_TRAITS = {"is_background_only": True, "has_own_light": True, "takes_path": True}
ROWS = (
    LookKind("none", "none", _none, shows_room=True),
    LookKind(STYLE, STYLE_FORM, _style, shows_room=False, is_mixed=True, has_own_light=True),
    LookKind(PICTURE, PICTURE_FORM, _picture, shows_room=False, is_mixed=True, has_own_light=True),
    LookKind("blur", "blur[:0..1]", _blur, shows_room=False, is_mixed=True, needs_matte=True),
    LookKind("bokeh", "bokeh[:0..1]", _blur, shows_room=False, is_mixed=True, needs_matte=True),
    LookKind("color", "color:#rrggbb", _color, shows_room=False),
    LookKind("image", "image:PATH", _file, shows_room=False, **FILE_TRAITS),
    LookKind("video", "video:PATH", _file, shows_room=False, **FILE_TRAITS),
)
LOOK_KINDS = {kind.name: kind for kind in ROWS}  # `render.kinds` draws them, and adds more


def look_of(settings: Settings, default_style: str, styles: Mapping[str, str] | None = None) -> Look:
    """Return the look that settings ask for.

    Args:
        settings: both planes, their strengths, whether colours are kept, and the brush.
        default_style: for the background, where the settings name none.
        styles: as of `parse_plane`.

    Raises:
        UserError: a look cannot be parsed or is not one for its plane, or a strength is not in 0..1.
    """
    person = parse_plane(settings.person, styles)
    check_person_look(person, "Use it for the background.")

    def strength(of_plane: float | None) -> float:
        value = settings.strength if of_plane is None else of_plane
        if not 0 <= value <= 1:
            raise UserError(f"A strength of {value:g} is not between 0 and 1.", "Choose a number from 0 to 1.")
        return value

    return Look(
        parse_plane(default_style if settings.background is None else settings.background, styles),
        person,
        strength(settings.background_strength),
        strength(settings.person_strength),
        settings.keep_colors,
        settings.brush,
    )
