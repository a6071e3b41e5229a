"""A client for SOCKS version 5 proxies (RFC 1928; user names and passwords: RFC 1929). The proxy resolves names, as
with Go."""

from __future__ import annotations

import ipaddress
import socket
import time

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http.deadline import seconds_left
from eci_convert.transports.registry.http.proxies import Proxy

_VERSION, _LOGIN_VERSION = 5, 1
_NO_LOGIN, _LOGIN = 0, 2
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS_LENGTHS = {_IPV4: 4, _IPV6: 16}
_FAILURES = {
    1: "general failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
_MAX_TEXT = 255


def connect(sock: socket.socket, host: str, port: int, proxy: Proxy, timeout: float) -> None:
    """Negotiates a connection to *host* and *port* through *proxy*, which *sock* is connected to.

    Raises TransportError if the proxy refuses, OSError if it does not respond.
    """
    deadline = time.monotonic() + timeout
    methods = bytes([_NO_LOGIN, _LOGIN]) if proxy.username else bytes([_NO_LOGIN])
    sock.sendall(bytes([_VERSION, len(methods)]) + methods)
    version, method = _read(sock, 2, deadline)
    if version != _VERSION:
        raise TransportError(f"{proxy.shown} is not a SOCKS version 5 proxy")
    if method == _LOGIN and proxy.username:
        _log_in(sock, proxy, deadline)
    elif method != _NO_LOGIN:
        raise TransportError(f"{proxy.shown}: proxy authentication required")
    sock.sendall(bytes([_VERSION, _CONNECT, 0]) + _address(host, proxy) + port.to_bytes(2, "big"))
    version, failure, _, kind = _read(sock, 4, deadline)
    if version != _VERSION or failure:
        reason = _FAILURES.get(failure, f"failure {failure}")
        raise TransportError(f"{proxy.shown} cannot connect to {host}:{port}: {reason}")
    length = _ADDRESS_LENGTHS.get(kind) or _read(sock, 1, deadline)[0]
    _read(sock, length + 2, deadline)


def _log_in(sock: socket.socket, proxy: Proxy, deadline: float) -> None:
    credentials = [_text(text, proxy) for text in (proxy.username, proxy.password)]
    sock.sendall(bytes([_LOGIN_VERSION]) + b"".join(credentials))
    if _read(sock, 2, deadline)[1]:
        raise TransportError(f"{proxy.shown}: proxy authentication failed")


def _address(host: str, proxy: Proxy) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([_NAME]) + _text(host, proxy)
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed


def _text(text: str, proxy: Proxy) -> bytes:
    content = text.encode(errors="surrogateescape")
    if len(content) > _MAX_TEXT:
        raise TransportError(f"host name, user name or password for {proxy.shown} is longer than {_MAX_TEXT} bytes")
    return bytes([len(content)]) + content


def _read(sock: socket.socket, count: int, deadline: float) -> bytes:
    content = b""
    while len(content) < count:
        sock.settimeout(seconds_left(deadline))
        piece = sock.recv(count - len(content))
        if not piece:
            raise ConnectionError("unexpected EOF")
        content += piece
    return content
