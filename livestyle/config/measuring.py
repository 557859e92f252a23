"""What `livestyle bench` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from livestyle.config.options import row
from livestyle.types import Size


@dataclass(frozen=True)
class BenchSettings:
    """What the whole pipeline is measured on, beside what, and what is drawn of it."""

    source: str = row("demo", "A clip with a person.", "CLIP")
    size: Size = row((640, 360), "Size of the frames.", "WxH")
    seconds: float = row(10.0, "How long to measure.", low=0.5)
    pace: float | None = row(
        None,
        "Frames come at this rate, as from a camera, and those that are not taken in time are dropped "
        "(default: as fast as can be).",
        "FPS",
        low=1,
        high=1000,
    )
    busy_cores: int = row(0, "So many are taken by other processes.", "N", low=0)
    cores: int | None = row(None, "Run on so many (default: on all).", "N", low=1)
    against: str | None = row(
        None,
        "In turn with the plain recipe that tutorials give: torchvision's DeepLabv3 on MobileNetV3, the "
        "published transform net in eager PyTorch, NumPy, one loop.",
        "naive",
        choices=("naive",),
    )
    model_file: Path | None = row(
        None,
        "MediaPipe's selfie model, for the naive recipe; without --against, weights of a segmenter that is not ours.",
        "FILE",
    )
    chart: Path | None = row(None, "Draw the stages of both.", "FILE.png")
    peak: bool = row(False, "What a core can at most, and the nets' share of it (on the CPU).", flags=("--peak",))
    profile: Path | None = row(
        None, "A flame graph of where the CPU time goes, down to the layers of the nets (Linux).", "FILE.svg"
    )
    grid: Path | None = row(
        None,
        "The cost from 320x180 to 1920x1080, with 0 to 2 styles, on 1 and 2 cores, and what limits it, as "
        "cost.json, cost.md and cost.png (24 times --seconds, and some).",
        "DIR",
    )
