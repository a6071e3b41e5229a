"""A request to stop reaches whoever loops or waits, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from eci_convert.errors import LocalError
from eci_convert.files.locks import exclusive
from eci_convert.oci.digest import Digest
from eci_convert.reading.resume import PartialDownloads
from eci_convert.streams import interrupts
from eci_convert.streams.blocks import reblocked
from eci_convert.streams.hashing import verified
from eci_convert.streams.threads import BoundedQueue, WorkerThread, prefetch
from eci_convert.transports.registry.http.retry import RetryBudget, TransientError
from eci_convert.transports.verified_input import VerifiedInput
from tests.support.images import KERNEL_TYPE, an_image, only_part

BLOCK = bytes(1 << 20)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    interrupts.reset()


def locked_twice(path: Path) -> None:
    with exclusive(path, 60), exclusive(path, 60):
        pass


def wait_for_ever() -> None:
    threading.Event().wait()


def filled() -> None:
    queue = BoundedQueue(1)
    queue.push(BLOCK)
    queue.push(BLOCK)


WAITS: dict[str, Callable[[Path], object]] = {
    "sleep": lambda _: interrupts.sleep(60),
    "a Future": lambda _: interrupts.result(Future()),
    "a thread": lambda _: WorkerThread(wait_for_ever, "endless").result(),
    "an empty queue": lambda _: BoundedQueue(1).pop(),
    "a full queue": lambda _: filled(),
    "a lock": locked_twice,
    "a registry that is to be asked again": lambda _: RetryBudget(5).wait_or_raise(TransientError("later", 30.0)),
}


@pytest.mark.parametrize("wait", WAITS)
def test_whoever_waits_is_told(tmp_path: Path, wait: str) -> None:
    timer = threading.Timer(0.1, interrupts.request)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        WAITS[wait](tmp_path)
    timer.join()


def endless() -> Iterator[bytes]:
    while True:
        yield BLOCK


@pytest.mark.parametrize(
    "stage",
    [
        lambda: verified(endless(), Digest.of(b""), 1 << 60),
        lambda: VerifiedInput(endless(), None, None),
        lambda: prefetch(endless()),
        lambda: prefetch(reblocked(endless())),
    ],
    ids=["verified", "received", "ahead", "ahead of another stage"],
)  # fmt: skip
def test_a_stage_ends_at_its_next_chunk(stage: Callable[[], Iterator[bytes]]) -> None:
    def consume() -> None:
        for number, _ in enumerate(stage()):
            if number == 3:
                interrupts.request()

    with pytest.raises(KeyboardInterrupt):
        consume()


class Line:
    """Something that a thread is blocked on."""

    def __init__(self) -> None:
        self.aborted = threading.Event()

    def abort(self) -> None:
        self.aborted.set()


def test_what_threads_are_blocked_on_is_aborted_while_it_is_in_use() -> None:
    line, gone = Line(), Line()
    interrupts.abort_on_request(line)
    interrupts.abort_on_request(gone)
    aborted = gone.aborted
    del gone

    interrupts.request()

    assert line.aborted.is_set()
    assert not aborted.is_set()


def test_the_work_itself_may_time_out() -> None:
    future = Future[None]()
    future.set_exception(TimeoutError("the work"))
    with pytest.raises(TimeoutError, match="the work"):
        interrupts.result(future)


def test_without_a_request_nothing_is_raised(tmp_path: Path) -> None:
    interrupts.check()
    interrupts.sleep(0.01)
    done = Future[int]()
    done.set_result(1)
    assert interrupts.result(done) == 1
    with (
        exclusive(tmp_path, 0.05),
        pytest.raises(LocalError, match="locked by another process"),
        exclusive(tmp_path, 0.05),
    ):
        pass


def test_what_has_arrived_is_kept_whatever_error_the_interrupt_came_to(tmp_path: Path) -> None:
    blob = only_part(an_image().layer(KERNEL_TYPE, BLOCK).build()).locator.descriptor  # type: ignore[union-attr]

    def receive() -> None:
        with PartialDownloads(tmp_path / "cache") as downloads:
            kept = downloads.partial(blob)
            assert kept
            list(kept.append_while_slow([b"half"]))
            interrupts.request()
            raise ValueError("a closed socket")

    with pytest.raises(ValueError, match="a closed socket"):
        receive()
    assert [path.read_bytes() for path in (tmp_path / "cache").iterdir()] == [b"half"]
