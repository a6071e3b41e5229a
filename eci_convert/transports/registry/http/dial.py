"""From a URL to a connection: names looked up, proxies asked, TLS spoken, and strange neighbours turned down."""

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
from eci_convert.transports.registry.http.nested_tls import NestedTls
from eci_convert.transports.registry.http.proxies import Proxy
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.settings import Settings

_LONGEST_CONNECTING = 30.0
_MAX_PROXY_ANSWER = 64 * 1024
_UNSENT = 512 * 1024
_NO_TLS = "hint: --plain-http speaks to a registry without it"
_NO_TLS_PROXY = "hint: most proxies are http:// also for what is asked over https"

TlsContextFor = Callable[[Url], ssl.SSLContext]
_Resolved = tuple[Any, ...]
"""What getaddrinfo(3) says of one address: family, type, protocol, name, socket address."""


class ConnectionRefused(TransportError):
    """Nothing listens there."""


def dial(url: Url, registry: Url, own_peer: str | None, settings: Settings, trust: TlsContextFor) -> HttpConnection:
    """A connection to *url*, for a talk with *registry*, which was met at *own_peer* before (None: not yet).

    Raises Transient where it may be better later, else TransportError.
    """
    proxy = proxies.proxy_for(url, settings.environ)
    timeout = min(settings.timeout, _LONGEST_CONNECTING)
    if proxy:
        check_address(url, registry, None, own_peer)
        sock = _connected(proxy.host, proxy.port, timeout)
    else:
        sock = _connected(url.host, url.port, timeout, lambda address: check_address(url, registry, address, own_peer))
    try:
        peer = None if proxy else sock.getpeername()[0]
        if proxy:
            sock = _through(sock, url, proxy, timeout, trust)
        if url.scheme == "https":
            sock = _secured(sock, url.host, trust(url), url.authority, _NO_TLS)
    except BaseException:
        sock.close()
        raise
    absolute = proxy is not None and url.scheme == "http" and not proxy.is_socks
    authorization = proxy.authorization if proxy else ""
    return HttpConnection(sock, url, peer=peer, timeout=settings.timeout, absolute=absolute, proxy=authorization)


def answers_tls(url: Url, settings: Settings) -> bool:
    """Whether *url*'s server, on this computer, answers a TLS greeting. Whom it claims to be is not asked here."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        with _connected(url.host, url.port, min(settings.timeout, 5.0)) as sock, anybody.wrap_socket(sock):
            return True
    except ssl.SSLError as error:
        return error.reason is not None and "ALERT" in error.reason
    except (OSError, TransportError):
        return False


def _connected(host: str, port: int, timeout: float, check: Callable[[str], None] | None = None) -> socket.socket:
    """A socket that is connected to *host*. *check* raises for an address that is not to be connected to.

    An address is checked before a packet goes there, and it is the checked address that is connected to: what the name
    would resolve to a moment later does not matter.
    """
    where = f"{host}:{port}"
    try:
        sock = _first_connected(_allowed(host, port, check), timeout)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise TransientError(f"{host!r} cannot be looked up for now") from error
        raise TransportError(f"there is no computer named {host!r}") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefused(f"{where}: nothing listens there") from error
    except TimeoutError as error:
        raise TransientError(f"{where}: no connection within {timeout:g} s") from error
    except (OSError, UnicodeError) as error:
        raise TransientError(f"{where}: {getattr(error, 'strerror', None) or 'cannot be reached'}".lower()) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # The kernel keeps little that it has not sent, so that standing still is noticed when it happens.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return sock


def _allowed(host: str, port: int, check: Callable[[str], None] | None) -> Sequence[_Resolved]:
    """What *host* resolves to without the addresses that *check* refuses. Raises as *check* does where none is left."""
    resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if check is None:
        return resolved
    allowed, refused = list[_Resolved](), list[TransportError]()
    for one in resolved:
        try:
            check(str(one[4][0]))
        except TransportError as error:
            refused.append(error)
        else:
            allowed.append(one)
    if refused and not allowed:
        raise refused[0]
    return allowed


def _first_connected(resolved: Sequence[_Resolved], timeout: float) -> socket.socket:
    """A socket connected to the first of *resolved* that answers. Raises the OSError of the last one."""
    failed = OSError("no address")
    for family, kind, protocol, _, address in resolved:
        sock: socket.socket | None = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(timeout)
            sock.connect(address)
        except OSError as error:
            failed = error
            if sock is not None:
                sock.close()
        else:
            return sock
    raise failed


def _through(sock: socket.socket, url: Url, proxy: Proxy, timeout: float, trust: TlsContextFor) -> socket.socket:
    """The way to *url*, or for plain HTTP to who asks it for us, behind *sock*, which is connected to *proxy*."""
    if proxy.is_socks:
        try:
            socks.connect(sock, url.host, url.port, proxy, timeout)
        except OSError as error:
            raise TransientError(f"{proxy.shown} does not answer") from error
        return sock
    if proxy.scheme == "https":
        itself = Url(scheme="https", host=proxy.host, port=proxy.port)
        sock = _secured(sock, proxy.host, trust(itself), proxy.shown, _NO_TLS_PROXY)
    if url.scheme == "https":
        _tunnel(sock, url, proxy, timeout)
    return sock


def _tunnel(sock: socket.socket, url: Url, proxy: Proxy, timeout: float) -> None:
    """Asks the proxy for a way through (RFC 9110 §9.3.6). What it is told is where to, and who we are to *it*."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    lines = [f"CONNECT {host}:{url.port} HTTP/1.1", f"Host: {host}:{url.port}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    try:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        deadline = time.monotonic() + timeout
        while 100 <= (status := _status(sock, deadline)) < 200:
            pass  # interim responses (RFC 9110 §15.2)
    except OSError as error:
        raise TransientError(f"{proxy.shown} does not answer") from error
    if not 200 <= status < 300:
        hint = ": it wants a name and a password" if status == 407 else ""
        kind = TransientError if status in RETRYABLE_STATUSES else TransportError
        raise kind(f"{proxy.shown} lets nobody through to {url.authority}: {status}{hint}")


def _status(sock: socket.socket, deadline: float) -> int:
    """The status of the proxy's answer, read byte by byte, so that nothing is taken from the tunnel behind it."""
    answer = bytearray()
    while not answer.endswith((b"\r\n\r\n", b"\n\n")):
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        byte = sock.recv(1)
        if not byte or len(answer) > _MAX_PROXY_ANSWER:
            raise ConnectionError("no answer")
        answer += byte
    words = answer.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ConnectionError("no HTTP")
    return int(words[1])


def _secured(sock: socket.socket, host: str, context: ssl.SSLContext, who: str, no_tls: str) -> socket.socket:
    """*sock* with TLS over it, to *host*, called *who*; *no_tls* is the hint for one that speaks none."""
    try:
        if isinstance(sock, ssl.SSLSocket):
            return cast("socket.socket", NestedTls(sock, context, host))
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        failed = TransportError(f"{who}: its certificate is not believed: {error.verify_message}")
        failed.add_note("hint: --ca-file names an authority to believe; --insecure believes anybody")
        raise failed from error
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
            failed = TransportError(f"{who} does not speak TLS")
            failed.add_note(no_tls)
            raise failed from error
        raise TransientError(f"{who}: no TLS: {(error.reason or 'it broke off').lower()}") from error
    except OSError as error:
        raise TransientError(f"{who}: it hung up on the TLS greeting") from error
