"""How the photo booth takes its pictures. No heavy imports: for `--help`."""

from dataclasses import dataclass

from livestyle.config.options import row

LAYOUTS = {"strip": 1, "grid": 2}  # pictures side by side
MAX_PICTURES = 12


@dataclass(frozen=True)
class BoothSettings:
    """What the photo booth takes, and how it lays that out."""

    pictures: int = row(4, "How many pictures.", f"1..{MAX_PICTURES}", low=1, high=MAX_PICTURES)
    countdown: float = row(3.0, "Seconds before each picture.", "S", low=0, high=60)
    layout: str = row("strip", "strip: one below the other; grid: two side by side.", choices=tuple(LAYOUTS))
    date: bool = row(True, "Write the date below the pictures.")
