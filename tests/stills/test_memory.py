"""What fits into the memory."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestyle.errors import UserError
from livestyle.nets import memory
from livestyle.nets.memory import free_bytes
from livestyle.stills.memory import MEMORY_SHARE, fit_memory, needed_bytes
from livestyle.stills.recipe import Recipe, scales_of

pytestmark = pytest.mark.torch

GB = 10**9
OURS = 800_000_000  # bytes of the program with PyTorch and VGG-19


@given(
    size=st.tuples(st.integers(300, 2000), st.integers(300, 2000)),
    long_side=st.integers(300, 4000),
    there=st.integers(GB // 4, 8 * GB),
)
def test_what_is_planned_fits_and_what_fits_is_kept(size: tuple[int, int], long_side: int, there: int) -> None:
    said: list[str] = []
    recipe = Recipe({}, long_side=long_side)
    plan = fit_memory(recipe, size, said.append, there)
    assert needed_bytes(scales_of(size, plan)[-1][0], plan.optimizer) <= MEMORY_SHARE * there
    as_asked = needed_bytes(scales_of(size, recipe)[-1][0], "lbfgs") <= MEMORY_SHARE * there
    assert (plan == recipe) == as_asked == (not said)


def test_adam_comes_before_a_smaller_scale() -> None:
    recipe, size, said = Recipe({}, long_side=1080), (1080, 720), list[str]()
    just = int(needed_bytes(size, "adam") / MEMORY_SHARE) + 1
    assert fit_memory(recipe, size, said.append, just).optimizer == "adam"
    smaller = fit_memory(recipe, size, said.append, just - 100_000_000)
    assert smaller.optimizer == "lbfgs"
    assert smaller.long_side < 1080
    assert "Adam paints" in said[0]
    assert said[1].endswith(f"it is painted at {smaller.long_side}x{round(smaller.long_side * 2 / 3)}.")
    assert fit_memory(recipe, size, pytest.fail, None) == recipe


def test_too_little_memory_is_told() -> None:
    with pytest.raises(UserError, match=r"0\.0 GB are free"):
        fit_memory(Recipe({}, long_side=1080), (1080, 720), pytest.fail, 1_000_000)


def test_1080x720_fits_into_four_gigabytes() -> None:
    assert fit_memory(Recipe({}, long_side=1080), (1080, 720), pytest.fail, 4 * GB - OURS).optimizer == "lbfgs"


def test_the_free_memory_is_the_least_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes() is None
    (tmp_path / "meminfo").write_text("MemTotal:       8000 kB\nMemAvailable:       5000 kB\n")
    assert free_bytes() == 5000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_bytes() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000\n")
    assert free_bytes() == 2000
