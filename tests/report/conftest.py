"""The modules of the paper, as its cells import them."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

REPORT = Path(__file__).resolve().parents[2] / "report"


@pytest.fixture(scope="module")
def module():
    sys.path.insert(0, str(REPORT))
    yield importlib.import_module
    sys.path.remove(str(REPORT))


@pytest.fixture(scope="module")
def paper(module):
    """The modules that numbers of the paper come from."""
    names = ("edition", "facts", "findings", "provenance", "published", "sourced", "titles", "verdicts", "words")
    return SimpleNamespace(**{name: module(name) for name in names})


@pytest.fixture(scope="module")
def tables(module):
    return module("tables")


@pytest.fixture(scope="module")
def drawings(module):
    return module("drawings")
