"""What the command line changes for its whole process, and that importing livestyle changes nothing."""

import os
import subprocess
import sys

import pytest

from livestyle.cli.process import VARIABLES, prepare_process

CODE = """
import os, pkgutil, sys, warnings
import cv2, PIL.Image
state = lambda: (dict(os.environ), cv2.getNumThreads(), PIL.Image.MAX_IMAGE_PIXELS, list(warnings.filters))
import livestyle
names = [module.name for module in pkgutil.walk_packages(livestyle.__path__, "livestyle.")]
names = [name for name in names if not name.endswith(("__main__", ".qt"))]
for heavy in ("torch", "openvino", "scipy", "av"):
    try:
        __import__(heavy)  # whose own effects are not ours
    except ImportError:
        pass
before = state()
for name in names:
    __import__(name)
print(len(names) > 100, *(one == other for one, other in zip(before, state())))
"""


def test_importing_every_module_changes_nothing_for_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 5


def test_variables_are_set_unless_the_user_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back as it was
        monkeypatch.delenv(name)
    prepare_process()
    assert {name: os.environ[name] for name in VARIABLES} == VARIABLES
    for name in VARIABLES:
        monkeypatch.setenv(name, "7")
    prepare_process()
    assert {os.environ[name] for name in VARIABLES} == {"7"}
