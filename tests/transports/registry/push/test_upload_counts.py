"""Registries whose count of an upload's bytes is wrong, or that refuse for ever: an upload ends all the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from eci_convert import testing as faults
from eci_convert.errors import TransportError
from eci_convert.oci.digest import Digest
from eci_convert.testing import FaultyRegistry, Reply, Seen
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.http import retry
from eci_convert.transports.registry.state.host_facts import HostFacts
from tests.support.home_directory import User, again, noise, once

CHUNK = 256 * 1024
DATA = noise(5 * CHUNK + 1000)
DIGEST = str(Digest.of(DATA))
SESSIONS = "/blobs/uploads/"

COUNTS: dict[str, Callable[[list[int]], int]] = {
    "of the first chunk": lambda chunks: sum(chunks[:1]),
    "of the last chunk alone": lambda chunks: sum(chunks[-1:]),
    "one too many": lambda chunks: sum(chunks) + 1,
    "none": lambda _: -1,
    "nothing": lambda _: 0,
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_plan, "CHUNK", CHUNK)
    monkeypatch.setattr(upload_plan, "SHARED", 2 * CHUNK)


def sent(registry: FaultyRegistry) -> int:
    """The bytes of all uploads, arrived or not."""
    return sum(int(seen.header("Content-Length") or len(seen.body)) for seen in registry.seen(SESSIONS, "PATCH|PUT"))


def offsets(registry: FaultyRegistry) -> list[int]:
    ranges = [seen.header("Content-Range") for seen in registry.seen(SESSIONS, "PATCH")]
    return [int(text.partition("-")[0]) for text in ranges]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("get", [204, 404, 405, 501])
def test_a_wrong_count_does_not_matter_while_all_goes_well(
    registry: FaultyRegistry, user: User, count: str, get: int
) -> None:
    """Amazon ECR's Range stays where the first chunk ended."""
    registry.counts = COUNTS[count]
    if get != 204:
        registry.misbehave("GET", SESSIONS, faults.status(get), times=99)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sent(registry) == len(DATA)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("fault", ["stored and 503", "cut", "cut and kept in part", "cut and kept none"])
@pytest.mark.parametrize("get", [204, 404, 405])
@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_a_wrong_count_after_a_fault_ends_in_success(
    registry: FaultyRegistry, user: User, count: str, fault: str, get: int, chunk: int
) -> None:
    registry.counts = COUNTS[count]
    registry.keeps_partial = fault != "cut and kept none"
    if get != 204:
        registry.misbehave("GET", SESSIONS, faults.status(get), times=99)
    registry.misbehave("PATCH", SESSIONS, times=chunk)
    if fault == "stored and 503":
        registry.misbehave("PATCH", SESSIONS, faults.status(503))
    else:
        registry.misbehave("PATCH", SESSIONS, hears=0 if fault == "cut" else 1000)
    user.sends(registry, again(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS)) < 40
    assert sent(registry) < 4 * len(DATA)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("at", [1, 3])
def test_a_wrong_count_does_not_keep_the_next_run_from_going_on(
    registry: FaultyRegistry, user: User, count: str, at: int
) -> None:
    registry.counts = COUNTS[count]

    def dying() -> object:
        yield DATA[: at * CHUNK + 70_000]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        user.sends(registry, dying())  # type: ignore[arg-type]
    registry.requests.clear()
    user.sends(registry, again(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS)) < 40


def test_a_count_of_one_too_many_costs_nothing_once_it_is_known(registry: FaultyRegistry, user: User) -> None:
    registry.counts = COUNTS["one too many"]
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS, "GET")) == 1


def test_a_registry_that_is_never_where_it_says_is_given_up(registry: FaultyRegistry, user: User) -> None:
    def elsewhere(_: Reply) -> Reply:
        return Reply.of(416, Location=registry.requests[-1].path, Range="0-99")

    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, faults.unheard(elsewhere), times=999)
    with pytest.raises(TransportError, match=r"PATCH .*: 416"):
        user.sends(registry, again(DATA))
    assert len(registry.seen(SESSIONS)) < 80


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_that_share_no_uploads_are_given_up(registry: FaultyRegistry, user: User, replicas: int) -> None:
    """What a session took that is thrown away is no progress."""
    for _ in range(99):
        registry.misbehave("PATCH", SESSIONS, times=replicas - 1)
        registry.misbehave("PATCH", SESSIONS, faults.unheard(faults.refusal(404, "BLOB_UPLOAD_UNKNOWN", "unknown")))
    with pytest.raises(TransportError, match="404"):
        user.sends(registry, again(DATA), retries=3)
    assert sent(registry) < 6 * len(DATA)
    assert len(registry.seen(SESSIONS, "POST")) <= 16


@pytest.mark.parametrize("fault", [("PATCH", 404), ("PUT", 404), ("PUT", 400), ("PUT", 416), ("PATCH", 503)])
def test_without_retries_nothing_is_sent_twice(registry: FaultyRegistry, user: User, fault: tuple[str, int]) -> None:
    method, code = fault
    if method == "PATCH":
        registry.misbehave("PATCH", SESSIONS, times=3)
    refusal = faults.refusal(code, "DIGEST_INVALID" if code == 400 else "", "no")
    registry.misbehave(method, SESSIONS, faults.unheard(refusal), times=99)
    with pytest.raises(TransportError, match=str(code)):
        user.sends(registry, again(DATA), retries=0)
    assert sent(registry) <= len(DATA)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_what_is_sent_of_one_blob_has_a_bound(
    registry: FaultyRegistry, user: User, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_TRAFFIC_ALLOWANCE", 2 * CHUNK)
    registry.misbehave(method, SESSIONS, faults.unheard(faults.status(503)), times=9999)
    with pytest.raises(TransportError, match="bytes sent for a blob"):
        user.sends(registry, [DATA[:CHUNK]] if method == "PUT" else again(DATA), retries=1000)
    assert sent(registry) <= 4 * len(DATA) + 2 * CHUNK


# Requests that are too large


def large_requests(registry: FaultyRegistry, limit: int) -> list[Seen]:
    return [seen for seen in registry.seen(SESSIONS, "PATCH|PUT") if len(seen.body) > limit]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (413, ""),
        (416, "the request body is too large and exceeds the maximum permissible limit of 4.00MiB"),
        (416, "Too Large"),
        (400, "request entity too large"),
    ],
)
@pytest.mark.parametrize("size", [len(DATA), CHUNK - 1])
def test_a_request_that_is_too_large_is_made_smaller_whatever_it_is_called(
    registry: FaultyRegistry, user: User, code: int, message: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub's registries say 416, in PATCH and in PUT."""
    registry.max_body, data = 100_000, noise(size)
    respond = registry.reply

    def reply(method: str, path: str, headers: object, content: bytes) -> Reply:
        answer = respond(method, path, headers, content)  # type: ignore[arg-type]
        if answer.status != 413:
            return answer
        return faults.refusal(code, "REQUESTED_RANGE_NOT_SATISFIABLE", message)(answer) if message else answer

    monkeypatch.setattr(registry, "reply", reply)
    user.sends(registry, once(data))
    assert registry.blobs[str(Digest.of(data))] == data
    assert len(large_requests(registry, 100_000)) <= 3
    registry.requests.clear()
    user.sends(registry, once(b"2" + data))
    assert large_requests(registry, 100_000) == []
    assert not HostFacts(registry.host, user.settings()).monolithic_only


@pytest.mark.parametrize("message", ["the range exceeds the current size", "out of the limits: too large an offset"])
def test_a_registry_that_is_elsewhere_is_not_taken_for_one_that_wants_less(
    registry: FaultyRegistry, user: User, message: str
) -> None:
    def elsewhere(reply: Reply) -> Reply:
        document = faults.refusal(416, "RANGE_INVALID", message)(reply)
        key = registry.requests[-1].path.rpartition("/")[2]
        return document.with_header("Range", f"0-{len(registry.uploads[key]) - 1}")

    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, elsewhere)  # it has stored the chunk all the same
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sent(registry) == len(DATA)


@pytest.mark.parametrize(("minimum", "limit"), [(10, 12), (10, 10), (5, 5), (10, 19), (10, 7)])
@pytest.mark.parametrize("size", [9, 60, 61, 75])
def test_a_minimum_and_a_maximum_are_both_kept(
    registry: FaultyRegistry, user: User, minimum: int, limit: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In units of 64 KiB; where there is nothing between the two, the maximum counts."""
    unit = 64 * 1024
    monkeypatch.setattr(upload_plan, "CHUNK", 6 * unit)
    monkeypatch.setattr(upload_plan, "SHARED", 24 * unit)
    registry.min_chunk, registry.max_body = minimum * unit, limit * unit
    data = noise(size * unit)
    user.sends(registry, once(data))
    assert registry.blobs[str(Digest.of(data))] == data
    assert len(large_requests(registry, limit * unit)) < 6
    taken = [len(seen.body) for seen in registry.seen(SESSIONS, "PATCH") if len(seen.body) <= limit * unit]
    assert minimum > limit or all(length >= minimum * unit for length in taken[:-1])


def test_a_registry_that_takes_nothing_is_refused_a_few_times(registry: FaultyRegistry, user: User) -> None:
    registry.max_body, registry.min_chunk = 10, 3 * CHUNK
    with pytest.raises(TransportError, match="413"):
        user.sends(registry, again(DATA))
    assert len(registry.seen(SESSIONS, "PATCH")) < 8


# Content-Range


@pytest.mark.parametrize("code", [400, 405, 416, 422, 501])
def test_where_content_range_is_refused_the_blob_goes_in_one_stream(
    registry: FaultyRegistry, user: User, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docker sends it."""
    registry.takes_ranges = False
    respond = registry.reply

    def reply(method: str, path: str, headers: object, content: bytes) -> Reply:
        answer = respond(method, path, headers, content)  # type: ignore[arg-type]
        return replace(answer, status=code) if answer.status == 416 else answer

    monkeypatch.setattr(registry, "reply", reply)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    streamed = registry.seen(SESSIONS, "PATCH")[-1]
    assert streamed.header("Content-Range") == ""
    assert streamed.body == DATA
    registry.requests.clear()
    user.sends(registry, once(b"2" + DATA))
    assert len(registry.seen(SESSIONS, "PATCH")) == 1


@pytest.mark.parametrize("code", [400, 413])
def test_what_was_found_out_of_a_registry_and_holds_no_longer_is_forgotten(
    registry: FaultyRegistry, user: User, code: int
) -> None:
    registry.takes_ranges = False
    user.sends(registry, once(DATA))
    registry.takes_ranges = True
    registry.misbehave("PATCH", SESSIONS, faults.unheard(faults.status(code)))
    registry.requests.clear()
    user.sends(registry, again(b"2" + DATA))
    assert registry.blobs[str(Digest.of(b"2" + DATA))] == b"2" + DATA
    assert len(registry.seen(SESSIONS, "PATCH")) > 2
    assert not HostFacts(registry.host, user.settings()).monolithic_only


def test_a_quota_at_the_first_chunk_is_no_reason_to_send_all_of_it(registry: FaultyRegistry, user: User) -> None:
    refusal = faults.refusal(400, "DENIED", "quota exceeded")
    registry.misbehave("PATCH", SESSIONS, refusal, times=9)
    with pytest.raises(TransportError, match="quota"):
        user.sends(registry, again(DATA))
    assert len(registry.seen(SESSIONS, "PATCH")) == 1


def test_offsets_are_where_the_chunks_are(registry: FaultyRegistry, user: User) -> None:
    user.sends(registry, once(DATA))
    lengths = [len(seen.body) for seen in registry.seen(SESSIONS, "PATCH")]
    assert offsets(registry) == [sum(lengths[:count]) for count in range(len(lengths))]
    assert all(re.fullmatch(r"\d+-\d+", seen.header("Content-Range")) for seen in registry.seen(SESSIONS, "PATCH"))
