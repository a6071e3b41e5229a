"""Responses that are legal but rare, or that never end: interim ones, unusual statuses, warnings, reasons, framing."""

from __future__ import annotations

import json
import time

import pytest

from eci_convert import testing as faults
from eci_convert.errors import AccessDeniedError, TransportError
from eci_convert.oci import media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.operations.store.list import list_images
from eci_convert.testing import Change, FaultyRegistry, Reply
from eci_convert.transports import open_source
from eci_convert.transports.registry.http.retry import TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings
from tests.support.fake_registry.server import CERTS, a_registry
from tests.support.home_directory import PASSWORD, User, noise
from tests.support.proxy import a_tunnel
from tests.support.reporters import Listening

DATA = noise(100_000)


def interim(*heads: bytes) -> Change:
    """The same answer behind other heads."""

    def change(reply: Reply) -> Reply:
        lines = [f"HTTP/1.1 {reply.status} OK", *(f"{name}: {value}" for name, value in reply.headers)]
        lines.append(f"Content-Length: {reply.length or 0}")
        return Reply(raw=b"".join(heads) + "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)

    return change


def chunked(content: bytes, *more: bytes, pause: float = 0.0, at_once: int = 0) -> Change:
    """A manifest in the chunked coding, *content* as it is framed, and what comes then."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_types.OCI_MANIFEST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    whole = head + content + b"".join(more)
    return lambda _: Reply(raw=whole, pause=pause, at_once=at_once or len(head + content))


# Interim responses

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "heads",
    [
        [HINTS],
        [b"HTTP/1.1 100 Continue\r\n\r\n", HINTS],
        [b"HTTP/1.1 102 Processing\r\n\r\n"] * 200,
        [b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /x\r\n\r\n"],
        [b"HTTP/1.1 199 Whatever\r\n\r\n"],
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT"])
def test_interim_responses_are_passed_over(
    registry: FaultyRegistry, user: User, heads: list[bytes], method: str
) -> None:
    registry.misbehave(method, "/(blobs|manifests)/", interim(*heads), times=99)
    user.pushes(registry, [b"kernel"])
    digest = registry.hold(DATA)
    assert user.pulls(registry, digest, len(DATA)) == DATA


def test_switching_protocols_is_a_final_response(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("GET", "/manifests/", faults.raw(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), times=9)
    with pytest.raises(TransportError, match="101"):
        user.resolves(registry)


def test_interim_responses_without_end_are_given_up(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("GET", "/manifests/", faults.raw(HINTS * 100_000), times=9)
    with pytest.raises(TransientError, match="invalid HTTP response"):
        user.resolves(registry, retries=0, timeout=60)


# Statuses


@pytest.mark.parametrize("code", [499, 520, 521, 522, 523, 524, 530])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "PUT"])
def test_what_a_proxy_says_of_a_server_that_is_away_is_tried_again(
    registry: FaultyRegistry, user: User, code: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eci_convert.transports.registry.upload_plan.CHUNK", 65536)
    registry.misbehave(
        method, "/(blobs|manifests)/", faults.unheard(faults.status(code, b"<html>", Content_Type="text/html"))
    )
    user.pushes(registry, [DATA])
    user.resolves(registry)
    assert ("machine", "1") in registry.manifests


@pytest.mark.parametrize("code", [501, 505, 507, 525, 526, 418])
def test_what_another_try_does_not_mend_is_not_tried_again(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.misbehave("GET", "/manifests/", faults.status(code), times=9)
    with pytest.raises(TransportError, match=str(code)):
        user.resolves(registry)
    assert len(registry.seen("/manifests/")) == 1


@pytest.mark.parametrize("factor", [1, 1000], ids=["seconds", "milliseconds"])
def test_a_time_in_retry_after_is_understood(
    registry: FaultyRegistry, user: User, waits: list[float], factor: int
) -> None:
    """Docker Hub's rate limit names the second since 1970 at which to come back."""
    user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", faults.status(429, Retry_After=str(int(time.time() + 30) * factor)))
    user.resolves(registry)
    assert 25 < waits[0] < 35


@pytest.mark.parametrize("ago", [10, 10_000_000])
def test_a_time_in_retry_after_that_has_gone_by_is_no_wait(
    registry: FaultyRegistry, user: User, waits: list[float], ago: int
) -> None:
    user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", faults.status(429, Retry_After=str(int(time.time() - ago))))
    user.resolves(registry)
    assert waits[0] < 1


def test_a_wait_that_is_too_long_is_told_in_seconds_from_now(
    registry: FaultyRegistry, user: User, waits: list[float]
) -> None:
    registry.misbehave("GET", "/manifests/", faults.status(429, Retry_After=str(int(time.time() + 500))))
    with pytest.raises(TransientError) as caught:
        user.resolves(registry)
    seconds = [int(word) for word in caught.value.__notes__[0].split() if word.isdigit()]
    assert 490 <= seconds[0] <= 500
    assert waits == []


def test_a_minute_is_waited_for_and_no_longer(registry: FaultyRegistry, user: User, waits: list[float]) -> None:
    user.pushes(registry, [b"kernel"])
    registry.misbehave("GET", "/manifests/", faults.status(429, Retry_After="60"))
    user.resolves(registry)
    assert 60 <= waits[0] < 61
    registry.misbehave("GET", "/manifests/", faults.status(429, Retry_After="61"))
    with pytest.raises(TransientError):
        user.resolves(registry)
    assert len(waits) == 1


# Warnings


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('299 - "it goes away on Monday"', ["it goes away on Monday"]),
        ('299 - "one", 299 - "two"', ["one", "two"]),
        ('299 - "say \\"x\\""', ['say "x"']),
        ('299 - "\u00fcber"', ["\u00fcber"]),
        ('299 - "a\x1b[31mb"', ["a [31mb"]),
        ('110 - "stale"', []),
        ('299 - ""', []),
        ("299 - unquoted", []),
    ],
)
def test_a_warning_is_shown_once(registry: FaultyRegistry, user: User, value: str, shown: list[str]) -> None:
    registry.misbehave(".*", "", faults.header("Warning", value), times=999)
    user.pushes(registry, [b"kernel", b"initrd"])
    user.resolves(registry)
    user.resolves(registry)
    assert user.warnings == [f"{registry.host} warns: {text}" for text in shown]


def test_warnings_of_two_registries_are_two(registry: FaultyRegistry, other: FaultyRegistry, user: User) -> None:
    for one in (registry, other):
        one.misbehave(".*", "", faults.header("Warning", '299 - "goes away"'), times=999)
        user.pushes(one, [b"kernel"])
    assert len(user.warnings) == 2


def test_a_flood_of_warnings_ends(registry: FaultyRegistry, user: User) -> None:
    lines = ", ".join(f'299 - "number {n}"' for n in range(100))
    registry.misbehave(".*", "", faults.header("Warning", lines), times=999)
    user.pushes(registry, [b"kernel"])
    assert len(user.warnings) == 10


def test_a_store_does_not_warn(registry: FaultyRegistry, other: FaultyRegistry, user: User) -> None:
    digest = other.hold(DATA)
    registry.misbehave("GET", "/blobs/", faults.status(307, Location=f"{other.url}/v2/x/blobs/{digest}"))
    other.misbehave("GET", "/blobs/", faults.header("Warning", '299 - "goes away"'))
    assert user.pulls(registry, digest, len(DATA)) == DATA
    assert user.warnings == []


class Unhashable(Listening):
    __hash__ = None  # type: ignore[assignment]


def test_any_reporter_can_be_warned(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"])
    registry.misbehave(".*", "", faults.header("Warning", '299 - "goes away"'), times=999)
    reporter = Unhashable()
    settings = Settings(environ=user.environ, reporter=reporter)
    with open_source(f"docker://{registry.host}/machine:1", settings) as source:
        source.resolve()
        source.resolve()
    assert len(reporter.warnings) == 1


# Locations


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/store/a b", "/store/a%20b"),
        ("/store/\u00e9", "/store/%E9"),
        ("/store/x?x=\u00c3\u00a9", "/store/x?x=%C3%A9"),
        ("/store/a%20b c", "/store/a%20b%20c"),
        (" /store/x ", "/store/x"),
        ("http://r.io/\u00e9", "/%E9"),
    ],
)
def test_a_location_beyond_ascii_is_encoded(location: str, target: str) -> None:
    assert Url.parse("http://r.io/v2/").joined(location).target == target


@pytest.mark.parametrize(
    "location", ["http://r\u00e9.io/x", "http://a b/x", "//\u00e9/x", "/a\\b", "/a\r\nb", "/a\x7f", "http://r.io\u00e9"]
)
def test_a_location_whose_host_is_unclear_is_refused(location: str) -> None:
    with pytest.raises(TransportError, match="is not a valid URL"):
        Url.parse("http://r.io/v2/").joined(location)


@pytest.mark.parametrize("spelt", ["a b", "\u00e9"])
def test_a_blob_and_an_upload_go_where_such_a_location_leads(registry: FaultyRegistry, user: User, spelt: str) -> None:
    def widened(reply: Reply) -> Reply:
        return reply.with_header("Location", f"{reply.header('Location')}?state={spelt}")

    digest = registry.hold(DATA)
    registry.misbehave("GET", "/blobs/", faults.status(307, Location=f"/v2/x/blobs/{digest}?name={spelt}"))
    assert user.pulls(registry, digest, len(DATA)) == DATA
    registry.misbehave("POST|PATCH", "/uploads/", widened, times=99)
    user.pushes(registry, [b"kernel"])


@pytest.mark.parametrize("port", [True, False])
@pytest.mark.parametrize("what", ["/blobs/", "/manifests/"])
def test_a_registry_over_tls_that_redirects_to_itself_without_is_asked_over_tls(
    user: User, port: bool, what: str
) -> None:
    user.flags["insecure"] = True
    with a_registry(cert="server") as registry:
        host = registry.host if port else registry.host.partition(":")[0]

        def downgraded(reply: Reply) -> Reply:
            return Reply.of(307, Location=f"http://{host}{registry.requests[-1].path}?again")

        user.pushes(registry, [b"kernel"])
        digest = registry.hold(DATA)
        registry.misbehave("GET", what, downgraded)
        user.resolves(registry)
        assert user.pulls(registry, digest, len(DATA)) == DATA
        assert registry.seen(r"\?again")


def test_a_token_server_over_tls_that_redirects_to_itself_without_is_asked_over_tls(user: User) -> None:
    with a_registry(cert="server") as registry:
        registry.users, registry.bearer = {"me": PASSWORD}, True
        user.logs_in(registry.host)
        registry.misbehave("GET", "/token", faults.status(307, Location=f"http://{registry.host}/token/?service=x"))
        user.pushes(registry, [b"kernel"], insecure=True)
        assert registry.seen(r"/token/\?")


def test_the_next_page_of_a_registry_over_tls_that_names_itself_without_is_asked_over_tls(user: User) -> None:
    with a_registry(cert="server") as registry:
        registry.page = 1
        user.pushes(registry, [b"kernel"], insecure=True)
        user.pushes(registry, [b"kernel"], "machine:2", insecure=True)

        def plain(reply: Reply) -> Reply:
            return reply.with_header("Link", reply.header("Link").replace("<", f"<http://{registry.host}"))

        registry.misbehave("GET", "/tags/list", plain)
        settings = user.settings(insecure=True)
        tags = [image.tag for image in list_images(f"docker://{registry.host}/machine", settings)]
        assert tags == ["1", "2"]


def test_the_next_page_of_a_registry_over_tls_is_asked_of_no_other_server(user: User) -> None:
    with a_registry(cert="server") as registry, a_registry() as other:
        user.pushes(registry, [b"kernel"], insecure=True)
        registry.misbehave("GET", "/tags/list", faults.header("Link", f'<{other.url}/v2/x>; rel="next"'))
        with pytest.raises(TransportError, match=f"another server, {other.host}: refused"):
            list_images(f"docker://{registry.host}/machine", user.settings(insecure=True))
        assert other.requests == []


# Reasons


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"quota", "quota"),
        (b'{"message": "blocked by policy"}', "blocked by policy"),
        (b'{"error": "invalid_scope", "error_description": "too wide"}', "too wide"),
        (b'{"error": "invalid_scope"}', "invalid_scope"),
        (b'{"error": {"message": "too wide"}}', "too wide"),
        (b'{"error": {"code": 7}}', "7"),
        (b'{"errors": "no room"}', "no room"),
        (b'{"errors": ["no room", "no time"]}', "no room; no time"),
        (b'{"errors": {"message": "no room"}}', "no room"),
        (b'{"errors": [{"code": "X", "message": "m", "detail": {"message": "d"}}]}', "m: d"),
        (b'{"errors": [{"code": "X", "message": "m", "detail": [{"message": "d"}]}]}', "m: d"),
        (b'{"errors": [{"code": "X", "message": "m", "detail": "d"}]}', "m: d"),
        (b'{"errors": [{"code": "X", "message": "m", "detail": {"Name": 1}}]}', "m"),
        (b'{"errors": [{"code": "X"}]}', "X"),
        (b'{"errors": []}', ""),
        (b'{"detail": "no such project"}', "no such project"),
        (b'{"title": "Conflict", "detail": "the tag is immutable", "status": 409}', "Conflict: the tag is immutable"),
        (b'"just words"', "just words"),
        (b'[{"message": "m"}]', "m"),
        (b"<html><head><title>413 Too Large</title></head></html>", "413 Too Large"),
        (
            b"<?xml version='1.0'?><Error><Code>E</Code><Message>Access &amp; Denied</Message></Error>",
            "Access & Denied",
        ),
        (b"<html>", ""),
        (b"\xff\x00\x01", ""),
        (b"null", ""),
        (b"", ""),
        (b"[" * 60_000, "["),
        (b"x" * 100_000, "x"),
        ("l\u00f6schen\nverboten".encode(), "l\u00f6schen verboten"),
    ],
)
def test_the_reason_is_shown_whatever_its_shape(
    registry: FaultyRegistry, user: User, content: bytes, reason: str
) -> None:
    registry.misbehave("GET", "/manifests/", faults.status(409, content))
    with pytest.raises(TransportError) as caught:
        user.resolves(registry)
    text = str(caught.value)
    assert text.partition(": 409")[2].startswith(f": {reason}" if reason else "")
    assert len(text) < 400
    assert "\n" not in text


@pytest.mark.parametrize(
    ("status", "text"),
    [(405, "405 Method Not Allowed"), (409, "409 Conflict"), (503, "503 Service Unavailable"), (599, "599")],
)
def test_a_status_without_a_reason_is_told_by_its_name(
    registry: FaultyRegistry, user: User, status: int, text: str
) -> None:
    registry.misbehave("GET", "/manifests/", faults.status(status), times=9)
    with pytest.raises(TransportError) as caught:
        user.resolves(registry, retries=0)
    assert str(caught.value).endswith(f": {text}")


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_token_server_s_reason_is_shown(registry: FaultyRegistry, user: User, code: int) -> None:
    registry.bearer = True
    content = json.dumps({"error": "denied", "error_description": f"too wide for {PASSWORD}"}).encode()
    registry.misbehave("GET", "/token", faults.status(code, content), times=9)
    user.logs_in(registry.host)
    with pytest.raises(AccessDeniedError, match=r"too wide for \*\*\*"):
        user.resolves(registry)


@pytest.mark.parametrize(
    "content",
    [
        b"quota exceeded for project edge",
        b'{"errors": [{"code": "DENIED", "message": "Storage limit reached"}]}',
        b'{"errors": [{"code": "QUOTA_EXCEEDED"}]}',
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "GET"])
def test_a_quota_is_not_told_as_log_in(
    registry: FaultyRegistry, user: User, content: bytes, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eci_convert.transports.registry.upload_plan.CHUNK", 65536)
    registry.misbehave(method, "", faults.status(403, content), times=9)
    with pytest.raises(TransportError) as caught:
        user.resolves(registry) if method == "GET" else user.pushes(registry, [DATA])
    assert not isinstance(caught.value, AccessDeniedError)
    assert not any("log in" in note for note in getattr(caught.value, "__notes__", []))


def test_a_reason_that_says_no_more_than_denied_is_a_matter_of_logging_in(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("GET", "/manifests/", faults.refusal(403, "DENIED", "requested access is denied"), times=9)
    with pytest.raises(AccessDeniedError) as caught:
        user.resolves(registry)
    assert any("log in" in note for note in caught.value.__notes__)


# Framing is no progress

FLOODS = {
    "trailers": b"0\r\n" + b"x: y\r\n" * 200_000,
    "extensions": (b"1;" + b"x" * 60_000 + b"\r\n \r\n") * 100,
    "a size of many digits": b"0" * 5_000_000,
    "an endless trailer": b"0\r\nx: " + b"y" * 5_000_000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_framing_without_end_is_an_error(registry: FaultyRegistry, user: User, name: str) -> None:
    registry.misbehave("GET", "/manifests/", chunked(b"2\r\n{}\r\n", FLOODS[name]), times=9)
    with pytest.raises(TransportError, match="invalid HTTP response"):
        user.resolves(registry, retries=0)


@pytest.mark.parametrize("piece", [b"x: " + b"y" * 500 + b"\r\n", b"1;x=y\r\n \r\n"], ids=["trailers", "small chunks"])
def test_the_time_limit_counts_content(registry: FaultyRegistry, user: User, piece: bytes) -> None:
    """4 KiB of framing come within the limit, again and again, and in the end the response is complete. Of trailers,
    newer Pythons read 100 at most."""
    start, end = (b"0\r\n", b"\r\n") if piece.startswith(b"x") else (b"", b"0\r\n\r\n")
    flood = start + piece * (40_000 // len(piece)) + end
    registry.misbehave("GET", "/manifests/", chunked(b"2\r\n{}\r\n", flood, pause=0.00005), times=9)
    with pytest.raises(TransientError, match="timed out"):
        user.resolves(registry, retries=0, timeout=1.0)


def test_header_lines_without_end_are_an_error(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("GET", "/manifests/", faults.raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000), times=9)
    with pytest.raises(TransientError):
        user.resolves(registry, retries=0)


def test_chunks_of_one_byte_are_read(registry: FaultyRegistry, user: User) -> None:
    manifest = user.pushes(registry, [b"kernel"])
    content = registry.manifests["machine", "1"][1]
    framed = b"".join(b"1\r\n%c\r\n" % byte for byte in content)
    registry.misbehave("GET", "/manifests/", chunked(framed, b"0\r\nX: y\r\n\r\n"))
    assert user.resolves(registry).digest == manifest.digest


def test_the_time_that_a_reader_takes_is_not_the_server_s(registry: FaultyRegistry, user: User) -> None:
    """A disk that is slow between two pieces is no server that stands still."""
    digest = registry.hold(DATA)
    with user.source(registry, timeout=0.3, retries=0) as source:
        blob = Descriptor(media_type="x/y", digest=Digest.parse(digest), size=len(DATA))
        content = b""
        with source.fetch(blob) as chunks:
            for chunk in chunks:
                content += chunk
                time.sleep(0.4)
    assert content == DATA


# Proxies


def test_an_interim_response_of_a_proxy_is_passed_over(user: User) -> None:
    opened = HINTS + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection established\r\n\r\n"
    with a_registry(cert="elsewhere") as registry, a_tunnel(registry, opened) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url
        registry.manifests["machine", "1"] = (media_types.OCI_INDEX, b'{"manifests": []}')
        settings = user.settings(ca_file=CERTS / "ca.pem")
        with open_source("docker://elsewhere.invalid:444/machine:1", settings) as source:
            assert source.resolve().media_type == media_types.OCI_INDEX


@pytest.mark.parametrize("code", [502, 503, 504, 520, 522, 530])
def test_a_proxy_that_does_not_get_through_is_asked_again(user: User, code: int) -> None:
    with a_registry() as registry, a_tunnel(registry, b"HTTP/1.1 %d no\r\n\r\n" % code) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url
        with (
            open_source("docker://registry.invalid/machine:1", user.settings(retries=2)) as source,
            pytest.raises(TransportError, match=str(code)),
        ):
            source.resolve()
        assert len(proxy.heads) == 3
