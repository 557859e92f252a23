"""Whether a still fits into the free memory, and what to do where it does not."""

from dataclasses import replace

from livestyle.errors import UserError
from livestyle.stills.masked_loss import precision
from livestyle.stills.recipe import Recipe, scales_of
from livestyle.types import Say, Size

# Bytes for each painted pixel, measured on a CPU: of the losses, and of the optimizer's state with a copy to save.
PRECISION_BYTES = {"bfloat16": 2_600, "float32": 3_700}
OPTIMIZER_BYTES = {"lbfgs": 840, "adam": 90}
MEMORY_SHARE = 0.9  # of the free memory that may be used
SIDE_STEP, MIN_LONG_SIDE_PX = 0.9, 64  # the long side is multiplied by the step until it fits


def needed_bytes(size: Size, optimizer: str) -> int:
    """Return the memory that painting takes at a size, without the program and its networks.

    Args:
        size: of what is painted; optimizer: its name.
    """
    return size[0] * size[1] * (PRECISION_BYTES[precision("cpu")] + OPTIMIZER_BYTES[optimizer])


def fit_memory(recipe: Recipe, size: Size, say: Say, free: int | None) -> Recipe:
    """Return a recipe that fits into the free memory: the same one, one with Adam, or one at a smaller scale.

    Args:
        recipe: as asked.
        size: of the picture.
        say: takes a message where the recipe changes.
        free: bytes; None where that is not known.

    Raises:
        UserError: the smallest scale does not fit.
    """
    finest, _ = scales_of(size, recipe)[-1]
    wanted = needed_bytes(finest, recipe.optimizer)
    if free is None or wanted <= MEMORY_SHARE * free:
        return recipe
    words = f"Painting at {finest[0]}x{finest[1]} takes about {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
    if needed_bytes(finest, "adam") <= MEMORY_SHARE * free:
        say(f"{words}: Adam paints in place of L-BFGS, which wants more iterations for the same.")
        return replace(recipe, optimizer="adam")
    long_side = min(recipe.long_side, max(size))
    while needed_bytes(finest, recipe.optimizer) > MEMORY_SHARE * free and long_side * SIDE_STEP > MIN_LONG_SIDE_PX:
        long_side = round(long_side * SIDE_STEP)
        finest = (round(size[0] * long_side / max(size)), round(size[1] * long_side / max(size)))
    if needed_bytes(finest, recipe.optimizer) > MEMORY_SHARE * free:
        raise UserError(f"{words}.", "Close other programs.")
    say(f"{words}: it is painted at {finest[0]}x{finest[1]}.")
    return replace(recipe, long_side=long_side)
