"""Charts of the speed, as PNGs."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from livestyle.errors import UserError, has_package, pip_install
from livestyle.files import atomic_write, check_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Facts = Mapping[str, Any]  # a JSON object, or a row of one

STAGES = {  # label and colour
    "read": ("decode", "#8d99ae"),
    "segment": ("segment", "#2a6f97"),
    "stylize": ("stylize", "#c8553d"),
    "composite": ("composite", "#e9c46a"),
    "write": ("convert", "#6a994e"),
    "rest": ("between", "#d9d9d9"),
}
PARTS = {  # of the CPU time of a frame: label and colour
    "styles": ("styles", "#c8553d"),
    "segmenter": ("segmenter", "#2a6f97"),
    "pixels": ("decode, scale, smooth, composite", "#e9c46a"),
}
STYLE_COLORS = {0: "#8d99ae", 1: "#2a6f97", 2: "#c8553d"}  # by the number of styles
MARKED_RATES = (1, 2, 5, 10, 20, 30, 60, 100, 200, 500, 1000)  # fps, on the axis
BOUND_LABEL = "what the arithmetic allows"
STYLE_LABELS = {0: "no style", 1: "one style", 2: "two styles"}


def check_chart(path: Path) -> None:
    """Check, before the work, that a chart can be drawn.

    Raises:
        UserError: Matplotlib is missing, or the file cannot be written.
    """
    if not has_package("matplotlib"):
        raise UserError("The chart needs the package matplotlib.", f"Run: {pip_install('torch')}")
    if path.suffix.lower() != ".png":
        raise UserError(f"{path} is no name of a PNG.", "End it in .png.")
    check_target(path)


def save_chart(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as part:
        figure.savefig(part, format="png", dpi=130)


def draw_baseline(facts: Facts, path: Path) -> None:
    """Draw the stage times of the baseline and the filter to one scale, and those of the filter again, larger.

    Args:
        facts: the JSON object of `bench --against naive`; path: of the PNG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state
    from matplotlib.patches import Patch

    baseline, stages = facts["naive"]["stages_ms"], facts["stages_ms"]
    spans = side_by_side(stages, facts["latency_ms"]["p50"])
    figure = Figure(figsize=(9, 4), layout="constrained", facecolor="white")
    both, larger = figure.subplots(2, 1, height_ratios=(2, 1))
    draw_spans(both, 1, one_by_one(baseline))
    for axes, place in ((both, 0), (larger, 0)):
        draw_spans(axes, place, spans)
    width, height = facts["size"]
    title = f"A frame of {width}x{height}, stage by stage: {facts['ratio']:.3g} times as many frames a second"
    both.set_title(title, loc="left", fontsize=12)
    speeds = (f"naive\n{facts['naive_fps']:.3g} fps", f"livestyle\n{facts['fps']:.3g} fps")
    both.set(yticks=(1, 0), yticklabels=speeds)
    larger.set(yticks=(0,), yticklabels=["livestyle,\nlarger"], xlabel="ms, medians")
    for axes in (both, larger):
        axes.set_xlim(left=0)
        remove_frame(axes, "x")
    patches = [Patch(color=color, label=words) for words, color in STAGES.values()]
    figure.legend(handles=patches, loc="outside lower left", ncols=6, frameon=False, fontsize=9)
    save_chart(figure, path)


Spans = list[tuple[str, float, float, float]]  # a stage, its start and length in ms, its lane in -1..1


def one_by_one(stages: Mapping[str, float], start: float = 0.0) -> Spans:
    """Return spans of stages that follow one another.

    Args:
        stages: ms of each; start: of the first, in ms.
    """
    starts = accumulate(stages.values(), initial=start)
    return [(name, start, length, 0.0) for (name, length), start in zip(stages.items(), starts, strict=False)]


def side_by_side(stages: Mapping[str, float], latency: float) -> Spans:
    """Return spans of stages where segmenter and styles run at the same time.

    Args:
        stages: ms of each; latency: ms of a frame. What no stage accounts for is the span "rest".
    """
    read, nets = stages["read"], max(stages["segment"], stages["stylize"])
    rest = max(0.0, latency - read - nets - stages["composite"] - stages["write"])
    after = one_by_one({"rest": rest, "composite": stages["composite"], "write": stages["write"]}, read + nets)
    lanes = [("segment", read, stages["segment"], 1.0), ("stylize", read, stages["stylize"], -1.0)]
    return [("read", 0.0, read, 0.0), *lanes, *after]


def draw_spans(axes: "Axes", place: float, spans: Spans) -> None:
    """Draw stages as bars along the time. Stages in a lane are half as high."""
    for name, start, length, lane in spans:
        axes.barh(place + 0.175 * lane, length, 0.35 if lane else 0.7, start, color=STAGES[name][1])
    end = max(start + length for _, start, length, _ in spans)
    axes.text(
        end, place, f" {end:,.0f} ms" if end >= 100 else f" {end:.1f} ms", va="center", fontsize=9, color="#444444"
    )


def remove_frame(axes: "Axes", grid: Literal["both", "x", "y"] = "both") -> None:
    """Remove the frame of a chart, and draw a faint grid."""
    axes.grid(axis=grid, alpha=0.25)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def draw_scaling(facts: Facts, path: Path) -> None:
    """Draw the fps over the resolution, and the parts of a frame's CPU time, both beside the bounds.

    Args:
        facts: the JSON object of `bench --grid`; path: of the PNG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # the object API: no window, no global state

    rows: list[dict[str, Any]] = facts["rows"]
    most_cores = max(row["cores"] for row in rows)
    figure = Figure(figsize=(11, 4.6), layout="constrained", facecolor="white")
    speed, spent = figure.subplots(1, 2, width_ratios=(1, 1.1))
    draw_speed(speed, rows, most_cores)
    draw_parts(spent, [row for row in rows if row["cores"] == most_cores])
    speed.set_title("Frames a second", loc="left", fontsize=12)
    spent.set_title(f"CPU time of a frame, {count_cores(most_cores)}", loc="left", fontsize=12)
    save_chart(figure, path)


def draw_speed(axes: "Axes", rows: Sequence[Facts], most_cores: int) -> None:
    """Draw fps over the height of the frames, with dotted bounds of `most_cores`."""
    from matplotlib.lines import Line2D

    cores = sorted({row["cores"] for row in rows}, reverse=True)
    for styles, count in product(STYLE_COLORS, cores):
        line = [row for row in rows if (row["styles"], row["cores"]) == (styles, count)]
        heights, color = [row["size"][1] for row in line], STYLE_COLORS[styles]
        style = line_style(count, most_cores)
        axes.plot(heights, [row["fps"] for row in line], style, color=color, marker="o", markersize=4)
        if styles and count == most_cores:
            axes.plot(heights, [row["bound_fps"] for row in line], ":", color=color, linewidth=1)
    rates = [row["fps"] for row in rows] + [row["bound_fps"] for row in rows if row["styles"]]
    marked = [rate for rate in MARKED_RATES if min(rates) / 1.5 <= rate <= max(rates) * 1.5]
    axes.set(xscale="log", yscale="log", xlabel="rows of the picture")
    for axis, ticks in ((axes.xaxis, sorted({row["size"][1] for row in rows})), (axes.yaxis, marked)):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_ticks([], minor=True)
    lines = [
        Line2D([], [], color=color, marker="o", markersize=4, label=STYLE_LABELS[styles])
        for styles, color in STYLE_COLORS.items()
    ]
    dashes = {count: line_style(count, most_cores) for count in cores}
    lines += [Line2D([], [], color="gray", linestyle=dash, label=count_cores(n)) for n, dash in dashes.items()]
    bound = f"{BOUND_LABEL}, {count_cores(most_cores)}"
    lines.append(Line2D([], [], color="gray", linestyle=":", linewidth=1, label=bound))
    axes.legend(handles=lines, loc="lower left", frameon=False, fontsize=8)
    remove_frame(axes)


def draw_parts(axes: "Axes", rows: Sequence[Facts]) -> None:
    """Draw the parts of a frame's CPU time as bars."""
    names = [f"{row['size'][0]}x{row['size'][1]}, {STYLE_LABELS[row['styles']]}" for row in rows]
    left = [0.0] * len(rows)
    for part, (words, color) in PARTS.items():
        lengths = [row["cpu_ms"][part] for row in rows]
        axes.barh(names, lengths, 0.7, left, color=color, label=words)
        left = [start + length for start, length in zip(left, lengths, strict=True)]
    axes.scatter([row["bound_cpu_ms"] for row in rows], names, marker="|", s=110, color="black", zorder=3,
                 label=BOUND_LABEL)  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.legend(frameon=False, fontsize=8)
    remove_frame(axes, "x")


def line_style(cores: int, most_cores: int) -> Literal["-", "--"]:
    """Return the line style for a number of cores: solid for the most."""
    return "-" if cores == most_cores else "--"


def count_cores(count: int) -> str:
    """Return a number of cores in words."""
    return "1 core" if count == 1 else f"{count} cores"
