"""Charts: drawn whole, or refused before the work that they would show."""

from pathlib import Path
from unittest.mock import patch

import pytest

from livestyle.errors import UserError
from livestyle.evaluate import charts
from livestyle.evaluate.charts import check_chart, draw_baseline
from livestyle.image.io import load_image

STAGES = {"read": 1.0, "segment": 9.0, "stylize": 20.0, "composite": 2.0, "write": 0.1}


def test_the_stages_of_both_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    naive = {"stages_ms": {name: 20 * value for name, value in STAGES.items()}}
    facts = {"size": [640, 360], "fps": 40.0, "naive_fps": 1.5, "ratio": 26.7, "stages_ms": STAGES, "naive": naive}
    facts["latency_ms"] = {"p50": 30.0}
    draw_baseline(facts, tmp_path / "chart.png")
    assert load_image(tmp_path / "chart.png").shape[1] > 800
    assert [file.name for file in tmp_path.iterdir()] == ["chart.png"]


def test_a_chart_that_cannot_be_is_refused_first(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(UserError, match=r"\.png"):
        check_chart(tmp_path / "chart.pdf")
    with pytest.raises(UserError, match="no folder"):
        check_chart(tmp_path / "none" / "chart.png")
    with patch.object(charts, "has_package", lambda name: False), pytest.raises(UserError, match="pip install"):
        check_chart(tmp_path / "chart.png")
