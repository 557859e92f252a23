#!/usr/bin/env bash
# Wheel and sdist built, installed in fresh environments and tried there, for each Python named (default: python3):
#     scripts/release.sh [PYTHON ...]
# Then known weaknesses of what was installed (pip-audit) and a list of it (CycloneDX), in dist/.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/tools"
"$place/tools/bin/pip" install --quiet build pip-audit cyclonedx-bom
rm -rf dist
"$place/tools/bin/python" -m build --outdir dist .

for python in "${@:-python3}"; do
  for archive in dist/*.whl dist/*.tar.gz; do
    rm -rf "$place/fresh"
    "$python" -m venv "$place/fresh"
    "$place/fresh/bin/pip" install --quiet "$archive"
    (
      cd "$place" # where no source lies about
      export LIVESTYLE_CONFIG=none HOME="$place/fresh"
      fresh/bin/python -c "import livestyle, pathlib; assert (pathlib.Path(livestyle.__file__).parent / 'py.typed').exists()"
      fresh/bin/livestyle list styles >fresh/styles
      grep -q great_wave fresh/styles
      fresh/bin/livestyle live --source demo --background great_wave --sink file:fresh/out.mp4 --frames 30 --json >fresh/run.json
      grep -q '"frames": 30' fresh/run.json
      test -s fresh/out.mp4
    )
    echo "$archive: installed and run with $("$place/fresh/bin/python" --version)"
  done
done

"$place/fresh/bin/pip" uninstall --quiet --yes livestyle
"$place/tools/bin/cyclonedx-py" environment "$place/fresh" --output-file dist/sbom.json
echo "dist/sbom.json: $(grep -c '"purl"' dist/sbom.json) packages"
"$place/tools/bin/pip-audit" --path "$("$place/fresh/bin/python" -c 'import site; print(site.getsitepackages()[0])')"
