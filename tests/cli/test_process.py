"""What the command line changes for its whole process."""

import os

import pytest

from livestyle.cli.process import VARIABLES, prepare_process


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
