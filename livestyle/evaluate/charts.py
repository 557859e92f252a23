"""The charts of the speed, as PNGs."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from livestyle.errors import UserError, has_package
from livestyle.files import atomic_write, check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = {  # what people read, and the colour
    "read": ("decode", "#8d99ae"),
    "segment": ("segment", "#2a6f97"),
    "stylize": ("stylize", "#c8553d"),
    "composite": ("composite", "#e9c46a"),
    "write": ("convert", "#6a994e"),
    "rest": ("between", "#d9d9d9"),
}
PARTS = {  # of the CPU time of a frame
    "styles": ("styles", "#c8553d"),
    "segmenter": ("segmenter", "#2a6f97"),
    "pixels": ("decode, scale, steady, composite", "#e9c46a"),
}
SHADES = {0: "#8d99ae", 1: "#2a6f97", 2: "#c8553d"}  # by the number of styles
RATES = (1, 2, 5, 10, 20, 30, 60, 100, 200, 500, 1000)  # frames a second that are marked
ALLOWED = "what the arithmetic allows"
STYLES = {0: "no style", 1: "one style", 2: "two styles"}


def check_chart(path: Path) -> None:
    """Before the work that it would show.

    Raises:
        UserError: Matplotlib is missing, or a chart cannot be written to the path.
    """
    if not has_package("matplotlib"):
        raise UserError("The chart needs the package matplotlib.", "Run: pip install 'livestyle[torch]'")
    if path.suffix.lower() != ".png":
        raise UserError(f"{path} is no name of a PNG.", "End it in .png.")
    check_target(path)


def save_chart(figure: "Figure", path: Path) -> None:
    """Write a PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=130)


def draw_naive(facts: Mapping[str, Any], path: Path) -> None:
    """A PNG of the stage times of the naive recipe and ours, to one scale, and ours again, larger.

    Args:
        facts: the JSON object of `bench --against naive`.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state
    from matplotlib.patches import Patch

    naive, ours = facts["naive"]["stages_ms"], facts["stages_ms"]
    spans = side_by_side(ours, facts["latency_ms"]["p50"])
    figure = Figure(figsize=(9, 4), layout="constrained", facecolor="white")
    both, larger = figure.subplots(2, 1, height_ratios=(2, 1))
    lay(both, 1, one_by_one(naive))
    for axes, place in ((both, 0), (larger, 0)):
        lay(axes, place, spans)
    width, height = facts["size"]
    title = f"A frame of {width}x{height}, stage by stage: {facts['ratio']:.3g} times as many frames a second"
    both.set_title(title, loc="left", fontsize=12)
    speeds = (f"naive\n{facts['naive_fps']:.3g} fps", f"livestyle\n{facts['fps']:.3g} fps")
    both.set(yticks=(1, 0), yticklabels=speeds)
    larger.set(yticks=(0,), yticklabels=["livestyle,\nlarger"], xlabel="ms, medians")
    for axes in (both, larger):
        axes.set_xlim(left=0)
        plain(axes, "x")
    patches = [Patch(color=color, label=words) for words, color in STAGES.values()]
    figure.legend(handles=patches, loc="outside lower left", ncols=6, frameon=False, fontsize=9)
    save_chart(figure, path)


Spans = list[tuple[str, float, float, float]]  # a stage, its start and length in ms, its lane in -1..1


def one_by_one(stages: Mapping[str, float], start: float = 0.0) -> Spans:
    """One after the other."""
    starts = accumulate(stages.values(), initial=start)
    return [(name, start, length, 0.0) for (name, length), start in zip(stages.items(), starts, strict=False)]


def side_by_side(stages: Mapping[str, float], latency: float) -> Spans:
    """The segmenter beside the styles; what no stage names is the rest of the latency."""
    read, nets = stages["read"], max(stages["segment"], stages["stylize"])
    rest = max(0.0, latency - read - nets - stages["composite"] - stages["write"])
    after = one_by_one({"rest": rest, "composite": stages["composite"], "write": stages["write"]}, read + nets)
    lanes = [("segment", read, stages["segment"], 1.0), ("stylize", read, stages["stylize"], -1.0)]
    return [("read", 0.0, read, 0.0), *lanes, *after]


def lay(axes: "Axes", place: float, spans: Spans) -> None:
    """Bars of stages along the time, those side by side half as high."""
    for name, start, length, lane in spans:
        axes.barh(place + 0.175 * lane, length, 0.35 if lane else 0.7, start, color=STAGES[name][1])
    end = max(start + length for _, start, length, _ in spans)
    axes.text(
        end, place, f" {end:,.0f} ms" if end >= 100 else f" {end:.1f} ms", va="center", fontsize=9, color="#444444"
    )


def plain(axes: "Axes", grid: Literal["both", "x", "y"] = "both") -> None:
    """No frame, a faint grid."""
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_cost(facts: Mapping[str, Any], path: Path) -> None:
    """A PNG of frames a second over the resolution, and of what a frame's CPU time goes to, beside the bounds.

    Args:
        facts: the JSON object of `bench --grid`.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state

    rows: list[dict[str, Any]] = facts["rows"]
    most = max(row["cores"] for row in rows)
    figure = Figure(figsize=(11, 4.6), layout="constrained", facecolor="white")
    speed, spent = figure.subplots(1, 2, width_ratios=(1, 1.1))
    lay_speed(speed, rows, most)
    lay_parts(spent, [row for row in rows if row["cores"] == most])
    speed.set_title("Frames a second", loc="left", fontsize=12)
    spent.set_title(f"CPU time of a frame, {cores_words(most)}", loc="left", fontsize=12)
    save_chart(figure, path)


Row = Mapping[str, Any]


def lay_speed(axes: "Axes", rows: Sequence[Row], most: int) -> None:
    """Lines of frames a second over the rows of the picture, the bounds of `most` cores dotted."""
    from matplotlib.lines import Line2D

    cores = sorted({row["cores"] for row in rows}, reverse=True)
    for styles, count in product(SHADES, cores):
        line = [row for row in rows if (row["styles"], row["cores"]) == (styles, count)]
        heights, color = [row["size"][1] for row in line], SHADES[styles]
        axes.plot(heights, [row["fps"] for row in line], dash(count, most), color=color, marker="o", markersize=4)
        if styles and count == most:
            axes.plot(heights, [row["bound_fps"] for row in line], ":", color=color, linewidth=1)
    rates = [row["fps"] for row in rows] + [row["bound_fps"] for row in rows if row["styles"]]
    shown = [rate for rate in RATES if min(rates) / 1.5 <= rate <= max(rates) * 1.5]
    axes.set(xscale="log", yscale="log", xlabel="rows of the picture")
    for axis, ticks in ((axes.xaxis, sorted({row["size"][1] for row in rows})), (axes.yaxis, shown)):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_ticks([], minor=True)
    lines = [Line2D([], [], color=SHADES[styles], marker="o", markersize=4, label=STYLES[styles]) for styles in SHADES]
    lines += [Line2D([], [], color="gray", linestyle=dash(count, most), label=cores_words(count)) for count in cores]
    lines.append(Line2D([], [], color="gray", linestyle=":", linewidth=1, label=f"{ALLOWED}, {cores_words(most)}"))
    axes.legend(handles=lines, loc="lower left", frameon=False, fontsize=8)
    plain(axes)


def lay_parts(axes: "Axes", rows: Sequence[Row]) -> None:
    """Bars of what the CPU time of a frame goes to."""
    names = [f"{row['size'][0]}x{row['size'][1]}, {STYLES[row['styles']]}" for row in rows]
    left = [0.0] * len(rows)
    for part, (words, color) in PARTS.items():
        lengths = [row["cpu_ms"][part] for row in rows]
        axes.barh(names, lengths, 0.7, left, color=color, label=words)
        left = [start + length for start, length in zip(left, lengths, strict=True)]
    axes.scatter([row["bound_cpu_ms"] for row in rows], names, marker="|", s=110, color="black", zorder=3,
                 label=ALLOWED)  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.legend(frameon=False, fontsize=8)
    plain(axes, "x")


def dash(cores: int, most: int) -> Literal["-", "--"]:
    """How the line of so many cores is drawn."""
    return "-" if cores == most else "--"


def cores_words(count: int) -> str:
    """So many cores."""
    return "1 core" if count == 1 else f"{count} cores"
