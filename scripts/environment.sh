# For scripts to source: makes .venv, and installs the project into it.
# PYTHON names another interpreter. The exact versions of constraints/ are
# taken, or the newest for a Python that has no file there.
if ! .venv/bin/python -c '' 2> /dev/null; then
  "${PYTHON:-python3}" -m venv --clear .venv
fi
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "error: .venv has $(.venv/bin/python --version), older than 3.11;" \
    "delete .venv and set PYTHON to a newer interpreter" >&2
  exit 2
fi

# Prints the file of exact versions.
constraints() {
  local file
  file=$(.venv/bin/python -c \
    'import sys; print("constraints/%d.%d.txt" % sys.version_info[:2])')
  if [ -f "$file" ]; then echo "$file"; else echo /dev/null; fi
}

# Prints everything that decides what .venv has to hold. The folder is part of
# it: an editable install points there, so a checkout that was moved or renamed
# is installed again.
wanted() {
  pwd -P
  .venv/bin/python --version
  cat pyproject.toml requirements.txt "$(constraints)"
}

# install [EXTRA]: installs the project, with the packages of an extra, unless
# that was done since the files that list them changed. What was installed is
# noted in .venv/installed and .venv/installed-EXTRA.
install() {
  local note=".venv/installed${1:+-$1}"
  if [ "$(wanted)" = "$(cat "$note" 2> /dev/null)" ]; then
    return
  fi
  echo "installing into $PWD/.venv"
  rm -f .venv/installed*
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint "$(constraints)" --editable ".${1:+[$1]}"
  wanted > .venv/installed  # the project without the extra is there, too
  wanted > "$note"
}
