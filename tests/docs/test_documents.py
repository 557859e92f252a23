"""The tables of the documents are those of the last measurement."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_speed_tables_come_from_the_json(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("pictures"))
    script = ROOT / "scripts" / "benchmarks" / "speed.py"
    subprocess.run([sys.executable, str(script), "--documents", "--out", str(tmp_path)], check=True)
    for name in ("measurements.md", "history/speed.md"):
        assert (tmp_path / "docs" / name).read_text("utf-8") == (ROOT / "docs" / name).read_text("utf-8"), name
