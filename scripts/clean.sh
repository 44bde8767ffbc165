#!/bin/sh
# Removes rendered reports and caches; with `all`, environments too, and what unfinished runs trained.
#
#     sh scripts/clean.sh [all]
set -eu

rm -rf report/_output report/.quarto build .mypy_cache .pytest_cache .ruff_cache .hypothesis
for folder in src report scripts tests notebooks; do
  [ ! -d "$folder" ] || find "$folder" -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
done
# .cache/runs has what unfinished runs trained.
[ ! -d .cache ] || find .cache -mindepth 1 -maxdepth 1 ! -name runs -exec rm -rf {} +
echo "Removed rendered reports and caches"
[ "${1-}" = all ] || exit 0

# The mark goes last: without it, what is left after an interruption would pass for an environment of the user.
if [ -e .venv/.made-by-make ]; then
  rm -f .venv/.ready
  find .venv -mindepth 1 -maxdepth 1 ! -name .made-by-make -exec rm -rf {} +
  rm -rf .venv
fi
rm -rf .venv-avalanche .venv-kernel .cache src/*.egg-info
echo "Removed the environments and what unfinished runs trained"
[ ! -e .venv ] || echo "Kept .venv, which make has not made"
