"""Measure the filter on a GPU: python scripts/measure_gpu.py --device cuda --out gpu.json

Each case of CASES by `livestyle bench`, three times, the last one in turn with eager float32 of the reference nets on
the same device. `--scale 0.1 --seconds 1 --runs 1 --device torch:cpu` tries the script itself where there is no GPU.
Writes all that was measured as JSON, and shows a table of it.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from livestyle.config.options import read_size
from livestyle.evaluate.speed.bench import median_of
from livestyle.files import atomic_write
from livestyle.nets.engine import cpu_name

SECOND = ("--person", "starry_night")  # a second style
CASES: dict[str, tuple[str, tuple[str, ...]]] = {  # size and flags
    "1280x720, two styles": ("1280x720", SECOND),
    "1920x1080": ("1920x1080", ()),
    "1920x1080, two styles": ("1920x1080", SECOND),
    "1920x1080, two styles, best": ("1920x1080", (*SECOND, "--quality", "best")),
    "3840x2160": ("3840x2160", ()),
    "1920x1080 against naive": ("1920x1080", ("--against", "naive")),
}


def main() -> None:
    """Measure, write, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", default="demo", help="a clip with a person")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--scale", type=float, default=1.0, help="of the pictures' sides")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    options = parser.parse_args()
    common = ("--source", options.clip, "--device", options.device, "--seconds", str(options.seconds))
    runs = {
        name: [bench(*common, "--size", scaled(size, options.scale), *flags) for _ in range(options.runs)]
        for name, (size, flags) in CASES.items()
    }
    facts = {"date": str(datetime.date.today()), "cpu": cpu_name(), "clip": Path(options.clip).name, "runs": runs}
    with atomic_write(options.out) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    print(table(runs))


def scaled(size: str, scale: float) -> str:
    """A size made smaller, its sides even."""
    return "x".join(str(max(2, round(side * scale / 2) * 2)) for side in read_size(size))


def bench(*flags: str) -> dict[str, Any]:
    """The JSON of a bench."""
    print("livestyle bench", *flags, file=sys.stderr)
    command = [sys.executable, "-m", "livestyle", "bench", *flags, "--json"]
    bare = os.environ | {"LIVESTYLE_CONFIG": "none"}
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, env=bare).stdout)
    return found


def table(runs: dict[str, list[dict[str, Any]]]) -> str:
    """Medians of the runs, as Markdown."""
    first = next(iter(runs.values()))[0]
    lines = [f"{first['engine']}; medians of {len(next(iter(runs.values())))} runs each\n",
             "| | size | filter p50 / p95, ms | filter, fps | end to end, fps | times naive | style's size | graphs |",
             "| --- " * 8 + "|"]  # fmt: skip
    for name, facts in ((name, median_of(found)) for name, found in runs.items()):
        took, ratio = facts["filter_ms"], facts.get("ratio")
        size, painted = ("x".join(map(str, facts[key])) for key in ("size", "style_size"))
        lines.append(
            f"| {name} | {size} | {took['p50']:.2f} / {took['p95']:.2f} | {1000 / took['p50']:.0f} | "
            f"{facts['fps']:.1f} | {f'{ratio:.1f}' if ratio else ''} | {painted} | {facts['cuda_graphs']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
