"""Writing to a registry that does what it can to lose it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eci_convert import testing as faults
from eci_convert.errors import (
    AccessDeniedError,
    DigestMismatchError,
    ManifestRefusedError,
    SizeMismatchError,
    TransportError,
    UploadLostError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import Index
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.streams.repeatable import SinglePassStream
from eci_convert.testing import FaultyRegistry
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.mount_hints import MountHint
from eci_convert.transports.registry.state.host_facts import HostFacts
from tests.support.home_directory import TYPE, Counted, User, again, noise, once

CHUNK = 256 * 1024
DATA = noise(5 * CHUNK + 1000)
DIGEST = str(Digest.of(DATA))
SESSIONS = "/blobs/uploads/"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, CHUNK)


def sizes(registry: FaultyRegistry) -> list[int]:
    """The bytes of each PATCH that arrived whole."""
    return [len(seen.body) for seen in registry.seen(SESSIONS, "PATCH") if seen.whole]


def methods(registry: FaultyRegistry, path: str = SESSIONS) -> list[str]:
    return [seen.method for seen in registry.seen(path)]


# In good weather


def test_an_image_is_written_blobs_first_and_its_name_last(registry: FaultyRegistry, user: User) -> None:
    manifest = user.pushes(registry, [b"kernel", DATA])
    assert registry.blobs[DIGEST] == DATA
    assert registry.requests[-1].path == "/v2/machine/manifests/1"
    assert registry.manifests["machine", "1"] == registry.manifests["machine", str(manifest.digest)]
    assert len(registry.seen("/manifests/", "PUT")) == 1


def test_a_small_blob_takes_one_session_and_one_request(registry: FaultyRegistry, user: User) -> None:
    user.sends(registry, [b"kernel"])
    assert methods(registry) == ["POST", "PUT"]


def test_a_blob_of_unknown_size_goes_in_chunks(registry: FaultyRegistry, user: User) -> None:
    sent = user.sends(registry, once(DATA, 100_000))
    assert sent == Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sizes(registry) == [CHUNK] * 5 + [1000]
    ranges = [seen.header("Content-Range") for seen in registry.seen(SESSIONS, "PATCH")]
    assert ranges[:2] == [f"0-{CHUNK - 1}", f"{CHUNK}-{2 * CHUNK - 1}"]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_blobs_of_every_size_arrive(registry: FaultyRegistry, user: User, size: int) -> None:
    data = noise(size)
    user.sends(registry, once(data, 1 + size // 3))
    assert registry.blobs[str(Digest.of(data))] == data


def test_an_empty_chunk_is_not_the_end(registry: FaultyRegistry, user: User) -> None:
    user.sends(registry, iter([b"", b"ker", b"", b"nel", b""]))
    assert str(Digest.of(b"kernel")) in registry.blobs


def test_a_blob_that_is_there_is_not_sent(registry: FaultyRegistry, user: User) -> None:
    registry.hold(DATA)
    registry.hold(b"kernel")
    with user.sink(registry) as sink:
        blob = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
        assert sink.has(blob)
        sink.put(TYPE, again(DATA), digest=blob.digest, size=blob.size)
        sink.put(TYPE, [b"kernel"])
    assert methods(registry, "") == ["HEAD", "HEAD"]


def test_what_is_not_there_is_asked_once(registry: FaultyRegistry, user: User) -> None:
    with user.sink(registry) as sink:
        assert not sink.has(Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA)))
        sink.put(TYPE, again(DATA), digest=Digest.of(DATA), size=len(DATA))
    assert len(registry.seen("/blobs/sha256:", "HEAD")) == 1


def test_a_blob_of_another_repository_is_mounted(registry: FaultyRegistry, user: User) -> None:
    registry.hold(DATA)
    registry.misbehave("HEAD", "/blobs/", faults.status(404))
    blob = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
    with user.source(registry, "elsewhere/machine:1") as source, user.sink(registry) as sink:
        assert sink.has(
            Descriptor(media_type=TYPE, digest=blob.digest, size=blob.size, annotations=source.traits.mount_hints)
        )
    posted = registry.seen(SESSIONS, "POST")[0].path
    assert f"mount={DIGEST.replace(':', '%3A')}&from=elsewhere%2Fmachine" in posted


@pytest.mark.parametrize("code", [401, 403, 404, 405])
def test_a_mount_that_is_refused_is_no_reason_to_give_up(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.misbehave("POST", SESSIONS, faults.status(code))
    notes = {f"containerd.io/distribution.source.{registry.host}": MountHint("elsewhere")}
    blob = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA), annotations=notes)
    with user.sink(registry) as sink:
        assert not sink.has(blob)
        sink.put(TYPE, once(DATA), digest=blob.digest, size=blob.size)
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("code", [401, 403, 405, 409, 422, 500, 501])
def test_a_registry_that_cannot_mount_is_sent_the_blob(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.misbehave("POST", "mount=", faults.status(code), times=99)
    blob = Descriptor(
        media_type=TYPE,
        digest=Digest.of(DATA),
        size=len(DATA),
        annotations={f"containerd.io/distribution.source.{registry.host}": MountHint("elsewhere")},
    )
    with user.sink(registry) as sink:
        assert not sink.has(blob)
        sink.put(TYPE, [DATA], digest=blob.digest, size=blob.size)
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("code", [400, 405, 501])
def test_a_registry_that_knows_no_head_is_asked_for_the_thing(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.misbehave("HEAD", "", faults.status(code), times=99)
    manifest = user.pushes(registry, [DATA])
    empty = registry.hold(b"")
    with user.sink(registry) as sink:
        registry.requests.clear()
        assert sink.has(Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA)))
        assert sink.has(Descriptor(media_type=TYPE, digest=Digest.parse(empty), size=0))
        assert sink.has(manifest)
        assert not sink.has(Descriptor(media_type=TYPE, digest=Digest.of(b"other"), size=5))
    assert registry.seen("/blobs/", "GET")[0].header("Range") == "bytes=0-0"


def test_a_web_page_is_no_receipt(registry: FaultyRegistry, user: User) -> None:
    """Threat 91: who says 200 to anything has stored nothing."""
    page = faults.status(200, b"<html>", Content_Type="text/html; charset=utf-8")
    registry.misbehave("HEAD", "", page, times=9)
    blob = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
    with user.sink(registry) as sink:
        assert not sink.has(blob)
        sink.put(TYPE, [DATA], digest=blob.digest, size=blob.size)
    assert registry.blobs[DIGEST] == DATA
    registry.misbehave("PUT", "/manifests/", page)
    with pytest.raises(TransportError, match="HTML response"):
        user.pushes(registry, [b"kernel"])
    registry.misbehave(".*", "", page, times=99)
    with pytest.raises(TransportError, match="no Location header"):
        user.pushes(registry, [b"initrd"])


def test_a_store_that_signed_for_get_alone_has_the_blob(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    digest = registry.hold(DATA)
    other.hold(DATA)
    registry.misbehave("HEAD|GET", "/blobs/", faults.status(307, Location=f"{other.url}/v2/x/blobs/{digest}"), times=9)
    other.misbehave("HEAD", "", faults.status(403), times=9)
    with user.sink(registry) as sink:
        assert sink.has(Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA)))


def test_a_mount_that_is_not_granted_leaves_no_session(registry: FaultyRegistry, user: User) -> None:
    registry.mounts = False
    notes = {f"containerd.io/distribution.source.{registry.host}": MountHint("a,b")}
    with user.sink(registry) as sink:
        assert not sink.has(Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA), annotations=notes))
    assert methods(registry) == ["POST", "POST", "DELETE", "DELETE"]
    assert registry.uploads == {}


@pytest.mark.parametrize(("size", "digest"), [(len(DATA) - 1, None), (len(DATA) + 1, None), (len(DATA), b"other")])
def test_what_is_not_what_was_promised_becomes_no_blob(
    registry: FaultyRegistry, user: User, size: int, digest: bytes | None
) -> None:
    promised = None if digest is None else Digest.of(digest)
    with (
        user.sink(registry) as sink,
        pytest.raises((SizeMismatchError, DigestMismatchError), match=r"size mismatch|digest mismatch"),
    ):
        sink.put(TYPE, again(DATA), digest=promised, size=size)
    assert registry.blobs == {}
    assert not registry.seen(SESSIONS, "PUT")


def test_sha512_is_spoken_where_it_was_promised(registry: FaultyRegistry, user: User) -> None:
    """Threat 59."""
    digest = Digest.of(b"kernel", "sha512")
    registry.misbehave("PUT", SESSIONS, faults.status(201))
    with user.sink(registry) as sink:
        assert sink.put(TYPE, [b"kernel"], digest=digest, size=6).digest == digest
    assert str(digest).replace(":", "%3A") in registry.seen(SESSIONS, "PUT")[0].path


# Cuts


@pytest.mark.parametrize("hears", [0, 1, 1000, CHUNK - 1])
def test_a_cut_chunk_goes_on_where_the_registry_says(registry: FaultyRegistry, user: User, hears: int) -> None:
    """Threat 93: what arrived is not sent again, and nothing that was confirmed is held."""
    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, hears=hears)

    user.sends(registry, once(DATA))

    assert registry.blobs[DIGEST] == DATA
    kept = hears if hears != 1 else 1
    assert [seen.header("Content-Range").partition("-")[0] for seen in registry.seen(SESSIONS, "PATCH")][:3] == [
        "0", str(CHUNK), str(CHUNK + kept)
    ]  # fmt: skip
    assert methods(registry).count("GET") == 1


def test_a_chunk_of_which_nothing_was_kept_is_sent_again(registry: FaultyRegistry, user: User) -> None:
    registry.keeps_partial = False
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("fault", [faults.dropped, *map(faults.status, (408, 425, 429, 500, 502, 503, 504))])
def test_a_chunk_whose_answer_is_lost_is_asked_after(
    registry: FaultyRegistry, user: User, fault: faults.Change
) -> None:
    """Threat 93: it arrived all the same, so it is not sent twice."""
    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, fault)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sizes(registry) == [CHUNK] * 5 + [1000]


@pytest.mark.parametrize("last", [CHUNK - 1, 2 * CHUNK - 500, 2 * CHUNK, 9 * CHUNK])
def test_a_success_is_believed_whatever_the_registry_counts(registry: FaultyRegistry, user: User, last: int) -> None:
    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, faults.header("Range", f"0-{last}"))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sizes(registry) == [CHUNK] * 5 + [1000]
    assert not registry.seen(SESSIONS, "GET")


def test_a_registry_that_kept_less_than_it_said_is_sent_the_rest(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: 416."""

    def shortened(reply: faults.Reply) -> faults.Reply:
        for key, held in registry.uploads.items():
            del held[-500:]
            registry.chunks[key][-1] -= 500
        return reply.with_header("Range", f"0-{2 * CHUNK - 501}")

    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, shortened)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS, "GET")) == 1


def test_a_registry_that_has_more_than_it_was_sent_is_begun_again(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, faults.status(500))
    registry.misbehave("GET", SESSIONS, faults.header("Range", f"0-{9 * CHUNK}"))
    data = Counted(DATA)
    user.sends(registry, data.chunks)
    assert registry.blobs[DIGEST] == DATA
    assert data.times == 2


def test_a_registry_that_counts_bytes_instead_of_naming_the_last_is_understood(
    registry: FaultyRegistry, user: User
) -> None:
    for end in range(CHUNK, len(DATA) + CHUNK, CHUNK):
        registry.misbehave("PATCH", SESSIONS, faults.header("Range", f"0-{min(end, len(DATA))}"))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sizes(registry) == [CHUNK] * 5 + [1000]


def test_a_blob_whose_last_answer_is_lost_is_looked_for(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: 500 at PUT, though it was done."""
    registry.misbehave("PUT", SESSIONS, faults.status(500))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    registry.misbehave("PUT", SESSIONS, faults.dropped)
    user.sends(registry, [b"kernel"])
    assert len(registry.seen(SESSIONS, "PUT")) == 2


def test_a_blob_that_is_there_while_its_session_stands_at_the_beginning(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PUT", SESSIONS, faults.status(502))
    registry.misbehave("GET", SESSIONS, faults.status(204, Range="0-0"))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS, "POST")) == 1


def test_a_finish_that_failed_is_tried_again(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PUT", SESSIONS, faults.unheard(faults.status(503)), times=2)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(sizes(registry)) == 6


def test_a_server_that_hangs_up_before_it_has_heard_all_is_heard(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: the answer says more than the broken pipe."""
    registry.misbehave("PATCH", SESSIONS, faults.refusal(403, "DENIED", "quota"), hears=-1)
    with pytest.raises(TransportError, match="quota"):
        user.sends(registry, once(DATA))


def test_progress_gives_patience_back(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, hears=CHUNK // 2, times=8)
    user.sends(registry, once(DATA), retries=1)
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("blobs", [[DATA], [noise(CHUNK - 1), noise(CHUNK // 2, 2)]], ids=["chunks", "small"])
@pytest.mark.parametrize("forgets", [True, False])
@pytest.mark.parametrize("carries", [66_000, 100_000, CHUNK - 1])
def test_connections_that_all_break_before_a_chunk_is_through_carry_shorter_ones(
    registry: FaultyRegistry, user: User, carries: int, forgets: bool, blobs: list[bytes]
) -> None:
    """Where each cut costs the whole upload too, as at distribution 2.8."""
    registry.carries, registry.forgets_cut = carries, forgets
    with user.sink(registry) as sink:
        for blob in blobs:
            sink.put(TYPE, once(blob))
    assert [registry.blobs[str(Digest.of(blob))] for blob in blobs] == blobs
    cut = [seen for seen in registry.seen(SESSIONS) if not seen.whole]
    assert len(cut) <= (4 if forgets else 9)


def test_chunks_grow_again_where_a_cut_was_a_single_one(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    user.sends(registry, once(DATA * 3))
    lengths = sizes(registry)
    assert max(lengths[:4]) <= CHUNK // 2
    assert lengths.count(CHUNK) > 6


@pytest.mark.parametrize("forgets", [True, False])
def test_chunks_grow_within_an_upload_only_where_it_outlives_a_cut(
    registry: FaultyRegistry, user: User, forgets: bool
) -> None:
    registry.carries, registry.forgets_cut = CHUNK * 3 // 4, forgets
    data = DATA * 5
    with user.sink(registry) as sink:
        for one in (data, data + b"2"):
            registry.requests.clear()
            sink.put(TYPE, once(one))
            assert registry.blobs[str(Digest.of(one))] == one
            cut = [at for at, seen in enumerate(registry.seen(SESSIONS, "PATCH")) if not seen.whole]
            assert cut == [0] if forgets else max(cut) > 0 and len(cut) <= 4


def test_patience_ends_where_nothing_arrives(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, hears=0, times=99)
    with pytest.raises(TransportError, match=r"connection (reset by peer|closed)"):
        user.sends(registry, once(DATA), retries=3)
    assert len(registry.seen(SESSIONS, "PATCH")) == 4


# Sessions that are lost


def test_a_session_that_expired_early_is_begun_again_from_what_is_held(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, faults.status(404))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS, "POST")) == 2


def expired(registry: FaultyRegistry, after: int) -> None:
    registry.misbehave("PATCH", SESSIONS, times=after)
    registry.misbehave("PATCH", SESSIONS, faults.refusal(404, "BLOB_UPLOAD_UNKNOWN", "expired"))


def test_a_session_that_expired_late_is_begun_again_where_the_bytes_can_be_had(
    registry: FaultyRegistry, user: User
) -> None:
    """Threat 93: "restart"."""
    expired(registry, 4)
    data = Counted(DATA)
    user.sends(registry, data.chunks)
    assert registry.blobs[DIGEST] == DATA
    assert data.times == 2


def test_bytes_that_went_by_are_asked_for_by_an_error_of_its_own(registry: FaultyRegistry, user: User) -> None:
    expired(registry, 4)
    with pytest.raises(UploadLostError):
        user.sends(registry, once(DATA))
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("hears", [0, 1000, CHUNK])
def test_a_pipe_goes_on_where_the_connection_broke(registry: FaultyRegistry, user: User, hears: int) -> None:
    """The chunk that was on its way is kept until the registry has confirmed it."""
    registry.misbehave("PATCH", SESSIONS, times=3)
    registry.misbehave("PATCH", SESSIONS, faults.dropped, hears=hears)

    user.sends(registry, SinglePassStream(once(DATA)))

    assert registry.blobs[DIGEST] == DATA
    assert len(registry.seen(SESSIONS, "POST")) == 1


def test_a_pipe_begins_again_while_all_of_it_is_kept(registry: FaultyRegistry, user: User) -> None:
    """The first chunk is kept until a second one was taken."""
    expired(registry, 1)

    user.sends(registry, SinglePassStream(once(DATA)))

    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("chunks", [2, 4])
def test_a_pipe_whose_session_expired_is_lost(registry: FaultyRegistry, user: User, chunks: int) -> None:
    expired(registry, chunks)

    with pytest.raises(UploadLostError, match="uploaded again"):
        user.sends(registry, SinglePassStream(once(DATA)))
    assert registry.blobs == {}


@pytest.mark.parametrize("finished", [False, True])
def test_a_pipe_is_not_compared_with_what_an_earlier_run_sent(
    registry: FaultyRegistry, user: User, finished: bool
) -> None:
    """A disk of today begins as that of yesterday did."""
    data = noise(6 * CHUNK)[: 2 * CHUNK] + bytes(4 * CHUNK)
    if finished:
        user.sends(registry, once(noise(6 * CHUNK)))
    else:
        registry.misbehave("PATCH", SESSIONS, times=4)
        registry.misbehave("PATCH", SESSIONS, faults.status(403))
        with pytest.raises(AccessDeniedError):
            user.sends(registry, once(noise(6 * CHUNK)))

    user.sends(registry, SinglePassStream(once(data)))

    assert registry.blobs[str(Digest.of(data))] == data


def test_nothing_is_remembered_of_a_pipe_for_a_later_run(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, times=4)
    registry.misbehave("PATCH", SESSIONS, faults.status(403))
    with pytest.raises(AccessDeniedError):
        user.sends(registry, SinglePassStream(once(DATA)))

    assert not list(user.home.rglob("uploads/*.json"))


def test_an_iterable_is_not_taken_for_one_that_can_be_had_again(registry: FaultyRegistry, user: User) -> None:
    """It would be empty the second time, and an empty blob would be what is there."""

    class Once:
        def __init__(self) -> None:
            self._chunks = once(DATA)

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks

    expired(registry, 4)
    with pytest.raises(UploadLostError):
        user.sends(registry, Once())
    assert registry.blobs == {}


def test_a_registry_that_forgets_a_session_when_it_is_cut_gets_it_all_again(
    registry: FaultyRegistry, user: User
) -> None:
    """distribution 2.8: what it keeps of a cut chunk contradicts the state in its URL."""
    registry.misbehave("PATCH", SESSIONS, times=3)
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    registry.misbehave("GET", SESSIONS, faults.refusal(404, "BLOB_UPLOAD_INVALID", "blob upload invalid"))
    user.sends(registry, again(DATA))
    assert registry.blobs[DIGEST] == DATA


def test_a_registry_that_never_keeps_a_session_is_given_up(registry: FaultyRegistry, user: User) -> None:
    for _ in range(9):
        expired(registry, 2)
    with pytest.raises(UploadLostError):
        user.sends(registry, again(DATA))
    assert registry.blobs == {}


def test_what_was_spoiled_on_its_way_is_sent_again(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: the registry's digest is another."""
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, faults.spoils_upload(registry))
    user.sends(registry, again(DATA))
    assert registry.blobs[DIGEST] == DATA


# What hosts allow


def test_no_chunk_is_shorter_than_the_registry_wants(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: OCI-Chunk-Min-Length."""
    registry.min_chunk = 2 * CHUNK
    user.sends(registry, once(DATA))
    assert sizes(registry) == [2 * CHUNK, 2 * CHUNK, CHUNK + 1000]


def test_a_chunk_that_is_cut_in_two_leaves_no_short_rest(
    registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was gathered while chunks were quick goes in smaller ones once they are slow; ECR takes none below 5 MB."""
    monkeypatch.setattr(upload_plan, "SHARED", 5 * CHUNK // 2)
    quick = iter([False, True] * 50)
    monkeypatch.setattr(upload_plan.Pace, "of", lambda *_: upload_plan.Pace(quick=next(quick)))
    registry.min_chunk = 9 * CHUNK // 10
    user.sends(registry, once(noise(20 * CHUNK)))
    assert min(sizes(registry)[:-1]) >= registry.min_chunk


def test_chunks_shrink_until_they_are_taken_and_the_next_run_knows(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: 413, of nginx for example."""
    registry.max_body = 100_000
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    refused = [seen for seen in registry.seen(SESSIONS, "PATCH") if len(seen.body) > 100_000]
    assert len(refused) == 2
    registry.requests.clear()
    user.sends(registry, once(DATA + b"2"))
    assert all(len(seen.body) <= 100_000 for seen in registry.requests)


def test_a_small_blob_that_is_too_large_for_one_request_goes_in_chunks(registry: FaultyRegistry, user: User) -> None:
    registry.max_body = 100_000
    data = noise(200_000)
    user.sends(registry, [data])
    assert registry.blobs[str(Digest.of(data))] == data


def test_a_registry_that_takes_nothing_is_given_up(registry: FaultyRegistry, user: User) -> None:
    registry.max_body = 10
    with pytest.raises(TransportError, match="413"):
        user.sends(registry, once(DATA))


def test_a_registry_that_takes_one_piece_gets_one_piece_and_the_next_run_knows(
    registry: FaultyRegistry, user: User
) -> None:
    registry.max_patches = 1
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    registry.requests.clear()
    user.sends(registry, once(b"2" + DATA))
    assert sizes(registry) == [len(DATA) + 1]
    assert registry.seen(SESSIONS, "PATCH")[0].header("Transfer-Encoding") == "chunked"


def test_a_registry_that_takes_no_more_is_not_taken_for_one_that_takes_one_piece(
    registry: FaultyRegistry, user: User
) -> None:
    """A quota, for example."""
    registry.misbehave("PATCH", SESSIONS)
    registry.misbehave("PATCH", SESSIONS, faults.refusal(400, "DENIED", "the quota is used up"), times=2)
    with pytest.raises(TransportError, match="quota"):
        user.sends(registry, again(DATA))
    assert not HostFacts(registry.host, user.settings()).monolithic_only


def test_one_piece_of_a_known_size_says_so(registry: FaultyRegistry, user: User) -> None:
    registry.max_patches = 1
    user.sends(registry, once(DATA))
    registry.requests.clear()
    data = DATA + b"2"
    with user.sink(registry) as sink:
        sink.put(TYPE, once(data), digest=Digest.of(data), size=len(data))
    assert registry.seen(SESSIONS, "PATCH")[0].header("Content-Length") == str(len(data))


def test_one_piece_that_is_cut_is_sent_again_where_it_can_be_had(registry: FaultyRegistry, user: User) -> None:
    registry.max_patches = 1
    user.sends(registry, once(DATA))
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    data = DATA + b"2"
    user.sends(registry, again(data))
    assert registry.blobs[str(Digest.of(data))] == data
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    with pytest.raises(UploadLostError):
        user.sends(registry, once(DATA + b"3"))


def test_what_ghcr_and_google_allow_is_known_beforehand(tmp_path: Path) -> None:
    settings = User(tmp_path).settings()
    assert upload_plan.chunk_length(HostFacts("ghcr.io", settings).limits()) <= 4_000_000
    assert HostFacts("europe-docker.pkg.dev", settings).monolithic_only
    assert not HostFacts("evil-gcr.io", settings).monolithic_only


def test_aws_gets_chunks_of_5_mb_and_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    limits = HostFacts("1.dkr.ecr.eu-west-1.amazonaws.com", User(tmp_path).settings()).limits()
    assert upload_plan.chunk_length(limits) >= 5 * 1024 * 1024


# The death of the process


class Killed(BaseException):
    """Nobody catches this but the test: to the registry it is as if the process had died."""


def until(data: bytes, size: int) -> Iterator[bytes]:
    yield from once(data[:size], 64 * 1024)
    raise Killed


def killed(user: User, registry: FaultyRegistry, data: bytes, at: int) -> None:
    with pytest.raises(Killed):
        user.sends(registry, until(data, at))
    registry.requests.clear()


def test_the_next_run_finishes_what_is_left(registry: FaultyRegistry, user: User) -> None:
    """Threat 106: the same command makes the same bytes, and only those are sent that are not there."""
    killed(user, registry, DATA, 4 * CHUNK + 70_000)
    user.sends(registry, once(DATA, 50_000))
    assert registry.blobs[DIGEST] == DATA
    assert methods(registry)[:2] == ["GET", "PATCH"]
    assert sum(sizes(registry)) == CHUNK + 1000 + CHUNK - CHUNK


def test_the_next_run_takes_up_what_a_cut_chunk_left(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("PATCH", SESSIONS, times=2)
    registry.misbehave("PATCH", SESSIONS, hears=1000, times=1)
    with pytest.raises(TransportError, match=r"connection (reset by peer|closed)"):
        user.sends(registry, once(DATA), retries=0)
    registry.requests.clear()
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert sum(sizes(registry)) == len(DATA) - 2 * CHUNK - 1000


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_however_few_chunks_were_whole(registry: FaultyRegistry, user: User, chunks: int) -> None:
    """The session is written down before its first byte is sent, and lines of the ledger are not shortened."""
    for taken in range(2):
        registry.misbehave("PATCH", SESSIONS, times=chunks)
        registry.misbehave("PATCH", SESSIONS, hears=1000, times=1)
        with pytest.raises(TransportError, match=r"connection (reset by peer|closed)"):
            user.sends(registry, once(DATA), retries=0)
        if chunks > 2:
            break
        assert sum(len(held) for held in registry.uploads.values()) == (chunks * CHUNK + 1000) * (taken + 1)
    registry.requests.clear()
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA
    assert methods(registry)[:2] == ["GET", "PATCH"]


def test_a_blob_that_arrived_before_the_process_died_is_read_and_not_sent(registry: FaultyRegistry, user: User) -> None:
    """Nobody can say what a layer will be before it is compressed; but that it was sent can be written down."""
    user.sends(registry, once(DATA))
    registry.requests.clear()
    user.sends(registry, once(DATA, 1000))
    assert not methods(registry)


def test_a_blob_that_arrived_and_was_collected_as_garbage_is_sent_again(registry: FaultyRegistry, user: User) -> None:
    user.sends(registry, once(DATA))
    registry.blobs.clear()
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize("other", [DATA + b"more", DATA[:-1], DATA[: 2 * CHUNK] + bytes(3 * CHUNK)])
def test_a_blob_that_arrived_is_not_taken_for_another(registry: FaultyRegistry, user: User, other: bytes) -> None:
    start = noise(1 << 20)
    user.sends(registry, once(start + DATA))
    user.sends(registry, again(start + other))
    assert set(registry.blobs.values()) == {start + DATA, start + other}
    user.sends(registry, once(start + other))


def test_two_blobs_of_one_image_that_begin_alike_are_sent_once_each(registry: FaultyRegistry, user: User) -> None:
    start = noise(1 << 20)
    one, two = Counted(start + DATA), Counted(start + DATA[::-1])
    with user.sink(registry) as sink:
        for each in (one, two):
            sink.put(TYPE, each.chunks)
    assert (one.times, two.times) == (1, 1)


def test_what_has_arrived_is_of_no_interest_once_the_image_is_there(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [DATA, DATA[::-1]])
    assert not list(user.home.rglob("uploads/*"))


def test_a_session_that_is_gone_by_the_next_run_is_forgotten(registry: FaultyRegistry, user: User) -> None:
    killed(user, registry, DATA, 3 * CHUNK)
    registry.uploads.clear()
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


def test_a_session_of_other_bytes_that_began_alike_is_not_gone_on_with(registry: FaultyRegistry, user: User) -> None:
    """What went before is compared, not assumed."""
    start = bytes(1024 * 1024)
    killed(user, registry, start + noise(4 * CHUNK, 1), len(start) + 3 * CHUNK)
    data = start + noise(4 * CHUNK, 2)
    user.sends(registry, again(data))
    assert registry.blobs[str(Digest.of(data))] == data
    assert methods(registry)[:3] == ["GET", "DELETE", "POST"]
    start = b"1" + bytes(1024 * 1024 - 1)
    killed(user, registry, start + noise(4 * CHUNK, 3), len(start) + 3 * CHUNK)
    with pytest.raises(UploadLostError):
        user.sends(registry, once(start + noise(4 * CHUNK, 4)))


def test_a_session_with_more_than_there_is_now_is_not_gone_on_with(registry: FaultyRegistry, user: User) -> None:
    killed(user, registry, DATA, 5 * CHUNK)
    user.sends(registry, again(DATA[: 4 * CHUNK + 5]))
    assert str(Digest.of(DATA[: 4 * CHUNK + 5])) in registry.blobs


def test_two_uploads_that_begin_alike_do_not_share_a_session(registry: FaultyRegistry, user: User) -> None:
    one, two = bytes(4 * CHUNK) + b"one", bytes(4 * CHUNK) + b"two"

    def between() -> Iterator[bytes]:
        yield from once(one[: 3 * CHUNK])
        user.sends(registry, once(two))
        yield one[3 * CHUNK :]

    user.sends(registry, between())
    assert registry.blobs[str(Digest.of(one))] == one
    assert registry.blobs[str(Digest.of(two))] == two


def test_the_ledger_is_for_this_user_alone_and_empty_after_success(registry: FaultyRegistry, user: User) -> None:
    """Threat 94: a session's URL lets others write to it."""
    killed(user, registry, DATA, 3 * CHUNK)
    folder = user.home / ".local/state/eci-convert/uploads"
    written = list(folder.glob("*.json"))
    assert len(written) == 1
    assert written[0].stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    user.pushes(registry, [DATA])
    assert not list(folder.glob("*.json"))


@pytest.mark.parametrize("environ", [{}, {"HOME": "/proc/nowhere"}, {"HOME": "relative"}])
def test_without_a_place_for_a_ledger_all_the_rest_works(
    registry: FaultyRegistry, user: User, environ: dict[str, str]
) -> None:
    user.environ = environ
    registry.max_body = 100_000
    registry.misbehave("PATCH", SESSIONS, hears=1000)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"location": 1}', '{"location": "file:///etc/passwd", "checkpoints": {}}']
)
def test_a_spoiled_ledger_is_an_empty_one(registry: FaultyRegistry, user: User, text: str) -> None:
    killed(user, registry, DATA, 3 * CHUNK)
    for path in (user.home / ".local/state/eci-convert/uploads").glob("*.json"):
        path.write_text(text)
    user.sends(registry, once(DATA))
    assert registry.blobs[DIGEST] == DATA


# Manifests


def manifest_of(*blobs: Descriptor, **more: object) -> bytes:
    return to_json(Manifest(config=blobs[0], layers=blobs[1:], **more))  # type: ignore[arg-type]


def test_a_push_that_fails_publishes_no_tag(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: manifest last."""
    registry.misbehave("PUT", SESSIONS, faults.status(507), times=9)
    with pytest.raises(TransportError, match="507"):
        user.pushes(registry, [DATA])
    assert registry.manifests == {}
    assert not registry.seen("/manifests/", "PUT")


def test_an_index_comes_after_what_it_names_and_before_the_tag(registry: FaultyRegistry, user: User) -> None:
    with user.sink(registry) as sink:
        config = sink.put(media_types.OCI_CONFIG, [b"{}"])
        entries = tuple(sink.put(media_types.OCI_MANIFEST, [manifest_of(config, annotations={"n": n})]) for n in "ab")
        assert all(sink.has(entry) for entry in entries)
        index = sink.put(media_types.OCI_INDEX, [to_json(Index(manifests=entries))])
        sink.publish(index)
    put = [seen.path.rpartition("/")[2] for seen in registry.seen("/manifests/", "PUT")]
    assert put == [*(str(entry.digest) for entry in entries), "1"]
    assert registry.seen("/manifests/1", "PUT")[0].header("Content-Type") == media_types.OCI_INDEX


def test_a_manifest_goes_byte_for_byte(registry: FaultyRegistry, user: User) -> None:
    """oras-py writes it anew, and the digest is another."""
    text = json.dumps({"schemaVersion": 2, "config": {}, "layers": [], "odd": 1}, indent=3).encode()
    with user.sink(registry) as sink:
        sink.publish(sink.put(media_types.DOCKER_MANIFEST, [text]))
    assert registry.manifests["machine", "1"] == (media_types.DOCKER_MANIFEST, text)


def test_a_refused_manifest_says_why(registry: FaultyRegistry, user: User) -> None:
    """So that a packer can try one that strict registries know (GitLab, old Quay)."""
    registry.misbehave("PUT", "/manifests/", faults.refusal(400, "MANIFEST_INVALID", "unknown artifactType"))
    with pytest.raises(ManifestRefusedError, match="unknown artifactType") as caught:
        user.pushes(registry, [b"kernel"])
    assert (caught.value.status, caught.value.code, caught.value.reason) == (
        400,
        "MANIFEST_INVALID",
        "unknown artifactType",
    )


def test_a_lost_blob_is_no_fault_of_the_manifest(registry: FaultyRegistry, user: User) -> None:
    """Threat 93: said to be there, and gone."""
    registry.misbehave("PUT", "/manifests/", faults.refusal(404, "MANIFEST_BLOB_UNKNOWN", "blob unknown"))
    with pytest.raises(TransportError, match="blob unknown") as caught:
        user.pushes(registry, [b"kernel"])
    assert not isinstance(caught.value, ManifestRefusedError)


@pytest.mark.parametrize("fault", [faults.dropped, faults.status(503), faults.status(429, Retry_After="0")])
def test_a_manifest_whose_answer_is_lost_is_sent_again(
    registry: FaultyRegistry, user: User, fault: faults.Change
) -> None:
    registry.misbehave("PUT", "/manifests/", fault, times=2)
    user.pushes(registry, [b"kernel"])
    assert ("machine", "1") in registry.manifests


def test_without_a_tag_the_digest_is_published(registry: FaultyRegistry, user: User) -> None:
    first = user.pushes(registry, [b"kernel"])
    registry.manifests.clear()
    user.pushes(registry, [b"kernel"], name=f"machine@{first.digest}")
    assert set(registry.manifests) == {("machine", str(first.digest))}


def test_what_has_another_digest_than_the_reference_is_not_published(registry: FaultyRegistry, user: User) -> None:
    with pytest.raises(DigestMismatchError):
        user.pushes(registry, [b"kernel"], name=f"machine:1@{Digest.of(b'other')}")
    assert registry.manifests == {}


@pytest.mark.parametrize("api", [True, False])
def test_what_refers_to_an_image_is_found_again(registry: FaultyRegistry, user: User, api: bool) -> None:
    """By the API, or by the tag that stands in for it where the registry has none ("Referrers Tag Schema")."""
    registry.has_referrers = api
    subject = user.pushes(registry, [b"kernel"])
    with user.sink(registry) as sink:
        config = sink.put(media_types.OCI_CONFIG, [b"{}"])
        pointer = Descriptor(media_type=subject.media_type, digest=subject.digest, size=subject.size)
        texts = [manifest_of(config, subject=pointer, annotations={"n": n}, artifact_type="a/b") for n in "ab"]
        put = [sink.put(media_types.OCI_MANIFEST, [text]) for text in texts]
        sink.publish(put[-1])
    with user.source(registry) as source:
        found = source.referrers(subject.digest)
    assert {one.digest for one in found} == {one.digest for one in put}
    tagged = ("machine", f"sha256-{subject.digest.hex}") in registry.manifests
    assert tagged is not api
    if tagged:
        assert {one.artifact_type for one in found} == {"a/b"}


def test_an_image_that_nothing_refers_to_has_no_referrers(registry: FaultyRegistry, user: User) -> None:
    registry.has_referrers = False
    with user.source(registry) as source:
        assert source.referrers(Digest.of(b"x")) == ()


def test_a_list_of_referrers_ends_on_its_own_server_and_some_day(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threat 80."""
    page = "/v2/machine/referrers/more"
    registry.misbehave("GET", "/referrers/", faults.header("Link", f'<{page}>; rel="next"'), times=1000)
    with user.source(registry) as source, pytest.raises(Exception, match="pages"):
        source.referrers(Digest.of(b"x"))
    assert len(registry.seen("/referrers/")) <= 50


def test_a_list_of_referrers_does_not_lead_to_another_server(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threat 80."""
    registry.misbehave("GET", "/referrers/", faults.header("Link", f'<{other.url}/v2/x>; rel="next"'))
    with user.source(registry) as source, pytest.raises(TransportError, match="refused"):
        source.referrers(Digest.of(b"x"))
    assert other.requests == []


def test_names_in_requests_are_the_reference_s(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"], name="deep/er/machine:v1.0_x")
    assert all(re.match(r"/v2/deep/er/machine/", seen.path) for seen in registry.requests if seen.path != "/v2/")
