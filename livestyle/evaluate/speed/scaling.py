"""How the cost grows with the resolution, the number of styles and of cores; and what limits the speed."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from typing import Any

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed.bench import BenchOptions, bench
from livestyle.evaluate.speed.cores import allowed_cores, ignore_interrupts, limited_to
from livestyle.evaluate.speed.roofline import check_peak
from livestyle.nets.engine import choose_engine, cpu_name
from livestyle.nets.library import find_card, find_nets
from livestyle.types import Size, Stop

SIZES: tuple[Size, ...] = ((320, 180), (640, 360), (1280, 720), (1920, 1080))
CORES = (1, 2)
PLAIN_LOOK = "color:#204060"  # of a plane without a style
IDLE_SHARE = 0.15  # of the cores' time; above, work is not what limits the speed
PARTS = {"styles": "the styles", "segmenter": "the segmenter", "pixels": "decoding, scaling, smoothing, compositing"}
WAITING, OTHERS = "stages that wait for each other", "other processes"

ScalingRow = dict[str, Any]


def looks(settings: Settings) -> list[Settings]:
    """Return settings with no style, one on the background, and another one on the person, too.

    Raises:
        UserError: there is only one style.
    """
    first = settings.background or find_card("style", None, settings.models).name
    others = [name for name in find_nets("style", settings.models) if name != first]
    second = settings.person if settings.person != "none" else next(iter(others), "")
    if not second:
        raise UserError("There is only one style.", "Train another: livestyle train style")
    planes = (PLAIN_LOOK, "none"), (first, "none"), (first, second)
    return [replace(settings, background=background, person=person) for background, person in planes]


def measure_scaling(settings: Settings, source: str, sizes: Sequence[Size], seconds: float) -> Iterator[ScalingRow]:
    """Measure each row in a process of its own, limited to its cores.

    Args:
        settings: of the filter; source: a clip; sizes: of the frames; seconds: for each row.

    Yields:
        The rows. Those that differ in the cores alone follow one another.

    Raises:
        UserError: the clip cannot be read, the networks do not run on the CPU, or cores cannot be chosen here.
    """
    check_peak(choose_engine(settings.device))
    cores = [count for count in CORES if count <= len(allowed_cores())]
    for size, (styles, look), count in product(sizes, enumerate(looks(settings)), cores):
        job = BenchOptions(source, size, seconds, peak=True, children=0)
        with limited_to(count), ProcessPoolExecutor(1, get_context("spawn"), ignore_interrupts) as child:
            facts = child.submit(measure, look, job).result()
        yield row(facts, styles, count)


def row_count(sizes: Sequence[Size]) -> int:
    """Return the number of rows for some sizes."""
    return len(sizes) * 3 * sum(count <= len(allowed_cores()) for count in CORES)


def measure(settings: Settings, job: BenchOptions) -> dict[str, Any]:
    """Run a bench, in the process of its own."""
    return bench(settings, job, Stop(), lambda _: None, lambda *_: None)


def row(facts: dict[str, Any], styles: int, cores: int) -> ScalingRow:
    """Return a row from a bench with its peak.

    A style that shows on a part of the picture counts for that part (`stylize_area`). `bound_fps` is what the networks'
    operations allow at the cores' highest peak, if all else were free. `busy` is the used share of the cores' time.
    `cpu_ms` divides the CPU time of a frame; the networks' parts are measured alone.

    Args:
        facts: of the bench; styles: how many; cores: how many.
    """
    nets, gops = facts["peak"]["nets"], facts["peak"]["gops"]
    painted = {"style": facts["stylize_area"], "segmenter": 1.0}
    best, gop = max(filter(None, gops.values())), sum(net["gop"] * painted[net["kind"]] for net in nets)
    alone = {kind: part * sum(net["cpu_ms"] for net in nets if net["kind"] == kind) for kind, part in painted.items()}
    spent, busy = facts["cpu_ms_per_frame"], facts["fps"] * facts["cpu_ms_per_frame"] / 1000 / cores
    parts = {"styles": alone["style"], "segmenter": alone["segmenter"], "pixels": spent - sum(alone.values())}
    cpu = {name: round(max(0.0, ms), 2) for name, ms in parts.items()}
    return {
        "size": list(facts["size"]), "styles": styles, "cores": cores, "fps": facts["fps"], "cpu_ms_per_frame": spent,
        "latency_ms": facts["latency_ms"], "rss_mb": facts["rss_mb"], "style_size": list(facts["style_size"]),
        "stylize_area": facts["stylize_area"],
        "gop": round(gop, 3), "peak_gops": best, "bound_fps": round(cores * best / gop, 1) if gop else None,
        "bound_cpu_ms": round(1000 * gop / best, 2), "cpu_ms": cpu, "busy": round(busy, 3),
        "others_share": facts["others_share"], "limit": limit(cpu, busy, facts["others_share"] or 0.0),
    }  # fmt: skip


def limit(cpu: dict[str, float], busy: float, others: float) -> str:
    """Return what limits a row: the largest part of the work, or something else where the cores are not busy.

    Args:
        cpu: ms by part; busy: used share of the cores' time; others: share that other processes took.
    """
    if busy > 1 - IDLE_SHARE:
        return PARTS[max(cpu, key=lambda name: cpu[name])]
    return OTHERS if others > (1 - busy) / 2 else WAITING


def scaling_facts(settings: Settings, rows: Sequence[ScalingRow]) -> dict[str, Any]:
    """Return the JSON object."""
    names = [look.background if number == 1 else look.person for number, look in enumerate(looks(settings)) if number]
    return {"machine": cpu_name(), "quality": settings.quality, "styles": names, "rows": list(rows)}


COLUMNS: dict[str, Callable[[ScalingRow], str]] = {
    "size": lambda row: "x".join(map(str, row["size"])),
    "styles": lambda row: str(row["styles"]),
    "cores": lambda row: str(row["cores"]),
    "fps": lambda row: f"{row['fps']:.1f}",
    "bound": lambda row: f"{row['bound_fps']:.0f}" if row["bound_fps"] else "",
    "CPU ms": lambda row: f"{row['cpu_ms_per_frame']:.1f}",
    "styles' ms": lambda row: part(row, "styles"),
    "segmenter's": lambda row: part(row, "segmenter"),
    "the rest": lambda row: part(row, "pixels"),
    "cores busy": lambda row: f"{row['busy']:.0%}",
    "limited by": lambda row: row["limit"],
}


def part(row: ScalingRow, name: str) -> str:
    """Return a part of the CPU time, printed."""
    return f"{row['cpu_ms'][name]:.1f}"


def table(rows: Sequence[ScalingRow]) -> list[dict[str, str]]:
    """Return the rows as people read them."""
    return [{name: words(row) for name, words in COLUMNS.items()} for row in rows]


def markdown(rows: Sequence[ScalingRow]) -> str:
    """Return the table in Markdown."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(list(line.values()) for line in table(rows))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
