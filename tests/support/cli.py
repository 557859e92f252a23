"""The command line as a user starts it, and a quick way inside this process."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

HEADLESS = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}}

Done = subprocess.CompletedProcess[str]


def livestyle(*arguments: object, code: int = 0) -> Done:
    """Run a command line in a process of its own, and check its exit code and its errors."""
    command = [sys.executable, "-m", "livestyle", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=HEADLESS, timeout=300, check=False)
    return checked(done, code)


def run_here(*arguments: object, code: int = 0, **variables: str) -> Done:
    """Run a command line in this process, which starts at once, and check the same.

    Args:
        variables: of the environment, beside those of a machine without a screen.
    """
    from livestyle.cli.main import run

    out, errors = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, {**HEADLESS, "LIVESTYLE_CONFIG": "none", **variables}, clear=True),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        found = run([*map(str, arguments)])
    return checked(Done(arguments, found, out.getvalue(), errors.getvalue()), code)


def checked(done: Done, code: int) -> Done:
    """Return a command that ended with a code. Errors are short, without traceback, and nothing goes to stdout."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
        assert done.stdout == ""
    return done
