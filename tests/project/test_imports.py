"""A command imports what it needs: whoever asks for help or for a plan does not wait for PyTorch."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

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


# -- who may import whom ------------------------------------------------------------------------------------------

FORBIDDEN = """
[importlinter]
root_package = lr_core

[importlinter:contract:broken]
name = The experiment has no models
type = forbidden
source_modules = lr_core.experiment
forbidden_modules = lr_core.models
"""


def linted(configuration, folder=ROOT):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    command += [configuration, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)


def test_the_packages_import_as_their_contracts_say():
    done = linted(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout
    assert "4 kept, 0 broken" in done.stdout


def test_the_folders_of_the_report_do_too():
    done = linted(ROOT / "report" / "layers.toml", ROOT / "report")
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_a_broken_contract_would_be_found(tmp_path):
    (tmp_path / "broken.ini").write_text(FORBIDDEN)
    done = linted(tmp_path / "broken.ini")
    assert done.returncode == 1
    assert "lr_core.experiment -> lr_core.models" in done.stdout


def test_nothing_imports_the_report_but_the_report():
    modules = {path.stem for path in (ROOT / "report").glob("*.py")}
    modules |= {path.parent.name for path in (ROOT / "report").glob("*/__*__.py")}
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {name.partition(".")[0] for name in names} & (modules - sys.stdlib_module_names), path


def test_the_experiment_is_at_most_a_thousand_lines():
    files = (ROOT / "src" / "lr_core").glob("*.py")
    assert sum(len(path.read_text().splitlines()) for path in files) <= 1000
