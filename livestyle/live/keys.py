"""The table [keys] of a config file, checked against the actions."""

from collections.abc import Mapping

from livestyle.config.load import Given
from livestyle.config.names import did_you_mean
from livestyle.errors import UserError
from livestyle.live.actions import ACTIONS, bind


def checked_keys(keys: Mapping[str, Given]) -> dict[str, str]:
    """Return the key of each action that a config file binds.

    Raises:
        UserError: an action or key that there is not, or one key for two actions. The message names the line.
    """
    names = [action.name for action in ACTIONS]
    for name, given in keys.items():
        if name not in names:
            problem = f"{given.origin}: There is no action '{name}'.{did_you_mean(name, names)}"
            raise UserError(problem, f"Choose from: {', '.join(names)}.")
    found = {name: given.value for name, given in keys.items()}
    try:
        bind(found)
    except UserError as error:
        origin = next(given.origin for name, given in keys.items() if f"'{name}'" in error.problem)
        raise UserError(f"{origin}: {error.problem}", error.step) from None
    return found
