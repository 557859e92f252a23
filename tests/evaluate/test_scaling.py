"""The cost as work grows: what limits a row, and the files of a grid."""

import json
import re
from pathlib import Path

import pytest

from livestyle.cli import main as cli
from livestyle.config.settings import Settings
from livestyle.errors import UserError
from livestyle.evaluate.speed import scaling as cost
from livestyle.image.io import load_image
from livestyle.types import Size


def facts(
    fps: float, spent: float, style: float = 20.0, size: Size = (640, 360), others: float = 0.0
) -> cost.ScalingRow:
    """What a bench on an invented machine says."""
    nets = [{"kind": "segmenter", "gop": 2.0, "cpu_ms": 5.0}, {"kind": "style", "gop": 16.0, "cpu_ms": style}]
    return {
        "size": size, "fps": fps, "cpu_ms_per_frame": spent, "latency_ms": {"p50": 1.0}, "rss_mb": 200.0,
        "style_size": size, "others_share": others, "stylize_area": 1.0,
        "peak": {"gops": {"int8": 1000.0, "bf16": None}, "nets": nets},
    }  # fmt: skip


def test_a_row_tells_the_bound_of_the_arithmetic() -> None:
    row = cost.row(facts(60, 30), styles=1, cores=2)
    assert row["bound_fps"] == pytest.approx(2 * 1000 / 18, abs=0.1)
    assert row["bound_cpu_ms"] == 18.0
    assert row["cpu_ms"] == {"styles": 20.0, "segmenter": 5.0, "pixels": 5.0}
    assert row["busy"] == 0.9
    assert sum(row["cpu_ms"].values()) == row["cpu_ms_per_frame"]


def test_what_is_not_painted_costs_nothing() -> None:
    row = cost.row(facts(60, 30) | {"stylize_area": 0.5}, styles=1, cores=2)
    assert row["cpu_ms"] == {"styles": 10.0, "segmenter": 5.0, "pixels": 15.0}
    assert row["bound_cpu_ms"] == 10.0


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (facts(60, 30), cost.PARTS["styles"]),
        (facts(60, 30, style=1), cost.PARTS["pixels"]),
        (facts(30, 30), cost.WAITING),
        (facts(30, 30, others=0.5), cost.OTHERS),
    ],
)
def test_what_limits_a_row(told: cost.ScalingRow, words: str) -> None:
    assert cost.row(told, styles=1, cores=2)["limit"] == words


def test_nothing_to_compute_has_no_bound() -> None:
    told = facts(60, 30)
    told["peak"]["nets"] = []
    assert cost.row(told, styles=0, cores=1)["bound_fps"] is None


def test_looks_have_no_style_one_and_two() -> None:
    none, one, two = cost.looks(Settings(background="the_scream"))
    assert (none.background, none.person) == (cost.PLAIN_LOOK, "none")
    assert (one.background, one.person, two.background) == ("the_scream", "none", "the_scream")
    assert two.person not in {"none", "the_scream"}
    assert cost.looks(Settings(person="great_wave"))[2].person == "great_wave"


def test_a_grid_without_a_cpu_engine_is_refused() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="OpenVINO"):
        next(cost.measure_scaling(Settings(device="torch:cpu"), "demo", cost.SIZES, 1.0))


def test_a_grid_is_written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With invented figures: as many rows as were promised, in all three files."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(cost, "allowed_cores", lambda: [0, 1])
    rows = [
        cost.row(facts(1e5 * cores / (size[1] * (styles + 1)), 20 + 20 * styles, 20.0 * styles, size), styles, cores)
        for size in cost.SIZES for styles in range(3) for cores in cost.CORES
    ]  # fmt: skip
    monkeypatch.setattr(cost, "measure_scaling", lambda *_: iter(rows))
    assert len(rows) == cost.row_count(cost.SIZES)
    assert cli.run(["bench", "--grid", str(tmp_path / "new" / "folder"), "--json"]) == 0
    folder = tmp_path / "new" / "folder"
    written = json.loads((folder / "cost.json").read_text("utf-8"))
    assert written == json.loads(capsys.readouterr().out)
    assert written["rows"] == rows
    lines = (folder / "cost.md").read_text("utf-8").splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({len(re.findall(r"\|", line)) for line in lines}) == 1
    assert load_image(folder / "cost.png").shape[1] > 1000
    assert len(list(folder.iterdir())) == 3


def test_a_row_is_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "CORES", (1,))
    (row, *_) = [next(cost.measure_scaling(Settings(device="cpu"), "demo", ((96, 54),), 0.1))]
    assert (row["size"], row["styles"], row["cores"]) == ([96, 54], 0, 1)
    assert row["fps"] > 0
    assert row["bound_cpu_ms"] > 0
    assert row["cpu_ms"]["segmenter"] > 0 == row["cpu_ms"]["styles"]
