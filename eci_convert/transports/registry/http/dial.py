"""Connects to the server of a URL: name resolution, proxies, TLS, and the policy on addresses."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http import proxies, socks
from eci_convert.transports.registry.http.address_policy import check_address
from eci_convert.transports.registry.http.connection import HttpConnection
from eci_convert.transports.registry.http.deadline import seconds_left
from eci_convert.transports.registry.http.nested_tls import NestedTls
from eci_convert.transports.registry.http.proxies import Proxy
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings

_LONGEST_CONNECTING = 30.0
_SHORTEST_CONNECTING = 2.0
"""Seconds for one of several addresses, if so many are left."""

_MAX_PROXY_ANSWER = 64 * 1024
_UNSENT = 512 * 1024
_NO_TLS = "hint: --plain-http connects to a registry without TLS"
_CHOSEN_PROXY = "hint: HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name proxies; NO_PROXY names hosts that need none"
_NO_TLS_PROXY = "hint: most proxy URLs begin with http://, also in HTTPS_PROXY"

TlsContextFor = Callable[[Url], ssl.SSLContext]
_Resolved = tuple[Any, ...]
"""An address as getaddrinfo(3) returns it: family, type, protocol, name, socket address."""


class ConnectionRefused(TransportError):
    """Connection refused (ECONNREFUSED)."""


def dial(url: Url, registry: Url, own_peer: str | None, settings: Settings, trust: TlsContextFor) -> HttpConnection:
    """Connects to *url* on behalf of *registry*, whose address was *own_peer* before (None: not known yet).

    Raises TransientError for failures that may pass, else TransportError.
    """
    proxy = proxies.proxy_for(url, settings.environ)
    timeout = min(settings.timeout, _LONGEST_CONNECTING)
    if proxy:
        check_address(url, registry, None, own_peer)
        sock = _connect_to_proxy(proxy, timeout)
    else:
        sock = _connect(url.host, url.port, timeout, lambda address: check_address(url, registry, address, own_peer))
    try:
        peer = None if proxy else sock.getpeername()[0]
        if proxy:
            sock = _connect_through(sock, url, proxy, timeout, trust)
        if url.scheme == "https":
            sock = _start_tls(sock, url.host, trust(url), url.authority, _NO_TLS)
    except BaseException:
        sock.close()
        raise
    absolute = proxy is not None and url.scheme == "http" and not proxy.is_socks
    authorization = proxy.authorization if proxy else ""
    return HttpConnection(sock, url, peer=peer, timeout=settings.timeout, absolute=absolute, proxy=authorization)


def answers_tls(url: Url, settings: Settings) -> bool:
    """Whether the server of *url*, on this computer, responds to a TLS handshake. Its certificate is not verified."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        with _connect(url.host, url.port, min(settings.timeout, 5.0)) as sock, unverified.wrap_socket(sock):
            return True
    except ssl.SSLError as error:
        return error.reason is not None and "ALERT" in error.reason
    except (OSError, TransportError):
        return False


def _connect_to_proxy(proxy: Proxy, timeout: float) -> socket.socket:
    try:
        return _connect(proxy.host, proxy.port, timeout, what="the proxy")
    except TransportError as error:
        error.add_note(_CHOSEN_PROXY)
        raise


def _connect(
    host: str, port: int, timeout: float, check: Callable[[str], None] | None = None, what: str = "host"
) -> socket.socket:
    """A socket connected to *host*, called *what* in errors. *check* raises for an address that may not be connected
    to.

    Each resolved address is checked before anything is sent to it, and exactly the checked address is connected to: a
    second DNS lookup could return another one.
    """
    where = f"{host}:{port}" if what == "host" else f"{what} {host}:{port}"
    try:
        sock = _connect_first(_allowed_addresses(host, port, check), timeout)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise TransientError(f"cannot resolve {what} {host!r}: temporary failure in name resolution") from error
        raise TransportError(f"cannot resolve {what} {host!r}: no such host") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefused(f"{where}: connection refused") from error
    except TimeoutError as error:
        raise TransientError(f"{where}: connect timed out after {timeout:g} s") from error
    except (OSError, UnicodeError) as error:
        raise TransientError(f"{where}: {getattr(error, 'strerror', None) or 'cannot connect'}".lower()) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # A small send buffer in the kernel, so that a stalled connection is noticed when it stalls.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return sock


def _allowed_addresses(host: str, port: int, check: Callable[[str], None] | None) -> Sequence[_Resolved]:
    """The addresses of *host* that *check* accepts. Raises what *check* raised if it accepts none."""
    resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if check is None:
        return resolved
    allowed, refused = list[_Resolved](), list[TransportError]()
    for resolved_address in resolved:
        try:
            check(str(resolved_address[4][0]))
        except TransportError as error:
            refused.append(error)
        else:
            allowed.append(resolved_address)
    if refused and not allowed:
        raise refused[0]
    return allowed


def _connect_first(resolved: Sequence[_Resolved], timeout: float) -> socket.socket:
    """A socket connected to the first of *resolved* that accepts. Raises the OSError of the last attempt.

    *timeout* is for all together, and shared among them as in Go: a name may have thousands of addresses.
    """
    failure = OSError("no address found")
    deadline = time.monotonic() + timeout
    for number, (family, kind, protocol, _, address) in enumerate(resolved):
        sock: socket.socket | None = None
        try:
            left = seconds_left(deadline)
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(max(left / (len(resolved) - number), min(left, _SHORTEST_CONNECTING)))
            sock.connect(address)
        except OSError as error:
            failure = error
            if sock is not None:
                sock.close()
        else:
            return sock
    raise failure


def _connect_through(
    sock: socket.socket, url: Url, proxy: Proxy, timeout: float, trust: TlsContextFor
) -> socket.socket:
    """*sock*, which is connected to *proxy*, set up for *url*: SOCKS or CONNECT negotiated; unchanged for plain
    HTTP."""
    if proxy.is_socks:
        try:
            socks.connect(sock, url.host, url.port, proxy, timeout)
        except OSError as error:
            raise TransientError(f"{proxy.shown} does not respond") from error
        return sock
    if proxy.scheme == "https":
        itself = Url(scheme="https", host=proxy.host, port=proxy.port)
        sock = _start_tls(sock, proxy.host, trust(itself), proxy.shown, _NO_TLS_PROXY)
    if url.scheme == "https":
        _open_tunnel(sock, url, proxy, timeout)
    return sock


def _open_tunnel(sock: socket.socket, url: Url, proxy: Proxy, timeout: float) -> None:
    """Requests a tunnel with CONNECT (RFC 9110 §9.3.6). Only the proxy's own credentials are sent."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    lines = [f"CONNECT {host}:{url.port} HTTP/1.1", f"Host: {host}:{url.port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        deadline = time.monotonic() + timeout
        while 100 <= (status := _read_status(sock, deadline)) < 200:
            pass  # interim responses (RFC 9110 §15.2)
    except OSError as error:
        raise TransientError(f"{proxy.shown} does not respond") from error
    if not 200 <= status < 300:
        hint = ": proxy authentication required" if status == 407 else ""
        kind = TransientError if status in RETRYABLE_STATUSES else TransportError
        raise kind(f"{proxy.shown} refused CONNECT to {url.authority}: {status}{hint}")


def _read_status(sock: socket.socket, deadline: float) -> int:
    """The status of the proxy's response, read byte by byte, so that no byte of the tunnel behind it is consumed."""
    response = bytearray()
    while not response.endswith((b"\r\n\r\n", b"\n\n")):
        sock.settimeout(seconds_left(deadline))
        byte = sock.recv(1)
        if not byte or len(response) > _MAX_PROXY_ANSWER:
            raise ConnectionError("no response")
        response += byte
    fields = response.split(None, 2)
    if len(fields) < 2 or not fields[0].startswith(b"HTTP/1.") or not fields[1].isdigit():
        raise ConnectionError("invalid HTTP response")
    return int(fields[1])


def _start_tls(sock: socket.socket, host: str, context: ssl.SSLContext, peer_name: str, no_tls: str) -> socket.socket:
    """*sock* with TLS to *host*, called *peer_name* in errors; *no_tls* is the hint if the server does not speak
    TLS."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            return cast("socket.socket", NestedTls(sock, context, host))
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        failure = TransportError(f"{peer_name}: certificate verify failed: {error.verify_message}")
        failure.add_note("hint: --ca-file adds a certificate authority; --insecure disables verification")
        raise failure from error
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            failure = TransportError(f"{peer_name} does not speak TLS")
            failure.add_note(no_tls)
            raise failure from error
        raise TransientError(
            f"{peer_name}: TLS handshake failed: {(error.reason or 'unexpected EOF').lower()}"
        ) from error
    except OSError as error:
        raise TransientError(f"{peer_name}: connection closed during the TLS handshake") from error
