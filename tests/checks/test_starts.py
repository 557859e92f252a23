"""Sources and sinks, started and stopped: nothing is left of them. `scripts/starts.py` does it a thousand times."""

import os
from pathlib import Path
from types import ModuleType

import pytest
from support.scripts import load_check

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


@pytest.fixture(scope="module")
def starts() -> ModuleType:
    return load_check("starts")


def test_nothing_is_left_of_sources_and_sinks(starts: ModuleType) -> None:
    said: list[str] = []
    wanted = ("camera", "file", "still", "faults", "null", "recording")  # windows are for the script
    assert starts.check(10, wanted, said.append) == []
    assert len(said) == 8  # "camera" and "file" are sources and sinks


def test_what_is_left_is_said(starts: ModuleType) -> None:
    """So that the check can fail."""
    held: list[int] = []
    before, after = starts.repeat(lambda: held.append(os.open(os.devnull, os.O_RDONLY)), 5)
    (sentence,) = starts.left("a leak", before, after, 5)
    assert sentence == "a leak: 5 handles are left after 5 starts."
    for one in held:
        os.close(one)
