"""The error that a user can mend, and the end of a run that is stuck."""

import importlib.util
from collections.abc import Iterable


class UserError(Exception):
    """One sentence that names the thing, then the next step; the command line exits with 2.

    Args:
        problem: what is wrong, naming the thing.
        step: what to do next, or "" where the problem says it already.
        field: the flag that it is about, with underscores, or "". The command line names it, or the place in a config
            file that set it.
    """

    def __init__(self, problem: str, step: str = "", field: str = "") -> None:
        super().__init__(f"{problem} {step}".strip())
        self.problem, self.step, self.field = problem, step, field


class Stuck(BaseException):
    """Ctrl-C on a run whose filter does not answer: nothing that mends faults of a frame may take it for one."""


def has_package(name: str) -> bool:
    """Whether a package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


def need_torch(
    what: str = "Training", names: Iterable[str] = ("torch", "onnx", "onnxscript", "safetensors", "matplotlib")
) -> None:
    """Check that the packages of the extra `torch` are installed.

    Args:
        what: needs them, for the message.

    Raises:
        UserError: one of them is missing.
    """
    for name in names:
        if not has_package(name):
            raise UserError(f"{what} needs the package {name}.", "Run: pip install 'livestyle[torch]'")
