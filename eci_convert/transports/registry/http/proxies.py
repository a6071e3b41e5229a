"""Proxies from HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read as curl and Go read them; and from ALL_PROXY, which Go does
not read, if it is an HTTP proxy."""

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
    """A proxy. *scheme*: HTTP, HTTP over TLS, or SOCKS 5, which always resolves names itself."""

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
        """The proxy for display, without its password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {'' if self.scheme == 'http' else f'{self.scheme}://'}{host}:{self.port}"


def proxy_for(url: Url, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for *url*, or None. Loopback addresses are never requested through a proxy.

    Raises UsageError for a proxy that is invalid or not supported.
    """
    if is_loopback(url.host) or _is_excepted(url, _variable(environ, "no_proxy")):
        return None
    if text := _variable(environ, f"{url.scheme}_proxy"):
        return _parse(text)
    text = _variable(environ, "all_proxy")
    scheme, mark, _ = text.partition("://")
    return _parse(text) if text and (not mark or scheme.lower() in _OF_ALL_PROXY) else None


def _variable(environ: Mapping[str, str], name: str) -> str:
    """Lower case first, as curl does. For a CGI program HTTP_PROXY is a header sent by its client (httpoxy), and
    ignored."""
    upper = "" if name == "http_proxy" and "REQUEST_METHOD" in environ else environ.get(name.upper(), "")
    return (environ.get(name) or upper).strip()


def _is_excepted(url: Url, rules: str) -> bool:
    return any(_matches_rule(url, rule.strip().lower()) for rule in rules.split(",") if rule.strip())


def _matches_rule(url: Url, rule: str) -> bool:
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
    """The proxy with the URL *text*. No message contains its password."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:  # whose message repeats part of the password
        raise UsageError("the proxy in the environment is not a valid URL") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise UsageError(
            f"unsupported proxy scheme {parts.scheme!r} in the environment: use one of {', '.join(_PORTS)}"
        )
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username or "", errors="surrogateescape"),
        password=unquote(parts.password or "", errors="surrogateescape"),
    )
