# Makes .venv, for scripts to source. PYTHON names another interpreter.
# On Python 3.11 the exact versions of constraints.txt are taken, on later ones
# the newest.
if [ ! -x .venv/bin/python ]; then
  "${PYTHON:-python3}" -m venv .venv
fi
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: .venv has $(.venv/bin/python --version), older than 3.11;" \
    "delete .venv and set PYTHON to a newer interpreter" >&2
  exit 2
fi
if .venv/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
  CONSTRAINTS=constraints.txt
else
  CONSTRAINTS=/dev/null
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
