"""`make bench`: the rivals in turn, the goals beside what was measured, and everything as JSON in `results/`.

python benchmarks [--rounds N] [--output FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from textbook import classifier, compressor
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from workload import BATCH, CHROMIUM, DATASET, MEMORY_SHARE, UPDATES

from lr_core import device
from lr_core.errors import LatentReplayError
from lr_core.experiment import TaskSequence
from lr_core.metrics import is_evaluated
from lr_core.settings import CASES, Settings
from lr_core.training import Trainer
from lr_lab.data import catalogue
from lr_lab.files import write_atomically
from lr_lab.grid import schedule
from lr_lab.grid.dask import DaskExecutor
from lr_lab.grid.local import LocalExecutor
from lr_lab.grid.plan import RUNS
from lr_lab.runs import provenance, results, store
from lr_lab.runs.execute import train
from lr_lab.runs.record import RunId

HERE = Path(__file__).resolve().parent
AVALANCHE = HERE.parent / ".venv-avalanche" / "bin" / "python"
CORES = 2  # what readers have; more are left idle

ROUNDS_OF_A_CASE = 2  # at most: each takes minutes, and is long enough not to depend on moments
GRID_RUNS = 6  # of the grid that is run by each executor

SECOND, FIRST, CASE = "second task with replay", "first task", "whole case"
PAGE = "second task in the page"
BESIDE = ", one core busy"


@dataclass(frozen=True)
class Program:
    """A rival as it is started: so many processes of so many threads, all at work at the same time."""

    name: str
    file: str
    arguments: tuple[str, ...]
    processes: int = 1
    threads: int = CORES
    python: Path = Path(sys.executable)
    beside: bool = False  # whether another process keeps one core busy in each round

    @property
    def label(self) -> str:
        """Name and shape."""
        several = f"{self.processes} processes of " if self.processes > 1 else ""
        words = f"{self.name}, {several}{self.threads} thread{'s' if self.threads > 1 else ''}"
        return words + (BESIDE if self.beside else "")


@dataclass
class Measured:
    """What the rounds of a program gave; rates are of all its processes together."""

    experiment: str
    program: str
    processes: int
    threads: int
    rates: list[float] = field(default_factory=list)  # new images a second, or operations a second for the peak
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0  # of the largest process

    @property
    def rate(self) -> float:
        """Median."""
        return statistics.median(self.rates)


def programs() -> dict[str, list[Program]]:
    """Experiment -> its rivals, in the order in which they take turns."""
    ours = "rival_lr_core.py"
    found: dict[str, list[Program]] = {}
    for experiment, phase in ((SECOND, "second"), (FIRST, "first"), (CASE, "case")):
        found[experiment] = [Program("textbook", "rival_textbook.py", (phase,))]
        if phase != "case" and AVALANCHE.exists():
            found[experiment].append(Program("Avalanche", "rival_avalanche.py", (phase,), python=AVALANCHE))
        if phase != "case":  # which takes minutes
            found[experiment] += [
                Program("lr_core", ours, (phase,)),
                Program("lr_core", ours, (phase,), threads=1),
                Program("lr_core", ours, (phase,), threads=2 * CORES),
                Program("lr_core", ours, (phase,), beside=True),
                Program("lr_core", ours, (phase,), threads=1, beside=True),
            ]
        found[experiment].append(Program("lr_core", ours, (phase,), processes=CORES, threads=1))
    engines = {"PyTorch": "torch", "wasmtime": "wasmtime"} | ({"Chromium": "chromium"} if CHROMIUM else {})
    found[PAGE] = [Program(name, "rival_page.py", (engine,), threads=1) for name, engine in engines.items()]
    found["matrix product"] = [Program("peak", ours, ("peak",), threads=1)]
    found["images"] = [
        Program(f"{n:,} images", ours, ("second", "--images", str(n)), threads=1) for n in (3000, 6000, 12000, 24000)
    ]
    found["memory"] = [
        Program(f"{share:.0%} of the images", ours, ("second", "--share", str(share)), threads=1)
        for share in (0.01, 0.05, 0.25)
    ]
    return found


@contextmanager
def started(program: Program) -> Iterator[list[subprocess.Popen[str]]]:
    """The program's processes, warmed up one after the other."""
    phase, *options = program.arguments
    command = [str(program.python), "-W", "ignore", str(HERE / program.file), phase, str(program.threads), *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(program.threads)}
    with ExitStack() as stack:
        processes = []
        for _ in range(program.processes):
            process = subprocess.Popen(
                command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=1
            )
            stack.callback(process.kill)
            processes.append(process)
            _answer(process, program)
        yield processes


@contextmanager
def _busy() -> Iterator[None]:
    """Inside, another process keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.5)  # until it runs
        yield
    finally:
        process.kill()
        process.wait()


def _answer(process: subprocess.Popen[str], program: Program) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise LatentReplayError(f"benchmarks/{program.file} ended before its time; its message stands above")
    return line


def round_of(processes: list[subprocess.Popen[str]], program: Program, result: Measured) -> None:
    """All processes at once; the slowest of them decides."""
    with _busy() if program.beside else nullcontext():
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [json.loads(_answer(process, program)) for process in processes]
    seconds = max(answer["seconds"] for answer in answers)
    result.rates.append(sum(answer["images"] for answer in answers) / seconds)
    result.seconds.append(seconds)
    result.peak_bytes = max(result.peak_bytes, *(answer["peak_bytes"] for answer in answers))


def in_turn(experiment: str, rivals: list[Program], rounds: int) -> list[Measured]:
    """A B C A B C ...: what disturbs the machine for a while disturbs them all."""
    results = [Measured(experiment, rival.label, rival.processes, rival.threads) for rival in rivals]
    with ExitStack() as stack:
        processes = [stack.enter_context(started(rival)) for rival in rivals]
        for number in range(rounds):
            print(f"{experiment}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for rival, running, result in zip(rivals, processes, results, strict=True):
                round_of(running, rival, result)
    return results


def evaluation() -> list[dict[str, float]]:
    """Seconds of an epoch, of an evaluation and of the final training accuracies: of each arm, on all images of a case."""
    arms: list[dict[str, list[float]]] = []

    def timed(owner: type, name: str, kind: str) -> object:
        original = getattr(owner, name)

        def method(self: object, *arguments: object) -> object:
            began = time.perf_counter()
            result = original(self, *arguments)
            taken = time.perf_counter() - began
            if kind == "evaluation" and arguments[0] == 0:  # epoch 0 begins an arm
                arms.append({"epoch": [], "evaluation": [], "final": []})
            arms[-1][kind].append(taken)
            return result

        return patch.object(owner, name, method)

    dataset, here = catalogue.load(DATASET), device.resolve("auto", 1)
    few = replace(Settings(), max_epochs=2, images_per_class=300)
    train(dataset, CASES[1], 0, few, compute=here)  # compiles the steps
    print("evaluation: two epochs of a case", file=sys.stderr, flush=True)
    with (
        timed(Trainer, "_epoch", "epoch"),  # type: ignore[attr-defined]
        timed(TaskSequence, "_evaluate", "evaluation"),  # type: ignore[attr-defined]
        timed(TaskSequence, "train_accuracy", "final"),  # type: ignore[attr-defined]
    ):
        train(dataset, CASES[1], 0, replace(few, images_per_class=None), compute=here)
    return [
        {
            "epoch": statistics.mean(arm["epoch"]),
            "evaluation": statistics.mean(arm["evaluation"]),
            "final": sum(arm["final"]),
        }
        for arm in arms
    ]


def evaluation_shares(measured: list[dict[str, float]], epochs: dict[str, list[int]]) -> dict[str, float]:
    """Share of evaluation in the time of a case, by case, from the epochs of each of its arms."""
    found = {}
    for case, of_arms in epochs.items():
        counts = [sum(is_evaluated(epoch) or epoch == last for epoch in range(last + 1)) for last in of_arms]
        evaluating = sum(n * arm["evaluation"] + arm["final"] for n, arm in zip(counts, measured, strict=True))
        training = sum(n * arm["epoch"] for n, arm in zip(of_arms, measured, strict=True))
        found[case] = evaluating / (evaluating + training)
    return found


def epochs_of_cases() -> dict[str, list[int]]:
    """Epochs of the arms of each case in the paper's records with the smallest seed."""
    return {
        f"{record['run']['dataset']} case {record['run']['case']}": [arm["epochs"] for arm in record["arms"]]
        for record in sorted(store.read_all(RUNS, "paper"), key=lambda record: -record["run"]["seed"])
    }


def operations_an_image() -> float:
    """Floating-point operations of one classifier update, for each image in it: counted on direct convolutions."""
    network = classifier()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(BATCH, 1, 6, 6)).sum().backward()
    return counter.get_total_flops() / BATCH


def grid_overhead(runs: int = 3) -> list[float]:
    """Seconds of a run through papermill and the grid that are not training, one for each smoke run."""
    found = []
    with tempfile.TemporaryDirectory() as folder, LocalExecutor() as kernels:
        for seed in range(runs):
            run = RunId("smoke", "digits", 1, seed)
            outcome = schedule.execute(run, kernels, Path(folder) / "runs", Path(folder) / "cache")
            if outcome.error:
                raise LatentReplayError(f"{run}: {outcome.error}")
            found.append(outcome.seconds - results.seconds(store.read(run.record(Path(folder) / "runs"))))
    return found


def executors(rounds: int = 3) -> dict[str, list[float]]:
    """Seconds of the same grid of smoke runs on this machine's kernels and on a dask cluster of it, in turn."""
    found: dict[str, list[float]] = {"pool": [], "dask": []}
    selected = [RunId("smoke", "digits", 1, seed) for seed in range(GRID_RUNS)]
    for number in range(rounds):
        print(f"executors: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, start in (("pool", LocalExecutor), ("dask", partial(DaskExecutor, CORES))):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                with start() as executor:
                    outcomes = schedule.run_grid(
                        selected, executor, runs=Path(folder) / "runs", cache=Path(folder) / "cache", workers=CORES
                    )
                found[name].append(time.perf_counter() - began)
            if failed := [outcome for outcome in outcomes if outcome.error]:
                raise LatentReplayError(f"{failed[0].run}: {failed[0].error}")
    return found


def goals(
    measured: list[Measured],
    overhead: list[float],
    taken: dict[str, list[float]],
    case_seconds: float | None,
    evaluating: dict[str, float],
) -> list[dict[str, object]]:
    """Each goal, what it asks for, what was measured (None where something is missing), and whether that is enough."""
    rate = {(m.experiment, m.program): m.rate for m in measured}
    workers, alone = f"lr_core, {CORES} processes of 1 thread", "lr_core, 1 thread"
    found: list[dict[str, object]] = []

    def goal(text: str, asked: float, value: float | None, unit: str = "x", *, at_most: bool = False) -> None:
        met = None if value is None else (value <= asked if at_most else value >= asked)
        found.append({"goal": text, "asked": asked, "measured": value, "unit": unit, "at_most": at_most, "met": met})

    def ratio(experiment: str, program: str, rival: str) -> float | None:
        ours, theirs = rate.get((experiment, program)), rate.get((experiment, rival))
        return ours / theirs if ours and theirs else None

    for experiment, rival, asked in ((SECOND, "textbook", 3), (SECOND, "Avalanche", 5), (FIRST, "textbook", 2),
                                     (CASE, "textbook", 2.5)):  # fmt: skip
        goal(f"{experiment}, against {'the ' * (rival == 'textbook')}{rival}", asked,
             ratio(experiment, workers, f"{rival}, {CORES} threads"))  # fmt: skip
    goal(f"{PAGE}: kernel in Chromium, against PyTorch on one thread", 0.5,
         ratio(PAGE, "Chromium, 1 thread", "PyTorch, 1 thread"))  # fmt: skip
    shown = rate.get((PAGE, "Chromium, 1 thread"))
    goal(f"{PAGE}: updates of 100 and 100", 6, shown and shown / 100, "rate")
    per_image = operations_an_image() * 2  # an update on a new batch and one on the memory
    peak = next((m.rate for m in measured if m.experiment == "matrix product"), None)
    updating = rate.get((SECOND, alone))
    goal("second-task update, of the matrix product's peak", 0.6,
         updating * per_image / peak if updating and peak else None, "share")  # fmt: skip
    per = [
        statistics.median(m.seconds) / int(m.program.split()[0].replace(",", ""))
        for m in measured
        if m.experiment == "images"
    ]
    goal("time linear in images: largest deviation from the mean", 0.1,
         max(abs(p / statistics.mean(per) - 1) for p in per) if per else None, "share", at_most=True)  # fmt: skip
    goal(f"{CORES} workers, against one", 1.8, ratio(SECOND, workers, alone))
    for experiment in (SECOND, FIRST):
        two, four = f"lr_core, {CORES} threads", f"lr_core, {2 * CORES} threads"
        goal(f"{experiment}: {CORES} threads, against one", 1.7, ratio(experiment, two, alone))
        goal(f"{experiment}: {2 * CORES} threads on {CORES} cores, against {CORES}", 1, ratio(experiment, four, two))
        goal(f"{experiment}: {CORES} threads, against one, while one core is busy", 1,
             ratio(experiment, two + BESIDE, alone + BESIDE))  # fmt: skip
    goal("evaluation, of a case of the paper, mean", 0.08,
         statistics.mean(evaluating.values()) if evaluating else None, "share", at_most=True)  # fmt: skip
    memory = max((m.peak_bytes for m in measured if m.program.startswith("lr_core")), default=None)
    goal("peak memory of a worker", 1.5e9, memory, "bytes", at_most=True)
    share = statistics.median(overhead) / case_seconds if overhead and case_seconds else None
    goal("papermill and grid, of a case of the paper", 0.03, share, "share", at_most=True)
    # A core's seconds on dask beyond those of the pool, the start of the cluster among them, for each run.
    more = (statistics.median(taken["dask"]) - statistics.median(taken["pool"])) * CORES / GRID_RUNS if taken else None
    goal("dask beyond the pool, of a case of the paper", 0.05,
         more / case_seconds if more is not None and case_seconds else None, "share", at_most=True)  # fmt: skip
    return found


def case_seconds() -> dict[str, float]:
    """Data set -> mean seconds of a case in the paper's records, on whatever they were trained."""
    taken: dict[str, list[float]] = {}
    for record in store.read_all(RUNS, "paper"):
        taken.setdefault(record["run"]["dataset"], []).append(results.seconds(record))
    return {name: statistics.mean(seconds) for name, seconds in taken.items()}


def table(measured: list[Measured], reached: list[dict[str, object]]) -> str:
    """For the terminal."""
    lines = []
    for experiment in dict.fromkeys(m.experiment for m in measured):
        lines += ["", f"{experiment:<44}{'median':>12}{'lowest':>12}{'highest':>12}{'peak MB':>9}"]
        for m in (m for m in measured if m.experiment == experiment):
            scale, unit = (1e9, " GFLOP/s") if experiment == "matrix product" else (1, " images/s")
            low, mid, high = (f"{v / scale:,.0f}" for v in (min(m.rates), m.rate, max(m.rates)))
            lines.append(f"  {m.program:<42}{mid:>12}{low:>12}{high:>12}{m.peak_bytes / 1e6:>9,.0f}{unit}")
    lines += ["", f"{'goal':<62}{'asked':>10}{'measured':>10}"]
    for g in reached:
        lines.append(f"  {g['goal']:<60}{_value(g, 'asked'):>10}{_value(g, 'measured'):>10}  {_verdict(g)}")
    return "\n".join(lines)


def _verdict(goal: dict[str, object]) -> str:
    return {True: "met", False: "missed", None: "not measured"}[goal["met"]]  # type: ignore[index]


def _value(goal: dict[str, object], name: str) -> str:
    value = goal[name]
    if value is None:
        return "-"
    assert isinstance(value, (int, float))
    sign = "" if name == "measured" else ("<= " if goal["at_most"] else ">= ")
    text = {"x": f"{value:.2f}x", "share": f"{value:.1%}", "bytes": f"{value / 1e9:.2f} GB", "rate": f"{value:.1f}/s"}[
        str(goal["unit"])
    ]
    return sign + text


def everything(rounds: int, host: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """After each experiment, the table for the terminal and all that is measured so far, as it is written."""
    began = time.perf_counter()
    measured: list[Measured] = []
    overhead: list[float] = []
    taken: dict[str, list[float]] = {}
    arms: list[dict[str, float]] = []
    cases, epochs = case_seconds(), epochs_of_cases()
    network = nn.Sequential(compressor(), classifier())  # of the first task

    def so_far() -> tuple[str, dict[str, object]]:
        shares = evaluation_shares(arms, epochs) if arms else {}
        reached = goals(measured, overhead, taken, min(cases.values(), default=None), shares)
        return table(measured, reached), {
            "schema": 1,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": host,
            "versions": {"torch": torch.__version__},
            "workload": {
                "dataset": DATASET, "updates": UPDATES, "batch": BATCH, "memory_share": MEMORY_SHARE,
                "parameters": sum(p.numel() for p in network.parameters()),
                "operations_an_image": operations_an_image(),
            },
            "rounds": rounds,
            "seconds": round(time.perf_counter() - began),
            "measured": [asdict(m) for m in measured],
            "grid_overhead_seconds": overhead,
            "executor_seconds": taken,
            "case_seconds": cases,
            "evaluation": {"arms": arms, "shares": shares},
            "goals": reached,
        }  # fmt: skip

    for title, rivals in programs().items():
        measured += in_turn(title, rivals, min(rounds, ROUNDS_OF_A_CASE) if title == CASE else rounds)
        yield so_far()
    overhead += grid_overhead()
    yield so_far()
    taken |= executors()
    yield so_far()
    arms += evaluation()
    yield so_far()


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    host = provenance.describe(device.resolve("auto", 1))
    name = re.sub(r"[^a-z0-9]+", "-", f"{host['device']}-{host['processor']}".lower()).strip("-")
    output = asked.output or HERE / "results" / f"{name}.json"
    unfinished = output.with_suffix(".unfinished")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is not idle (load {load:.1f}): ratios are blurred, times are too long", file=sys.stderr)
    if not AVALANCHE.exists():
        print("Avalanche is left out: it could not be installed", file=sys.stderr)
    text = ""
    try:
        catalogue.load(DATASET)
        for text, result in everything(asked.rounds, host | {"cores": CORES, "load_before": load}):  # noqa: B007
            write_atomically(unfinished, (json.dumps(result, indent=1) + "\n").encode())
    except (LatentReplayError, KeyboardInterrupt) as error:
        print(text)
        print(f"error: {str(error) or 'interrupted'}", file=sys.stderr)
        if text:
            print(f"What was measured is kept in {unfinished}", file=sys.stderr)
        return 1
    unfinished.rename(output)
    print(text)
    print(f"\nWrote {output.relative_to(Path.cwd()) if output.is_relative_to(Path.cwd()) else output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
