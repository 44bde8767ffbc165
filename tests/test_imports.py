"""A command imports what it needs: whoever asks for help or for a plan does not wait for PyTorch."""

import json
import subprocess
import sys

import pytest

SECONDS = {
    "torch",
    "torchvision",
    "pandas",
    "matplotlib",
    "sklearn",
    "scipy",
    "numba",
    "papermill",
    "safetensors",
    "IPython",
}
REPORT = """
import json, sys
sys.argv[1:] = {arguments!r}
from lr_lab.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.mark.parametrize(
    ("command", "without"),
    [
        ("--help", SECONDS | {"numpy"}),
        ("grid --help", SECONDS | {"numpy"}),
        ("status --profile paper", SECONDS),  # reads every record
        ("results results.csv paper", SECONDS - {"pandas"}),
    ],
)
def test_a_command_imports_what_it_needs(command, without, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", REPORT.format(arguments=command.split())],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    imported = set(json.loads(process.stdout.splitlines()[-1]))
    assert "lr_core" in imported
    assert not imported & without
