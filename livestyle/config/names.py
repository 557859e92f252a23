"""Names as people type them: made plain, found among the known ones, and suggested."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

from livestyle.errors import UserError

Names = Mapping[str, object] | Iterable[str]  # known names; a text that stands for one in a mapping is its title
MIN_LETTERS = 3  # of a beginning that may stand for a whole name
MIN_ALIKE = 0.6  # of a suggestion, as difflib counts it
ARTICLES = ("the ", "a ", "an ")


def plain(text: str) -> str:
    """Return a text without case, accents, spaces and signs, such as "unet" for "U-Net"."""
    letters = unicodedata.normalize("NFKD", text.replace("+", " plus ")).casefold()
    return "".join(filter(str.isalnum, letters))


def words(text: str) -> set[str]:
    """Return the words of a text, each made plain."""
    return {plain(word) for word in text.replace("_", " ").replace("-", " ").split()} - {""}


def without_article(text: str) -> str:
    """Return a title without the article that it begins with."""
    return next((text[len(word) :] for word in ARTICLES if text.lower().startswith(word)), text)


def find_name(typed: str, known: Names, whole: bool = False) -> str | None:
    """Return the one known name that a text means, or None.

    Case, accents, spaces and signs do not count. The title stands for the name. So does a beginning of the name, or
    else of the title, or some words of both, if no other name has them.

    Args:
        typed: by a person.
        known: the names, or their titles by name.
        whole: take no part for a name.
    """
    rows = known if isinstance(known, Mapping) else dict.fromkeys(known)
    titles = {name: row if isinstance(row, str) else "" for name, row in rows.items()}
    if typed in titles:
        return typed
    wanted, parts = plain(without_article(typed)), words(without_article(typed))
    forms = {name: {plain(one) for one in (name, title, without_article(title))} for name, title in titles.items()}
    steps = [
        [name for name, own in forms.items() if wanted in own or plain(typed) in own],
        [name for name in titles if plain(without_article(name.replace("_", " "))).startswith(wanted)],
        [name for name, own in forms.items() if any(one.startswith(wanted) for one in own)],
        [name for name, title in titles.items() if parts <= words(name) | words(title)],
    ]
    found = next(filter(None, steps[:1] if whole or len(wanted) < MIN_LETTERS else steps), [])
    return found[0] if len(found) == 1 and wanted else None


def nearest(typed: str, known: Names) -> list[str]:
    """Return the known names that a text may mean, at most three, the nearest first."""
    wanted = plain(typed)
    names = {name: plain(name) for name in known}
    if same := [name for name, own in names.items() if own == wanted]:
        return same[:1]
    is_long = len(wanted) >= MIN_LETTERS
    holding = [name for name, own in names.items() if (wanted in own if is_long else wanted and own.startswith(wanted))]
    near = difflib.get_close_matches(wanted, set(names.values()), 3, MIN_ALIKE) if wanted else []
    alike = [name for form in near for name, own in names.items() if own == form]
    if alike and difflib.SequenceMatcher(None, wanted, names[alike[0]]).ratio() >= 0.8 and not holding:
        alike = alike[:1]
    return list(dict.fromkeys([*holding, *alike]))[:3]


def did_you_mean(typed: str, known: Names) -> str:
    """Return " Did you mean NAME?", or "" where nothing is near."""
    near = nearest(typed, known)
    if not near:
        return ""
    return f" Did you mean {', '.join(near[:-1])}{' or ' if near[1:] else ''}{near[-1]}?"


def unknown(kind: str, typed: str, known: Names, step: str = "", field: str = "") -> UserError:
    """Return the error for a name that there is not, with those that may be meant.

    Args:
        kind: of the name, such as "style".
        typed: by a person.
        known: the names, or their titles by name.
        step: where all names stand; "" lists them.
        field: as of UserError.
    """
    step = step or f"Choose from: {', '.join(known)}."
    return UserError(f"There is no {kind} '{typed}'.{did_you_mean(typed, known)}", step, field)


def choose(kind: str, typed: str, known: Names, step: str = "", field: str = "") -> str:
    """Return the known name that a text means.

    Raises:
        UserError: there is none, as of `unknown`.
    """
    found = find_name(typed, known)
    if found is None:
        raise unknown(kind, typed, known, step, field)
    return found


def matching(typed: str, texts: Mapping[str, str]) -> list[str]:
    """Return the names whose texts have all the words that were typed, or words that begin so.

    Args:
        typed: by a person; texts: what each name can be found by.
    """

    def parts_of(text: str) -> set[str]:
        return words(re.sub(r"\W", " ", unicodedata.normalize("NFC", text)))

    wanted, own = parts_of(typed), {name: parts_of(text) for name, text in texts.items()}
    return [name for name, parts in own.items() if all(any(one.startswith(w) for one in parts) for w in wanted)]
