"""Work that is killed again and again: python scripts/kills.py [--kills 50] [--seed 0] [WORK ...]

Each kind of work runs in a child process, which gets SIGKILL at a random moment. What it left on the disk must then be
whole, must be no less than what was there before, and the next child must go on from it. At last a child may finish,
and nothing may be left beside the result. Checkpoints are written all the time here instead of each minute.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

os.environ["LIVESTYLE_CONFIG"] = "none"
FRAMES = 10_000


@dataclass(frozen=True)
class Work:
    """A kind of work.

    Args:
        run: does it in a folder, going on from what is there; finish: does the rest of it, if it has an end.
        kept: how much of it is on the disk; raises where that is not whole.
        longest: seconds until a kill comes; results: what may lie in the folder at the end, besides what was given.
    """

    run: Callable[[Path], None]
    kept: Callable[[Path], float]
    finish: Callable[[Path], None] | None
    longest: float
    results: frozenset[str] = frozenset()


def livestyle(*words: object) -> None:
    """A command line, in this process."""
    from livestyle.cli import main as cli

    sys.argv = ["livestyle", *map(str, words)]
    with suppress(SystemExit):
        cli.main()


def train(folder: Path, minutes: float = 60.0) -> None:
    """A style by the command that people use, a checkpoint, a preview and a point of its curves after each step."""
    from PIL import Image

    from livestyle.nets.library import find_card
    from livestyle.train import curves, loop

    loop.CHECKPOINT_INTERVAL_S = 0.0
    curves.draw = lambda points, path: Image.new("L", (8, 8)).save(path, "PNG")  # charts take longest
    livestyle(
        "train", "style", folder / "painting.png", "tiny", "--minutes", minutes, "--loss-network", "compact",
        "--from", find_card("style", "great_wave").path(".safetensors"), "--runs", folder / "runs",
        "--out", folder / "models",
    )  # fmt: skip


def trained(folder: Path) -> float:
    """The images of the checkpoint, whose tensors and curves are read, too."""
    from safetensors.torch import load_file

    from livestyle.image.io import load_image
    from livestyle.train.checkpoint import load_facts
    from livestyle.train.curves import Curves

    file = folder / "runs" / "tiny.safetensors"
    if not file.exists():
        return 0.0
    assert load_file(file)
    images = float(load_facts(file)["images"])
    Curves(file, int(images))
    for picture in file.parent.glob("tiny.*.png"):
        load_image(picture)
    return images


def finish_training(folder: Path) -> None:
    """Let the clock run out at the next step."""
    from livestyle.train.checkpoint import load_facts

    train(folder, float(load_facts(folder / "runs" / "tiny.safetensors")["seconds"]) / 60 + 0.02)
    from livestyle.nets.library import find_card

    card = find_card("style", "tiny", folder / "models")
    assert card.path(".safetensors").is_file()
    assert card.path(".onnx").is_file()


def paint(folder: Path, iterations: int = 100_000) -> None:
    """A still by optimisation, its state written after each iteration."""
    from livestyle.stills import gatys

    gatys.PREVIEW_INTERVAL_S = gatys.SAVE_RATIO = 0
    livestyle(
        "photo", folder / "photo.png", folder / "out.png", "--method", "gatys", "--iterations", iterations,
        "--background", folder / "painting.png", "--person", "none", "--long-side", 96, "--device", "cpu",
        "--loss-network", "compact", "--segmenter", "kmeans",
    )  # fmt: skip


def painted(folder: Path) -> float:
    """The iterations that are kept, and the picture so far."""
    import json

    from safetensors import safe_open

    from livestyle.image.io import load_image

    if (folder / "out.png").exists():
        load_image(folder / "out.png")
    file = folder / "out.png.part.safetensors"
    if not file.exists():
        return 0.0
    with safe_open(file, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118
            opened.get_tensor(name)
        return float(len(json.loads(opened.metadata()["facts"])["history"]))


def save_stills(folder: Path) -> None:
    """The same picture and the same record, over and over."""
    from livestyle.config.look import Look, parse_plane
    from livestyle.image.io import PictureNotes, load_notes, save_image
    from livestyle.live.reload import save_last

    os.environ.update(LIVESTYLE_CONFIG="", XDG_STATE_HOME=str(folder))
    noise = np.random.default_rng(os.getpid())
    before = int(load_notes(folder / "still.png").get("number", 0))
    for number in range(before + 1, before + FRAMES):
        picture = noise.integers(0, 255, (120, 160, 3), np.uint8)
        save_image(folder / "still.png", picture, PictureNotes(notes={"number": str(number)}))
        save_last(Look(parse_plane("great_wave"), background_strength=number % 100 / 100))


def saved(folder: Path) -> float:
    """The number of the picture, which is whole."""
    import json

    from livestyle.image.io import load_image, load_notes

    record = folder / "livestyle" / "last-look.json"
    if record.exists():
        assert json.loads(record.read_text())["background"] == "great_wave"
    if not (folder / "still.png").exists():
        return 0.0
    assert load_image(folder / "still.png").shape == (120, 160, 3)
    return float(load_notes(folder / "still.png")["number"])


def save_one(folder: Path) -> None:
    """One picture more, which also clears up what the killed ones left."""
    global FRAMES
    FRAMES = 2
    save_stills(folder)


def record(folder: Path) -> None:
    """A clip of noise at 25 frames a second of its own clock, and how far it is."""
    from livestyle.image.types import Frame
    from livestyle.video.sinks.recording import Recorder
    from livestyle.video.sinks.sink import Stream

    noise = np.random.default_rng(0)
    switch = SimpleNamespace(take=1, end_take=lambda number: None)
    recorder = Recorder(folder / "clips", Stream((160, 120), 25.0), switch)
    far = os.open(folder / f"{os.getpid()}.far", os.O_WRONLY | os.O_CREAT)
    for index in range(FRAMES):
        recorder.send(Frame(noise.integers(0, 255, (120, 160, 3), np.uint8), index, index / 25))
        while recorder._takes[-1].is_alive and recorder._takes[-1].waiting:
            time.sleep(0.001)
        os.pwrite(far, str(index).rjust(9).encode(), 0)


def recorded(folder: Path) -> float:
    """How many clips there are; the last is played up to the last second that was sent."""
    from livestyle.errors import UserError
    from livestyle.video.sources.clip import ClipSource

    clips = sorted((folder / "clips").glob("*.mkv"), key=lambda clip: clip.stat().st_mtime_ns)
    sent = max(folder.glob("*.far"), key=lambda file: file.stat().st_mtime_ns, default=None)
    last = int(sent.read_text() or 0) if sent else 0
    if clips and last > 30:
        try:
            with ClipSource(str(clips[-1])) as source:
                shown = sum(1 for _ in source)
        except UserError as error:
            raise AssertionError(str(error)) from None
        assert shown >= last - 27, f"{shown} of {last} frames"
    for file in folder.glob("*.far"):
        file.unlink()
    return float(len(clips))


WORKS = {
    "training": Work(train, trained, finish_training, 12.0, frozenset({"runs", "models"})),
    "painting": Work(paint, painted, None, 6.0, frozenset({"out.png", "out.png.part.safetensors"})),
    "stills": Work(save_stills, saved, save_one, 0.6, frozenset({"still.png", "livestyle"})),
    "recording": Work(record, recorded, None, 3.0, frozenset({"clips"})),
}


def forked(run: Callable[[Path], None], folder: Path) -> int:
    """A child that does something, silently; its process id."""
    if child := os.fork():
        return child
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    try:
        run(folder)
    finally:
        os._exit(0)


def kill(name: str, times: int, seed: int) -> str:
    """Do it; what came of it in a line.

    Raises:
        AssertionError: something was lost.
    """
    from livestyle.image.io import save_image

    work, chance, grown = WORKS[name], random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        picture = np.random.default_rng(0).integers(0, 255, (130, 170, 3), np.uint8)
        for given in ("painting.png", "photo.png"):
            save_image(folder / given, picture)
        kept = 0.0
        for number in range(times):
            child = forked(work.run, folder)
            time.sleep(chance.uniform(0, work.longest))
            os.kill(child, signal.SIGKILL)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"{name}: it ended by itself"
            now = work.kept(folder)
            assert now >= kept, f"{name}: {kept:g} before kill {number + 1}, {now:g} after it"
            grown, kept = grown + (now > kept), now
        parts = len(list(folder.rglob("*.part*")))
        if work.finish:
            os.waitpid(forked(work.finish, folder), 0)
            assert work.kept(folder) > kept
            left = [file for file in folder.rglob(".*.part*")]
            assert not left, f"{name}: left behind: {left}"
        strange = {file.name for file in folder.iterdir() if not file.name.startswith(".")} - work.results
        assert strange == {"painting.png", "photo.png"}, strange
    return f"{name}: {times} kills, {grown} of them after more was kept; {kept:g} at last; {parts} parts were left"


def main() -> None:
    """Kill all kinds of work, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="*", choices=[*WORKS, []], default=[])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for name in given.work or WORKS:
        if name in ("training", "painting"):
            warm()
        print(kill(name, given.kills, given.seed), flush=True)


def warm() -> None:
    """Import what children need, so that they begin at once."""
    import torch

    from livestyle.stills import gatys  # noqa: F401
    from livestyle.train import style  # noqa: F401

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.Adam([weight]).step()  # the first step imports as much again


if __name__ == "__main__":
    main()
