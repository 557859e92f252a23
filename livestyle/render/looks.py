"""Looks with their defaults filled in."""

from livestyle.config.look import Look, look_of
from livestyle.config.settings import Settings
from livestyle.nets.library import find_card, style_titles


def look_from(settings: Settings) -> Look:
    """Return the look that settings ask for, with the default style where they name no background.

    Raises:
        UserError: a look cannot be parsed, or there is no style.
    """
    default = "" if settings.background is not None else find_card("style", None, settings.models).name
    return look_of(settings, default, style_titles(settings.models))
