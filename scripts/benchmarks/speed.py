"""Measure the speed, and write what the documents say of it: python scripts/measure_speed.py CLIP

On a quiet machine, in about a quarter of an hour: every case three times, the naive recipe beside ours, the peak, the
cost as work grows. Writes docs/speed.json (all that was measured), docs/pictures/naive.png and cost.png, and the tables
between the marks `<!-- speed -->` and `<!-- cost -->` of docs/measurements.md and README.md.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from livestyle.evaluate.speed.bench import median
from livestyle.evaluate.speed.scaling import markdown
from livestyle.nets.engine import cpu_name

ROOT = Path(__file__).parents[2]
SECOND = ("--person", "starry_night")  # a second style
CASES: dict[str, tuple[str, ...]] = {
    "640x360": ("--peak",),
    "1280x720": ("--size", "1280x720"),
    "1920x1080": ("--size", "1920x1080"),
    "640x360, two styles": SECOND,
    "640x360 at 30 fps": ("--pace", "30"),
    "640x360 at 30 fps, one core taken": ("--pace", "30", "--busy-cores", "1"),
}
COLUMNS = {
    "fps": lambda f: f"{f['fps']:.1f}",
    "CPU ms per frame": lambda f: f"{f['cpu_ms_per_frame']:.1f}",
    "latency p50 / p95, ms": lambda f: f"{f['latency_ms']['p50']:.1f} / {f['latency_ms']['p95']:.1f}",
    "first styled frame, s": lambda f: f"{f['first_frame_s']:.2f}",
    "peak memory, MB": lambda f: f"{f['rss_mb']:.0f}",
    "style's size": lambda f: "x".join(map(str, f["style_size"])),
}


def main() -> None:
    """Measure, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", default="demo", help="a clip with a person")
    parser.add_argument("--model-file", help="MediaPipe's selfie model, for the naive recipe")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--out", type=Path, default=ROOT, help="where README.md and docs/ are")
    options = parser.parse_args()
    pictures = options.out / "docs" / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    common = ("--source", options.clip, "--seconds", str(options.seconds))

    runs = {name: [bench(*common, *flags) for _ in range(options.runs)] for name, flags in CASES.items()}
    theirs = ("--model-file", options.model_file) if options.model_file else ()
    naive = bench(*common, "--against", "naive", *theirs, "--chart", str(pictures / "naive.png"))
    with tempfile.TemporaryDirectory() as folder:
        cost = bench(*common, "--grid", folder)
        shutil.copy(Path(folder) / "cost.png", pictures / "cost.png")

    facts = {"date": str(datetime.date.today()), "clip": Path(options.clip).name, "runs": runs, "naive": naive}
    facts["cost"] = cost
    (options.out / "docs" / "speed.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    fill(options.out / "docs" / "measurements.md", "speed", speed_words(facts))
    chart = "\n![Frames a second and CPU time by resolution, styles and cores](docs/pictures/cost.png)"
    fill(options.out / "README.md", "cost", markdown(cost["rows"]) + chart)


def bench(*flags: str) -> dict[str, Any]:
    """The JSON of a bench; its bar is shown."""
    print("livestyle bench", *flags, file=sys.stderr)
    command = [sys.executable, "-m", "livestyle", "bench", *flags, "--json"]
    bare = os.environ | {"LIVESTYLE_CONFIG": "none"}
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=bare).stdout)
    return found


def speed_words(facts: dict[str, Any]) -> str:
    """The tables of the speed, medians of the runs, and what was measured beside it."""
    first, *_ = facts["runs"].values()
    others = max(run["others_share"] or 0 for runs in facts["runs"].values() for run in runs)
    command = f"scripts/measure_speed.py {facts['clip']}"
    lines = [f"{facts['date']}, {cpu_name()}, `{command}`; medians of {len(first)} runs each "
             f"(`docs/speed.json` holds all). Other processes took at most {others:.0%} of the cores.\n",
             f"| | {' | '.join(COLUMNS)} |", "| --- " * (len(COLUMNS) + 1) + "|"]  # fmt: skip
    for name, runs in facts["runs"].items():
        lines.append(f"| {name} | {' | '.join(words(median(runs)) for words in COLUMNS.values())} |")
    gops = ", ".join(f"{rate:.0f} in {kind}" for kind, rate in first[0]["peak"]["gops"].items() if rate)
    lines.append(f"\nA core's peak, billions of operations a second: {gops}. Of the highest:\n")
    for number, net in enumerate(first[0]["peak"]["nets"]):
        now = median([run["peak"]["nets"][number] for run in first])
        size = "x".join(map(str, net["size"]))
        lines.append(
            f"- `{net['name']}` at {size}: {now['share']:.0%} ({now['gop']:.2f} billions, {now['cpu_ms']:.1f} ms)"
        )
    return "\n".join([*lines, "", naive_words(facts["naive"])]) + "\n"


def naive_words(facts: dict[str, Any]) -> str:
    """What was measured of the naive recipe."""
    theirs = facts["naive"]
    size, painted = ("x".join(map(str, facts[name])) for name in ("size", "style_size"))
    return (
        f"The naive recipe ({theirs['segmenter']}, weights {theirs['segmenter_weights']}; {theirs['style']}, weights "
        f"{theirs['style_weights']}; {theirs['threads']} threads) in turn with ours at {size}: "
        f"{facts['naive_fps']:.2f} fps, {facts['naive_cpu_ms_per_frame']:.0f} CPU ms per frame, latency "
        f"{facts['naive_latency_ms']['p50']:.0f} ms; ours, which paints at {painted}, {facts['fps']:.1f} fps, "
        f"**{facts['ratio']:.1f} times** as many, at 1/{theirs['cpu_ratio']:.1f} of the CPU time.\n\n"
        "![The stages of both](pictures/naive.png)"
    )


def fill(path: Path, mark: str, text: str) -> None:
    """Put a text between the marks of a document."""
    before = path.read_text("utf-8")
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    if not re.search(pattern, before, re.DOTALL):
        sys.exit(f"{path} has no marks <!-- {mark} --> and <!-- /{mark} -->.")
    path.write_text(re.sub(pattern, lambda found: f"{found[1]}\n{text}\n{found[2]}", before, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
