"""The program ends when it is told to, wherever it is: soon, without a traceback, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import MappingProxyType

import pytest

from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_sink
from eci_convert.transports.settings import Settings
from tests.support.fake_docker import a_docker, over_tcp
from tests.support.fake_registry.server import a_registry
from tests.support.images import KERNEL_TYPE, an_image, copied, files_in

KERNEL = Random(1).randbytes(24 << 20)
OTHER = KERNEL[::-1]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
PACE = 1_000_000
SOON = 12
"""Seconds, most of which are for a machine under load. What is interrupted would take twice as long, or for ever."""


class SlowLink:
    """A relay to a server on loopback that lets PACE bytes a second through, over each connection in each direction."""

    def __init__(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        self._to = (name, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.carried = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                far = socket.create_connection(self._to)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(16384):
                other.sendall(data)
                self.carried += len(data)
                time.sleep(len(data) / PACE)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with a_registry() as registry:
        yield registry


@pytest.fixture
def link(registry: FaultyRegistry) -> Iterator[SlowLink]:
    image = an_image().layer(KERNEL_TYPE, KERNEL, role="kernel", title="kernel")
    copied(image.build(), open_sink(f"docker://{registry.host}/machine:1", Settings()))
    slow = SlowLink(registry.host)
    yield slow
    slow.close()


def begun(
    home: Path, *words: str, env_more: Mapping[str, str] = MappingProxyType({}), **how: object
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        **{
            "args": [sys.executable, "-m", "eci_convert", *words],
            "cwd": home,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": {**os.environ, "HOME": str(home / "home"), "XDG_CACHE_HOME": "", "XDG_STATE_HOME": "", **env_more},
            **how,
        },
    )


def outputs(home: Path) -> dict[str, bytes]:
    """All that is there but what we remember for the next run."""
    return {name: data for name, data in files_in(home).items() if not name.startswith("home/")}


WORK = {
    "push": ["push", "{}/new:1", "--kernel", "kernel", "--format", "artifacts"],
    "push legacy": ["push", "{}/new:1", "--kernel", "kernel", "--format", "legacy"],
    "push compressed": ["push", "{}/new:1", "--kernel", "kernel", "--format", "legacy", "--compression", "gzip"],
    "pull": ["pull", "{}/machine:1", "--dir", "out/new"],
    "extract": ["extract", "docker://{}/machine:1", "--kernel", "old"],
    "copy to a layout": ["copy", "docker://{}/machine:1", "oci:layout:x"],
    "copy to an archive": ["copy", "docker://{}/machine:1", "docker-archive:old", "--format", "legacy"],
}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_transfer_over_a_slow_link_is_given_up(
    link: SlowLink, registry: FaultyRegistry, tmp_path: Path, work: str, number: signal.Signals
) -> None:
    before = {"kernel": OTHER, "old": b"old"}
    for name, data in before.items():
        (tmp_path / name).write_bytes(data)
    process = begun(tmp_path, *(word.format(link.host) for word in WORK[work]))
    while link.carried < 1 << 20 and process.poll() is None:
        time.sleep(0.01)

    process.send_signal(number)
    _, said = process.communicate(timeout=SOON)

    assert process.returncode == 130, said
    assert said.decode().splitlines()[-2:] == ["eci-convert: error: interrupted", "hint: run it again"]
    assert b"Traceback" not in said
    assert outputs(tmp_path) == before
    assert ("new", "1") not in registry.manifests


@pytest.mark.parametrize("number", SIGNALS)
def test_the_next_push_goes_on_with_what_an_interrupted_one_sent(
    link: SlowLink, registry: FaultyRegistry, tmp_path: Path, number: signal.Signals
) -> None:
    """Locks are released, and the session is written down."""
    (tmp_path / "kernel").write_bytes(OTHER)
    words = ["push", "{}/new:1", "--kernel", "kernel", "--format", "legacy"]
    process = begun(tmp_path, *(word.format(link.host) for word in words))
    while link.carried < 7 << 20 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=SOON)
    registry.requests.clear()

    again = begun(tmp_path, *(word.format(registry.host) for word in words))
    _, said = again.communicate(timeout=60)

    assert again.returncode == 0, said
    assert ("new", "1") in registry.manifests


STUCK = """
import os, sys, time
from eci_convert.cli import {module} as module
def stuck(*_, **__):
    os.write(1, b"!")
    {blocked}
module.{name} = stuck
from eci_convert.__main__ import main
sys.argv = ["eci-convert", "extract", "oci:image:x", "--kernel", "old"]
sys.exit(main())
"""

BLOCKED = {
    "in a lock that nobody releases": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "in a Future that nobody sets": "from concurrent.futures import Future; Future().result()",
    "in a pool whose thread never ends": "from concurrent.futures import ThreadPoolExecutor as P\n"
    "    with P(1) as pool: pool.submit(time.sleep, 1000)",
    "in a system call": "os.read(os.pipe()[0], 1)",
    "in a loop": "\n    while True: pass",
    "catching everything": "\n    while True:\n        try: time.sleep(1000)\n        except BaseException: pass",
}


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_the_process_is_gone_whatever_its_threads_do(tmp_path: Path, blocked: str, twice: bool) -> None:
    (tmp_path / "old").write_bytes(b"old")
    program = STUCK.format(module="exit_codes", name="run_guarded", blocked=BLOCKED[blocked])
    process = begun(tmp_path, args=[sys.executable, "-c", program])
    assert process.stdout
    assert process.stdout.read(1) == b"!"

    process.send_signal(signal.SIGTERM)
    if twice:
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=SOON)

    assert process.returncode == 130
    assert said == b"eci-convert: error: interrupted\nhint: run it again\n"
    assert outputs(tmp_path) == {"old": b"old"}


def test_what_is_half_written_goes_though_its_owner_is_stuck(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    program = """
import sys, time
from pathlib import Path
from eci_convert.cli import exit_codes
from eci_convert.files.atomic import created_directories, AtomicFiles
from eci_convert.transports.layout.blob_staging import BlobStaging
from eci_convert.transports.verified_input import VerifiedInput
from eci_convert.transports.containers_storage.drivers.staging import Staging

def stuck(*_, **__):
    with created_directories([Path("new/deep/file")]), AtomicFiles() as staged:
        staged.add("old").write(b"new" * 100000)
        staged.add("new/deep/file").write(b"new" * 100000)
        blobs = BlobStaging(Path("layout"))
        blobs.write(VerifiedInput([b"blob"], None, None), 4)
        Path("store").mkdir()
        (Staging.create(Path("store")).new_layer_directory() / "diff" / "file").write_bytes(b"x")
        sys.stdout.write("!")
        sys.stdout.flush()
        time.sleep(1000)

exit_codes.run_guarded = stuck
from eci_convert.__main__ import main
sys.argv = ["eci-convert", "help"]
main()
"""
    process = begun(tmp_path, args=[sys.executable, "-c", program])
    assert process.stdout
    assert process.stdout.read(1) == b"!"
    assert len(outputs(tmp_path)) > 4

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON)

    assert process.returncode == 130
    assert outputs(tmp_path) == {"old": b"old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "store"]


def test_nobody_who_reads_standard_error_is_needed(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(4096))
    os.set_blocking(theirs, True)
    process = begun(tmp_path, "inspect", "oci:nowhere", stderr=theirs)
    time.sleep(1)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON)

    assert process.returncode == 130
    os.close(ours)
    os.close(theirs)


IMPORTING = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Interrupting())
sys.argv = ["eci-convert", "inspect", "oci:nowhere"]
from eci_convert.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("name", ["eci_convert.cli", "eci_convert.cli.stdio", "eci_convert.cli.signals", "threading"])
def test_an_interrupt_while_modules_are_imported_is_silent(tmp_path: Path, name: str) -> None:
    process = begun(tmp_path, args=[sys.executable, "-c", IMPORTING.format(name=name, number=int(signal.SIGINT))])
    _, said = process.communicate(timeout=SOON)
    assert (process.returncode, said) == (130, b"")


@pytest.mark.parametrize(
    "name", ["click", "eci_convert.cli.exit_codes", "eci_convert.cli.commands.inspect", "eci_convert.reading.blobs"]
)
@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupt_while_a_command_is_imported_is_one_like_any_other(
    tmp_path: Path, name: str, number: signal.Signals
) -> None:
    process = begun(tmp_path, args=[sys.executable, "-c", IMPORTING.format(name=name, number=int(number))])
    _, said = process.communicate(timeout=SOON)
    assert b"Traceback" not in said
    assert process.returncode in (4, 130), said  # it may find in time that there is no such layout


def test_a_signal_that_the_parent_has_had_ignored_stays_ignored(tmp_path: Path) -> None:
    """nohup, and jobs in the background of a script."""
    program = IMPORTING.format(name="eci_convert.reading.blobs", number=int(signal.SIGHUP))
    process = begun(
        tmp_path,
        args=[sys.executable, "-c", program],
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    _, said = process.communicate(timeout=SOON)
    assert process.returncode == 4, said


def test_a_program_that_uses_the_library_keeps_its_signal_handlers() -> None:
    program = """
import signal
from eci_convert.cli import main
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
main(["inspect", "oci:nowhere"])
assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == 0


ENGINE_WORK = {
    "build": ["build", "-t", "new:1", "--kernel", "kernel"],
    "build by the engine": ["build", "-t", "new:1", "--kernel", "kernel", "--builder", "docker"],
    "push": ["push", "docker-daemon:new:1", "--kernel", "kernel", "--format", "legacy"],
    "extract": ["extract", "docker-daemon:machine:1", "--path", "kernel=old"],
    "copy": ["copy", "docker-daemon:machine:1", "oci:layout:1"],
}


@pytest.mark.parametrize("work", ENGINE_WORK)
@pytest.mark.parametrize("number", SIGNALS)
def test_an_engine_behind_a_slow_link_is_let_go_of(tmp_path: Path, work: str, number: signal.Signals) -> None:
    (tmp_path / "kernel").write_bytes(OTHER)
    (tmp_path / "old").write_bytes(b"old")
    with TemporaryDirectory() as short, a_docker(Path(short)) as engine, over_tcp(engine) as host:
        copied(
            an_image().tar_layer({"kernel": KERNEL}).build(), open_sink("docker-daemon:machine:1", engine.settings())
        )
        images = set(engine.images)
        slow = SlowLink(host)
        process = begun(tmp_path, *ENGINE_WORK[work], env_more={"DOCKER_HOST": f"tcp://{slow.host}"})
        while slow.carried < 1 << 20 and process.poll() is None:
            time.sleep(0.01)

        process.send_signal(number)
        _, said = process.communicate(timeout=SOON)
        slow.close()

        assert process.returncode == 130, said
        assert b"Traceback" not in said
        assert outputs(tmp_path) == {"kernel": OTHER, "old": b"old"}
        assert set(engine.images) == images
        assert not engine.containers
