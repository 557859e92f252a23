"""A first config file, in which everything stands, commented out."""

from collections.abc import Mapping
from pathlib import Path

from livestyle.config.settings import SETTINGS
from livestyle.config.toml import toml
from livestyle.config.write import save

TEMPLATE = """# Settings of livestyle, in TOML. Take the # before a line away to set it. What a flag says goes before.

{settings}
# A profile is taken by --profile NAME:
# [profile.meeting]
# background = "blur"
# sink = ["window", "virtual-camera"]

# Keys of the window, by action: one character, or space, tab, enter, esc.
# [keys]
{keys}"""


def write_template(file: Path, keys: Mapping[str, str]) -> None:
    """Write a first file, with the words of the flags.

    Args:
        keys: of the window, by action.

    Raises:
        UserError: it cannot be written.
    """
    settings = "".join(
        f"# {one.key} = {toml(one.default) or '...'}".ljust(40) + f"  # {one.help}\n" for one in SETTINGS.values()
    )
    bound = "".join(f"# {name} = {toml(key)}\n" for name, key in keys.items())
    save(file, TEMPLATE.format(settings=settings, keys=bound))
