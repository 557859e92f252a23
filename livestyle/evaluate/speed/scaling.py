"""What the filter costs as work grows: with the resolution, the number of styles and of cores; and what limits it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from typing import Any

from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed.bench import Job, bench
from livestyle.evaluate.speed.cores import allowed, ignore_interrupts, kept_to
from livestyle.evaluate.speed.roofline import check_peak
from livestyle.nets.engine import choose_engine, cpu_name
from livestyle.nets.library import find_card, find_cards
from livestyle.types import Size, Stop

SIZES: tuple[Size, ...] = ((320, 180), (640, 360), (1280, 720), (1920, 1080))
CORES = (1, 2)
PLAIN = "color:#204060"  # what a plane without a style shows
IDLE = 0.15  # share of the cores' time from which on it is not work that limits
PARTS = {"styles": "the styles", "segmenter": "the segmenter", "pixels": "decoding, scaling, steadying, compositing"}
WAITING, OTHERS = "stages that wait for each other", "other processes"

Row = dict[str, Any]


def looks(settings: Settings) -> list[Settings]:
    """Settings with no style, one on the background, and another one on the person, too.

    Raises:
        UserError: there is only one style.
    """
    first = settings.background or find_card("style", None, settings.models).name
    others = [name for name in find_cards("style", settings.models) if name != first]
    second = settings.person if settings.person != "none" else next(iter(others), "")
    if not second:
        raise UserError("There is only one style.", "Train another: livestyle train style")
    planes = (PLAIN, "none"), (first, "none"), (first, second)
    return [replace(settings, background=background, person=person) for background, person in planes]


def measure_cost(settings: Settings, source: str, sizes: Sequence[Size], seconds: float) -> Iterator[Row]:
    """The rows one by one, each in a process of its own on its cores; those alike but for the cores come together.

    Raises:
        UserError: the clip cannot be read, the nets do not run on the CPU, or the system does not let choose cores.
    """
    check_peak(choose_engine(settings.device))
    cores = [count for count in CORES if count <= len(allowed())]
    for size, (styles, look), count in product(sizes, enumerate(looks(settings)), cores):
        job = Job(source, size, seconds, peak=True, children=0)
        with kept_to(count), ProcessPoolExecutor(1, get_context("spawn"), ignore_interrupts) as child:
            facts = child.submit(measure, look, job).result()
        yield row(facts, styles, count)


def rows_of(sizes: Sequence[Size]) -> int:
    """How many rows there will be."""
    return len(sizes) * 3 * sum(count <= len(allowed()) for count in CORES)


def measure(settings: Settings, job: Job) -> dict[str, Any]:
    """A bench, in the process of its own."""
    return bench(settings, job, Stop(), lambda _: None, lambda *_: None)


def row(facts: dict[str, Any], styles: int, cores: int) -> Row:
    """What a bench and its peak tell of the cost.

    A style that shows on a part of the picture alone counts for the part that was painted (`stylize_area`).
    `bound_fps` is what the operations of the nets allow at the cores' highest peak, all else being free; `busy` the
    share of the cores' time that was used; `cpu_ms` parts the CPU time of a frame, the nets' as measured alone.
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
    """What limits a row: the largest part of the work, or that the cores were not used for it."""
    if busy > 1 - IDLE:
        return PARTS[max(cpu, key=lambda name: cpu[name])]
    return OTHERS if others > (1 - busy) / 2 else WAITING


def cost_facts(settings: Settings, rows: Sequence[Row]) -> dict[str, Any]:
    """The JSON object."""
    names = [look.background if number == 1 else look.person for number, look in enumerate(looks(settings)) if number]
    return {"machine": cpu_name(), "quality": settings.quality, "styles": names, "rows": list(rows)}


COLUMNS: dict[str, Callable[[Row], str]] = {
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


def part(row: Row, name: str) -> str:
    """A part of the CPU time."""
    return f"{row['cpu_ms'][name]:.1f}"


def table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The rows as people read them."""
    return [{name: words(row) for name, words in COLUMNS.items()} for row in rows]


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(list(line.values()) for line in table(rows))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
