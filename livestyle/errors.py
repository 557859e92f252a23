"""The one error that a user can mend."""


class UserError(Exception):
    """One sentence that names the thing, then the next step; the command line exits with 2.

    Args:
        problem: what is wrong, naming the thing.
        step: what to do next, or "" where the problem says it already.
    """

    def __init__(self, problem: str, step: str = "") -> None:
        super().__init__(f"{problem} {step}".strip())
        self.problem, self.step = problem, step
