#!/bin/sh
# Opens the notebooks in JupyterLab, with the Python that is given.
#
#     sh scripts/lab.sh .venv/bin/python
set -eu

# The figures of a notebook that is not trusted are left out until it is run.
"$1" -m jupyter trust notebooks/*.ipynb >/dev/null

# notebooks/.jupyter keeps JupyterLab from asking whether it may fetch news. What the user has set counts more.
export JUPYTER_CONFIG_PATH="$PWD/notebooks/.jupyter${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"
# The kernel python3 is the one of this Python, before one of the user.
JUPYTER_PATH="$("$1" -c 'import sys; print(sys.prefix)')/share/jupyter${JUPYTER_PATH:+:$JUPYTER_PATH}"
export JUPYTER_PATH

# JupyterLab does not run as root unless it is told so. In a container one is root.
root=
[ "$(id -u)" != 0 ] || root=--allow-root
exec "$1" -m jupyterlab $root --LabApp.default_url=/lab/tree/notebooks
