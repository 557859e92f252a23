"""The command line as a user starts it."""

import os
import subprocess
import sys

HEADLESS = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}}


def livestyle(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command line, check its exit code and that errors are short and without traceback."""
    command = [sys.executable, "-m", "livestyle", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=HEADLESS, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert 1 <= len(done.stderr.strip().splitlines()) <= 3, done.stderr
        assert done.stdout == ""
    return done
