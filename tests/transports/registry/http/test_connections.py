"""The way to a registry: TLS, plain HTTP, proxies, redirects, and addresses that nobody should be sent to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eci_convert import testing as faults
from eci_convert.errors import LocalError, TransportError, UsageError
from eci_convert.testing import FaultyRegistry
from eci_convert.transports import open_source
from eci_convert.transports.registry.http import deadline, dial
from eci_convert.transports.registry.http import tls as http_tls
from eci_convert.transports.registry.http.address_policy import check_address
from eci_convert.transports.registry.http.addresses import is_loopback
from eci_convert.transports.registry.http.proxies import proxy_for
from eci_convert.transports.registry.http.tls import folders
from eci_convert.transports.registry.http.url import Url
from tests.support.fake_registry.server import CERTS, a_registry
from tests.support.home_directory import PASSWORD, User, noise
from tests.support.proxy import a_socks_proxy, a_tunnel, tls_before

DATA = noise(1000)
CA = str(CERTS / "ca.pem")


def resolves(user: User, host: str, **flags: object) -> None:
    with open_source(f"docker://{host}/machine:1", user.settings(**flags)) as source:
        source.resolve()


# TLS


def test_https_is_spoken_to_a_registry_that_proves_itself(user: User) -> None:
    with a_registry(cert="server") as registry:
        user.pushes(registry, [DATA], ca_file=CA)
        user.resolves(registry, ca_file=CA)


def test_an_authority_may_be_named_by_the_environment(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", CA)
    with a_registry(cert="server") as registry:
        user.pushes(registry, [DATA])


@pytest.mark.parametrize(
    ("cert", "flags", "said"),
    [
        ("server", {}, "unable to get local issuer"),
        ("expired", {"ca_file": CA}, "expired"),
        ("elsewhere", {"ca_file": CA}, "127.0.0.1"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused(user: User, cert: str, flags: dict[str, str], said: str) -> None:
    """Threat 92: and no plain HTTP is tried instead, nor is it tried again."""
    with a_registry(cert=cert) as registry:
        with pytest.raises(TransportError, match=said) as caught:
            user.resolves(registry, **flags)
        assert registry.requests == []
    assert any("--insecure" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("place", ["ca_file", "certs.d"])
@pytest.mark.parametrize(
    ("cert", "trusted", "believed"),
    [("server", "server", True), ("server", "elsewhere", False), ("expired", "expired", False),
     ("elsewhere", "elsewhere", False)],
)  # fmt: skip
def test_a_server_s_own_certificate_may_be_believed_whatever_signed_it(
    user: User, cert: str, trusted: str, believed: bool, place: str
) -> None:
    """As Go and curl do; not past its time, nor under another name."""
    with a_registry(cert=cert) as registry:
        pem = CERTS / f"{trusted}.pem"
        flags: dict[str, Any] = {"retries": 0}
        if place == "certs.d":
            folder = user.home / f".config/containers/certs.d/{registry.host}"
            folder.mkdir(parents=True)
            shutil.copy(pem, folder / "own.crt")
        else:
            flags["ca_file"] = str(pem)
        if believed:
            user.pushes(registry, [DATA], **flags)
            return
        with pytest.raises(TransportError, match="certificate"):
            user.resolves(registry, **flags)


@pytest.mark.parametrize("cert", ["server", "expired", "elsewhere"])
def test_insecure_believes_anybody(user: User, cert: str) -> None:
    with a_registry(cert=cert) as registry:
        user.pushes(registry, [DATA], insecure=True)


def test_insecure_is_not_plain(user: User) -> None:
    """Threat 92: a name that is not this computer's is never asked in clear text."""
    with a_registry() as registry:
        user.environ["ALL_PROXY"] = registry.url
        with pytest.raises(TransportError, match=r"refused CONNECT to registry.invalid: 404"):
            resolves(user, "registry.invalid", insecure=True, retries=0)
        assert [seen.method for seen in registry.requests] == ["CONNECT"]


def test_insecure_is_for_the_registry_and_not_for_where_it_leads(user: User) -> None:
    with a_registry(cert="elsewhere") as registry, a_registry(cert="elsewhere") as store:
        digest = registry.hold(DATA)
        registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"{store.url}/v2/x/blobs/{digest}"))
        with pytest.raises(TransportError, match="certificate"):
            user.pulls(registry, digest, len(DATA), insecure=True)
        assert store.requests == []


def test_plain_http_is_not_spoken_to_a_port_that_answers_tls(user: User) -> None:
    """Threat 92: containerd's TestHTTPFallbackPortError."""
    with (
        a_registry(cert="server") as registry,
        pytest.raises(TransportError, match=r"connection (reset by peer|closed)"),
    ):
        user.resolves(registry, plain_http=True, retries=0)


def test_plain_http_is_spoken_on_this_computer_where_https_is_not_answered(user: User) -> None:
    with a_registry() as registry:
        user.pushes(registry, [DATA])
        resolves(user, f"localhost:{registry.port}")


def test_tls_to_a_plain_port_is_explained(user: User) -> None:
    """Threat 92."""
    with a_registry() as registry, a_tunnel(registry) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url
        with pytest.raises(TransportError, match="TLS") as caught:
            resolves(user, "registry.invalid", retries=0)
        assert any("--plain-http" in note for note in caught.value.__notes__)


def test_a_client_certificate_is_shown_to_the_registry_alone(user: User) -> None:
    client = str(CERTS / "client.pem")
    refused = "certificate required|certificate_required|violation of protocol|connection reset"  # by OpenSSL's version
    with a_registry(cert="server", client_ca="ca") as registry:
        with pytest.raises(TransportError, match=refused):
            user.resolves(registry, ca_file=CA, retries=0)
        user.pushes(registry, [DATA], ca_file=CA, cert_file=client)
        with a_registry(cert="server") as store:
            digest = store.hold(DATA)
            store.misbehave(
                "GET", "/blobs/", faults.status(302, Location=f"{registry.url}/v2/x/blobs/{digest}"), times=9
            )
            with pytest.raises(TransportError, match=refused):
                user.pulls(store, digest, len(DATA), ca_file=CA, cert_file=client, retries=0)


@pytest.mark.parametrize("parent", ["containers", "docker"])
def test_certs_d_holds_authorities_and_client_certificates(user: User, parent: str) -> None:
    with a_registry(cert="server", client_ca="ca") as registry:
        folder = user.home / f".config/{parent}/certs.d/{registry.host}"
        folder.mkdir(parents=True)
        shutil.copy(CA, folder / "ca.crt")
        shutil.copy(CERTS / "client.pem", folder / "client.cert")
        with pytest.raises(LocalError, match=r"client\.key"):
            user.resolves(registry)
        shutil.copy(CERTS / "client.pem", folder / "client.key")
        user.pushes(registry, [DATA])


def test_an_authority_in_certs_d_counts_where_the_registry_leads(user: User) -> None:
    """A GitLab of one's own: `docker login` needs nothing but the registry's ca.crt, and tokens come from another port.
    Who we are is told to the registry alone."""
    with a_registry(cert="server") as registry, a_registry(cert="server") as issuer:
        registry.bearer, registry.realm = True, f"{issuer.url}/token"
        registry.tokens = issuer.tokens
        folder = user.home / f".config/containers/certs.d/{registry.host}"
        folder.mkdir(parents=True)
        shutil.copy(CA, folder / "ca.crt")
        user.pushes(registry, [DATA])
        assert issuer.seen("/token")


def test_a_certs_d_that_is_closed_to_us_is_none(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/docker is for root alone on some systems."""

    def closed(_: Path, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", closed)
    assert list(folders(Url.parse("https://r.io:5000"), user.settings())) == []


@pytest.mark.parametrize("names", [["ca.crt"], ["me.cert", "me.key"]])
def test_a_pipe_in_certs_d_is_not_waited_for(user: User, names: list[str]) -> None:
    folder = user.home / ".config/containers/certs.d/r.io"
    folder.mkdir(parents=True)
    for name in names:
        os.mkfifo(folder / name)
    url = Url.parse("https://r.io")
    with pytest.raises(LocalError, match="is a pipe"):
        http_tls.context(url, user.settings(), url)


def test_certs_d_of_another_port_is_another_s(user: User) -> None:
    with a_registry(cert="server") as registry:
        folder = user.home / ".config/containers/certs.d/127.0.0.1"
        folder.mkdir(parents=True)
        shutil.copy(CA, folder / "ca.crt")
        with pytest.raises(TransportError, match="certificate"):
            user.resolves(registry)


def test_the_folders_of_docker_and_podman_are_looked_at(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = (tmp_path / "containers", tmp_path / "docker")
    monkeypatch.setattr(http_tls, "_SYSTEM_FOLDERS", system)
    for parent in system:
        (parent / "r.io:5000").mkdir(parents=True)
        (parent / "r.io").mkdir(parents=True)
    assert list(folders(Url.parse("https://r.io:5000"), user.settings())) == [p / "r.io:5000" for p in system]


@pytest.mark.parametrize(
    "flags", [{"ca_file": "/nowhere"}, {"cert_file": "/nowhere"}, {"ca_file": str(CERTS / "README.md")}]
)
def test_a_file_that_is_no_certificate_is_named(user: User, flags: dict[str, str]) -> None:
    with a_registry(cert="server") as registry, pytest.raises(LocalError, match=next(iter(flags.values()))):
        user.resolves(registry, **flags)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"ca_file": "README.md"}, "it has no PEM certificate"),
        ({"cert_file": "README.md", "key_file": "client.pem"}, "not a PEM certificate and its private key"),
        ({"cert_file": "client.pem", "key_file": "README.md"}, "not a PEM certificate and its private key"),
        ({"cert_file": "client.pem", "key_file": "server.pem"}, "the private key does not match the certificate"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_in_words(user: User, flags: dict[str, str], reason: str) -> None:
    url = Url.parse("https://r.io")
    paths = {flag: str(CERTS / name) for flag, name in flags.items()}
    with pytest.raises(LocalError) as caught:
        http_tls.context(url, user.settings(**paths), url)
    assert str(caught.value).endswith(f": {reason}")
    assert all(path in str(caught.value) for path in paths.values())


def test_a_key_needs_its_certificate(user: User) -> None:
    with a_registry(cert="server") as registry, pytest.raises(UsageError, match="without the certificate"):
        user.resolves(registry, key_file="key.pem")


# Redirects


def test_redirects_are_followed(registry: FaultyRegistry, user: User) -> None:
    digest = registry.hold(DATA)
    registry.misbehave("GET", "/machine/blobs/", faults.status(301, Location=f"/v2/b/blobs/{digest}"))
    registry.misbehave("GET", "/b/blobs/", faults.status(308, Location=f"{registry.url}/v2/c/blobs/{digest}"))
    assert user.pulls(registry, digest, len(DATA)) == DATA


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://x/", "https://", "http://a b/", "http://x:99999/", "http://u:p@127.0.0.1/x",
     "gopher://127.0.0.1:70/_x", "\x00", "http://[::1/"],
)  # fmt: skip
def test_a_redirect_to_no_web_address_is_refused(registry: FaultyRegistry, user: User, location: str) -> None:
    """Threat 82."""
    registry.misbehave("GET", "/blobs/", faults.status(302, Location=location), times=9)
    with pytest.raises(TransportError) as caught:
        user.pulls(registry, registry.hold(DATA), len(DATA), retries=0)
    assert "u:p" not in str(caught.value)


def test_a_redirect_without_a_location_is_an_error(registry: FaultyRegistry, user: User) -> None:
    """Threat 82."""
    registry.misbehave("GET", "/blobs/", faults.status(302), times=9)
    with pytest.raises(TransportError, match="302"):
        user.pulls(registry, registry.hold(DATA), len(DATA))


def test_a_circle_of_redirects_ends(registry: FaultyRegistry, user: User) -> None:
    """Threat 82."""
    digest = registry.hold(DATA)
    registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"/v2/machine/blobs/{digest}"), times=99)
    with pytest.raises(TransportError, match="10 times"):
        user.pulls(registry, digest, len(DATA))
    assert len(registry.requests) == 10


def test_a_redirect_from_https_to_http_is_refused(registry: FaultyRegistry, user: User) -> None:
    """Threat 82."""
    digest = registry.hold(DATA)
    with a_registry(cert="server") as secure:
        secure.misbehave("GET", "/blobs/", faults.status(302, Location=f"{registry.url}/v2/x/blobs/{digest}"))
        with pytest.raises(TransportError, match="refused"):
            user.pulls(secure, digest, len(DATA), ca_file=CA)
    assert registry.requests == []


def test_an_upload_is_not_sent_from_https_to_another_host_s_http(user: User) -> None:
    with a_registry(cert="server") as secure, a_registry("127.0.0.2") as plain:
        plain.uploads["session-9"] = bytearray()
        secure.misbehave("POST", "/uploads/", faults.header("Location", f"{plain.url}/v2/x/blobs/uploads/session-9"))
        with pytest.raises(TransportError, match="refused"):
            user.sends(secure, [DATA], ca_file=CA)
        assert plain.requests == []


def test_a_registry_behind_tls_that_does_not_know_it_is_understood(user: User) -> None:
    """It names its own host with http:// in an upload's Location."""
    with a_registry(cert="server") as registry:

        def plain(reply: faults.Reply) -> faults.Reply:
            return reply.with_header("Location", f"http://{registry.host}{reply.header('Location')}")

        registry.misbehave("POST", "/uploads/", plain)
        user.sends(registry, [DATA], ca_file=CA)
        assert registry.blobs


# Where one is not sent


@pytest.mark.parametrize(
    ("target", "registry", "peer", "own", "allowed"),
    [
        ("https://cdn.example/x", "https://r.io", "93.184.216.34", "93.184.216.1", True),
        ("https://cdn.example/x", "https://r.io", "10.1.2.3", "93.184.216.1", False),  # the resolved address decides
        ("https://cdn.example/x", "https://r.io", "100.100.100.200", "93.184.216.1", False),
        ("https://cdn.example/x", "https://r.io", "64:ff9b::a01:203", "93.184.216.1", False),
        ("https://cdn.corp/x", "https://r.corp", "10.1.2.3", "10.0.0.1", True),
        ("https://167772161/x", "https://r.io", "10.0.0.1", "93.184.216.1", False),
        ("https://167772161/x", "https://r.io", None, None, False),  # a proxy would resolve it
        ("https://0xa000001/x", "https://r.io", None, None, False),
        ("https://10.1/x", "https://r.io", None, None, False),
        ("https://012.0.0.1/x", "https://r.io", None, None, False),
        ("https://10.0.0.1./x", "https://r.io", None, None, False),
        ("https://[::ffff:10.0.0.1]/x", "https://r.io", None, None, False),
        ("https://[::10.0.0.1]/x", "https://r.io", None, None, False),
        ("https://[2002:a00:1::]/x", "https://r.io", None, None, False),
        ("https://0/x", "https://r.io", None, None, False),
        ("https://2130706433/x", "https://r.io", None, None, False),
        ("https://localhost./x", "https://r.io", None, None, False),
        ("https://1572395042/x", "https://r.io", None, "93.184.216.1", True),
        ("https://10.1.2.3/x", "https://r.io", "10.1.2.3", "93.184.216.1", False),
        ("https://10.1.2.3/x", "https://r.corp", "10.1.2.3", "10.0.0.1", True),
        ("https://10.1.2.3/x", "https://r.io", None, None, False),
        ("http://169.254.169.254/latest/meta-data", "http://r.io", "169.254.169.254", "10.0.0.1", False),
        ("http://169.254.169.254/latest/meta-data", "http://127.0.0.1:5000", "169.254.169.254", "127.0.0.1", False),
        ("http://metadata.example/", "http://r.io", "169.254.169.254", "10.0.0.1", False),
        ("http://localhost:2375/x", "http://r.io", "127.0.0.1", "93.184.216.1", False),
        ("http://rebound.example/x", "http://r.io", "127.0.0.1", "93.184.216.1", False),
        ("http://rebound.example/x", "http://r.io", "::1", "93.184.216.1", False),
        ("http://rebound.example/x", "http://r.io", "::ffff:127.0.0.1", "93.184.216.1", False),
        ("http://[::]:80/x", "http://r.io", "::", "93.184.216.1", False),
        ("http://[fe80::1]/x", "http://r.io", "fe80::1", "93.184.216.1", False),
        ("http://[fd00::1]/x", "http://r.io", "fd00::1", "93.184.216.1", False),
        ("http://127.0.0.1:9000/x", "http://localhost:5000", "127.0.0.1", "127.0.0.1", True),
        ("http://10.0.0.9/x", "http://localhost:5000", "10.0.0.9", "127.0.0.1", True),
        ("http://r.io/x", "http://r.io", "127.0.0.1", None, True),  # the registry itself may be anywhere
        ("http://r.io/x", "http://r.io", "10.0.0.1", "10.0.0.2", True),
        ("http://r.io/x", "http://r.io", "93.184.216.34", "10.0.0.2", True),
        ("http://r.io/x", "http://r.io", "10.0.0.1", "93.184.216.34", False),  # but its name is not bound anew
        ("http://r.io/x", "http://r.io", "127.0.0.1", "93.184.216.34", False),
        ("http://r.io/x", "http://r.io", "93.184.216.35", "93.184.216.34", True),
        ("http://localhost/x", "http://r.io", None, None, False),
    ],
)
def test_where_a_registry_may_send_us(
    target: str, registry: str, peer: str | None, own: str | None, allowed: bool
) -> None:
    """Threats 71, 78, 79, 82."""
    try:
        check_address(Url.parse(target), Url.parse(registry), peer, own)
    except TransportError:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("header", ["redirect", "upload", "realm"])
def test_a_registry_out_there_does_not_make_us_knock_on_our_own_doors(user: User, header: str) -> None:
    """Threats 78, 79, 82: the address that was reached counts, not the name."""
    with a_registry() as proxy, a_registry() as ours:
        user.environ["HTTP_PROXY"] = proxy.url
        user.environ["NO_PROXY"] = "127.0.0.1"
        digest = proxy.hold(DATA)
        proxy.misbehave("GET", "/blobs/", faults.status(302, Location=f"{ours.url}/v2/x/blobs/{digest}"))
        proxy.misbehave("POST", "/uploads/", faults.header("Location", f"{ours.url}/v2/x/blobs/uploads/session-9"))
        challenge = f'Bearer realm="{ours.url}/token"'
        proxy.misbehave("GET", "/manifests/", faults.status(401, WWW_Authenticate=challenge))
        outside: Callable[[], object] = {
            "redirect": lambda: user.pulls(Outside(), digest, len(DATA), plain_http=True),  # type: ignore[arg-type]
            "upload": lambda: user.sends(Outside(), [b"new"], plain_http=True),  # type: ignore[arg-type]
            "realm": lambda: user.resolves(Outside(), plain_http=True),  # type: ignore[arg-type]
        }[header]
        with pytest.raises(TransportError, match="refused"):
            outside()
        assert ours.requests == []


class Inside:
    """A registry out there that sends us to a name: what the name resolves to is set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, registry: FaultyRegistry, ours: FaultyRegistry) -> None:
        self.host = f"registry.invalid:{registry.port}"
        self.connected: list[str] = []
        self.resolves = {"registry.invalid": "8.8.4.4", "inner.invalid": "10.0.0.1"}
        lookup, connect = socket.getaddrinfo, socket.socket.connect

        def getaddrinfo(host: str, port: int, **flags: Any) -> Any:
            return lookup(self.resolves.get(host, host), port, **flags)

        def connects(sock: socket.socket, address: tuple[Any, ...]) -> None:
            self.connected.append(address[0])
            connect(sock, ("127.0.0.1", address[1]))

        def addressed(sock: socket.socket) -> Any:
            return ("8.8.4.4", registry.port)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", connects)
        monkeypatch.setattr(socket.socket, "getpeername", addressed)


@pytest.mark.parametrize("header", ["redirect", "upload", "realm"])
@pytest.mark.parametrize("name", ["inner.invalid", "167772161", "0xa000001", "10.1", "012.0.0.1", "[::ffff:10.0.0.1]"])
def test_a_private_address_is_refused_before_a_packet_goes_there(
    user: User, monkeypatch: pytest.MonkeyPatch, name: str, header: str
) -> None:
    with a_registry() as registry, a_registry() as ours:
        out_there = Inside(monkeypatch, registry, ours)
        there, digest = f"http://{name}:{ours.port}", registry.hold(DATA)
        registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"{there}/v2/x/blobs/{digest}"))
        registry.misbehave("POST", "/uploads/", faults.header("Location", f"{there}/v2/x/blobs/uploads/session-9"))
        registry.misbehave("GET", "/manifests/", faults.status(401, WWW_Authenticate=f'Bearer realm="{there}/token"'))
        asks: Callable[[], object] = {
            "redirect": lambda: user.pulls(out_there, digest, len(DATA), plain_http=True),  # type: ignore[arg-type]
            "upload": lambda: user.sends(out_there, [b"new"], plain_http=True),  # type: ignore[arg-type]
            "realm": lambda: user.resolves(out_there, plain_http=True),  # type: ignore[arg-type]
        }[header]
        with pytest.raises(TransportError, match="refused"):
            asks()
        assert set(out_there.connected) == {"8.8.4.4"}
        assert ours.requests == []


@pytest.mark.parametrize("text", ["http://%31%30.0.0.1/", "http://a%2eb/", "http://a,b/", "http://[::1]%65/"])
def test_a_host_that_a_proxy_could_read_otherwise_is_no_host(text: str) -> None:
    with pytest.raises(TransportError, match=r"is not a valid (host name|URL)"):
        Url.parse(text)


class Outside:
    """A registry that only a proxy can reach."""

    host = "registry.invalid"


# Proxies


def test_plain_http_goes_through_a_proxy_in_full(user: User) -> None:
    """Threat 97."""
    with a_registry() as proxy:
        user.environ["http_proxy"] = f"http://proxy-user:proxy%2Fpass@{proxy.host}"
        proxy.users = {"me": PASSWORD}
        user.logs_in("registry.invalid")
        user.pushes(Outside(), [DATA], plain_http=True)  # type: ignore[arg-type]
        assert all(seen.path.startswith("http://registry.invalid/v2/machine/") for seen in proxy.requests)
        told = {seen.header("Proxy-Authorization") for seen in proxy.requests}
        assert told == {f"Basic {base64.b64encode(b'proxy-user:proxy/pass').decode()}"}


def test_https_goes_through_a_tunnel_and_the_proxy_hears_nothing(user: User) -> None:
    """Threat 97: who we are to the registry is said inside the tunnel."""
    with a_registry(cert="elsewhere") as registry, a_tunnel(registry) as proxy:
        registry.users = {"me": PASSWORD}
        user.logs_in("elsewhere.invalid:444")
        user.environ["HTTPS_PROXY"] = proxy.url.replace("//", "//who:knows@")
        registry.manifests["machine", "1"] = ("application/vnd.oci.image.index.v1+json", b'{"manifests": []}')
        resolves(user, "elsewhere.invalid:444", ca_file=CA)
        assert proxy.heads[0].startswith("CONNECT elsewhere.invalid:444 HTTP/1.1\r\nHost: elsewhere.invalid:444\r\n")
        assert "\r\nAuthorization" not in proxy.heads[0]
        assert "Proxy-Authorization: Basic d2hvOmtub3dz" in proxy.heads[0]
        assert not any(seen.header("Proxy-Authorization") for seen in registry.requests)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 no\r\n\r\n", b"HTTP/1.1 403 \r\n\r\n", b"garbage\r\n\r\n", b"", b"x" * 100_000]
)
def test_a_proxy_that_refuses_is_named_without_its_password(user: User, answer: bytes) -> None:
    """Threats 97, 94."""
    with a_registry() as registry, a_tunnel(registry, answer) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url.replace("//", "//who:s3cret@")
        with pytest.raises(TransportError, match="proxy 127") as caught:
            resolves(user, "registry.invalid", retries=0)
        assert "s3cret" not in str(caught.value)
        assert registry.requests == []


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("http://who:s3cret@127.0.0.1:1", r"^the proxy 127\.0\.0\.1:1: connection refused"),
        ("http://who:s3cret@proxy.invalid:1", r"^cannot resolve the proxy 'proxy\.invalid': "),
    ],
)
def test_a_proxy_that_is_not_reached_is_called_one(user: User, address: str, text: str) -> None:
    user.environ["HTTPS_PROXY"] = address
    with pytest.raises(TransportError, match=text) as caught:
        user.resolves(Outside(), retries=0)  # type: ignore[arg-type]
    assert "NO_PROXY" in caught.value.hint


def test_a_proxy_that_never_ends_its_answer_is_not_waited_for(user: User) -> None:
    with a_registry() as proxy:
        proxy.misbehave("CONNECT", "", faults.trickling(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100, pause=0.05))
        user.environ["HTTPS_PROXY"] = proxy.url
        with pytest.raises(TransportError, match="proxy"):
            resolves(user, "registry.invalid", retries=0, timeout=0.3)
        assert len(proxy.requests) == 1


def test_a_proxy_whose_interim_responses_do_not_end_is_not_waited_for(user: User) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" * 60_000 + b"HTTP/1.1 200 OK\r\n\r\n"
    with a_registry() as registry, a_tunnel(registry, answer) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url
        with pytest.raises(TransportError, match="does not respond"):
            resolves(user, "registry.invalid", retries=0, timeout=0.2)


# Proxies of other kinds


def test_a_proxy_is_spoken_to_over_tls(user: User) -> None:
    """For what is asked in the clear, and with TLS inside TLS."""
    user.logs_in("registry.invalid")
    with a_registry() as registry, tls_before(registry.port) as proxy:
        user.environ["HTTP_PROXY"] = proxy.url.replace("//", "//who:knows@")
        user.pushes(Outside(), [DATA], plain_http=True, ca_file=CA)  # type: ignore[arg-type]
        assert all(seen.path.startswith("http://registry.invalid/v2/") for seen in registry.requests)
        assert {seen.header("Proxy-Authorization") for seen in registry.requests} == {"Basic d2hvOmtub3dz"}
    with a_registry(cert="elsewhere") as registry, a_tunnel(registry) as tunnel, tls_before(tunnel.port) as proxy:
        registry.users = {"me": PASSWORD}
        user.logs_in("elsewhere.invalid")
        user.environ["HTTPS_PROXY"] = proxy.url.replace("//", "//who:knows@")
        large = noise(3_000_000)
        user.pushes(Elsewhere(), [large], ca_file=CA)  # type: ignore[arg-type]
        digest = f"sha256:{hashlib.sha256(large).hexdigest()}"
        assert user.pulls(Elsewhere(), digest, len(large), ca_file=CA) == large  # type: ignore[arg-type]
        assert tunnel.heads[0].startswith("CONNECT elsewhere.invalid:443 HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic d2hvOmtub3dz" in tunnel.heads[0]
        assert not any(seen.header("Proxy-Authorization") for seen in registry.requests)


@pytest.mark.parametrize("cert", ["expired", "elsewhere"])
def test_a_proxy_that_proves_nothing_is_named_and_told_nothing(user: User, cert: str) -> None:
    with a_registry() as registry, tls_before(registry.port, cert) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url.replace("//", "//who:s3cret@")
        for flags in ({}, {"insecure": True}):
            with pytest.raises(TransportError, match=r"the proxy https://127.*certificate") as caught:
                resolves(user, "registry.invalid", retries=0, ca_file=CA, **flags)
            assert "s3cret" not in str(caught.value)
        assert registry.requests == []


def test_a_proxy_that_speaks_no_tls_is_named(user: User) -> None:
    with a_registry() as registry:
        user.environ["HTTPS_PROXY"] = registry.url.replace("http:", "https:")
        with pytest.raises(TransportError, match=r"the proxy https://127.* does not speak TLS"):
            resolves(user, "registry.invalid", retries=0)


def test_the_server_behind_a_proxy_over_tls_is_checked_too(user: User) -> None:
    with a_registry(cert="expired") as registry, a_tunnel(registry) as tunnel, tls_before(tunnel.port) as proxy:
        user.environ["HTTPS_PROXY"] = proxy.url
        with pytest.raises(TransportError, match=r"elsewhere.invalid: .*certificate"):
            resolves(user, "elsewhere.invalid", retries=0, ca_file=CA)
        assert registry.requests == []


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_resolves_names_itself(user: User, scheme: str) -> None:
    with a_registry() as registry, a_socks_proxy(registry, (b"who", b"knows/it")) as proxy:
        user.environ["http_proxy"] = f"{scheme}://who:knows%2Fit@{proxy.address}"
        user.pushes(Outside(), [DATA], plain_http=True)  # type: ignore[arg-type]
        assert proxy.asked[0] == (3, b"registry.invalid", 80)
        assert all(seen.path.startswith("/v2/") for seen in registry.requests)
        resolves(user, "[2001:db8::1]:5000", plain_http=True)
        assert proxy.asked[-1] == (4, b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", 5000)
    with a_registry(cert="elsewhere") as registry, a_socks_proxy(registry) as proxy:
        user.environ["https_proxy"] = f"{scheme}://{proxy.address}"
        user.pushes(Elsewhere(), [DATA], ca_file=CA)  # type: ignore[arg-type]
        assert proxy.asked[0] == (3, b"elsewhere.invalid", 443)


@pytest.mark.parametrize(
    ("login", "failure", "said"),
    [
        ((b"a", b"b"), 0, "authentication required"),
        ((b"", b""), 5, "connection refused"),
        ((b"", b""), 99, "failure 99"),
    ],
)
def test_a_socks_proxy_that_refuses_is_named(user: User, login: tuple[bytes, bytes], failure: int, said: str) -> None:
    with a_registry() as registry, a_socks_proxy(registry, login, failure) as proxy:
        user.environ["http_proxy"] = f"socks5://{proxy.address}"
        with pytest.raises(TransportError, match=f"the proxy socks5://127.*{said}"):
            resolves(user, "registry.invalid", plain_http=True, retries=0)
        user.environ["http_proxy"] = f"socks5://me:s3cret@{proxy.address}"
        with pytest.raises(TransportError, match="the proxy socks5://127") as caught:
            resolves(user, "registry.invalid", plain_http=True, retries=0)
        assert "s3cret" not in str(caught.value)
        assert registry.requests == []


def test_what_speaks_no_socks_is_named(user: User) -> None:
    with a_registry() as registry:
        user.environ["http_proxy"] = f"socks5://{registry.host}"
        with pytest.raises(TransportError, match="the proxy socks5://127"):
            resolves(user, "registry.invalid", plain_http=True, retries=0, timeout=1.0)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_private_address_is_not_asked_for_through_a_proxy(user: User, scheme: str) -> None:
    """A proxy reads 167772161 as the system does."""
    with a_registry() as registry, a_socks_proxy(registry) as socks, tls_before(registry.port) as tls:
        user.environ["http_proxy"] = {
            "http": registry.url, "https": tls.url, "socks5": f"socks5://{socks.address}",
        }[scheme]  # fmt: skip
        digest = registry.hold(DATA)
        for name in ("10.0.0.1", "167772161", "0xa000001", "10.1", "012.0.0.1", "[::ffff:10.0.0.1]"):
            registry.misbehave("GET", "/blobs/", faults.status(302, Location=f"http://{name}/v2/x/blobs/{digest}"))
            with pytest.raises(TransportError, match="refused"):
                user.pulls(Outside(), digest, len(DATA), plain_http=True, ca_file=CA)  # type: ignore[arg-type]
        assert all("registry.invalid" in seen.path + seen.header("Host") for seen in registry.requests)


class Trickle:
    """A server that begins a TLS record of 16 KiB and sends it byte by byte."""

    def __init__(self) -> None:
        self.sent = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listening.accept()
            with client:
                for byte in b"\x16\x03\x03\x40\x00" + bytes(300):
                    client.sendall(bytes([byte]))
                    self.sent += 1
                    time.sleep(0.02)


def test_a_tls_record_that_comes_byte_by_byte_is_not_waited_for_behind_a_proxy_over_tls(user: User) -> None:
    with (
        contextlib.closing(Trickle()) as server,
        a_tunnel(server) as tunnel,
        tls_before(tunnel.port) as proxy,
    ):
        user.environ["HTTPS_PROXY"] = proxy.url
        with pytest.raises(TransportError, match=r"elsewhere\.invalid: .*TLS handshake"):
            resolves(user, "elsewhere.invalid", retries=0, timeout=0.5, ca_file=CA)
        assert server.sent < 150


class Elsewhere:
    """A registry that only a proxy can reach, over TLS."""

    host = "elsewhere.invalid"


@pytest.mark.parametrize("text", ["socks4://me:s3cret@h:1", "ftp://h", "http://", "http://h:port", "://"])
def test_a_proxy_that_nobody_can_speak_to_is_misuse(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        proxy_for(Url.parse("https://r.io"), {"https_proxy": text})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://r.io", {"HTTPS_PROXY": "http://p:3128"}, "p:3128"),
        ("https://r.io", {"HTTPS_PROXY": "p"}, "p:80"),
        ("https://r.io", {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"}, "low:1"),
        ("https://r.io", {"HTTP_PROXY": "http://p:1"}, ""),
        ("http://r.io", {"HTTP_PROXY": "http://p:1"}, "p:1"),
        ("http://r.io", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, ""),
        ("http://r.io", {"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "p:1"),
        ("https://r.io", {"ALL_PROXY": "http://p:1"}, "p:1"),
        ("https://r.io", {"ALL_PROXY": "http://p:1", "NO_PROXY": "*"}, ""),
        ("https://r.io", {"ALL_PROXY": "http://p:1", "NO_PROXY": "x, r.io"}, ""),
        ("https://a.r.io", {"ALL_PROXY": "http://p:1", "NO_PROXY": "r.io"}, ""),
        ("https://a.r.io", {"ALL_PROXY": "http://p:1", "no_proxy": ".R.io"}, ""),
        ("https://r.io", {"ALL_PROXY": "http://p:1", "NO_PROXY": ".r.io,*.r.io"}, ""),
        ("https://evil-r.io", {"ALL_PROXY": "http://p:1", "NO_PROXY": "r.io"}, "p:1"),
        ("https://r.io:5000", {"ALL_PROXY": "http://p:1", "NO_PROXY": "r.io:5000"}, ""),
        ("https://r.io:5001", {"ALL_PROXY": "http://p:1", "NO_PROXY": "r.io:5000"}, "p:1"),
        ("https://10.1.2.3", {"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.1.2.3", {"ALL_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8,10.1.2.0/33"}, "p:1"),
        ("https://[fd00::1]:5000", {"ALL_PROXY": "http://p:1", "NO_PROXY": "[fd00::1]:5000"}, ""),
        ("https://[fd00::1]", {"ALL_PROXY": "http://p:1", "NO_PROXY": "fd00::1"}, ""),
        ("http://localhost:5000", {"ALL_PROXY": "http://p:1"}, ""),
        ("http://127.3.2.1:5000", {"ALL_PROXY": "http://p:1"}, ""),
        ("http://[::1]:5000", {"ALL_PROXY": "http://p:1"}, ""),
        ("https://r.io", {"ALL_PROXY": "", "https_proxy": " "}, ""),
        ("https://r.io", {"ALL_PROXY": "socks5h://p:1"}, ""),  # Go reads no ALL_PROXY
        ("https://r.io", {"all_proxy": "socks5://p:1"}, ""),
        ("https://r.io", {"all_proxy": "ftp://p"}, ""),
        ("https://r.io", {"all_proxy": "https://p"}, "p:443"),
        ("https://r.io", {"all_proxy": "p:1"}, "p:1"),
        ("https://r.io", {"all_proxy": "socks5h://p:1", "https_proxy": "http://q:2"}, "q:2"),
        ("https://r.io", {"https_proxy": "socks5h://p"}, "p:1080"),
        ("https://2130706433", {"https_proxy": "http://p:1"}, ""),
    ],
)
def test_which_proxy_is_asked(url: str, environ: dict[str, str], proxy: str) -> None:
    """Threat 97: a loopback address never goes through one."""
    found = proxy_for(Url.parse(url), environ)
    assert (f"{found.host}:{found.port}" if found else "") == proxy


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("a.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
     ("::ffff:127.0.0.1", True), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
     ("128.0.0.1", False), ("evil-localhost", False), ("10.0.0.1", False), ("2130706433", True), ("0x7f.1", True),
     ("localhost.", True), ("017700000001", True), ("5000", False), ("1e3.example", False)],
)  # fmt: skip
def test_what_this_computer_is_called(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# Places that are not there


class Clock:
    """Time that passes when a socket of it waits; *timeouts* are those of the connections."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timeouts: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def socket(self, *_: object) -> Clock:
        return self

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(round(seconds, 6))

    def connect(self, _address: object) -> None:
        self.now += self.timeouts[-1]
        raise TimeoutError("timed out")

    def close(self) -> None:
        """As a socket."""


@pytest.mark.parametrize(
    ("addresses", "timeouts"), [(1, [30.0]), (2, [15.0, 15.0]), (3, [10.0] * 3), (10_000, [2.0] * 15)]
)
def test_all_addresses_of_a_name_share_the_time_limit(
    addresses: int, timeouts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(dial, "time", clock)
    monkeypatch.setattr(deadline, "time", clock)
    monkeypatch.setattr(socket, "socket", clock.socket)
    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))] * addresses
    with pytest.raises(TimeoutError):
        dial._connect_first(resolved, 30.0)
    assert clock.timeouts == timeouts


def test_a_port_where_nothing_listens_is_told_of_at_once(user: User) -> None:
    with a_registry() as registry:
        host = registry.host
    with pytest.raises(TransportError, match="connection refused"):
        resolves(user, host)


def test_a_registry_that_is_being_restarted_is_waited_for(user: User) -> None:
    with a_registry() as registry:
        user.pushes(registry, [DATA])
        source = user.source(registry, retries=3)
        source.resolve()
    with source, pytest.raises(TransportError, match="connection refused") as caught:
        source.resolve()
    assert any("4 attempts" in note for note in caught.value.__notes__)


def test_a_computer_that_does_not_exist_is_named(user: User) -> None:
    with pytest.raises(TransportError, match=r"registry\.invalid"):
        resolves(user, "registry.invalid", retries=0)


# URLs


@pytest.mark.parametrize(
    ("base", "location", "joined"),
    [
        ("http://r.io/v2/a/blobs/uploads/", "/v2/a/b?_state=x%3D", "http://r.io/v2/a/b?_state=x%3D"),
        ("http://r.io/v2/a/blobs/uploads/", "uuid", "http://r.io/v2/a/blobs/uploads/uuid"),
        ("http://r.io/v2/", "//s.io/x", "http://s.io/x"),
        ("http://r.io/v2/", "https://S.io:443/x#y", "https://s.io/x"),
        ("http://r.io/v2/", "?a=b", "http://r.io/v2/?a=b"),
        ("http://[::1]:5000/v2/", "/x", "http://[::1]:5000/x"),
    ],
)
def test_a_location_is_relative_to_where_it_was_said(base: str, location: str, joined: str) -> None:
    assert str(Url.parse(base).joined(location)) == joined


@pytest.mark.parametrize("text", ["http://u:p@h/", "http://u@h/", "http://@h/", "http://h\r\nX: y/", "http://h/\u202e"])
def test_what_may_mean_two_things_is_no_url(text: str) -> None:
    with pytest.raises(TransportError, match=r"credentials are not allowed in a URL|is not a valid URL"):
        Url.parse(text)


def test_parameters_are_added_and_none_is_rewritten() -> None:
    url = Url.parse("http://r.io/u?_state=a%2Fb+c&x").with_query("digest", "sha256:0")
    assert url.target == "/u?_state=a%2Fb+c&x&digest=sha256%3A0"
    assert url.shown == "http://r.io/u?_state=…&x=…&digest=…"
