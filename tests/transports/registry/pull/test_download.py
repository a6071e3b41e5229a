"""Reading from a registry that does what it can to spoil it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from eci_convert import testing as faults
from eci_convert.errors import (
    DigestMismatchError,
    FormatError,
    LimitExceededError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.reading.blobs import open_blob
from eci_convert.reading.images import load_root
from eci_convert.testing import FaultyRegistry, Reply
from tests.support.home_directory import TYPE, User, noise

DATA = noise(300_000)
BLOBS = "/blobs/sha256:"


def holds(registry: FaultyRegistry, data: bytes = DATA) -> tuple[str, int]:
    return registry.hold(data), len(data)


def test_an_image_is_resolved_and_read(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel", DATA])
    with user.source(registry) as source:
        descriptor, manifest = load_root(source)
        with open_blob(source, manifest.layers[1]) as chunks:  # type: ignore[union-attr]
            assert b"".join(chunks) == DATA
    assert descriptor.media_type == media_types.OCI_MANIFEST
    assert len(registry.seen("/manifests/1", "GET")) == 1
    assert {"GET"} == {seen.method for seen in registry.requests[-2:]}


def test_all_kinds_of_documents_are_asked_for_and_bytes_as_they_are(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"])
    user.resolves(registry)
    request = registry.seen("/manifests/1", "GET")[0]
    assert set(request.header("Accept").split(", ")) == media_types.DOCUMENTS
    assert request.header("Accept-Encoding") == "identity"


def test_a_digest_decides_and_the_tag_beside_it_does_not(registry: FaultyRegistry, user: User) -> None:
    first = user.pushes(registry, [b"old"])
    second = user.pushes(registry, [b"new"])
    assert user.resolves(registry).digest == second.digest
    assert user.resolves(registry, f"machine:1@{first.digest}").digest == first.digest


def test_a_missing_image_and_a_missing_blob_are_named(registry: FaultyRegistry, user: User) -> None:
    with pytest.raises(NotFoundError, match="manifest unknown"):
        user.resolves(registry)
    with pytest.raises(NotFoundError, match="blobs/sha256:"):
        user.pulls(registry, str(Digest.of(b"nowhere")), 7)


# Bytes that are cut short, and what comes after


@pytest.mark.parametrize("after", [0, 1, 1000, 299_999])
def test_a_cut_download_goes_on_where_it_was(registry: FaultyRegistry, user: User, after: int) -> None:
    """Threats 86, 87: an end without an error, too, is a cut, and what was received is not sent again."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(after))

    assert user.pulls(registry, digest, size) == DATA

    asked = [seen.header("Range") for seen in registry.seen(BLOBS)]
    assert asked == ["", f"bytes={after}-" if after else ""]


def test_a_body_without_a_length_that_ends_early_is_a_cut(registry: FaultyRegistry, user: User) -> None:
    """Threat 86."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, lambda reply: replace(faults.cut(5000)(reply), length=None))
    assert user.pulls(registry, digest, size) == DATA
    assert registry.seen(BLOBS)[1].header("Range") == "bytes=5000-"


def test_progress_gives_patience_back(registry: FaultyRegistry, user: User) -> None:
    """Threat 87: a link that breaks more often than --retries allows in a row still carries a blob."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(20_000), times=100)
    assert user.pulls(registry, digest, size, retries=2) == DATA
    assert len(registry.seen(BLOBS)) == 15


def test_patience_ends_where_nothing_comes(registry: FaultyRegistry, user: User) -> None:
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(0), times=100)
    with pytest.raises(TransportError, match="0 of 300000 bytes") as caught:
        user.pulls(registry, digest, size, retries=3)
    assert len(registry.seen(BLOBS)) == 4
    assert any("--retries" in note for note in caught.value.__notes__)


def test_a_trickle_of_single_bytes_does_not_renew_patience(registry: FaultyRegistry, user: User) -> None:
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(1), times=1000)
    with pytest.raises(TransportError, match="unexpected EOF after 4 of 300000 bytes"):
        user.pulls(registry, digest, size, retries=3)
    assert len(registry.seen(BLOBS)) < 10


def test_a_server_that_ignores_ranges_is_read_past_what_is_known(registry: FaultyRegistry, user: User) -> None:
    """Threat 87."""
    digest, size = holds(registry)
    registry.has_ranges = False
    registry.misbehave("GET", BLOBS, faults.cut(100_000))
    assert user.pulls(registry, digest, size) == DATA


LIES = {
    "another beginning": lambda reply: reply.with_header("Content-Range", "bytes 0-299999/300000"),
    "no range at all": lambda reply: reply.with_header("Content-Range", None),
    "another end": lambda reply: reply.with_header("Content-Range", "bytes 100000-200000/300000"),
    "nonsense": lambda reply: reply.with_header("Content-Range", "bytes -1-x/*"),
    "another length": lambda reply: replace(reply, body=DATA, length=len(DATA)),
    "refusal": lambda _: Reply.of(416),
}


def test_a_blob_is_not_received_without_end_where_each_try_brings_a_little_more(
    registry: FaultyRegistry, user: User
) -> None:
    """Without ranges each try begins at the start: progress alone would allow gigabytes for these 8 MiB."""
    data = noise(8 * 1024 * 1024)
    digest = registry.hold(data)
    registry.has_ranges = False
    tries: list[int] = []

    def cut_later(reply: Reply) -> Reply:
        tries.append(min(len(data), 140 * 1024 * (len(tries) + 1)))
        return faults.cut(tries[-1])(reply)

    registry.misbehave("GET", "/blobs/", cut_later, times=1000)
    with pytest.raises(TransportError, match=r"bytes received for a blob of 8388608 bytes: giving up"):
        user.pulls(registry, digest, len(data))
    assert sum(tries) < 9 * len(data)


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_misreports_ranges_is_asked_for_everything(
    registry: FaultyRegistry, user: User, lie: str
) -> None:
    """Threat 87."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(100_000))
    registry.misbehave("GET", BLOBS, LIES[lie])
    assert user.pulls(registry, digest, size) == DATA
    assert [seen.header("Range") for seen in registry.seen(BLOBS)] == ["", "bytes=100000-", ""]


def test_a_server_that_lies_well_about_ranges_is_found_out_at_the_end(registry: FaultyRegistry, user: User) -> None:
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(100_000))
    registry.misbehave("GET", BLOBS, lambda reply: replace(reply, body=DATA[: len(reply.body)]))
    with pytest.raises(DigestMismatchError):
        user.pulls(registry, digest, size)


def test_what_another_process_received_is_skipped(registry: FaultyRegistry, user: User) -> None:
    digest, size = holds(registry)
    assert user.pulls(registry, digest, size, skip=250_000) == DATA[250_000:]
    assert registry.seen(BLOBS)[0].header("Range") == "bytes=250000-"
    registry.has_ranges = False
    assert user.pulls(registry, digest, size, skip=250_000) == DATA[250_000:]
    assert user.pulls(registry, digest, size, skip=size) == b""


# Bytes that are wrong


def test_wrong_bytes_are_refused(registry: FaultyRegistry, user: User) -> None:
    """Threat 91."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.spoiled)
    with pytest.raises(DigestMismatchError):
        user.pulls(registry, digest, size)


@pytest.mark.parametrize("data", [DATA + b"!", DATA + DATA, DATA[:-1], b""])
def test_a_blob_of_another_length_is_refused_at_once(registry: FaultyRegistry, user: User, data: bytes) -> None:
    """Threats 56, 91: no retry makes it longer."""
    digest, size = holds(registry)
    registry.blobs[digest] = data
    with pytest.raises(SizeMismatchError):
        user.pulls(registry, digest, size)
    assert len(registry.seen(BLOBS)) == 1


def test_no_more_than_was_promised_is_read(registry: FaultyRegistry, user: User) -> None:
    """Threat 53: neither a body without end nor one that would unpack to one."""
    digest, _ = holds(registry)
    registry.blobs[digest] = bytes(64 * 1024 * 1024)
    blob = Descriptor(media_type=TYPE, digest=Digest.parse(digest), size=1000)
    with user.source(registry) as source, source.fetch(blob) as chunks:
        assert [len(chunk) for chunk in chunks] == [1001]


def test_an_empty_blob_is_not_asked_for(registry: FaultyRegistry, user: User) -> None:
    assert user.pulls(registry, str(Digest.of(b"")), 0) == b""
    assert registry.requests == []


def test_content_encoding_is_not_undone(registry: FaultyRegistry, user: User) -> None:
    """Threat 53: the digest is of the bytes as they are stored, whatever a store says of them."""
    import gzip

    data = gzip.compress(DATA)
    digest, size = holds(registry, data)
    registry.misbehave("GET", BLOBS, faults.header("Content-Encoding", "gzip"))
    assert user.pulls(registry, digest, size) == data


# Failures that pass


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_for_again(registry: FaultyRegistry, user: User, code: int) -> None:
    """Threat 88."""
    digest, size = holds(registry)
    user.pushes(registry, [DATA])
    registry.misbehave("GET", "/manifests/", faults.status(code), times=2)
    registry.misbehave("GET", BLOBS, faults.status(code, Retry_After="0"), times=2)
    user.resolves(registry)
    assert user.pulls(registry, digest, size) == DATA


@pytest.mark.parametrize("code", [400, 405, 410, 451, 501, 505])
def test_what_will_not_pass_is_not_asked_for_again(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.misbehave("GET", "/manifests/", faults.status(code), times=9)
    with pytest.raises(TransportError, match=str(code)):
        user.resolves(registry)
    assert len(registry.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        faults.dropped,
        faults.raw(b""),
        faults.raw(b"garbage\r\n\r\n"),
        faults.raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000),
    ],
)
def test_a_broken_answer_is_asked_for_again(registry: FaultyRegistry, user: User, fault: faults.Change) -> None:
    """Threat 88."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, fault, times=2)
    assert user.pulls(registry, digest, size) == DATA


def test_the_time_that_a_server_asks_for_is_given(registry: FaultyRegistry, user: User, waits: list[float]) -> None:
    """Threat 88."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.status(429, Retry_After="7"))
    registry.misbehave("GET", BLOBS, faults.status(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"))
    assert user.pulls(registry, digest, size) == DATA
    assert len(waits) == 2
    assert 7 <= waits[0] < 8
    assert waits[1] < 1


def test_a_server_that_asks_for_an_hour_is_told_of_at_once(
    registry: FaultyRegistry, user: User, waits: list[float]
) -> None:
    """Threat 88: skopeo sleeps for as long as it is told."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.status(429, Retry_After="3600"), times=9)
    with pytest.raises(TransportError) as caught:
        user.pulls(registry, digest, size)
    assert waits == []
    assert any("3600 s" in note for note in caught.value.__notes__)


# Servers that stand still


def test_a_stalled_download_is_cut_and_goes_on(registry: FaultyRegistry, user: User) -> None:
    """Threat 89: skopeo hangs for ever."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.cut(70_000, stall=2.0))
    assert user.pulls(registry, digest, size, timeout=0.3) == DATA
    assert registry.seen(BLOBS)[1].header("Range") == "bytes=70000-"


def test_an_answer_that_does_not_begin_is_not_waited_for(registry: FaultyRegistry, user: User) -> None:
    """Threat 89."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.delayed(2.0))
    assert user.pulls(registry, digest, size, timeout=0.3) == DATA


def test_headers_that_come_byte_by_byte_are_not_waited_for(registry: FaultyRegistry, user: User) -> None:
    """Threat 89: each byte is in time, all of them are not."""
    digest, size = holds(registry)
    registry.misbehave("GET", BLOBS, faults.trickling(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1000, pause=0.05))
    assert user.pulls(registry, digest, size, timeout=0.4) == DATA


def test_a_body_that_comes_byte_by_byte_is_not_waited_for(registry: FaultyRegistry, user: User) -> None:
    """Threat 89: slow-loris."""
    digest, size = holds(registry)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
    registry.misbehave("GET", BLOBS, faults.trickling(head + DATA, pause=0.05, at_once=len(head)))
    assert user.pulls(registry, digest, size, timeout=0.4) == DATA


# Manifests


def test_a_manifest_that_is_not_the_one_asked_for_is_refused(registry: FaultyRegistry, user: User) -> None:
    """Threat 90."""
    good = user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", lambda reply: faults.body(reply.body + b" ")(reply))
    with pytest.raises(DigestMismatchError):
        user.resolves(registry, f"machine@{good.digest}")


def test_a_digest_header_that_contradicts_the_bytes_is_believed_neither(registry: FaultyRegistry, user: User) -> None:
    """Threat 90."""
    user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", faults.header("Docker-Content-Digest", str(Digest.of(b"other"))))
    with pytest.raises(DigestMismatchError):
        user.resolves(registry)


@pytest.mark.parametrize("value", [None, "", "nonsense", "md5:" + 32 * "0", "sha256:abc"])
def test_a_missing_digest_header_is_no_fault(registry: FaultyRegistry, user: User, value: str | None) -> None:
    """Threat 90: the bytes say which they are."""
    digest = user.pushes(registry, [b"kernel"]).digest
    registry.misbehave("GET", "/manifests/", faults.header("Docker-Content-Digest", value))
    assert user.resolves(registry).digest == digest


@pytest.mark.parametrize("value", [None, "application/json", "text/plain; charset=utf-8", ""])
def test_a_manifest_under_no_type_says_itself_what_it_is(
    registry: FaultyRegistry, user: User, value: str | None
) -> None:
    user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", faults.header("Content-Type", value))
    assert user.resolves(registry).media_type == media_types.OCI_MANIFEST


def test_a_web_page_is_not_a_manifest(registry: FaultyRegistry, user: User) -> None:
    """Threat 91: the portal of a hotel."""
    registry.misbehave("GET", "/manifests/", faults.status(200, b"<html>pay here</html>", Content_Type="text/html"))
    with pytest.raises(TransportError, match="HTML response"):
        user.resolves(registry)


def test_a_web_page_is_not_a_blob(registry: FaultyRegistry, user: User) -> None:
    """A captive portal says nothing about the image: its bytes are not to be distrusted."""
    digest = registry.hold(DATA)
    registry.misbehave("GET", "/blobs/", faults.status(200, b"<html>log in", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(TransportError, match="HTML response instead of a blob"):
        user.pulls(registry, digest, len(DATA))


def test_a_blob_that_is_a_web_page_is_read(registry: FaultyRegistry, user: User) -> None:
    digest = registry.hold(b"<html></html>")
    registry.misbehave("GET", "/blobs/", faults.header("Content-Type", "text/html"))
    assert user.pulls(registry, digest, 13) == b"<html></html>"


def test_an_error_under_200_is_no_manifest(registry: FaultyRegistry, user: User) -> None:
    """Threat 91."""
    error = json.dumps({"errors": [{"code": "DENIED"}]}).encode()
    registry.misbehave("GET", "/manifests/", faults.status(200, error, Content_Type="application/json"))
    with pytest.raises(FormatError, match="config: missing"):
        user.resolves(registry)


def test_schema_1_is_refused_and_named(registry: FaultyRegistry, user: User) -> None:
    """Threat 61."""
    text = json.dumps({"schemaVersion": 1, "name": "machine", "tag": "1", "fsLayers": [], "history": []}).encode()
    for media_type in (*media_types.DOCKER_SCHEMA1, "application/json"):
        registry.manifests["machine", "1"] = (media_type, text)
        with user.source(registry) as source, pytest.raises(FormatError, match="schema 1"):
            load_root(source)


@pytest.mark.parametrize("told", [True, False])
def test_a_huge_manifest_is_not_read_to_its_end(registry: FaultyRegistry, user: User, told: bool) -> None:
    """Threat 63: 4 MiB, whatever is claimed."""
    reply = Reply.of(200, b" " * (5 * 1024 * 1024), Content_Type=media_types.OCI_MANIFEST)
    registry.misbehave("GET", "/manifests/", lambda _: reply if told else replace(reply, length=None), times=9)
    with pytest.raises((TransportError, LimitExceededError), match="4194304"):
        user.resolves(registry)


def test_a_cut_manifest_is_asked_for_again(registry: FaultyRegistry, user: User) -> None:
    """Threat 86: "short read manifest"."""
    digest = user.pushes(registry, [b"kernel"]).digest
    registry.misbehave("GET", "/manifests/", faults.cut(50))
    assert user.resolves(registry).digest == digest


def test_urls_of_foreign_layers_are_ignored(registry: FaultyRegistry, other: FaultyRegistry, user: User) -> None:
    """Threat 71: they may lead anywhere."""
    digest, size = holds(other)
    blob = Descriptor(
        media_type=TYPE, digest=Digest.parse(digest), size=size, urls=(f"{other.url}/v2/x/blobs/{digest}",)
    )
    with user.source(registry) as source, pytest.raises(NotFoundError), open_blob(source, blob):
        pass
    assert other.requests == []


# What a server says of itself


def test_what_a_server_says_is_shown_without_what_a_terminal_obeys(registry: FaultyRegistry, user: User) -> None:
    """Threat 94."""
    nasty = "\x1b]0;owned\x07\x1b[31mred\r\nsecond line\u202e" + "x" * 1000
    registry.misbehave("GET", "/manifests/", faults.refusal(404, "MANIFEST_UNKNOWN", nasty))
    with pytest.raises(NotFoundError) as caught:
        user.resolves(registry)
    text = str(caught.value)
    assert "red" in text
    assert text.isprintable()
    assert len(text) < 400


def test_no_cookie_is_kept(registry: FaultyRegistry, user: User) -> None:
    """Threat 81."""
    digest, size = holds(registry)
    user.pushes(registry, [DATA])
    registry.misbehave("GET", "/manifests/", faults.header("Set-Cookie", "session=1; Path=/"))
    with user.source(registry) as source:
        source.resolve()
        with source.fetch(Descriptor(media_type=TYPE, digest=Digest.parse(digest), size=size)) as chunks:
            assert b"".join(chunks) == DATA
    assert not any(seen.header("Cookie") for seen in registry.requests)


def test_a_kept_connection_that_died_is_no_failure(registry: FaultyRegistry, user: User) -> None:
    digest, size = holds(registry)
    user.pushes(registry, [DATA])
    registry.misbehave("GET", BLOBS, faults.dropped)
    with user.source(registry, retries=0) as source:
        source.resolve()
        with source.fetch(Descriptor(media_type=TYPE, digest=Digest.parse(digest), size=size)) as chunks:
            assert b"".join(chunks) == DATA
