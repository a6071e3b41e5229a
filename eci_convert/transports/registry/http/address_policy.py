"""Where a registry may send us: redirects, upload locations, token realms.

A registry that names an address may be making us knock, from inside, on doors that it cannot reach itself.
"""

from __future__ import annotations

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http.addresses import Address, address_of, is_loopback
from eci_convert.transports.registry.http.url import Url


def check_address(url: Url, registry: Url, peer: str | None, own_peer: str | None) -> None:
    """Raises TransportError unless *url*, whose host resolves to *peer*, may be connected to for *registry*.

    The registry itself may be anywhere, but its name may not be bound anew from out there to this network. Another
    server may not be on this computer, on a link-local address (where clouds keep secrets) or on a private address,
    unless the registry is there too: what the name resolves to decides, however it is spelt. *peer* None: a proxy
    resolves the name; *own_peer* is where the registry itself was met, None where nobody knows.
    """
    named, reached = address_of(url.host), address_of(peer) if peer else None
    if (url.host, url.port) == (registry.host, registry.port):
        if own_peer and is_private(reached) and not is_private(address_of(own_peer)):
            raise TransportError(f"{url.authority} resolves to a private address now, and did not before: refused")
        return
    at_home = is_loopback(registry.host)
    own = address_of(registry.host) or (address_of(own_peer) if own_peer else None)
    for address in (named, reached):
        if address is None:
            continue
        if (address.is_loopback or address.is_unspecified) and not at_home:
            raise _refused(url, registry, "this computer")
        if address.is_link_local and not (own is not None and own.is_link_local):
            raise _refused(url, registry, "a link-local address")
        if address.is_multicast:
            raise _refused(url, registry, "a multicast address")
        if is_private(address) and not (at_home or is_private(own)):
            raise _refused(url, registry, "a private address")
    if named is None and is_loopback(url.host) and not at_home:
        raise _refused(url, registry, "this computer")


def is_private(address: Address | None) -> bool:
    """Whether *address* means something on this network alone."""
    return address is not None and not address.is_global


def _refused(url: Url, registry: Url, what: str) -> TransportError:
    return TransportError(f"{registry.authority} names {what}, {url.authority}, to be asked: refused")
