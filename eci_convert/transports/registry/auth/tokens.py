"""Bearer tokens from a token server (distribution.github.io/distribution/spec/auth/token, …/oauth), and which token
servers may receive credentials."""

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
_MAX_RESPONSE = 128 * 1024
_SHORTEST_LIFE = 60.0
_USED = 0.8
"""The fraction of a token's lifetime after which it is refreshed."""

_MAX_TOKEN = 64 * 1024
_MAX_HOPS = 5
_FOLLOWED = frozenset({301, 302, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token. *expires* is a value of `time.monotonic`."""

    text: str = field(repr=False)
    expires: float

    @property
    def fresh(self) -> bool:
        return time.monotonic() < self.expires


def may_send_credentials(realm: Url, registry: Url) -> bool:
    """Whether *registry*'s credentials may be sent to the token server *realm*.

    Yes for the registry's own host and port; for another port of its host over HTTPS; for another host over HTTPS
    unless it is this computer or a private address. Between two servers on loopback plain HTTP is allowed, because
    nothing leaves this computer.
    """
    if (realm.host, realm.port) == (registry.host, registry.port):
        return realm.scheme == "https" or registry.scheme == "http"
    if _is_loopback_only(realm.host) and _is_loopback_only(registry.host):
        return True
    if realm.scheme != "https":
        return False
    return realm.host == registry.host or not (is_loopback(realm.host) or is_private(address_of(realm.host)))


def _is_loopback_only(host: str) -> bool:
    """Whether *host* is loopback whatever a resolver returns: names below `.localhost` may be elsewhere."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def fetch_token(
    pool: ConnectionPool,
    realm: Url,
    registry: Url,
    service: str,
    scopes: tuple[str, ...],
    credential: Credential | None,
) -> Token:
    """A token for *scopes* from *realm*. Raises AccessDeniedError, TransientError, TransportError.

    Redirects are followed within one server only: a password goes to no other.
    """
    trusted_credential = credential if may_send_credentials(realm, registry) else None
    with _send(pool, _request(realm, service, scopes, trusted_credential)) as response:
        try:
            return _token(response, trusted_credential)
        except AccessDeniedError as error:
            hint_login(error, registry, credential)
            if credential is not None and trusted_credential is None:
                error.add_note(f"hint: {realm.authority} is not trusted with the password for {registry.authority}")
            raise


def _request(realm: Url, service: str, scopes: tuple[str, ...], credential: Credential | None) -> Request:
    accept = {"Accept": "application/json"}
    if credential is not None and credential.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes)}
        form_body = urlencode(form | {"refresh_token": credential.identity_token}, errors="surrogateescape").encode()
        headers = accept | {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=realm, headers=headers, body=(form_body,), length=len(form_body))
    pairs = ([("service", service)] if service else []) + [("scope", scope) for scope in scopes]
    if credential is not None:
        pairs.append(("account", credential.username))
    for name, value in pairs:
        realm = realm.with_query(name, value)
    return Request(
        method="GET",
        url=realm,
        headers=accept | ({"Authorization": credential.basic} if credential is not None else {}),
    )


def _send(pool: ConnectionPool, request: Request) -> Response:
    """The response to *request*, following redirects within the same server with the same method and body."""
    for _ in range(_MAX_HOPS):
        response = pool.exchange(request)
        if response.status not in _FOLLOWED or not response.header("Location"):
            return response
        with response:
            target = request.url.joined(response.header("Location"))
        target = target.secured(request.url, request.url) or target
        if target.origin != request.url.origin:
            raise TransportError(f"{request.url.shown}: redirected to another server, {target.authority}: refused")
        request = replace(request, url=target)
    raise TransportError(f"{request.url.shown}: redirected more than {_MAX_HOPS} times")


def _token(response: Response, credential: Credential | None) -> Token:
    if response.status != 200:
        raise _error_for(response, credential)
    try:
        data = json.loads(response.read(_MAX_RESPONSE))
    except (ValueError, RecursionError) as error:
        raise TransportError(f"{response.url.shown}: invalid JSON where a token was expected") from error
    return _parse_token(data if isinstance(data, dict) else {}, response.url)


def _error_for(response: Response, credential: Credential | None) -> TransportError:
    """The error for a *response* without a token."""
    body = parse_error_body(response, lambda text: _without(credential.secrets if credential is not None else (), text))
    detail = f": {body.reason}" if body.reason else ""
    if response.status in RETRYABLE_STATUSES:
        text = f"{response.url.shown}: {errors.status_and_reason(response.status, body)}"
        return TransientError(text, errors.retry_after(response), response.status)
    if response.status in (400, 401, 403) and not errors.is_quota(body):
        return denied_error(response.url, credential, body.reason)
    return TransportError(f"{response.url.shown}: {response.status} where a token was expected{detail}")


def _without(secrets: Iterable[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    return text


def _parse_token(data: Mapping[str, Any], realm: Url) -> Token:
    text = data.get("token") or data.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TOKEN or not text.isascii() or not text.isprintable():
        raise TransportError(f"{realm.shown}: no token in the response")
    life = data.get("expires_in")
    seconds = float(life) if isinstance(life, int | float) and not isinstance(life, bool) and 0 < life < 10**9 else 0.0
    return Token(text=text, expires=time.monotonic() + max(seconds, _SHORTEST_LIFE) * _USED)


def denied_error(where: Url, credential: Credential | None, reason: str = "") -> AccessDeniedError:
    """The error for a refused credential, or for a request without one."""
    detail = f": {reason}" if reason else ""
    if credential is None:
        return AccessDeniedError(f"{where.shown}: unauthorized: access denied to an anonymous user{detail}")
    name = f" of {credential.username!r}" if credential.username else ""
    return AccessDeniedError(
        f"{where.shown}: unauthorized: access denied with the credential{name} from {credential.origin}{detail}"
    )


def hint_login(error: AccessDeniedError, registry: Url, credential: Credential | None) -> AccessDeniedError:
    """*error*, with a note of the command that logs in to *registry* if there is no *credential*."""
    if credential is None:
        host = "" if registry.host == HUB_API else f" {registry.authority}"
        error.add_note(f"hint: log in, for example with docker login{host}, or podman login{host or f' {HUB}'}")
    return error
