"""What the trainers are asked for."""

from dataclasses import dataclass
from pathlib import Path

from livestyle.config.options import row
from livestyle.config.painting import LOSS_NETWORK, LOSS_NETWORK_FLAGS

MINUTES = "How long to train, over all sittings."
OUT = "Models folder to write to (default: your own)."
RUNS = "Where checkpoints lie; the same command goes on from them."
RATE = "Highest learning rate."
DEVICE = "cpu, cuda or mps."
TITLE = "What people read."
LICENSE = "Of the weights."


@dataclass(frozen=True)
class StyleTrainingSettings:
    """How a style is trained, and what its card says."""

    photos: Path | None = row(None, "A few hundred photos of anything (default: a small built-in set).", "DIR")
    my_photos: bool = row(
        False, "Look for photos in your own pictures folder; they stay on this machine.", flags=("--my-photos",)
    )
    minutes: float = row(20.0, MINUTES, low=0.05)
    loss_network: Path | None = row(None, LOSS_NETWORK, "FILE", flags=LOSS_NETWORK_FLAGS)
    out: Path | None = row(None, OUT, "DIR")
    runs: Path = row(Path("runs"), RUNS, "DIR")
    start: str = row(
        "nearest",
        "Checkpoint or model to start from; nearest: of the styles that there are the most alike; none.",
        "FILE",
        flags=("--from",),
    )
    teacher: str = row(
        "", "A style of the same painting, as of --arch johnson, whose pictures are learnt from first.", "STYLE"
    )
    arch: str = row("slim", "slim, or johnson, the published one.")
    people: float = row(
        3.0, "How much people's looks count, beside all else's: more keeps faces, less paints them.", low=0
    )
    still: float = row(50.0, "Weight of what keeps successive frames alike.", low=0)
    rate: float = row(2e-3, RATE, low=1e-6, high=1)
    batch: int = row(2, "Pictures in each step, in each process.", low=1)
    title: str = row("", TITLE)
    license: str = row("yours", LICENSE)
    origin: str = row("", "Who painted it, and its terms.")
    data: str = row("", "What the photos are, and their terms.")
    default: bool = row(False, "Make it the default style.", flags=("--default",))
    device: str = row("cpu", DEVICE)
    seed: int = row(0, "Of what is random.")


@dataclass(frozen=True)
class PredictorTrainingSettings:
    """How the predictor of styles is trained, and what its card says."""

    leave_out: Path | None = row(None, "Text file with names of pictures to leave out, one a line.", "FILE")
    start: str = row(
        "wheat_field_cypresses",
        "Style, table or predictor to start from.",
        "FILE",
        flags=("--from",),
    )
    table: bool = row(False, "Learn the pictures' own rows, and no predictor.", flags=("--table",))
    gallery: Path | None = row(None, "Folder of more pictures, whose rows are learnt and kept, too.", "DIR")
    loss_network: Path | None = row(None, "VGG-19's weights, or vgg19; compact takes a third of the time.", "FILE")
    minutes: float = row(240.0, MINUTES, low=0.05)
    out: Path | None = row(None, OUT, "DIR")
    runs: Path = row(Path("runs"), RUNS, "DIR")
    rate: float = row(1.2e-3, RATE, low=1e-6, high=1)
    still: float = row(50.0, "Weight of what keeps successive frames alike.", low=0)
    title: str = row("", TITLE)
    license: str = row("yours", LICENSE)
    origin: str = row("", "Who trained it, from what.")
    data: str = row("", "What the pictures and photos are, and their terms.")
    device: str = row("cpu", DEVICE)
    seed: int = row(0, "Of what is random.")


@dataclass(frozen=True)
class SegmenterTrainingSettings:
    """How a segmenter is trained, and what its card says."""

    minutes: float = row(60.0, MINUTES, low=0.05)
    out: Path | None = row(None, OUT, "DIR")
    runs: Path = row(Path("runs"), RUNS, "DIR")
    start: Path | None = row(None, "Checkpoint to start from.", "FILE", flags=("--from",))
    rate: float = row(1e-3, RATE, low=1e-6, high=1)
    pixels: int = row(288 * 160, "About the area of the input.", low=64 * 64)
    width: float = row(
        1.0, "Multiplier of the channels of the literature's networks; 0.25 trains on a CPU.", low=0.05, high=1
    )
    pasted: float = row(0.33, "Share of people moved before another room.", low=0, high=0.9)
    clean: float = row(0.0, "Share of pictures left without blur, noise and other light.", low=0, high=1)
    frozen: bool = row(
        False, "Keep the norms' statistics: a quarter faster, for going on from a trained net.", flags=("--frozen",)
    )
    validate: str = row("held-out", "Pairs for the validation curve; held-out: some of the data; none.", "DIR")
    title: str = row("", TITLE)
    license: str = row("yours", LICENSE)
    origin: str = row("", "Who trained it, from what.")
    terms: str = row("", "What the data are, and their terms.")
    default: bool = row(False, "Make it the default segmenter.", flags=("--default",))
    device: str = row("cpu", DEVICE)
    seed: int = row(0, "Of what is random.")


@dataclass(frozen=True)
class LossNetworkTrainingSettings:
    """How the compact loss network is distilled, and what its card says."""

    loss_network: Path = row(Path("vgg19"), LOSS_NETWORK, "FILE", flags=LOSS_NETWORK_FLAGS)
    minutes: float = row(25.0, MINUTES, low=0.05)
    out: Path | None = row(None, OUT, "DIR")
    runs: Path = row(Path("runs"), RUNS, "DIR")
    rate: float = row(6e-5, RATE, low=1e-7, high=1)
    license: str = row("yours", LICENSE)
    origin: str = row("", "Whose network it was distilled from, and its terms.")
    data: str = row("", "What the pictures are, and their terms.")
    device: str = row("cpu", DEVICE)
    seed: int = row(0, "Of what is random.")
