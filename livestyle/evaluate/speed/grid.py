"""The cost as work grows, written as a table, a chart and JSON."""

import json
from pathlib import Path
from typing import Any

from livestyle.config.settings import Settings
from livestyle.evaluate.charts import check_chart, draw_scaling
from livestyle.evaluate.speed import scaling
from livestyle.files import atomic_write
from livestyle.types import OpenProgress, Stop


def measure_grid(
    settings: Settings, source: str, seconds: float, folder: Path, stop: Stop, bar: OpenProgress
) -> dict[str, Any] | None:
    """Measure every row, and write cost.json, cost.md and cost.png into a folder, which is created.

    Args:
        source: a clip; seconds: of each row.
        stop: ends it after the present row. Nothing is then written.

    Returns:
        What cost.json holds, or None where it was stopped.

    Raises:
        UserError: the clip cannot be read, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_chart(folder / "cost.png")
    rows = []
    with bar("measuring", scaling.row_count(scaling.SIZES)) as update:
        for row in scaling.measure_scaling(settings, source, scaling.SIZES, seconds):
            rows.append(row)
            update(len(rows), "x".join(map(str, row["size"])))
            if stop.is_set():
                return None
    facts = scaling.scaling_facts(settings, rows)
    draw_scaling(facts, folder / "cost.png")
    for name, text in (("cost.json", json.dumps(facts, indent=1)), ("cost.md", scaling.markdown(rows))):
        with atomic_write(folder / name) as part:
            part.write_text(text, "utf-8")
    return facts
