"""Uploads over a way that is quick: long requests, of which nothing is kept, and what becomes of those that break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eci_convert import testing as faults
from eci_convert.errors import DigestMismatchError, SizeMismatchError, TransportError, UploadLostError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.state import host_facts
from tests.support.home_directory import TYPE, Counted, User, noise, once

CHUNK = 64 * 1024
LONG = 8 * CHUNK
DATA = noise(40 * CHUNK + 1000)
DIGEST = Digest.of(DATA)
SESSIONS = "/blobs/uploads/"


@pytest.fixture(autouse=True)
def _quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, CHUNK)
    monkeypatch.setattr(upload_plan, "LONG", LONG)
    monkeypatch.setattr(upload_plan, "FAST", 0)


def sizes(registry: FaultyRegistry) -> list[int]:
    """The bytes of each PATCH that arrived whole."""
    return [len(seen.body) for seen in registry.seen(SESSIONS, "PATCH") if seen.whole]


def sends(user: User, registry: FaultyRegistry, data: object, size: int | None = len(DATA)) -> Descriptor:
    with user.sink(registry) as sink:
        return sink.put(TYPE, data, digest=DIGEST, size=size)  # type: ignore[arg-type]


def the_third(registry: FaultyRegistry, *change: object, hears: int | None = None) -> None:
    """Two chunks arrive, and what comes after them does not."""
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, *change, hears=hears)  # type: ignore[arg-type]


def test_what_is_left_after_two_chunks_goes_in_long_requests(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, once(DATA, 50_000))
    assert registry.blobs[str(DIGEST)] == DATA
    assert sizes(registry) == [CHUNK] * 2 + [LONG] * 4 + [6 * CHUNK + 1000]
    ranges = [seen.header("Content-Range") for seen in registry.seen(SESSIONS, "PATCH")]
    assert ranges[2] == f"{2 * CHUNK}-{2 * CHUNK + LONG - 1}"


def test_a_rest_that_is_short_goes_in_chunks(registry: FaultyRegistry, user: User) -> None:
    data = DATA[: 3 * CHUNK + 1000]
    with user.sink(registry) as sink:
        sink.put(TYPE, once(data), digest=Digest.of(data), size=len(data))
    assert sizes(registry) == [CHUNK] * 3 + [1000]


def test_a_stream_of_unknown_size_goes_in_chunks(registry: FaultyRegistry, user: User) -> None:
    sends(user, registry, once(DATA), size=None)
    assert max(sizes(registry)) == CHUNK


def test_a_slow_way_is_sent_chunks(registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_plan, "FAST", 1 << 60)
    sends(user, registry, once(DATA))
    assert max(sizes(registry)) == CHUNK


def test_a_host_that_takes_no_large_request_is_sent_none(
    registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(host_facts._LARGEST, registry.host, CHUNK)
    sends(user, registry, once(DATA))
    assert max(sizes(registry)) == CHUNK


@pytest.mark.parametrize("hears", [0, 1000, 3 * CHUNK], ids=str)
def test_a_long_request_that_is_cut_is_gone_on_with_in_chunks(registry: FaultyRegistry, user: User, hears: int) -> None:
    data = Counted(DATA)
    the_third(registry, faults.dropped, hears=hears)
    sends(user, registry, data.chunks)
    assert registry.blobs[str(DIGEST)] == DATA
    assert data.times == 2
    assert max(sizes(registry)) == CHUNK
    assert sum(sizes(registry)) <= len(DATA)  # what had arrived did not go again


@pytest.mark.parametrize("code", [400, 413, 416, 500, 502])
def test_a_long_request_that_is_refused_is_gone_on_with_in_chunks(
    registry: FaultyRegistry, user: User, code: int
) -> None:
    data = Counted(DATA)
    the_third(registry, faults.status(code))
    sends(user, registry, data.chunks)
    assert registry.blobs[str(DIGEST)] == DATA
    assert max(sizes(registry)[3:]) == CHUNK


def test_a_session_that_is_gone_for_it_begins_anew(registry: FaultyRegistry, user: User) -> None:
    data = Counted(DATA)
    the_third(registry, faults.dropped, hears=CHUNK)
    registry.misbehave("GET", SESSIONS, faults.status(404), times=9)
    sends(user, registry, data.chunks)
    assert registry.blobs[str(DIGEST)] == DATA


def test_of_what_cannot_be_had_again_the_caller_hears_and_may_go_on(registry: FaultyRegistry, user: User) -> None:
    the_third(registry, faults.dropped, hears=1000)
    with user.sink(registry) as sink:
        with pytest.raises(UploadLostError, match="again"):
            sink.put(TYPE, once(DATA), digest=DIGEST, size=len(DATA))
        arrived = sum(sizes(registry))
        sink.put(TYPE, once(DATA), digest=DIGEST, size=len(DATA))
    assert arrived == 2 * CHUNK
    assert registry.blobs[str(DIGEST)] == DATA
    assert sum(sizes(registry)) <= len(DATA)
    assert max(sizes(registry)) == CHUNK


def test_a_spoilt_stream_makes_no_blob(registry: FaultyRegistry, user: User) -> None:
    with pytest.raises(DigestMismatchError):
        sends(user, registry, once(DATA[:-1] + b"x"))
    assert registry.blobs == {}


@pytest.mark.parametrize("length", [len(DATA) - 1, 5 * CHUNK, len(DATA) + 1, len(DATA) + CHUNK])
def test_a_stream_of_another_size_makes_no_blob(registry: FaultyRegistry, user: User, length: int) -> None:
    with pytest.raises(SizeMismatchError):
        sends(user, registry, once((DATA + DATA)[:length]))
    assert registry.blobs == {}


def test_a_stream_that_breaks_is_its_own_fault(registry: FaultyRegistry, user: User) -> None:
    class _BrokenError(TransportError): ...

    def broken() -> Iterator[bytes]:
        yield from once(DATA[: 6 * CHUNK])
        raise _BrokenError("the other place is gone")

    with pytest.raises(_BrokenError):
        sends(user, registry, broken())
    sends(user, registry, once(DATA))
    assert registry.blobs[str(DIGEST)] == DATA
    assert max(sizes(registry)) > CHUNK  # the way was not to blame


def test_a_registry_that_keeps_less_than_it_was_sent_is_sent_the_rest(registry: FaultyRegistry, user: User) -> None:
    data = Counted(DATA)
    the_third(registry, faults.header("Range", f"0-{2 * CHUNK + 999}"))
    sends(user, registry, data.chunks)
    assert registry.blobs[str(DIGEST)] == DATA
