"""Whether a still fits into the memory that is free, and what is done where it does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from livestyle.errors import UserError
from livestyle.stills.masked_loss import precision
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.types import Size

# Bytes for each pixel that is painted, measured on a CPU (docs/measurements.md): of the losses in each precision, and
# of what the optimizer remembers, with the copy that is made to keep it.
OF_PRECISION = {"bfloat16": 2_600, "float32": 3_700}
OF_OPTIMIZER = {"lbfgs": 840, "adam": 90}
SHARE = 0.9  # of the free memory that is taken
STEP, LEAST = 0.9, 64  # the long side is lowered by this factor, down to that many px
MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def needed(size: Size, optimizer: str) -> int:
    """Bytes that painting at a size takes, the program and its nets left aside."""
    return size[0] * size[1] * (OF_PRECISION[precision("cpu")] + OF_OPTIMIZER[optimizer])


def free() -> int | None:
    """Bytes that this process may still take; None where that is not known."""
    found = []
    try:
        lines = dict(line.split(":") for line in MEMINFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:  # a container's own limit
        limit, used = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        found.append(int(limit) - int(used))
    except (OSError, ValueError):
        pass
    return min(found, default=None)


def fitted(recipe: Recipe, size: Size, say: Callable[[str], None], there: int | None) -> Recipe:
    """A recipe that fits into the memory `there`: the same, or with Adam, or else at a smaller scale, which is said.

    Args:
        size: of the picture; there: bytes, None where that is not known.

    Raises:
        UserError: the smallest scale does not fit.
    """
    finest, _ = scales_of(size, recipe)[-1]
    wanted = needed(finest, recipe.optimizer)
    if there is None or wanted <= SHARE * there:
        return recipe
    words = f"Painting at {finest[0]}x{finest[1]} takes about {wanted / 1e9:.1f} GB, and {there / 1e9:.1f} GB are free"
    if needed(finest, "adam") <= SHARE * there:
        say(f"{words}: Adam paints in place of L-BFGS, which wants more iterations for the same.")
        return replace(recipe, optimizer="adam")
    long_side = min(recipe.long_side, max(size))
    while needed(finest, recipe.optimizer) > SHARE * there and long_side * STEP > LEAST:
        long_side = round(long_side * STEP)
        finest = (round(size[0] * long_side / max(size)), round(size[1] * long_side / max(size)))
    if needed(finest, recipe.optimizer) > SHARE * there:
        raise UserError(f"{words}.", "Close other programs.")
    say(f"{words}: it is painted at {finest[0]}x{finest[1]}.")
    return replace(recipe, long_side=long_side)
