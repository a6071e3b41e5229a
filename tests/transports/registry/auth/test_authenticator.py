"""Logging in: nothing is said before it is asked for, and what is said is said to the registry alone."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eci_convert import testing as faults
from eci_convert.errors import AccessDeniedError, NotFoundError, TransportError
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.testing import FaultyRegistry, Reply
from eci_convert.transports.registry import upload_plan
from eci_convert.transports.registry.auth import tokens
from eci_convert.transports.registry.auth.challenge import parse_challenges
from eci_convert.transports.registry.auth.tokens import may_send_credentials
from eci_convert.transports.registry.client import RegistryClient
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.mount_hints import MountHint
from tests.support.fake_registry.server import a_registry
from tests.support.home_directory import PASSWORD, TYPE, User, noise, once

DATA = noise(3 * 256 * 1024)
ME = f"me:{PASSWORD}"


def guarded(registry: FaultyRegistry, *, bearer: bool = False) -> None:
    registry.users = {"me": PASSWORD}
    registry.bearer = bearer


def test_nothing_is_said_to_a_registry_that_does_not_ask(registry: FaultyRegistry, user: User) -> None:
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    user.resolves(registry)
    assert registry.secrets_seen() == []


def test_a_login_is_sent_as_basic_authentication(registry: FaultyRegistry, user: User) -> None:
    guarded(registry)
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    user.resolves(registry)
    assert set(registry.secrets_seen()) == {ME}


def test_a_bearer_token_is_fetched_once_for_a_repository_and_a_purpose(registry: FaultyRegistry, user: User) -> None:
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    asked = registry.seen("/token")
    assert len(asked) == 1
    assert "service=faulty" in asked[0].path
    assert "scope=repository%3Amachine%3Apull%2Cpush" in asked[0].path
    assert all(seen.header("Authorization").startswith("Bearer ") for seen in registry.seen("/v2/")[1:])
    assert ME in registry.secrets_seen()[0]


def test_a_token_for_a_push_is_asked_for_when_the_registry_speaks_of_a_pull(
    registry: FaultyRegistry, user: User
) -> None:
    """A HEAD is answered so: another token would be wanted a request later."""
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.misbehave(
        "HEAD",
        "/blobs/",
        faults.status(401, WWW_Authenticate=f'Bearer realm="{registry.url}/token",scope="repository:machine:pull"'),
    )
    user.sends(registry, [b"kernel"])
    assert len(registry.seen("/token")) == 1
    assert "scope=repository%3Amachine%3Apull%2Cpush" in registry.seen("/token")[0].path


def test_a_mount_is_asked_for_with_the_right_to_read_there(registry: FaultyRegistry, user: User) -> None:
    registry.hold(DATA)
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.misbehave("HEAD", "/blobs/", faults.status(404), times=2)  # to a stranger, and to us
    notes = {f"containerd.io/distribution.source.{registry.host}": MountHint("elsewhere")}
    with user.sink(registry) as sink:
        assert sink.has(Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA), annotations=notes))
    asked = registry.seen("/token")[-1].path
    assert "scope=repository%3Amachine%3Apull%2Cpush" in asked
    assert "scope=repository%3Aelsewhere%3Apull" in asked


def test_without_a_credential_a_token_is_fetched_anonymously(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"])
    registry.bearer = True
    user.resolves(registry)
    assert not registry.seen("/token")[0].header("Authorization")


def test_an_identity_token_is_exchanged(registry: FaultyRegistry, user: User) -> None:
    """Threat 95."""
    user.pushes(registry, [b"kernel"])
    guarded(registry, bearer=True)
    registry.identity_tokens.add("idt")
    user.logs_in(registry.host, "<token>", "idt")
    user.resolves(registry)
    request = registry.seen("/token")[0]
    assert request.method == "POST"
    assert b"grant_type=refresh_token" in request.body
    assert not request.header("Authorization")


def test_a_registry_token_is_used_as_it_is(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"])
    registry.bearer = True
    registry.tokens["given"] = time.monotonic() + 60
    path = user.home / ".docker/config.json"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"auths": {{"{registry.host}": {{"registrytoken": "given"}}}}}}')
    user.resolves(registry)
    assert not registry.seen("/token")


@pytest.mark.parametrize("bearer", [False, True])
@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_registry_that_hides_from_strangers_what_there_is(
    registry: FaultyRegistry, user: User, code: int, bearer: bool
) -> None:
    """It asks at its root alone who we are, where docker begins."""
    guarded(registry, bearer=bearer)
    hidden = registry._denied
    registry._denied = lambda headers, path: (  # type: ignore[method-assign]
        Reply.of(code) if path != "/v2/" and hidden(headers, path) else hidden(headers, path)
    )
    with pytest.raises(TransportError, match="unauthorized"):
        user.pushes(registry, [DATA])
    assert len(registry.seen("/v2/$")) == 1
    registry.requests.clear()
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    with user.source(registry) as source, pytest.raises(NotFoundError):
        source.fetch(Descriptor(media_type=TYPE, digest=Digest.of(b"missing"), size=7)).__enter__()
    user.resolves(registry)
    assert len(registry.seen("/v2/$")) == 3


@pytest.mark.parametrize("code", [401, 404])
def test_a_login_at_the_root_lends_its_realm_and_not_its_scope(registry: FaultyRegistry, user: User, code: int) -> None:
    """GitHub's root asks for `repository:user/image:pull`, which nobody has."""
    guarded(registry, bearer=True)
    hidden = registry._denied
    placeholder = f'Bearer realm="{registry.url}/token",service="faulty",scope="repository:user/image:pull"'

    def denied(headers: Any, path: str) -> Reply | None:
        if hidden(headers, path) is None:
            return None
        return Reply.of(401, WWW_Authenticate=placeholder) if path == "/v2/" else Reply.of(code)

    registry._denied = denied  # type: ignore[method-assign]
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    asked = [seen.path for seen in registry.seen("/token")]
    assert asked
    assert all("user%2Fimage" not in path and "scope=repository%3Amachine%3Apull" in path for path in asked)


def test_a_stranger_is_let_in_by_a_token_that_the_root_speaks_of(registry: FaultyRegistry, user: User) -> None:
    """401 without a word of how: an anonymous token does, where docker finds out how to get one."""
    user.pushes(registry, [DATA])
    registry.bearer = True
    hidden = registry._denied
    registry._denied = lambda headers, path: (  # type: ignore[method-assign]
        Reply.of(401) if path != "/v2/" and hidden(headers, path) else hidden(headers, path)
    )
    user.resolves(registry)
    assert len(registry.seen("/token")) == 1


@pytest.mark.parametrize("scope", ["*", "registry:catalog:*", "opaque", "a:b:c", "https://r.io/.default", "aws:x,y"])
def test_a_scope_is_sent_back_as_it_came(registry: FaultyRegistry, user: User, scope: str) -> None:
    """RFC 6750 §3; Gitea says `*`."""
    user.pushes(registry, [b"kernel"])
    registry.bearer = True
    challenge_ = f'Bearer realm="{registry.url}/token",service="faulty",scope="{scope}"'
    registry.misbehave("GET", "/manifests/", faults.status(401, WWW_Authenticate=challenge_))
    user.resolves(registry)
    scopes = parse_qs(urlsplit(registry.seen("/token")[0].path).query)["scope"]
    assert scopes == [scope, "repository:machine:pull"]


def test_what_an_open_registry_does_not_have_is_not_there(registry: FaultyRegistry, user: User) -> None:
    user.logs_in(registry.host)
    with pytest.raises(NotFoundError):
        user.resolves(registry)
    user.pushes(registry, [DATA])
    assert len(registry.seen("/v2/$")) == 2
    assert registry.secrets_seen() == []


def test_a_token_that_would_be_two_headers_is_not_sent(registry: FaultyRegistry, user: User) -> None:
    """Threat 94."""
    registry.bearer = True
    path = user.home / ".docker/config.json"
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"auths": {{"{registry.host}": {{"registrytoken": "given\\r\\nX-Injected: 1"}}}}}}')
    with pytest.raises(TransportError, match="invalid character in the header") as caught:
        user.resolves(registry)
    assert "given" not in str(caught.value)
    assert not any(seen.header("X-Injected") for seen in registry.requests)


def test_a_name_and_a_password_on_the_command_line(registry: FaultyRegistry, user: User) -> None:
    user.pushes(registry, [b"kernel"])
    guarded(registry)
    user.logs_in(registry.host, "other", "wrong")
    user.resolves(registry, username="me", password=PASSWORD)


@pytest.mark.parametrize("bearer", [True, False])
def test_a_wrong_password_is_tried_once_and_named_by_its_place(
    registry: FaultyRegistry, user: User, bearer: bool
) -> None:
    """Threat 84: 401 storms."""
    guarded(registry, bearer=bearer)
    user.logs_in(registry.host, password="wr0ng")
    with pytest.raises(AccessDeniedError, match=r"config\.json") as caught:
        user.resolves(registry)
    assert registry.secrets_seen() == ["me:wr0ng"]
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize("bearer", [True, False])
def test_an_anonymous_user_is_told_to_log_in(registry: FaultyRegistry, user: User, *, bearer: bool) -> None:
    guarded(registry, bearer=bearer)
    if bearer:
        registry.misbehave("GET", "/token", faults.status(401))
    with pytest.raises(AccessDeniedError) as caught:
        user.resolves(registry)
    said = f"hint: log in, for example with docker login {registry.host}, or podman login {registry.host}"
    assert said in caught.value.__notes__


def test_a_storm_of_401_ends_soon(registry: FaultyRegistry, user: User) -> None:
    """Threat 84: fresh tokens that are never good enough ("insufficient scope")."""
    guarded(registry, bearer=True)
    registry.token_life = -1.0
    user.logs_in(registry.host)
    with pytest.raises(AccessDeniedError):
        user.resolves(registry)
    assert len(registry.requests) <= 4


def test_403_is_not_retried(registry: FaultyRegistry, user: User) -> None:
    registry.misbehave("GET", "/manifests/", faults.refusal(403, "DENIED", "not yours"))
    with pytest.raises(AccessDeniedError, match="not yours"):
        user.resolves(registry)
    assert [seen.path for seen in registry.requests] == ["/v2/machine/manifests/1", "/v2/"]


def test_a_token_that_expires_in_the_middle_of_an_upload_is_renewed(
    registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threats 84, 93: late 401; the chunk that was refused is sent again."""
    for name in ("CHUNK", "SHARED"):
        monkeypatch.setattr(upload_plan, name, 128 * 1024)
    guarded(registry, bearer=True)
    user.logs_in(registry.host)

    def revoking() -> Iterator[bytes]:
        for number, chunk in enumerate(once(DATA, 128 * 1024)):
            if number == 4:
                registry.tokens.clear()
            yield chunk

    sent = user.sends(registry, revoking())
    assert registry.blobs[str(sent.digest)] == DATA
    assert len(registry.seen("/token")) == 2
    assert len(registry.seen("/uploads/", "POST")) == 2  # the first of them was asked who it is


def test_a_token_that_expires_between_two_cuts_of_a_download_is_renewed(registry: FaultyRegistry, user: User) -> None:
    digest = registry.hold(DATA)
    guarded(registry, bearer=True)
    user.logs_in(registry.host)

    def revoke(reply: faults.Reply) -> faults.Reply:
        registry.tokens.clear()
        return faults.cut(1000)(reply)

    registry.misbehave("GET", "/blobs/")
    registry.misbehave("GET", "/blobs/", revoke)
    assert user.pulls(registry, digest, len(DATA)) == DATA
    assert len(registry.seen("/token")) == 2


def test_a_token_is_not_used_past_its_life(
    registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.pushes(registry, [b"kernel"])
    registry.bearer = True
    monkeypatch.setattr(tokens, "_SHORTEST_LIFE", 0.0)
    registry.token_life = 0.3
    with user.source(registry) as source:
        source.resolve()
        time.sleep(0.3)
        source.resolve()
    assert [seen.path.rpartition("/")[2][:5] for seen in registry.requests[-5:]] == ["1", "token", "1", "token", "1"]


@pytest.mark.parametrize(
    "answer",
    [
        faults.status(200, b"x" * 200_000),
        faults.status(200, b'{"token": "' + b"x" * 100_000 + b'"}'),
        faults.status(200, b"<html>"),
        faults.status(200, b""),
        faults.status(200, b"[]"),
        faults.status(200, b'{"token": ""}'),
        faults.status(200, b'{"token": 7}'),
        faults.status(200, b'{"token": "a\\r\\nX-Injected: 1"}'),
        faults.status(404),
    ],
)
def test_a_token_server_that_makes_no_sense_is_an_error(
    registry: FaultyRegistry, user: User, answer: faults.Change
) -> None:
    """Threat 83: huge, HTML, empty."""
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.misbehave(".*", "/token", answer, times=99)
    with pytest.raises(TransportError, match="token"):
        user.resolves(registry)
    assert len(registry.requests) <= 3


def test_a_token_answer_is_not_read_past_its_limit(registry: FaultyRegistry, user: User) -> None:
    """Threat 83."""
    registry.bearer = True
    registry.misbehave("GET", "/token", faults.status(200, b'{"token": "t", "pad": "' + b"x" * 200_000 + b'"}'))
    with pytest.raises(TransportError, match="131072"):
        user.resolves(registry)


def test_a_slow_token_server_is_not_waited_for(registry: FaultyRegistry, user: User) -> None:
    """Threat 83."""
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.misbehave("GET", "/token", faults.delayed(1.0), times=99)
    with pytest.raises(TransportError, match=r"0\.2 s"):
        user.resolves(registry, timeout=0.2, retries=1)


# To whom


def _at_home(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The resolver takes *name* to this computer."""
    lookup = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **flags: lookup(host.replace(name, "127.0.0.1"), *more, **flags)
    )


def test_a_realm_on_another_server_is_not_told_the_password(
    registry: FaultyRegistry, other: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 78: skopeo tells it. Another port is another server."""
    _at_home(monkeypatch, "elsewhere.localhost")
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.realm = f"http://elsewhere.localhost:{other.port}/token"
    with pytest.raises(AccessDeniedError):
        user.resolves(registry)
    assert other.requests
    assert other.secrets_seen() == []


@pytest.mark.parametrize("code", [301, 302, 307, 308])
@pytest.mark.parametrize("identity", [False, True])
def test_a_token_server_may_move_within_itself(registry: FaultyRegistry, user: User, code: int, identity: bool) -> None:
    guarded(registry, bearer=True)
    if identity:
        registry.identity_tokens = {"idt"}
        user.logs_in(registry.host, "<token>", "idt")
    else:
        user.logs_in(registry.host)
    registry.misbehave(".*", "/token", faults.status(code, b"moved", Location="/token/?service=x"))
    user.sends(registry, [b"kernel"])
    assert [seen.path.partition("?")[0] for seen in registry.seen("/token")] == ["/token", "/token/"]
    assert len({(seen.method, seen.body) for seen in registry.seen("/token")}) == 1


def test_a_token_server_that_moves_in_circles_is_left(registry: FaultyRegistry, user: User) -> None:
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    registry.misbehave(".*", "/token", faults.status(302, Location="/token/"), times=99)
    with pytest.raises(TransportError, match="redirected more than"):
        user.resolves(registry)
    assert len(registry.seen("/token")) <= 10


@pytest.mark.parametrize("identity", [False, True])
def test_a_token_server_that_moves_elsewhere_is_not_followed(
    registry: FaultyRegistry, other: FaultyRegistry, user: User, identity: bool
) -> None:
    """Nor to another port, which is another server."""
    guarded(registry, bearer=True)
    user.logs_in(registry.host, *(("<token>", "idt") if identity else ()))
    registry.misbehave(".*", "/token", faults.status(307, Location=f"{other.url}/token"), times=9)
    with pytest.raises(TransportError, match=f"redirected to another server, {other.host}: refused"):
        user.resolves(registry)
    assert other.requests == []


def test_a_realm_on_this_computer_is_told_the_password_of_a_registry_on_this_computer(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """As docker tells it: neither leaves the loopback interface."""
    user.pushes(registry, [b"kernel"])
    guarded(registry, bearer=True)
    guarded(other)
    other.tokens = registry.tokens
    user.logs_in(registry.host)
    registry.realm = f"{other.url}/token"
    user.resolves(registry)
    assert set(other.secrets_seen()) == {ME}


def test_an_identity_token_is_a_secret_too(
    registry: FaultyRegistry, other: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 78."""
    _at_home(monkeypatch, "elsewhere.localhost")
    guarded(registry, bearer=True)
    user.logs_in(registry.host, "<token>", "idt")
    registry.realm = f"http://elsewhere.localhost:{other.port}/token"
    with pytest.raises(AccessDeniedError):
        user.resolves(registry)
    assert other.requests
    assert all(b"idt" not in seen.body and "idt" not in seen.path for seen in other.requests)


@pytest.mark.parametrize(
    ("realm", "registry_url", "told"),
    [
        ("https://r.io/token", "https://r.io/", True),
        ("http://r.io:443/token", "https://r.io/", False),
        ("http://r.io/token", "http://r.io/", True),
        ("http://r.io:81/token", "http://r.io/", False),
        ("https://r.io:5001/token", "https://r.io:5000/", True),
        ("https://auth.docker.io/token", "https://registry-1.docker.io/", True),
        ("http://auth.docker.io/token", "https://registry-1.docker.io/", False),
        ("https://10.0.0.5/token", "https://r.io/", False),
        ("https://10.0.0.5:5001/token", "https://10.0.0.5:5000/", True),
        ("https://10.0.0.6/token", "https://10.0.0.5/", False),
        ("https://169.254.169.254/token", "https://r.io/", False),
        ("https://[::1]/token", "https://r.io/", False),
        ("https://[::ffff:10.0.0.1]/token", "https://r.io/", False),
        ("https://[fd00::1]/token", "https://r.io/", False),
        ("https://localhost/token", "https://r.io/", False),
        ("https://127.0.0.2/token", "http://127.0.0.1:5000/", True),
        ("http://localhost:5001/token", "http://127.0.0.1:5000/", True),
        ("http://[::1]:5001/token", "https://localhost:5000/", True),
        ("http://elsewhere.localhost:5001/token", "http://127.0.0.1:5000/", False),
        ("http://127.0.0.1:5001/token", "https://r.io/", False),
        ("https://167772161/token", "https://r.io/", False),
        ("https://0x7f000001/token", "https://r.io/", False),
    ],
)
def test_who_is_told_a_password(realm: str, registry_url: str, told: bool) -> None:
    """Threat 78: docs/explanation/security.md#decisions."""
    assert may_send_credentials(Url.parse(realm), Url.parse(registry_url)) is told


def test_a_redirect_to_another_server_carries_no_authorization(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threats 76, 77: and a store that refuses two kinds of authorization at once is content."""
    digest = registry.hold(DATA)
    other.hold(DATA)
    guarded(registry)
    user.logs_in(registry.host)
    registry.misbehave("GET", "/blobs/", times=1)
    registry.misbehave(
        "GET", "/blobs/", faults.status(307, Location=f"{other.url}/v2/x/blobs/{digest}?X-Amz-Signature=s1g")
    )
    other.misbehave("GET", "/blobs/", faults.refuses_authorization(other))
    assert user.pulls(registry, digest, len(DATA)) == DATA
    assert other.secrets_seen() == []
    assert registry.secrets_seen() == [ME]


def test_the_same_name_on_another_port_is_another_server(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threats 76, 96: although the user has a password for that one as well."""
    digest = registry.hold(DATA)
    guarded(registry)
    guarded(other)
    user.logs_in(registry.host)
    user.logs_in(other.host, password="an0ther")
    registry.misbehave("GET", "/blobs/")
    registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"{other.url}/v2/x/blobs/{digest}"))
    with pytest.raises(AccessDeniedError):
        user.pulls(registry, digest, len(DATA))
    assert other.secrets_seen() == []


def test_an_upload_to_another_server_carries_no_authorization(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threat 79: skopeo sends the registry's password there."""
    guarded(registry)
    user.logs_in(registry.host)
    other.uploads["session-9"] = bytearray()
    registry.misbehave("HEAD", "/blobs/")
    registry.misbehave("POST", "/uploads/", faults.header("Location", f"{other.url}/v2/x/blobs/uploads/session-9"))
    user.sends(registry, [b"kernel"])
    assert other.blobs
    assert other.secrets_seen() == []


def test_a_server_that_asks_for_a_login_behind_a_redirect_gets_none(
    registry: FaultyRegistry, other: FaultyRegistry, user: User
) -> None:
    """Threat 76: ggcr's TestBearerTokenNotLeakedOnCrossHostChallenge."""
    digest = registry.hold(DATA)
    user.logs_in(registry.host)
    guarded(other, bearer=True)
    registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"{other.url}/v2/x/blobs/{digest}"), times=9)
    with pytest.raises(AccessDeniedError):
        user.pulls(registry, digest, len(DATA))
    assert other.secrets_seen() == []
    assert not other.seen("/token")


# What may be read of it


def test_no_secret_is_logged_or_told(registry: FaultyRegistry, user: User, caplog: pytest.LogCaptureFixture) -> None:
    """Threat 94: with --debug neither."""
    caplog.set_level(logging.DEBUG)
    guarded(registry, bearer=True)
    user.logs_in(registry.host)
    user.pushes(registry, [DATA])
    registry.misbehave("GET", "/manifests/")
    registry.misbehave("GET", "/manifests/", faults.echoes_authorization(registry, 400))
    with user.source(registry) as source, pytest.raises(TransportError) as caught:
        source.resolve()
    said = caplog.text + str(caught.value) + "".join(user.warnings) + repr(user.settings(password=PASSWORD))
    assert "/v2/machine/" in caplog.text
    for secret in (PASSWORD, "token-", "bWU6"):
        assert secret not in said


def test_signatures_in_urls_are_not_told(registry: FaultyRegistry, user: User) -> None:
    """Threat 94."""
    digest = registry.hold(DATA)
    registry.misbehave(
        "GET", "/blobs/", faults.status(302, Location="/v2/x/blobs/sha256:0?X-Amz-Signature=s1gnature&b=2")
    )
    with pytest.raises(TransportError) as caught:
        user.pulls(registry, digest, len(DATA))
    assert "s1gnature" not in str(caught.value)
    assert "X-Amz-Signature=…" in str(caught.value)


def test_a_netrc_file_has_no_say(registry: FaultyRegistry, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """requests reads it unasked (docs/explanation/security.md#credentials)."""
    netrc = user.home / ".netrc"
    user.home.mkdir()
    netrc.write_text("machine 127.0.0.1 login evil password netrc\ndefault login evil password netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(user.home))
    monkeypatch.setenv("NETRC", str(netrc))
    guarded(registry)
    user.logs_in(registry.host)
    with pytest.raises(TransportError, match="manifest unknown"):
        user.resolves(registry)
    assert set(registry.secrets_seen()) == {ME}


# Challenges


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Bearer realm="https://a/t",service="s",scope="repository:x:pull,push"'],
         [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:x:pull,push"})]),
        (["bearer REALM=https://a/t , service = s"], [("bearer", {"realm": "https://a/t", "service": "s"})]),
        (['Basic realm="x", Bearer realm="y"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        (["Basic", 'Bearer realm="y"'], [("basic", {}), ("bearer", {"realm": "y"})]),
        ([r'Bearer realm="a\"b\\c"'], [("bearer", {"realm": 'a"b\\c'})]),
        (['Bearer realm="x",realm="evil"'], [("bearer", {"realm": "x"})]),
        (['Bearer realm="unclosed'], [("bearer", {"realm": "unclosed"})]),
        (["Negotiate abc==, Basic"], [("negotiate", {"abc": "="}), ("basic", {})]),
        ([',,, Bearer ,realm="x",,'], [("bearer", {"realm": "x"})]),
        ([""], []), (['="x"'], []), ([], []),
    ],
)  # fmt: skip
def test_challenges_are_read_tolerantly(headers: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    """Threat 85."""
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges(headers)] == found


@given(st.text(max_size=200))
def test_any_header_is_read_somehow(text: str) -> None:
    """Threat 85."""
    for found in parse_challenges([text]):
        assert found.scheme == found.scheme.lower()


def test_a_challenge_without_end_takes_no_time() -> None:
    """Threat 85."""
    for text in ("a " * 500_000, 'a="' * 500_000, "\\" * 500_000, " , " * 500_000, 'Bearer realm="' + "\\a" * 500_000):
        parse_challenges([text])


@pytest.mark.parametrize(
    "value", ["", "Negotiate", "Bearer", 'Bearer realm=""', 'Bearer realm="ftp://x/"', 'Bearer realm="http://a b"']
)
def test_a_challenge_that_nobody_can_meet_is_an_error(registry: FaultyRegistry, user: User, value: str) -> None:
    """Threat 85."""
    registry.misbehave("GET", "/manifests/", faults.status(401, WWW_Authenticate=value), times=9)
    with pytest.raises(TransportError, match="WWW-Authenticate"):
        user.resolves(registry)
    assert len(registry.seen("/manifests/")) == 1
    assert len(registry.seen("/v2/$")) == (not value)


def test_docker_hub_is_asked_at_its_api(user: User) -> None:
    client = RegistryClient(Reference.parse("ubuntu"), user.settings())
    assert str(client.url("manifests/latest")) == "https://registry-1.docker.io/v2/library/ubuntu/manifests/latest"


def test_two_registries_are_told_their_own(user: User) -> None:
    """Threat 96."""
    with a_registry() as one, a_registry() as two:
        for each, password in ((one, "first"), (two, "second")):
            each.users = {"me": password}
            user.logs_in(each.host, password=password)
        one.hold(DATA)
        blob = Descriptor(media_type=TYPE, digest=Digest.of(DATA), size=len(DATA))
        with user.source(one) as source, user.sink(two) as sink, source.fetch(blob) as chunks:
            sink.put(TYPE, chunks)
        assert one.secrets_seen() == ["me:first"]
        assert set(two.secrets_seen()) == {"me:second"}
