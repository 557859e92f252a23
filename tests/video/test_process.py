"""That importing video changes nothing, and what the command line changes."""

import os
import subprocess
import sys

import pytest

from livestyle.video.process import prepare

CODE = """
import os, pkgutil, sys, cv2
before = dict(os.environ)
import livestyle.video
for module in pkgutil.walk_packages(livestyle.video.__path__, "livestyle.video."):
    if module.name != "livestyle.video.window.qt":  # which needs Qt
        __import__(module.name)
print(os.environ == before and "livestyle.video.sinks.open" in sys.modules)
"""


def test_importing_video_leaves_the_environment_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_a_frozen_camera_is_given_up_after_a_second_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variable = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
    monkeypatch.setenv(variable, "")  # so that it is put back as it was
    monkeypatch.delenv(variable)
    prepare()
    assert os.environ[variable] == "1"
    monkeypatch.setenv(variable, "7")
    prepare()
    assert os.environ[variable] == "7"
