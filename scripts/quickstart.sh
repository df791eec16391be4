#!/usr/bin/env bash
# Installs into .venv and runs the main job on the embedded data.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
echo "installing into $PWD/.venv"
.venv/bin/python -m pip install --quiet --constraint "$CONSTRAINTS" \
  --editable .
exec .venv/bin/python scripts/compare.py --workdir=runs/quickstart "$@"
