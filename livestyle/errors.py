"""Errors that users can fix, and checks for optional packages."""

import importlib.util
import shlex
import sys
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can fix. The command line prints it and exits with 2.

    Args:
        problem: what is wrong, in a sentence that names the thing.
        step: what to do next, or "" if the problem says it already.
        field: the flag that it is about, with underscores, or "". The command line names it, or the place in a config
            file that set it.
    """

    def __init__(self, problem: str, step: str = "", field: str = "") -> None:
        super().__init__(f"{problem} {step}".strip())
        self.problem, self.step, self.field = problem, step, field


class Stuck(BaseException):
    """Ctrl-C during a run whose filter is stuck. It is no Exception, so code that recovers from faults lets it pass."""


def has_package(name: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


def pip(words: str) -> str:
    """Return a command of the pip that belongs to this Python, which need not be the one on the PATH."""
    python = shlex.quote(sys.executable or "python")
    return f"{python} -m pip {words}" if has_package("pip") else f"uv pip {words} --python {python}"


def pip_install(extra: str) -> str:
    """Return the command that installs an extra of livestyle here."""
    return pip(f"install 'livestyle[{extra}]'")


def need_torch(
    what: str = "Training", names: Iterable[str] = ("torch", "onnx", "onnxscript", "safetensors", "matplotlib")
) -> None:
    """Check that the packages of the extra `torch` are installed.

    Args:
        what: what needs them, for the message.
        names: of the packages.

    Raises:
        UserError: one of them is missing.
    """
    for name in names:
        if not has_package(name):
            raise UserError(f"{what} needs the package {name}.", f"Run: {pip_install('torch')}")
