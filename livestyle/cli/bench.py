"""`livestyle bench`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from livestyle.cli.app import app
from livestyle.cli.console import bar, say, show
from livestyle.cli.flags import (
    AsJson,
    Background,
    Device,
    Models,
    Person,
    Quality,
    S,
    Segmenter,
    SizeOption,
    Strength,
    settings_from,
)
from livestyle.cli.running import stopping
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.types import Stop

if TYPE_CHECKING:
    pass


@app.command(
    epilog="""Examples: livestyle bench --size 1280x720 --seconds 20 --json  |
    livestyle bench --against naive --chart stages.png  |  livestyle bench --peak  |
    livestyle bench --pace 30 --busy-cores 1  |  livestyle bench --grid cost/"""
)
def bench(
    background: Background = S.background, person: Person = S.person, strength: Strength = S.strength,
    segmenter: Segmenter = S.segmenter, device: Device = S.device, quality: Quality = "balanced",
    models: Models = S.models,
    source: Annotated[str, typer.Option(metavar="CLIP", help="A clip with a person.")] = "demo",
    size: SizeOption = "640x360",
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to measure.")] = 10.0,
    pace: Annotated[float | None, typer.Option(
        metavar="FPS", min=1, max=1000, help="Frames come at this rate, as from a camera, and those that are not taken "
                                             "in time are dropped (default: as fast as can be).")] = None,
    busy_cores: Annotated[int, typer.Option(metavar="N", min=0, help="So many are taken by other processes.")] = 0,
    cores: Annotated[int | None, typer.Option(metavar="N", min=1, help="Run on so many (default: on all).")] = None,
    against: Annotated[str | None, typer.Option(
        metavar="naive", help="In turn with the plain recipe that tutorials give: torchvision's DeepLabv3 on "
                              "MobileNetV3, the published transform net in eager PyTorch, NumPy, one loop.")] = None,
    model_file: Annotated[Path | None, typer.Option(
        metavar="FILE", help="MediaPipe's selfie model, for the naive recipe; without --against, weights of a "
                             "segmenter that is not ours.")] = None,
    chart: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the stages of both.")] = None,
    peak: Annotated[bool, typer.Option(
        "--peak", help="What a core can at most, and the nets' share of it (on the CPU).")] = False,
    profile: Annotated[Path | None, typer.Option(
        metavar="FILE.svg", help="A flame graph of where the CPU time goes, down to the layers of the nets (Linux).",
    )] = None,
    grid: Annotated[Path | None, typer.Option(
        metavar="DIR", help="The cost from 320x180 to 1920x1080, with 0 to 2 styles, on 1 and 2 cores, and what limits "
                            "it, as cost.json, cost.md and cost.png (24 times --seconds, and some).")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure the whole pipeline on real frames, from JPEG decoding to an I420 sink."""
    from livestyle.evaluate.speed.cores import limited_to

    if against not in (None, "naive"):
        raise UserError(f"There is no recipe '{against}'.", "Choose --against naive.")
    with limited_to(cores):  # before anything counts them
        from livestyle.evaluate.charts import check_chart, draw_baseline
        from livestyle.evaluate.speed import bench as benchmark

        if chart and not against:
            raise UserError("--chart draws the naive recipe beside ours.", "Add --against naive.")
        if chart:
            check_chart(chart)
        settings = settings_from(locals() | {"model_file": None if against else model_file})
        if grid:
            return measure_grid(settings, source, seconds, grid, as_json)
        job = benchmark.BenchOptions(
            source, size, seconds, pace, busy_cores, against == "naive", model_file, peak, profile
        )  # fmt: skip
        stop = Stop()
        with stopping(stop), bar("measuring", job.total) as update:
            facts = benchmark.bench(settings, job, stop, say, update)
    if chart:
        draw_baseline(facts, chart)
    tell_speed(facts, as_json)


def measure_grid(settings: Settings, source: str, seconds: float, folder: Path, as_json: bool) -> None:
    """Measure the cost as work grows, and write its table and chart."""
    from livestyle.evaluate.charts import check_chart, draw_scaling
    from livestyle.evaluate.speed import scaling as cost
    from livestyle.files import atomic_write

    folder.mkdir(parents=True, exist_ok=True)
    check_chart(folder / "cost.png")
    stop, rows = Stop(), []
    with stopping(stop), bar("measuring", cost.row_count(cost.SIZES)) as update:
        for row in cost.measure_scaling(settings, source, cost.SIZES, seconds):
            rows.append(row)
            update(len(rows), "x".join(map(str, row["size"])))
            if stop.is_set():
                return say("Stopped: nothing was written.")
    facts = cost.scaling_facts(settings, rows)
    draw_scaling(facts, folder / "cost.png")
    for name, text in (("cost.json", json.dumps(facts, indent=1)), ("cost.md", cost.markdown(rows))):
        with atomic_write(folder / name) as part:
            part.write_text(text, "utf-8")
    if as_json:
        return print(json.dumps(facts))
    show(cost.table(rows), facts["machine"])


def tell_speed(facts: dict[str, Any], as_json: bool) -> None:
    """Say what a bench measured."""
    if as_json:
        return print(json.dumps(facts))
    rows = [speed_row("livestyle", facts)]
    if "naive" in facts:
        naive = {**facts, "fps": facts["naive_fps"], "cpu_ms_per_frame": facts["naive_cpu_ms_per_frame"],
                 "latency_ms": facts["naive_latency_ms"], "stages_ms": facts["naive"]["stages_ms"]}  # fmt: skip
        rows.append(speed_row("naive", naive))
    show(rows, f"{facts['engine']}; segmenter {facts['segmenter']}; {facts['background']} / {facts['person']}")
    others = facts["others_share"]
    say(f"first styled frame after {facts['first_frame_s']:.2f} s; {facts['rss_mb']:.0f} MB; {facts['dropped']} dropped"
        f"{f'; other processes took {others:.0%} of the cores' if others else ''}")  # fmt: skip
    if "naive" in facts:
        say(f"{facts['ratio']:.1f} times the frames a second of the naive recipe, {facts['naive']['cpu_ratio']:.1f} "
            f"times less CPU time")  # fmt: skip
    if "profile" in facts:
        show([{"CPU time of a frame": row["name"], "ms": f"{row['ms_per_frame']:.2f}", "share": f"{row['share']:.1%}"}
              for row in facts["profile"]])  # fmt: skip
    if "peak" in facts:
        gops = ", ".join(f"{name} {rate:.0f}" for name, rate in facts["peak"]["gops"].items() if rate)
        show(
            [peak_row(net) for net in facts["peak"]["nets"]], f"a core's peak, billions of operations a second: {gops}"
        )


def speed_row(name: str, facts: dict[str, Any]) -> dict[str, str]:
    """A row of the table of a bench."""
    figures = {"fps": facts["fps"], "CPU_ms": facts["cpu_ms_per_frame"]}
    figures |= {f"latency_{mark}": facts["latency_ms"][mark] for mark in ("p50", "p95")} | facts["stages_ms"]
    return {"x".join(map(str, facts["size"])): name, **{key: f"{value:.1f}" for key, value in figures.items()}}


def peak_row(net: dict[str, Any]) -> dict[str, str]:
    """A row of the table of nets beside the peak."""
    return {
        "net": net["name"], "size": "x".join(map(str, net["size"])), "billions_of_operations": f"{net['gop']:.2f}",
        "CPU_ms": f"{net['cpu_ms']:.1f}", "billions_a_second": f"{net['gops']:.0f}",
        "share_of_the_peak": f"{net['share']:.0%}",
    }  # fmt: skip
