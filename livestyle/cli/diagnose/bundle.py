"""A zip for a bug report: what doctor found and how this machine is set up, without pictures and without names."""

import getpass
import importlib.metadata
import json
import os
import platform
import re
import socket
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from livestyle.cli.diagnose.checks import Check
from livestyle.config.load import load_config
from livestyle.errors import UserError
from livestyle.files import atomic_write
from livestyle.video.devices.devices import video_devices
from livestyle.video.devices.loopback import MODULE
from livestyle.video.devices.v4l2 import modes

TOLD = re.compile(r"LIVESTYLE_|OPENCV_|OMP_|QT_|XDG_SESSION_TYPE|XDG_CURRENT_DESKTOP|DISPLAY|WAYLAND_DISPLAY|LANG$")
HOMES = re.compile(r"(?i)(/home/|/Users/|[A-Z]:\\+Users\\+)[^/\\\s\"',;]+")
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def write_bundle(path: Path, checks: Iterable[Check]) -> None:
    """Write the zip, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    if path.suffix.lower() != ".zip":
        raise UserError(f"{path} is no name for a zip.", "End it in .zip.")
    secrets = names()
    with atomic_write(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in contents(list(checks)).items():
            bundle.writestr(name, scrub(text, secrets))


def contents(checks: list[Check]) -> dict[str, str]:
    """File names and what they hold, names still in it."""
    return {
        "doctor.json": json.dumps([asdict(check) for check in checks], indent=2),
        "system.txt": f"{platform.platform()}\n{platform.python_implementation()} {platform.python_version()}\n",
        "packages.txt": _lines({d.name: d.version for d in importlib.metadata.distributions()}),
        "environment.txt": _lines({name: _shown(value) for name, value in os.environ.items() if TOLD.match(name)}),
        "settings.txt": _settings(),
        "cameras.txt": _lines({f"{d.path} {d.name}, {d.model}": [*map(str, modes(d.path))] for d in video_devices()}),
        "v4l2loopback.txt": _lines(_parameters()),
    }


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in sorted(values.items()))


def _settings() -> str:
    """Return what the user set."""
    try:
        given = load_config().values
    except UserError as error:
        return f"{error}\n"
    return _lines({name: _shown(one.value) for name, one in given.items()})


def _shown(value: object) -> object:
    """Return a value for the report. Files and addresses become "given"."""
    return "(a path)" if re.search(r"[/\\]|\.[A-Za-z]", str(value)) else value


def _parameters() -> dict[str, str]:
    found = {}
    for file in (MODULE / "parameters").glob("*"):
        with suppress(OSError):
            found[file.name] = file.read_text().strip()
    return found


def names() -> dict[str, str]:
    """Return names of this machine and its user, and what replaces them."""
    found = {str(Path.home()): "~", platform.node(): "HOST", socket.gethostname(): "HOST"}
    with suppress(KeyError, OSError):
        found[getpass.getuser()] = "USER"
    with suppress(ImportError, KeyError):
        import pwd

        person = pwd.getpwuid(os.getuid())
        found |= {person.pw_name: "USER", **dict.fromkeys(re.split(r"[,\s]+", person.pw_gecos), "USER")}
    return {name: word for name, word in found.items() if len(name) > 1}


def scrub(text: str, secrets: Mapping[str, str]) -> str:
    """Text without the names, home folders and mail addresses in it."""
    for name in sorted(secrets, key=len, reverse=True):
        for form in {name, json.dumps(name)[1:-1]}:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", secrets[name], text, flags=re.IGNORECASE)
    return MAIL.sub("MAIL", HOMES.sub("~", text))
