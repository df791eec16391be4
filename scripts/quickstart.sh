#!/usr/bin/env bash
# Installs into .venv and runs the main job on the embedded data.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
install
exec .venv/bin/python scripts/compare.py --workdir=runs/quickstart "$@"
