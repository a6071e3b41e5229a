"""Which proxy a URL is asked through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, as curl and Go read them; and ALL_PROXY,
which Go does not read, where it names an HTTP proxy."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from eci_convert.errors import UsageError
from eci_convert.transports.registry.http.addresses import address_of, is_loopback
from eci_convert.transports.registry.http.url import Url

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_OF_ALL_PROXY = ("http", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy. *scheme* is how it is spoken to: HTTP, HTTP over TLS, or SOCKS 5, which resolves names however spelt."""

    scheme: str
    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def authorization(self) -> str:
        """The value of the Proxy-Authorization header, or ""."""
        if not self.username and not self.password:
            return ""
        pair = f"{self.username}:{self.password}".encode(errors="surrogateescape")
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def shown(self) -> str:
        """The proxy for people, without its password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {'' if self.scheme == 'http' else f'{self.scheme}://'}{host}:{self.port}"


def proxy_for(url: Url, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy between here and *url*, or None. A loopback address is never asked for through one.

    Raises UsageError for a proxy that cannot be spoken to.
    """
    if is_loopback(url.host) or _excepted(url, _variable(environ, "no_proxy")):
        return None
    if text := _variable(environ, f"{url.scheme}_proxy"):
        return _parse(text)
    text = _variable(environ, "all_proxy")
    scheme, mark, _ = text.partition("://")
    return _parse(text) if text and (not mark or scheme.lower() in _OF_ALL_PROXY) else None


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
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(f"the environment names a {parts.scheme!r} proxy: {', '.join(_PORTS)} are spoken to")
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username or "", errors="surrogateescape"),
        password=unquote(parts.password or "", errors="surrogateescape"),
    )
