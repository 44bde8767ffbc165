#!/bin/sh
# Makes the virtual environment of the Makefile, or installs into it what requirements.lock has now.
#
#     PYTHON=python3 sh scripts/setup.sh .venv
#
# This is a shell script because there may be no Python yet.
#
# .ready is the first file removed and the last one written. So an environment without it is unfinished. It holds the
# folder that the environment was made in: one that was moved does not work.
# Only an environment with the file .made-by-make is ever removed. One that the user has put there is installed into.
set -eu

venv=$1
python=$venv/bin/python
ready=$venv/.ready
made=$venv/.made-by-make

fail() {
  echo "$*" >&2
  exit 1
}

has_ensurepip() {
  "$PYTHON" -c 'import ensurepip' 2>/dev/null
}

finished() {
  [ "$(cat "$ready" 2>/dev/null)" = "$(pwd -P)" ] && "$python" -c '' 2>/dev/null
}

# With the user's ways to packages alone: see packages.py.
pip_install() {
  "$python" scripts/packages.py install --no-input --disable-pip-version-check "$@"
}

"$PYTHON" -c '' 2>/dev/null ||
  fail "$PYTHON does not run; install Python 3.11 or newer, or name one: make PYTHON=python3.12"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' ||
  fail "$PYTHON is older than Python 3.11, which is needed; name a newer one: make PYTHON=python3.12"

# Debian has ensurepip in a package of its own.
if ! has_ensurepip && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing python3-venv, which $PYTHON lacks"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -qq -y python3-venv >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; } || true
fi
has_ensurepip || fail "$PYTHON cannot make virtual environments (it has no ensurepip);" \
  "on Debian and Ubuntu, as root: apt-get install python3-venv. Then make again"

if [ -e "$made" ] && ! finished; then
  echo "$venv is unfinished, moved or lost its Python: building it anew"
  find "$venv" -mindepth 1 -maxdepth 1 ! -name .made-by-make -exec rm -rf {} +
elif [ -z "$(ls -A "$venv" 2>/dev/null)" ]; then
  mkdir -p "$venv"
  touch "$made"
fi
[ -e "$made" ] || "$python" -m pip --version >/dev/null 2>&1 ||
  fail "$venv was not made by make, and its Python does not run or has no pip;" \
    "move it away, or give it pip: $python -m ensurepip"

rm -f "$ready"
if [ ! -x "$python" ]; then
  echo "Making $venv with $("$PYTHON" --version)"
  "$PYTHON" -m venv "$venv"
fi
echo "Installing the $(grep -c == requirements.lock) packages of requirements.lock (minutes, the first time)"
# A terminal shows how far pip is.
if [ -t 1 ]; then quiet=; else quiet=--quiet; fi
pip_install $quiet -r requirements.lock
# setuptools comes with the lock. So building the project's own package needs no further download.
pip_install --quiet --no-deps --no-build-isolation --editable .
pwd -P >"$ready"
