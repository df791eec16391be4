#!/usr/bin/env bash
# Makes .venv with what the tests need, and runs them, two files at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
.venv/bin/python -m pip install --quiet --constraint "$CONSTRAINTS" \
  --editable '.[test]'
.venv/bin/ruff check .
exec .venv/bin/python -m pytest --numprocesses=2 --dist=loadfile "$@"
