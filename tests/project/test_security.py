"""What the project promises about safety: sources and checksums, archives, no code in data, notebooks, and no leaks.

`test_fetching.py` has the facts about mirrors and packages that deliver what they should not.
"""

import ast
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pypdf
import pytest
import sets
import torch
from browser import leaves
from conftest import CANARY
from IPython.core.inputtransformer2 import TransformerManager
from sets import BUILT_IN, TRAIN_IMAGES, tiny_description, tiny_files

from lr_lab.data import catalogue, sources
from lr_lab.grid import notebook
from lr_lab.runs import checkpoints

tiny = sets.tiny

ROOT = Path(__file__).resolve().parents[2]
CODE = [path for folder in ("src", "report", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


# -- sources ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_source_is_known_and_every_file_has_a_checksum(name):
    info = catalogue.describe(name)
    known = r"torchvision:[A-Za-z]+|mirror:https?://[a-z0-9./-]+/|npm:[a-z-]+@\d+\.\d+\.\d+|deb:[a-z0-9-]+|scikit-learn"
    assert [source for source in info.sources if not re.fullmatch(known, source)] == []
    assert all(re.fullmatch("[0-9a-f]{64}", facts.sha256) and facts.bytes > 0 for facts in info.files.values())


# -- archives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        (f"../{TRAIN_IMAGES}", tarfile.REGTYPE, ""),
        (f"a/../../{TRAIN_IMAGES}", tarfile.REGTYPE, ""),
        (f"/{TRAIN_IMAGES}", tarfile.REGTYPE, ""),
        ("../a-folder", tarfile.DIRTYPE, ""),
        (TRAIN_IMAGES, tarfile.SYMTYPE, "secret"),
        (TRAIN_IMAGES, tarfile.SYMTYPE, "../secret"),
        (TRAIN_IMAGES, tarfile.LNKTYPE, "secret"),
        (TRAIN_IMAGES, tarfile.CHRTYPE, ""),
        (TRAIN_IMAGES, tarfile.FIFOTYPE, ""),
    ],
)
def test_an_archive_neither_writes_outside_itself_nor_gives_what_is_no_file(tmp_path, name, kind, link):
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "secret").write_bytes(tiny_files()[TRAIN_IMAGES])
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    with tarfile.open(work / "package.tgz", "w:gz") as archive:
        archive.addfile(member)
    before = sorted(tmp_path.rglob("*"))
    try:
        given = list(sources.from_tar(work / "package.tgz", tiny_description().files))
    except sources.SourceFailed as failure:
        given = str(failure)
    assert given == [] or "outside itself" in given
    assert sorted(tmp_path.rglob("*")) == before


# -- no code in data ----------------------------------------------------------------------------------------------

# What runs code, or may, that comes with data; and what unpacks an archive to wherever it says.
DANGEROUS = r"""
    eval | exec | compile | __import__ | os\.(system|popen|exec\w*|spawn\w*) | (.*\.)?(extract|extractall|unpack_archive)
    | (pickle|cPickle|cloudpickle|dill|joblib|marshal|shelve|jsonpickle)\..* | (.*\.)?(read_pickle|load_pickle|hub\.load)
    | (.*\.)?serialize\.loads | yaml\.(load|unsafe_load|full_load|load_all)
    | torch\.(load|jit\.load|package\..*) | (np|numpy)\.load
"""
NETWORK = r"(socket|ssl|ftplib|telnetlib|smtplib|requests|httpx|aiohttp|urllib3|urllib\.request|http\.client)(\..*)?"


def dangers(code):
    """Calls in Python code that could run what data say, or load a module for it."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call):
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            name = ast.unparse(node.func)
            if re.fullmatch(DANGEROUS, name, re.VERBOSE) and options.get("weights_only") != "True":
                found.append(name)
            found += [f"{k}={v}" for k, v in options.items() if (k, v) in {("shell", "True"), ("allow_pickle", "True")}]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [m for m in modules if re.fullmatch(DANGEROUS, f"{m}.", re.VERBOSE)]
    return found


def connections(code):
    """Modules imported that reach a network."""
    modules = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    return {module for module in modules if re.fullmatch(NETWORK, module)}


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import pickle", ["pickle"]),
        ("from joblib import load", ["joblib"]),
        ("torch.load(path)", ["torch.load"]),
        ("torch.load(path, weights_only=False)", ["torch.load"]),
        ("torch.load(path, weights_only=True)", []),
        ("numpy.load(path)", ["numpy.load"]),
        ("pandas.read_pickle(path)", ["pandas.read_pickle"]),
        ("yaml.load(text)", ["yaml.load"]),
        ("yaml.safe_load(text)", []),
        ("serialize.loads(content)", ["serialize.loads"]),
        ("eval(text)", ["eval"]),
        ("network.eval()", []),
        ("re.compile(text)", []),
        ("subprocess.run(text, shell=True)", ["shell=True"]),
        ("tar.extractall(folder)", ["tar.extractall"]),
        ("safetensors.torch.load(content)", []),
    ],
)
def test_what_counts_as_dangerous(code, found):
    assert dangers(code) == found


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_runs_what_data_say(path):
    # Compiled steps are code, kept by this project as Python keeps its own in __pycache__; no data are read there.
    allowed = ["serialize.loads"] if path.name == "cache.py" else []
    assert dangers(path.read_text()) == allowed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_no_notebook_runs_what_data_say_or_reaches_a_network(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    code = TransformerManager().transform_cell("\n".join("".join(cell["source"]) for cell in cells))
    assert dangers(code) == []
    assert connections(code) == set()


def test_one_module_alone_reaches_a_network():
    assert {path.name: found for path in CODE if (found := connections(path.read_text()))} == {
        "sources.py": {"http.client", "urllib.request"}
    }


class Bomb:
    """What pickle would run on reading it: something that leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("save", "load"),
    [(pickle.dump, pickle.load), (torch.save, lambda file: torch.load(file, weights_only=False))],
    ids=["pickle", "torch"],
)
def test_a_pickle_in_a_checkpoint_s_place_is_not_loaded(save, load, tmp_path):
    kept, trap = checkpoints.Checkpoints(tmp_path / "arms"), tmp_path / "trap"
    kept.write("first-task", {"weight": torch.zeros(1)}, {})
    [file] = kept.folder.iterdir()
    with file.open("wb") as place:
        save(Bomb(trap), place)
    with pytest.warns(UserWarning, match="damaged checkpoint"):
        assert kept.read("first-task") is None
    assert not trap.exists()
    with next(kept.folder.iterdir()).open("rb") as place:
        load(place)
    assert trap.exists(), "the trap works where pickle is loaded"


# -- notebooks ----------------------------------------------------------------------------------------------------


def test_the_notebooks_that_run_are_the_project_s_own():
    runs, named = set(), set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name.endswith("execute_notebook"):
                    runs.add(path.name)
                elif name.endswith("run_notebook"):
                    assert isinstance(node.args[0], ast.Constant), f"{path.name}, line {node.lineno}: not a fixed name"
                    named.add(node.args[0].value)
    assert runs == {"notebook.py"}
    assert notebook.NOTEBOOKS == ROOT / "notebooks"
    assert named <= {path.stem for path in NOTEBOOKS}


# -- no leaks -----------------------------------------------------------------------------------------------------

LEAKS = r"""
    (?<![\w.:/]) / (home|root|Users|tmp|work|mnt|srv|var|private|workspace) / [\w.-]+  # a path of some machine
    | [A-Z]:\\{1,2}(Users|Documents) | file:///?\w
    | (gh[pousr]|github_pat|glpat|npm|pypi|hf|xox[abprs])[_-][A-Za-z0-9_-]{16,} | AKIA[0-9A-Z]{16} | AIza[\w-]{35}
    | sk-[A-Za-z0-9_-]{20,} | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\. | BEGIN[ A-Z]*PRIVATE[ ]KEY | ://[^/\s:@"']+:[^/\s:@"']+@
    | (?i:password|passwd|secret|api_?key|access_?token) \s*[=:]\s* ['"]?[\w-]{6,}
"""


def leaks(text):
    """Paths, tokens, and names of this machine and its user that stand in a text; images in it left out."""
    text = text.replace("\\n", "\n")  # as JSON has them, a path could hide behind
    text = re.sub(r"data:[a-z/+-]+;base64,[A-Za-z0-9+/=\s]+", "", text)
    found = [match[0] for match in re.finditer(LEAKS, text, re.VERBOSE)]
    here = {
        str(ROOT),
        str(Path.home()),
        socket.gethostname(),
        os.environ.get("USER", ""),
        os.environ.get("LOGNAME", ""),
    }
    ordinary = {"", "/", "root", "user", "runner", "build", "localhost", "ubuntu"}  # words that may stand anywhere
    return found + [
        name for name in here - ordinary if len(name) > 3 and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("read /home/ada/data/raw", ["/home/ada"]),
        ('{"runs": "/Users/ada/x"}', ["/Users/ada"]),
        ("in /tmp/tmpx1y2/case.ipynb", ["/tmp/tmpx1y2"]),
        (r"C:\\Users\\ada", [r"C:\\Users"]),
        ("see file:///etc/x", ["file:///e"]),
        (f"at {ROOT}/report", [str(ROOT)]),
        ("ghp_" + "a1" * 18, ["ghp_" + "a1" * 18]),
        ("https://ada:hunter2@example.org", ["://ada:hunter2@"]),
        ("-----BEGIN RSA PRIVATE KEY-----", ["BEGIN RSA PRIVATE KEY"]),
        ("api_key = 'abcdef123'", ["api_key = 'abcdef123"]),
        ("https://example.org/home/page and report/runs/paper", []),
        ("a secret: the tokens of a batch, 1/tmp/2", []),
    ],
)
def test_what_counts_as_a_leak(text, found):
    assert set(found) <= set(leaks(text))
    assert found or leaks(text) == []


COMMITTED = [
    *(ROOT / "report" / "runs" / "paper").glob("*.*"),
    *NOTEBOOKS,
    *(ROOT / "report" / "figures").glob("*.svg"),
    *(ROOT / "benchmarks" / "results").glob("*.json"),
]


@pytest.mark.parametrize("path", sorted(COMMITTED), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_committed_leaks_nothing(path):
    assert leaks(path.read_text()) == []


def test_a_new_record_leaks_nothing(record):
    assert leaks(json.dumps(record)) == []


def test_the_paper_leaks_nothing(rendered):
    """It was rendered where the environment holds a secret."""
    path = rendered / "latent-replay.pdf"
    pdf = pypdf.PdfReader(path)
    described = pdf.root_object["/Metadata"].get_data().decode()
    inside = "\n".join([*leaves(path), str(pdf.metadata), described])
    for text in ((rendered / "index.html").read_text(), inside):
        assert leaks(text) == []
        assert CANARY not in text
    assert CANARY.encode() not in path.read_bytes()


def test_the_pages_of_notebooks_leak_nothing(rendered):
    pages = sorted((rendered / "notebooks").rglob("*.html"))
    assert pages
    assert {path.name: found for path in pages if (found := leaks(path.read_text()))} == {}
    assert [path.name for path in pages if CANARY in path.read_text()] == []


def test_the_page_forbids_itself_the_network(rendered):
    page = (rendered / "index.html").read_text()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    before, _, _ = page.partition("Content-Security-Policy")
    assert not re.search("<(script|style|link|img|body)", before), "what stands before a policy is not bound by it"
    rules = {name: set(sources) for name, *sources in (rule.split() for rule in policy.split(";") if rule.strip())}
    assert {rules[name] == {"'none'"} for name in ("default-src", "base-uri", "form-action")} == {True}
    allowed = {
        "'none'",
        "data:",
        "blob:",
        "'unsafe-inline'",
        "'wasm-unsafe-eval'",
    }  # nothing of these is fetched from anywhere
    assert {name: sources - allowed for name, sources in rules.items() if sources - allowed} == {}


# -- known vulnerabilities ----------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("client", "status", "says"),
    [
        ("exit 0", 0, "No known vulnerability in the 2 packages"),
        ('echo "numpy 1.0 CVE-1" > "$output"; exit 1', 1, "numpy 1.0 CVE-1"),
        ('echo "ERROR: no connection" >&2; exit 1', 3, "nothing was checked: ERROR: no connection"),
    ],
    ids=["nothing found", "something found", "no network"],
)
def test_audit_tells_what_it_found_from_that_it_could_not_look(tmp_path, client, status, says):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    (tmp_path / "requirements.lock").write_text("# pins\nnumpy==1.0\ntorch==2.0\n")
    fake = tmp_path / ".cache" / "audit" / "bin" / "python"
    fake.parent.mkdir(parents=True)
    (pin,) = re.findall('"(pip-audit==.*)"', (ROOT / "scripts" / "audit.py").read_text())
    (tmp_path / ".cache" / "audit" / ".ready").write_text(pin)
    fake.write_text(f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done; output=$2\n{client}\n')
    fake.chmod(0o755)
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    }
    command = ["make", "audit", "VENV=", f"PYTHON={sys.executable}"]
    made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert says in made.stdout + made.stderr
    assert (made.returncode != 0) == (status != 0)
    assert (f"Error {status}" in made.stderr) == (status != 0)
