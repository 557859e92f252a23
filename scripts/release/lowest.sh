#!/usr/bin/env bash
# The core without PyTorch, with the lowest versions that pyproject.toml allows: scripts/lowest.sh [PYTHON [highest]]
# Installs into a folder that is removed at the end, and runs the tests that need no PyTorch.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"${1:-python3.10}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet uv
"$place/venv/bin/uv" pip install --quiet --python "$place/venv/bin/python" --resolution "${2:-lowest-direct}" \
  . "pytest>=8" "hypothesis>=6.100"
"$place/venv/bin/uv" pip list --python "$place/venv/bin/python"
cp -r .ci .github tests scripts docs models ./*.md LICENSE pyproject.toml livestyle/demo.mp4 "$place/"
cd "$place"
# Whole files that need a package which is not there, or import something that does, are left out, and named.
mapfile -t tests < <(grep -LE '^ *(import|from) (torch|matplotlib|onnx|safetensors|sklearn)|import_torch' tests/test_*.py |
  PYTHONPATH=tests "$place/venv/bin/python" -c '
import importlib, pathlib, pytest, sys
for line in sys.stdin:
    try:
        importlib.import_module(pathlib.Path(line.strip()).stem)
        print(line, end="")
    except (ModuleNotFoundError, pytest.skip.Exception) as error:
        print(f"{line.strip()} is left out: {error}", file=sys.stderr)
')
PYTHONPATH= "$place/venv/bin/python" -m pytest -q "${tests[@]}"
