#!/usr/bin/env bash
# Makes .venv with what the tests need, and runs them.
#
# bash scripts/test.sh                            style, types, and all tests
#   but those marked slow, two files at a time
# bash scripts/test.sh tests/losses -k boundary   style, and what pytest finds
#   by these arguments
# bash scripts/test.sh -m slow                    the slow ones
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
install test
.venv/bin/python -m ruff check --quiet .
.venv/bin/python -m ruff format --check --quiet .
if [ $# -eq 0 ]; then
  .venv/bin/python -m mypy
  set -- --numprocesses=2 --dist=loadfile
fi
exec .venv/bin/python -m pytest "$@"
