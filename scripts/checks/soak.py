"""Run the live filter for hours with faults, looks and recordings coming and going, and fail on growth.

    python scripts/soak.py --hours 1 --out soak/

A child runs `livestyle live` at a camera's pace, its camera failing by a seed (it stalls, drops, errs, changes size,
vanishes and returns); this process changes looks, records, panics and freezes over the control socket, and samples
memory, handles, threads and latency from the system. soak/samples.jsonl grows as it goes; soak/soak.png is the chart.
"""

import argparse
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livestyle.errors import UserError
from livestyle.evaluate.charts import save_chart
from livestyle.live.client import ask
from livestyle.nets.library import find_cards

SIZE, EVERY = "640x360", 2.0  # seconds between samples
STEP = 15.0  # seconds between what is done
WARM = 60.0  # seconds that do not count; and every style of the round must have been used by then or later
GROWTH = 0.01  # of memory, in the medians of the last third against those of the second
DRIFT = 0.25  # of latency, the same
KEPT = 3  # recordings that are left on the disk

Sample = dict[str, float]


@dataclass(frozen=True)
class Soak:
    """What is run."""

    hours: float
    out: Path
    fps: float
    source: str
    seed: int

    @property
    def seconds(self) -> float:
        return 3600 * self.hours


def command(job: Soak) -> list[str]:
    """The live filter's."""
    return [
        sys.executable, "-m", "livestyle", "live", "--source", job.source, "--sink", "null", "--private",
        "--fps", f"{job.fps:g}", "--size", SIZE, "--recordings", str(job.out / "recordings"),
        "--stills", str(job.out / "stills"),
    ]  # fmt: skip


def doings(seed: int) -> Iterator[tuple[str, ...]]:
    """What is done to the filter, without end: every style in turn, other things between."""
    chance, styles = random.Random(seed), sorted(find_cards("style"))
    pairs = [("record",), ("panic", "confirm"), ("freeze", "freeze"), ("swap", "swap"), ("keep-colors",), ("still",)]
    looks = ["blur:0.7", "color:#204060", "bokeh", f"{styles[0]}+{styles[1]}@0.4"]
    while True:
        for style in styles:
            yield (f"background {style}",)
            yield chance.choice(pairs)
            if chance.random() < 0.3:
                yield (f"background {chance.choice(looks)}",)
            if chance.random() < 0.3:
                yield (f"person {chance.choice(styles)}",)
                yield ("person none",)


def sample(pid: int, status: dict[str, Any], seconds: float) -> Sample:
    """How a process is: MB, handles, threads, and what it says of itself."""
    kept = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    # Not Private_*: pages of libraries count there while no other process has them open.
    own = sum(int(kept[name].split()[0]) for name in ("Anonymous", "Swap")) / 1024
    resident = int(kept["Rss"].split()[0]) / 1024
    return {
        "seconds": round(seconds, 1), "rss_mb": round(resident, 1), "own_mb": round(own, 1),
        "handles": entries(f"/proc/{pid}/fd"), "threads": entries(f"/proc/{pid}/task"),
        "latency_ms": float(status["latency_ms"]), "fps": float(status["fps"]), "frames": int(status["frames"]),
        "recording": float(bool(status["recording"])),
    }  # fmt: skip


def entries(folder: str) -> int:
    """How many a folder has."""
    return sum(1 for _ in Path(folder).iterdir())


def tidy(folder: Path) -> None:
    """Leave the newest recordings and stills alone."""
    for place in (folder / "recordings", folder / "stills"):
        files = sorted(place.glob("*"), key=lambda file: file.stat().st_mtime) if place.is_dir() else []
        for file in files[: -KEPT * 3]:
            file.unlink(missing_ok=True)


def run(job: Soak) -> list[Sample]:
    """The samples of a whole run, written down as they come.

    Raises:
        UserError: the filter ended before its time.
    """
    samples, todo, queue = list[Sample](), doings(job.seed), list[str]()
    with (job.out / "live.log").open("w") as log:
        child = subprocess.Popen(command(job), stdout=log, stderr=log)
    begun = acted = time.monotonic()
    try:
        with (job.out / "samples.jsonl").open("w") as lines:
            while (now := time.monotonic() - begun) < job.seconds:
                time.sleep(EVERY)
                if child.poll() is not None:
                    raise UserError(f"The filter ended after {now:.0f} s with {child.returncode}.", "See live.log.")
                try:
                    if time.monotonic() - acted > STEP:
                        queue, acted = queue or list(next(todo)), time.monotonic()
                        ask(queue.pop(0).split())
                    samples.append(sample(child.pid, ask(["status"])["status"], now))
                except UserError:
                    continue  # it starts, or is busy: the next sample tells
                print(json.dumps(samples[-1]), file=lines, flush=True)
                tidy(job.out)
        ask(["quit"])
        if code := child.wait(30):
            raise UserError(f"The filter ended with {code}.", "See live.log.")
    finally:
        child.kill()
        child.wait()
    return samples


def verdict(samples: Sequence[Sample]) -> dict[str, Any]:
    """What grew: medians of the last third beside those of the second, after the first minute.

    Each third goes through every style many times; with a chance mix of looks, medians tell a leak from what one look
    needs more than another.
    """
    counted = [one for one in samples if one["seconds"] > WARM]
    third = len(counted) // 3
    before, after = counted[third : 2 * third], counted[2 * third :]

    def middle(name: str, part: Sequence[Sample]) -> float:
        return statistics.median(one[name] for one in part) if part else math.nan

    grown = {name: (middle(name, before), middle(name, after)) for name in ("rss_mb", "own_mb", "latency_ms")}
    most = {name: tuple(max(one[name] for one in part) for part in (before, after)) for name in ("handles", "threads")}
    faults = [
        *(f"{name}: {old:.1f} to {new:.1f}" for name, (old, new) in grown.items()
          if new > old * (1 + (DRIFT if name == "latency_ms" else GROWTH))),
        *(f"{name}: {old:g} to {new:g}" for name, (old, new) in most.items() if new > old),
    ]  # fmt: skip
    last = samples[-1]
    return {"minutes": round(last["seconds"] / 60, 1), "frames": last["frames"], "samples": len(samples),
            "medians": grown, "most": most, "faults": faults}  # fmt: skip


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Memory, handles, threads and latency over time, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    minutes = [one["seconds"] / 60 for one in samples]
    rows = {"memory, MB": ("rss_mb", "own_mb"), "handles, threads": ("handles", "threads"),
            "latency, ms": ("latency_ms",), "frames a second": ("fps",)}  # fmt: skip
    for axes, (label, names) in zip(figure.subplots(len(rows), 1, sharex=True), rows.items(), strict=True):
        for name, color in zip(names, ("#2a6f97", "#c8553d"), strict=False):
            axes.plot(minutes, [one[name] for one in samples], color=color, linewidth=0.8, label=name)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(loc="lower right", fontsize=8, frameon=False)
    axes.set_xlabel("minutes")
    save_chart(figure, path)


def main() -> None:
    """Run, draw, and say what grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    parser.add_argument("--fps", type=float, default=15.0, help="of the camera")
    parser.add_argument("--source", default="faults:5")
    parser.add_argument("--seed", type=int, default=5, help="of what is done")
    job = Soak(**vars(parser.parse_args()))
    job.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(job.out / "recordings", ignore_errors=True)
    try:
        samples = run(job)
    except UserError as error:
        sys.exit(str(error))
    draw(samples, job.out / "soak.png")
    result = verdict(samples)
    print(json.dumps(result, indent=2))
    if result["faults"]:
        sys.exit(f"Something grows: {'; '.join(result['faults'])}.")


if __name__ == "__main__":
    main()
