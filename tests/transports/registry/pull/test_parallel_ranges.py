"""A blob over several connections, where one gives little: in order, verified, and never worse off for having tried."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from eci_convert import testing as faults
from eci_convert.errors import DigestMismatchError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import open_blob
from eci_convert.testing import FaultyRegistry, Reply
from eci_convert.transports.registry.pull import download, parallel_ranges
from tests.support.home_directory import TYPE, User, noise

RANGE = 64 * 1024
DATA = noise(60 * RANGE + 123)
BLOBS = "/blobs/sha256:"


@pytest.fixture(autouse=True)
def _everything_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """One piece of the first connection is judged, and found wanting."""
    monkeypatch.setattr(parallel_ranges, "RANGE", RANGE)
    monkeypatch.setattr(download, "SLOW", 1 << 60)
    monkeypatch.setattr(download, "_MIN_PARALLEL_SIZE", 4 * RANGE)
    monkeypatch.setattr(download, "_SAMPLE_SECONDS", 0.0)


@pytest.fixture
def held(registry: FaultyRegistry) -> Descriptor:
    registry.hold(DATA)
    return Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))


def asked(registry: FaultyRegistry) -> list[str]:
    return [seen.header("Range") for seen in registry.seen(BLOBS)]


def pulled(user: User, registry: FaultyRegistry, held: Descriptor, **flags: Any) -> bytes:
    return user.pulls(registry, str(held.digest), held.size, **flags)


def test_the_rest_of_a_slow_blob_comes_in_ranges(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    assert pulled(user, registry, held) == DATA
    wanted = asked(registry)
    assert wanted[0] == ""
    assert len(wanted) > 40
    assert all(text.startswith("bytes=") for text in wanted[1:])


def test_ranges_are_short_where_a_connection_gives_little(
    registry: FaultyRegistry, user: User, held: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not whole when the process is killed has to be had again."""
    monkeypatch.setattr(parallel_ranges, "RANGE", 1 << 30)
    monkeypatch.setattr(parallel_ranges, "_SHORTEST", RANGE)
    registry.pace = 4e6
    assert pulled(user, registry, held) == DATA
    bounds = [text.removeprefix("bytes=").split("-") for text in asked(registry)[1:]]
    assert max(int(last) - int(first) for first, last in bounds) < 2e6


def test_a_fast_blob_comes_over_one_connection(
    registry: FaultyRegistry, user: User, held: Descriptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SLOW", 0)
    assert pulled(user, registry, held) == DATA
    assert asked(registry) == [""]


def test_one_connection_is_kept_to_where_one_is_allowed(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    assert pulled(user, registry, held, concurrency=1) == DATA
    assert asked(registry) == [""]


def test_a_small_rest_is_not_worth_it(registry: FaultyRegistry, user: User) -> None:
    data = noise(4 * RANGE)
    assert user.pulls(registry, registry.hold(data), len(data)) == data
    assert asked(registry) == [""]


def test_ranges_that_never_bring_anything_are_an_error(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    registry.misbehave("GET", BLOBS, times=9)
    registry.misbehave("GET", BLOBS, faults.cut(0), times=10_000)
    with pytest.raises(TransportError, match="unexpected EOF"):
        pulled(user, registry, held, retries=1)


@pytest.mark.parametrize("fault", [faults.cut(1000), faults.status(503), faults.dropped, faults.cut(0)])
def test_a_range_that_fails_goes_on_where_it_was(
    registry: FaultyRegistry, user: User, held: Descriptor, fault: faults.Change
) -> None:
    registry.misbehave("GET", BLOBS)
    registry.misbehave("GET", BLOBS, fault, times=5)
    assert pulled(user, registry, held) == DATA


REFUSALS = {
    "all of it": lambda _: Reply.of(200, DATA),
    "none": faults.status(416),
    "no more at once": faults.status(429),
    "another range": lambda reply: reply.with_header("Content-Range", f"bytes 0-1/{len(DATA)}"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("after", [1, 7])
def test_a_server_without_ranges_is_read_over_one_connection(
    registry: FaultyRegistry, user: User, held: Descriptor, refusal: str, after: int
) -> None:
    registry.misbehave("GET", BLOBS, times=after)
    registry.misbehave("GET", BLOBS, REFUSALS[refusal], times=4)
    assert pulled(user, registry, held) == DATA


def test_wrong_bytes_in_a_range_are_refused(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    registry.misbehave("GET", BLOBS, times=9)
    registry.misbehave("GET", BLOBS, faults.spoiled)
    with pytest.raises(DigestMismatchError):
        pulled(user, registry, held)


def test_a_server_that_fails_for_good_is_an_error(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    registry.misbehave("GET", BLOBS, times=9)
    registry.misbehave("GET", BLOBS, faults.status(500), times=10_000)
    with pytest.raises(TransportError, match="500"):
        pulled(user, registry, held, retries=1)


def test_a_store_behind_a_redirect_is_asked_directly_until_its_signature_expires(
    registry: FaultyRegistry, other: FaultyRegistry, user: User, held: Descriptor
) -> None:
    other.hold(DATA)
    away = faults.status(307, Location=f"{other.url}/v2/x/blobs/{held.digest}?X-Amz-Signature=1")
    registry.misbehave("GET", BLOBS, away, times=10_000)
    other.misbehave("GET", BLOBS, times=20)
    other.misbehave("GET", BLOBS, faults.status(403))
    assert pulled(user, registry, held) == DATA
    assert 2 <= len(registry.seen(BLOBS)) <= 12
    assert len(other.seen(BLOBS)) > 40


def test_leaving_early_stops_all_connections(registry: FaultyRegistry, user: User, held: Descriptor) -> None:
    """A range that stands still is not waited for."""
    with user.source(registry, timeout=60.0) as source, source.fetch(held) as chunks:
        taken = iter(chunks)
        start = f"bytes {len(next(taken))}-"

        def stall(reply: Reply) -> Reply:
            ahead = not reply.header("Content-Range").startswith(start)
            return faults.cut(10, stall=60.0)(reply) if ahead else reply

        registry.misbehave("GET", BLOBS, stall, times=99)
        next(taken)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("range")]


def test_a_consumer_that_is_interrupted_leaves_no_thread(
    registry: FaultyRegistry, user: User, held: Descriptor
) -> None:
    registry.pace = 2e6

    def interrupted() -> None:
        with user.source(registry) as source, open_blob(source, held) as chunks:
            next(chunks)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("range")]
