"""Fetch the data sets that are not on the search path, verify them, and keep them in `data/raw`.

Public: `Report`, `fetch_all`, `fetch`.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lr_core.errors import LatentReplayError
from lr_lab.data import catalogue, pairs, sources
from lr_lab.data.catalogue import Damaged, FileFacts
from lr_lab.data.sources import SourceFailed
from lr_lab.files import set_aside, write_atomically

STALE = 3600  # seconds after which a temporary file is no longer in use: writing one takes seconds

Say = Callable[[str], None]  # is called with a sentence about each source before it is tried


@dataclass(frozen=True)
class Report:
    """The outcome for one data set."""

    title: str
    state: str  # "built in", "present", "fetched" or "failed"
    detail: str  # where it is, where it came from, or why it cannot be had and what to do

    @property
    def ok(self) -> bool:
        """Whether the files are all there."""
        return self.state != "failed"

    @property
    def line(self) -> str:
        """The report as one line."""
        return f"{self.title}: {self.state}: {self.detail}"


def fetch_all(names: Iterable[str], say: Say | None = None) -> list[Report]:
    """`fetch` for several data sets; one that cannot be had is reported as "failed", and the others are fetched.

    Raises UsageError for an unknown name; then nothing is fetched.
    """
    reports = []
    for info in [catalogue.describe(name) for name in dict.fromkeys(names)]:
        try:
            reports.append(fetch(info.name, say))
        except LatentReplayError as error:
            reports.append(Report(info.title, "failed", str(error).removeprefix(f"{info.title}: ")))
    return reports


def fetch(name: str, say: Say | None = None) -> Report:
    """Fetch the files of a data set that are not intact on the search path, from the first source that delivers.

    A file gets its name in `data/raw` after its content was verified, so an interrupted fetch leaves no file that `load`
    would read. A damaged file of that name is kept as `<name>.damaged`. A terminal shows a progress bar of each download.

    Raises UsageError for an unknown name, and LatentReplayError if no source delivered or the folder cannot be written to.
    """
    info = catalogue.describe(name)
    if len(names := pairs.parts(name)) == 2:
        reports = [fetch(part, say) for part in names]
        return Report(info.title, reports[0].state, "; ".join(report.detail for report in reports))
    if not info.folder:
        return Report(info.title, "built in", f"comes with {info.sources[0]}")
    wanted, folders = dict(info.files), []
    for file in info.files:
        with suppress(LatentReplayError):
            folders.append(str(catalogue.find(info, file)[1].parent))
            del wanted[file]
    if not wanted:
        return Report(info.title, "present", f"verified in {', '.join(dict.fromkeys(folders))}")

    folder = catalogue.raw_folder() / info.folder
    began = time.monotonic()
    failures, aside = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        for label, source in sources.attempts(info):
            if say:
                say(f"{info.title}: trying {label}")
            try:
                with tempfile.TemporaryDirectory(prefix="latent-replay-", ignore_cleanup_errors=True) as work:
                    for file, stream, packed in source(wanted, Path(work)):
                        content = catalogue.verify(stream, file, wanted[file], packed=packed)
                        aside += _keep(folder / file, content, wanted.pop(file))
                if not wanted:
                    seconds = time.monotonic() - began
                    kept = f"; damaged files are kept as {', '.join(aside)}" if aside else ""
                    return Report(info.title, "fetched", f"from {label} into {folder} in {seconds:.0f} s{kept}")
                failures.append(f"{label}: it has no {', '.join(wanted)}")
            except (SourceFailed, Damaged) as failure:
                failures.append(f"{label}: {failure}")
    except OSError as error:  # those of the sources are SourceFailed or Damaged
        raise LatentReplayError(f"{info.title}: {folder} cannot be written to: {error.strerror or error}") from error
    kinds = {source.partition(":")[0] for source in info.sources}
    alone = " No package registry is known to carry it." if kinds <= {"torchvision", "mirror"} else ""
    raise LatentReplayError(
        f"{info.title}: no source delivered. Tried {'; '.join(failures)}.{alone} What you can do: put "
        f"{', '.join(info.files)} (unpacked) into FOLDER/{info.folder} and set LR_DATA_PATH=FOLDER. "
        f"Until then, the report shows {info.title} from its committed records."
    )


def _keep(path: Path, content: bytes, facts: FileFacts) -> list[str]:
    """Write a verified file; returns the new name of a damaged one that was in its place, if any."""
    with suppress(Damaged):
        if catalogue.read(path, facts) is not None:  # another process has fetched it meanwhile
            return []
    aside = [set_aside(path).name] if os.path.lexists(path) else []
    write_atomically(path, content)
    return aside


def _remove_stale(folder: Path) -> None:
    """Remove temporary files that a killed fetch left."""
    for path in folder.glob(".*.part"):
        with suppress(OSError):  # another fetch may remove it too
            if time.time() - path.stat().st_mtime > STALE:
                path.unlink()
