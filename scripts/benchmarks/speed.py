"""Measure the speed, and write what the documents say of it: python scripts/benchmarks/speed.py CLIP --machine NAME

Run it on a quiet machine. It takes about a quarter of an hour. It measures every case three times, the baseline in turn
with ours, the peak of a core, and the cost as work grows. It writes docs/speed.json (all that was measured), the charts
docs/pictures/naive.png and cost.png, and the tables between the marks `<!-- speed -->` of docs/measurements.md and
`<!-- cost -->` of docs/history/speed.md. With --documents it measures nothing and writes the tables from the JSON.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from livestyle.evaluate.speed.bench import median_of
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
CHART = "The [stages of both](pictures/naive.png)."
HEAD = ("claim", "value", "command", "date", "machine", "looked at")
Facts = dict[str, Any]  # docs/speed.json


def main() -> None:
    """Measure, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", default="demo", help="a clip with a person")
    parser.add_argument("--machine", default=cpu_name(), help="its name in the list of docs/measurements.md")
    parser.add_argument("--model-file", help="MediaPipe's selfie model, for the baseline")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--out", type=Path, default=ROOT, help="the folder that holds docs/")
    parser.add_argument("--documents", action="store_true", help="measure nothing, write the tables from speed.json")
    options = parser.parse_args()
    docs = options.out / "docs"
    if not options.documents:
        (docs / "pictures").mkdir(parents=True, exist_ok=True)
        (docs / "speed.json").write_text(json.dumps(measure(options, docs / "pictures"), indent=1) + "\n", "utf-8")
    facts = json.loads((docs / "speed.json").read_text("utf-8"))
    fill(docs / "measurements.md", "speed", speed_table(facts))
    chart = "\n![Frames per second and CPU time by resolution, styles and cores](../pictures/cost.png)"
    fill(docs / "history" / "speed.md", "cost", markdown(facts["cost"]["rows"]) + chart)


def measure(options: argparse.Namespace, pictures: Path) -> Facts:
    """Measure everything, draw the charts into a folder, and return what docs/speed.json holds."""
    common = ("--source", options.clip, "--seconds", str(options.seconds))
    runs = {name: [bench(*common, *flags) for _ in range(options.runs)] for name, flags in CASES.items()}
    theirs = ("--model-file", options.model_file) if options.model_file else ()
    naive = bench(*common, "--against", "naive", *theirs, "--chart", str(pictures / "naive.png"))
    with tempfile.TemporaryDirectory() as folder:
        cost = bench(*common, "--grid", folder)
        shutil.copy(Path(folder) / "cost.png", pictures / "cost.png")
    heads = {"date": str(datetime.date.today()), "machine": options.machine, "clip": Path(options.clip).name}
    return {**heads, "runs": runs, "naive": naive, "cost": cost}


def bench(*flags: str) -> dict[str, Any]:
    """Return the JSON of a bench. Its bar is shown."""
    print("livestyle bench", *flags, file=sys.stderr)
    command = [sys.executable, "-m", "livestyle", "bench", *flags, "--json"]
    bare = os.environ | {"LIVESTYLE_CONFIG": "none"}
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=bare).stdout)
    return found


def speed_table(facts: Facts) -> str:
    """Return the rows of docs/measurements.md: each case, a core's peak, the baseline, the grid."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for claim, value, flags, seen in (*case_rows(facts), peak_row(facts), baseline_row(facts), grid_row(facts)):
        command = f"`livestyle bench --source {facts['clip']}{flags}`"
        lines.append((claim, value, command, facts["date"], facts["machine"], seen))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


Row = tuple[str, str, str, str]  # claim, value, flags of bench, what was looked at


def case_rows(facts: Facts) -> Iterator[Row]:
    """Yield a row for each case, medians of its runs."""
    for name, runs in facts["runs"].items():
        now = median_of(runs)
        latency = now["latency_ms"]
        value = (
            f"{now['fps']:.1f} fps, {now['cpu_ms_per_frame']:.1f} CPU ms a frame, latency {latency['p50']:.1f} ms "
            f"(p95 {latency['p95']:.1f}), first styled frame after {now['first_frame_s']:.2f} s, "
            f"{now['rss_mb']:.0f} MB, painted at {by(now['style_size'])}"
        )
        yield f"Speed at {name}", value, "".join(f" {flag}" for flag in CASES[name]), "-"


def peak_row(facts: Facts) -> Row:
    """Return a core's peak, and the share of it that each network reaches."""
    runs = facts["runs"]["640x360"]
    values = [", ".join(f"{rate:.0f} in {kind}" for kind, rate in runs[0]["peak"]["gops"].items() if rate)]
    for number, net in enumerate(runs[0]["peak"]["nets"]):
        now = median_of([run["peak"]["nets"][number] for run in runs])
        work = f"{now['gop']:.2f} billion in {now['cpu_ms']:.1f} ms"
        values.append(f"`{net['name']}` at {by(net['size'])} reaches {100 * now['share']:.0f} % ({work})")
    return "Peak of a core, billion operations a second", ". ".join(values) + ".", " --peak", "-"


def baseline_row(facts: Facts) -> Row:
    """Return ours beside the baseline, in turn."""
    ours, theirs = facts["naive"], facts["naive"]["naive"]
    ratios = theirs["ratios"]
    value = (
        f"**{ours['ratio']:.1f} times** the rate ({min(ratios):.0f} to {max(ratios):.0f} in {len(ratios)} rounds), "
        f"{ours['fps']:.1f} and {ours['naive_fps']:.2f} fps, at 1/{theirs['cpu_ratio']:.1f} of the CPU time"
    )
    return f"Faster than the plain recipe, {by(ours['size'])}", value, " --against naive", CHART


def grid_row(facts: Facts) -> Row:
    """Return the span of the grid, whose table is elsewhere."""
    rates = [row["fps"] for row in facts["cost"]["rows"]]
    value = f"{min(rates):.1f} to {max(rates):.1f} fps ([table](history/speed.md#by-resolution-styles-and-cores))"
    return "Speed from 320x180 to 1920x1080, 0 to 2 styles, 1 and 2 cores", value, " --grid FOLDER", "-"


def by(size: Sequence[int]) -> str:
    """Return a size as 640x360."""
    return "x".join(map(str, size))


def fill(path: Path, mark: str, text: str) -> None:
    """Put a text between the marks of a document."""
    before = path.read_text("utf-8")
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    if not re.search(pattern, before, re.DOTALL):
        sys.exit(f"{path} has no marks <!-- {mark} --> and <!-- /{mark} -->.")
    path.write_text(re.sub(pattern, lambda found: f"{found[1]}\n{text}\n{found[2]}", before, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
