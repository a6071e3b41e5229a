"""IP addresses as the resolver reads them: all spellings of IPv4, and IPv4 addresses embedded in IPv6."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

_EMBEDDED_LAST = (ip_network("64:ff9b::/96"), ip_network("::/96"))
"""Prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052 §2.1), IPv4-compatible (RFC 4291 §2.5.5.1)."""


def address_of(host: str) -> Address | None:
    """The IP address that *host* is a spelling of, with embedded IPv4 extracted; None for a host name. No DNS lookup.

    Resolvers and proxies read an IPv4 address as inet_aton(3) does: in one to four parts, octal and hexadecimal too.

    >>> address_of("167772161"), address_of("0xa.1"), address_of("012.0.0.1"), address_of("::ffff:10.0.0.1")
    (IPv4Address('10.0.0.1'), IPv4Address('10.0.0.1'), IPv4Address('10.0.0.1'), IPv4Address('10.0.0.1'))
    """
    text = host.partition("%")[0].removesuffix(".")
    try:
        return _embedded_ipv4(ip_address(text))
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text)) if text[:1].isdigit() else None
    except (OSError, UnicodeError):
        return None


def is_loopback(host: str) -> bool:
    """Whether *host* is this computer: `localhost`, `127.0.0.0/8` or `::1`. No DNS lookup."""
    address = address_of(host)
    name = host.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") if address is None else address.is_loopback


def _embedded_ipv4(address: Address) -> Address:
    """The IPv4 address embedded in an IPv6 address (mapped, 6to4, NAT64, IPv4-compatible), else *address* itself."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return inner
    if address.is_unspecified or address.is_loopback or not any(address in prefix for prefix in _EMBEDDED_LAST):
        return address
    return IPv4Address(int(address) & 0xFFFFFFFF)
