#!/usr/bin/env bash
# Everything that a change must pass, in the current environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
ruff format --check .
ruff check .
codespell
mypy
pytest "$@"
