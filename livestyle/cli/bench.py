"""`livestyle bench`."""

import json
from dataclasses import replace
from typing import Any

from livestyle.cli.app import app, examples
from livestyle.cli.console import bar, say, show
from livestyle.cli.flags import AsJson, with_settings
from livestyle.cli.running import stopping
from livestyle.config.measuring import BenchSettings
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.types import Stop


@app.command(
    epilog=examples(
        "livestyle bench --size 1280x720 --seconds 20 --json",
        "livestyle bench --against naive --chart stages.png",
        "livestyle bench --peak",
        "livestyle bench --pace 30 --busy-cores 1",
        "livestyle bench --grid cost/",
    )
)
@with_settings(
    only=("background", "person", "strength", "brush", "segmenter", "device", "quality", "models"), quality="balanced"
)
def bench(settings: Settings, asked: BenchSettings, as_json: AsJson = False) -> None:
    """Measure the whole pipeline on real frames, from JPEG decoding to an I420 sink."""
    from livestyle.evaluate.speed.cores import limited_to

    if asked.against not in (None, "naive"):
        raise UserError(f"There is no recipe '{asked.against}'.", "Choose naive.", "against")
    with limited_to(asked.cores):  # before anything counts them
        from livestyle.evaluate.charts import check_chart, draw_baseline
        from livestyle.evaluate.speed import bench as benchmark
        from livestyle.matting.published import fetch_weights

        if asked.chart and not asked.against:
            raise UserError("A chart shows the naive recipe beside livestyle.", "Choose naive.", "against")
        if asked.chart:
            check_chart(asked.chart)
        settings = replace(settings, model_file=None if asked.against else asked.model_file)
        fetch_weights(settings, bar)
        if asked.grid:
            return measure_grid(settings, asked, as_json)
        job = benchmark.BenchOptions(
            asked.source, asked.size, asked.seconds, asked.pace, asked.busy_cores, asked.against == "naive",
            asked.model_file, asked.peak, asked.profile,
        )  # fmt: skip
        stop = Stop()
        with stopping(stop), bar("measuring", job.total) as update:
            facts = benchmark.bench(settings, job, stop, say, update)
    if asked.chart:
        draw_baseline(facts, asked.chart)
    tell_speed(facts, as_json)


def measure_grid(settings: Settings, asked: BenchSettings, as_json: bool) -> None:
    """Measure the cost as work grows, and write its table and chart."""
    from livestyle.evaluate.speed import grid, scaling

    assert asked.grid is not None
    stop = Stop()
    with stopping(stop):
        facts = grid.measure_grid(settings, asked.source, asked.seconds, asked.grid, stop, bar)
    if facts is None:
        return say("Stopped: nothing was written.")
    if as_json:
        return print(json.dumps(facts))
    show(scaling.table(facts["rows"]), facts["machine"])


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
    """Return a row of the speed table."""
    figures = {"fps": facts["fps"], "CPU_ms": facts["cpu_ms_per_frame"]}
    figures |= {f"latency_{mark}": facts["latency_ms"][mark] for mark in ("p50", "p95")} | facts["stages_ms"]
    return {"x".join(map(str, facts["size"])): name, **{key: f"{value:.1f}" for key, value in figures.items()}}


def peak_row(net: dict[str, Any]) -> dict[str, str]:
    """Return a row of the table of networks beside the peak."""
    return {
        "net": net["name"], "size": "x".join(map(str, net["size"])), "billions_of_operations": f"{net['gop']:.2f}",
        "CPU_ms": f"{net['cpu_ms']:.1f}", "billions_a_second": f"{net['gops']:.0f}",
        "share_of_the_peak": f"{net['share']:.0%}",
    }  # fmt: skip
