"""The kernels of nbval: without anything that the user has set for notebooks, and without data sets of the user's own."""

import functools
import tempfile
from pathlib import Path

from nbval import kernel

from lr_lab.jupyter import environment

_ipython = tempfile.TemporaryDirectory()
kernel.start_new_kernel = functools.partial(
    kernel.start_new_kernel, env=environment(Path(_ipython.name)) | {"LR_DATA_PATH": ""}
)
