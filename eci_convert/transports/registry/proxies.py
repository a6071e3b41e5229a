"""Which proxy a URL is asked through: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, as curl and Go read them."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from eci_convert.errors import UsageError
from eci_convert.transports.registry.addresses import address_of, is_loopback
from eci_convert.transports.registry.url import Url


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy. *authorization* is the value of its Proxy-Authorization header, or ""."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def proxy_for(url: Url, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy between here and *url*, or None. A loopback address is never asked for through one.

    Raises UsageError for a proxy that is not spoken to over HTTP.
    """
    if is_loopback(url.host) or _excepted(url, _variable(environ, "no_proxy")):
        return None
    text = _variable(environ, f"{url.scheme}_proxy") or _variable(environ, "all_proxy")
    return _parse(text) if text else None


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Lower case first, as curl does. HTTP_PROXY of a CGI program is a header of its client's, and not believed."""
    upper = "" if name == "http_proxy" and "REQUEST_METHOD" in environ else environ.get(name.upper(), "")
    return (environ.get(name) or upper).strip()


def _excepted(url: Url, rules: str) -> bool:
    return any(_suits(url, rule.strip().lower()) for rule in rules.split(",") if rule.strip())


def _suits(url: Url, rule: str) -> bool:
    if rule == "*":
        return True
    address = address_of(url.host)
    if address is not None and "/" in rule:
        try:
            return address in ipaddress.ip_network(rule, strict=False)
        except ValueError:
            return False
    name, colon, port = rule.rpartition(":")
    if colon and port.isdigit() and (":" not in name or name.endswith("]")):
        if int(port) != url.port:
            return False
        rule = name
    if address is not None:
        return address_of(rule.strip("[]")) == address
    name = rule.removeprefix("*").removeprefix(".")
    return bool(name) and (url.host == name or url.host.endswith(f".{name}"))


def _parse(text: str) -> Proxy:
    """The proxy that *text* names. Its password is in no message."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:  # which repeats a part of the password
        raise UsageError("the environment names a proxy by something that is not a URL") from None
    if parts.scheme != "http" or not parts.hostname:
        raise UsageError(f"the environment names a {parts.scheme!r} proxy: only http:// proxies are spoken to")
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(os.fsencode(pair)).decode()}"
    return Proxy(host=parts.hostname, port=port or 80, authorization=authorization)
