"""Bearer tokens: who hands them out, to whom our password is told, and what comes back
(distribution.github.io/distribution/spec/auth/token, …/oauth)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from eci_convert.errors import AccessDeniedError, TransportError
from eci_convert.oci.reference import HUB, HUB_API
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.registry.http import errors
from eci_convert.transports.registry.http.address_policy import is_private
from eci_convert.transports.registry.http.addresses import address_of, is_loopback
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.errors import parse_error_body
from eci_convert.transports.registry.http.pool import ConnectionPool
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RETRYABLE_STATUSES, TransientError
from eci_convert.transports.registry.http.url import Url

_CLIENT = "eci-convert"
_MAX_ANSWER = 128 * 1024
_SHORTEST_LIFE = 60.0
_USED = 0.8
"""The part of a token's life after which a new one is fetched before it is missed."""

_MAX_TOKEN = 64 * 1024
_MAX_HOPS = 5
_FOLLOWED = frozenset({301, 302, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token. *expires* is a time of `time.monotonic`."""

    text: str = field(repr=False)
    expires: float

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self.expires


def may_send_credentials(realm: Url, registry: Url) -> bool:
    """Whether *registry*'s credentials may go to *realm*.

    To the registry's own server always; to another port of its host over HTTPS; to another host over HTTPS unless it
    is this computer or named by an address of this network. Between two servers on the loopback of this computer
    nothing leaves it, so HTTP does.
    """
    if (realm.host, realm.port) == (registry.host, registry.port):
        return realm.scheme == "https" or registry.scheme == "http"
    if _never_leaves(realm.host) and _never_leaves(registry.host):
        return True
    if realm.scheme != "https":
        return False
    return realm.host == registry.host or not (is_loopback(realm.host) or is_private(address_of(realm.host)))


def _never_leaves(host: str) -> bool:
    """Whether *host* is the loopback interface whatever a resolver says: names below `.localhost` may be elsewhere."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def fetch_token(
    pool: ConnectionPool, realm: Url, registry: Url, service: str, scopes: tuple[str, ...], who: Credential | None
) -> Token:
    """A token for *scopes* from *realm*. Raises AccessDenied, Transient, TransportError.

    Redirects are followed within one server only: whoever is entitled to our password is asked for it directly.
    """
    told = who if may_send_credentials(realm, registry) else None
    with _answered(pool, _request(realm, service, scopes, told)) as answer:
        try:
            return _token(answer, told)
        except AccessDeniedError as error:
            hint_login(error, registry, who)
            if who is not None and told is None:
                error.add_note(f"hint: {realm.authority} is not told the password for {registry.authority}")
            raise


def _request(realm: Url, service: str, scopes: tuple[str, ...], who: Credential | None) -> Request:
    accept = {"Accept": "application/json"}
    if who is not None and who.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes)}
        body = urlencode(form | {"refresh_token": who.identity_token}, errors="surrogateescape").encode()
        headers = accept | {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=realm, headers=headers, body=(body,), length=len(body))
    pairs = ([("service", service)] if service else []) + [("scope", scope) for scope in scopes]
    if who is not None:
        pairs.append(("account", who.username))
    for name, value in pairs:
        realm = realm.with_query(name, value)
    return Request(method="GET", url=realm, headers=accept | ({"Authorization": who.basic} if who is not None else {}))


def _answered(pool: ConnectionPool, request: Request) -> Response:
    """The answer to *request*, which is asked again, as it is, where the same server says that it belongs."""
    for _ in range(_MAX_HOPS):
        answer = pool.exchange(request)
        if answer.status not in _FOLLOWED or not answer.header("Location"):
            return answer
        with answer:
            target = request.url.joined(answer.header("Location"))
        target = target.secured(request.url, request.url) or target
        if target.origin != request.url.origin:
            raise TransportError(f"{request.url.shown}: redirected to {target.authority}, where no token is asked for")
        request = replace(request, url=target)
    raise TransportError(f"{request.url.shown}: redirected more than {_MAX_HOPS} times")


def _token(answer: Response, who: Credential | None) -> Token:
    if answer.status != 200:
        raise _refusal(answer, who)
    try:
        data = json.loads(answer.read(_MAX_ANSWER))
    except (ValueError, RecursionError) as error:
        raise TransportError(f"{answer.url.shown}: no token, and nothing else in JSON") from error
    return _parsed(data if isinstance(data, dict) else {}, answer.url)


def _refusal(answer: Response, who: Credential | None) -> TransportError:
    """The error that an *answer* without a token stands for."""
    said = parse_error_body(answer, lambda text: _without(who.secrets if who is not None else (), text))
    detail = f": {said.reason}" if said.reason else ""
    if answer.status in RETRYABLE_STATUSES:
        return TransientError(f"{answer.url.shown}: {answer.status}{detail}", errors.retry_after(answer), answer.status)
    if answer.status in (400, 401, 403) and not errors.is_quota(said):
        return denied(answer.url, who, said.reason)
    return TransportError(f"{answer.url.shown}: {answer.status} where a token was expected{detail}")


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text


def _parsed(data: Mapping[str, Any], realm: Url) -> Token:
    text = data.get("token") or data.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TOKEN or not text.isascii() or not text.isprintable():
        raise TransportError(f"{realm.shown}: an answer without a token")
    life = data.get("expires_in")
    seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) and 0 < life < 10**9 else 0.0
    return Token(text=text, expires=time.monotonic() + max(seconds, _SHORTEST_LIFE) * _USED)


def denied(where: Url, who: Credential | None, reason: str = "") -> AccessDeniedError:
    """The error of a refused credential, or of none."""
    detail = f": {reason}" if reason else ""
    if who is None:
        return AccessDeniedError(f"{where.shown}: access denied to an anonymous user{detail}")
    name = f" of {who.username!r}" if who.username else ""
    return AccessDeniedError(f"{where.shown}: access denied with the credential{name} from {who.origin}{detail}")


def hint_login(error: AccessDeniedError, registry: Url, who: Credential | None) -> AccessDeniedError:
    """*error*, with the command that would log in to *registry* where nobody is."""
    if who is None:
        host = "" if registry.host == HUB_API else f" {registry.authority}"
        error.add_note(f"hint: log in, for example with docker login{host}, or podman login{host or f' {HUB}'}")
    return error
