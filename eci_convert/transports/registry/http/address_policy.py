"""Guards against SSRF: a registry may not send us to loopback, link-local, multicast or private addresses.

Checked for redirects, upload locations and token realms: a request from inside this network could reach servers that
the registry itself cannot.
"""

from __future__ import annotations

from eci_convert.errors import TransportError
from eci_convert.transports.registry.http.addresses import Address, address_of, is_loopback
from eci_convert.transports.registry.http.url import Url


def check_address(url: Url, registry: Url, peer: str | None, own_peer: str | None) -> None:
    """Raises TransportError unless *url*, whose host resolves to *peer*, may be connected to on behalf of *registry*.

    The registry itself may be anywhere, but its name may not change from a public to a private address (DNS rebinding).
    Other servers may not be on loopback, link-local (where clouds serve credentials) or private addresses unless the
    registry is too; the resolved address decides, however it is spelt. *peer* is None if a proxy resolves the name;
    *own_peer* is the address of the registry itself, None if unknown.
    """
    literal_address, peer_address = address_of(url.host), address_of(peer) if peer else None
    if (url.host, url.port) == (registry.host, registry.port):
        if own_peer and is_private(peer_address) and not is_private(address_of(own_peer)):
            raise TransportError(f"{url.authority} now resolves to a private address (DNS rebinding): refused")
        return
    registry_is_local = is_loopback(registry.host)
    registry_address = address_of(registry.host) or (address_of(own_peer) if own_peer else None)
    for address in (literal_address, peer_address):
        if address is None:
            continue
        if (address.is_loopback or address.is_unspecified) and not registry_is_local:
            raise _refused_error(url, registry, "this computer")
        if address.is_link_local and not (registry_address is not None and registry_address.is_link_local):
            raise _refused_error(url, registry, "a link-local address")
        if address.is_multicast:
            raise _refused_error(url, registry, "a multicast address")
        if is_private(address) and not (registry_is_local or is_private(registry_address)):
            raise _refused_error(url, registry, "a private address")
    if literal_address is None and is_loopback(url.host) and not registry_is_local:
        raise _refused_error(url, registry, "this computer")


def is_private(address: Address | None) -> bool:
    """Whether *address* is not globally routable."""
    return address is not None and not address.is_global


def _refused_error(url: Url, registry: Url, what: str) -> TransportError:
    return TransportError(f"{registry.authority} refers to {what} ({url.authority}): refused")
