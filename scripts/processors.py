"""The notebooks' stored outputs, compared as other processors and other numbers of threads compute them.

    python scripts/processors.py [notebook ...]

PyTorch, NumPy, their libraries and the C library choose their code by the processor. Variables make them choose as on
an older one, so that last bits differ as they do between machines. A line for each combination says whether all outputs
are as stored, and how many of a list of computations differ from this processor's in their last bits. Exit status 1
where an output differs or an imitation has no effect.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARAMETER = "threads: int = 1"  # in a notebook's cell of parameters


@dataclass(frozen=True)
class Processor:
    """One that this processor can imitate, as it can whatever is older than itself."""

    name: str
    variables: dict[str, str]
    kept: tuple[str, ...]  # of the groups of instructions that NumPy chooses among, those that this one has
    chosen: dict[str, str]  # what the libraries then say that they have chosen
    threads: tuple[int, ...]  # numbers of them to compare with


IMITATED = (
    Processor(
        "before AVX",
        {
            "ATEN_CPU_CAPABILITY": "default",
            "OPENBLAS_CORETYPE": "Prescott",
            "MKL_CBWR": "COMPATIBLE",  # the code that MKL has for processors of other makers too
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "NUMBA_CPU_NAME": "generic",
            "NUMBA_CPU_FEATURES": "",
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4",
        },
        (),
        {"PyTorch": "DEFAULT", "OpenBLAS": "Katmai", "NumPy": ""},  # Prescott's is called after its forerunner
        (1, 4),
    ),
    Processor(
        "AVX2",
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "OPENBLAS_CORETYPE": "Haswell",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "NUMBA_CPU_NAME": "haswell",
            "NUMBA_CPU_FEATURES": "",
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL",
        },
        ("X86_V3",),
        {"PyTorch": "AVX2", "OpenBLAS": "Haswell", "NumPy": "X86_V3"},
        (2,),
    ),
)

# What was chosen, and digests of computations to their last bit. A product of large matrices, a sum, functions, a
# convolution in single precision (oneDNN), a decomposition (LAPACK), a compiled loop (Numba).
PROBE = """
import hashlib, json, math
import numba, numpy, scipy.linalg, threadpoolctl, torch
from numpy._core import _multiarray_umath as umath

def digest(values):
    return hashlib.sha256(numpy.asarray(values).tobytes()).hexdigest()[:8]

@numba.njit(fastmath=True)
def total(values):
    sum = 0.0
    for value in values:
        sum += value
    return sum

draw = numpy.random.default_rng(0)
matrix, images, kernels = map(draw.standard_normal, ((300, 300), (20, 3, 28, 28), (10, 3, 5, 5)))
tensor, real = torch.from_numpy(matrix), [torch.from_numpy(values).float() for values in (images, kernels)]
print(json.dumps({
    "chosen": {
        "PyTorch": torch.backends.cpu.get_cpu_capability(),
        "OpenBLAS": " ".join(sorted({i["architecture"] for i in threadpoolctl.threadpool_info() if "architecture" in i})),
        "NumPy": " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]),
    },
    "threads": torch.get_num_threads(),
    "digests": {
        "PyTorch: product": digest(tensor @ tensor),
        "PyTorch: sum": digest(tensor.sum(0)),
        "PyTorch: exp": digest(tensor.exp()),
        "PyTorch: convolution": digest(torch.nn.functional.conv2d(*real)),
        "NumPy: product": digest(matrix @ matrix),
        "NumPy: sum": digest(matrix.sum()),
        "NumPy: exp": digest(numpy.exp(matrix)),
        "NumPy: decomposition": digest(numpy.linalg.svd(matrix)[1]),
        "SciPy: decomposition": digest(scipy.linalg.svd(matrix)[1]),
        "C library: exp": digest([math.exp(value) for value in matrix.ravel()]),
        "Numba: sum": digest(total(matrix.ravel())),
    },
}))
"""


def environment(processor: Processor | None, threads: int, dispatched: str = "") -> dict[str, str]:
    """Variables of a process on that processor, or on this one; `dispatched`: what NumPy chooses among here."""
    known = {name for imitated in IMITATED for name in imitated.variables} | {"NPY_DISABLE_CPU_FEATURES"}
    found = {name: value for name, value in os.environ.items() if name not in known}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        found[name] = str(threads)
    found["OMP_WAIT_POLICY"] = "PASSIVE"  # threads without work leave the cores to the next combination
    found["MKL_DYNAMIC"] = "FALSE"  # MKL, and PyTorch with it, would take no more threads than there are cores
    if processor is not None:
        found |= processor.variables
        # Names that NumPy does not know are passed over in some versions and an error in others.
        found["NPY_DISABLE_CPU_FEATURES"] = " ".join(n for n in dispatched.split() if n not in processor.kept)
    return found


def probe(variables: dict[str, str]) -> dict:
    """What is chosen and computed in an environment."""
    done = subprocess.run([sys.executable, "-c", PROBE], env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def no_effect(processor: Processor, here: dict, there: dict) -> list[str]:
    """What an imitation did not change: all that it asks for must be chosen, and unless that is so here, must show."""
    wrong = [
        f"{n} chose {there['chosen'][n]}, not {v or 'no more than it has to'}"
        for n, v in processor.chosen.items()
        if there["chosen"][n] != v
    ]
    if processor.chosen != here["chosen"] and here["digests"] == there["digests"]:
        wrong.append("not one bit of any computation changed")
    return wrong


def compare(notebooks: list[Path], variables: dict[str, str], threads: int) -> tuple[int, list[str]]:
    """How many outputs of the notebooks are as stored, and where others are not."""
    with tempfile.TemporaryDirectory() as folder:
        for notebook in notebooks:
            text = notebook.read_text()
            (Path(folder) / notebook.name).write_text(text.replace(PARAMETER, PARAMETER[:-1] + str(threads)))
        # Apart from this project's settings of pytest, which name other tests.
        own = ["-c", os.devnull, "--rootdir", folder, "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--color=no", *own, "--nbval", "--nbval-current-env", folder],
            cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    failed = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", done.stdout, flags=re.MULTILINE)
    passed = re.search(r"(\d+) passed", done.stdout)
    if done.returncode and not failed:
        failed = [done.stdout.strip()[-2000:] or f"pytest ended with status {done.returncode}"]
    return int(passed[1]) if passed else 0, failed


def main(notebooks: list[Path]) -> int:
    """One line for each combination; the exit status."""
    here = probe(environment(None, 1))
    dispatched = here["chosen"]["NumPy"]
    imitated: tuple[Processor, ...] = IMITATED
    if platform.machine().lower() not in ("x86_64", "amd64"):
        imitated = ()
        print(f"a processor of type {platform.machine()} cannot imitate others: threads alone are compared")

    def line(processor: Processor | None, threads: int) -> tuple[bool, str]:
        began = time.monotonic()
        variables = environment(processor, threads, dispatched)
        there = probe(variables)
        wrong = [] if processor is None else no_effect(processor, here, there)
        if there["threads"] != threads:
            wrong.append(f"PyTorch has {there['threads']} threads")
        passed, failed = compare(notebooks, variables, threads)
        wrong += failed
        if not passed:
            wrong.append("nothing was compared")
        bits = sum(here["digests"][name] != value for name, value in there["digests"].items())
        name = "this processor" if processor is None else f"as {processor.name}"
        return not wrong, (
            f"{name:15} {threads} thread{'s' if threads > 1 else ' '}  "
            f"PyTorch {there['chosen']['PyTorch']:8} OpenBLAS {there['chosen']['OpenBLAS']:10} "
            f"NumPy {there['chosen']['NumPy'] or 'baseline':10} last bits differ in {bits:2} of {len(there['digests'])}  "
            f"{passed} cells as stored{''.join(f'; {each}' for each in wrong)}  ({time.monotonic() - began:.0f} s)"
        )

    # Every processor and every number of threads, not all pairs: tests/lr_core/fast/test_steps.py proves that threads
    # change no bit.
    combinations: list[tuple[Processor | None, int]] = [(None, 1), (None, 2), (None, 4)]
    combinations += [(processor, threads) for processor in imitated for threads in processor.threads]
    good = True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for right, text in pool.map(line, *zip(*combinations, strict=True)):
            print(text if right else f"FAILED {text}", flush=True)
            good &= right
    return 0 if good else 1


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]]
    sys.exit(main(given or sorted((ROOT / "notebooks").glob("*.ipynb"))))
