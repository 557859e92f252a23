"""The error that a user can mend, and the end of a run that is stuck."""

import importlib.util


class UserError(Exception):
    """One sentence that names the thing, then the next step; the command line exits with 2.

    Args:
        problem: what is wrong, naming the thing.
        step: what to do next, or "" where the problem says it already.
    """

    def __init__(self, problem: str, step: str = "") -> None:
        super().__init__(f"{problem} {step}".strip())
        self.problem, self.step = problem, step


class Stuck(BaseException):
    """Ctrl-C on a run whose filter does not answer: nothing that mends faults of a frame may take it for one."""


def has_package(name: str) -> bool:
    """Whether a package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None
