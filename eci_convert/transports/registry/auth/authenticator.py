"""The Authorization header for a registry. Credentials are sent to it alone, and only after it asked for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from eci_convert.errors import AccessDeniedError, TransportError
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.registry.auth import tokens
from eci_convert.transports.registry.auth.challenge import Challenge, parse_challenges
from eci_convert.transports.registry.auth.tokens import Token, fetch_token
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.pool import ConnectionPool
from eci_convert.transports.registry.http.url import Url

_MAX_SCOPES = 8
_MERGED = "repository:"


class Authenticator:
    """The Authorization headers for one registry, by scope. Thread-safe.

    *find* looks the user's credential up; it is called once, at the first challenge.
    """

    def __init__(self, registry: Url, pool: ConnectionPool, find: Callable[[], Credential | None]) -> None:
        self._registry = registry
        self._pool = pool
        self._find = find
        self._lock = threading.RLock()
        self._credential: tuple[Credential | None] | None = None
        self._basic = ""
        self._tokens: dict[str, Token] = {}
        self._challenges: dict[str, Challenge] = {}
        self._secrets: set[str] = set()
        self._root: tuple[Challenge, ...] | None = None

    def header(self, url: Url, scope: str) -> str:
        """The Authorization header for *url* under *scope*; "" for other servers, and before any challenge.

        Tokens close to expiry are refreshed. If *scope* extends one we hold a token for, a token for the wider scope is
        requested proactively. Both raise as `handle_challenge` does.
        """
        if url.origin != self._registry.origin:
            return ""
        token = self._tokens.get(scope) or self._token_for_wider_scope(scope)
        if token is not None and not token.fresh:
            with self._lock:
                token = self._tokens[scope]
                if not token.fresh:
                    token = self._fetch(scope)
        return f"Bearer {token.text}" if token is not None else self._basic

    def handle_challenge(self, challenges: Sequence[Challenge], scope: str, refused: str) -> None:
        """Obtains the credentials for the *challenges* of a 401 response to a request that carried the header
        *refused*.

        Raises AccessDeniedError if there are none or if they are what was refused, and the errors of `fetch_token`.
        """
        with self._lock:
            token = self._tokens.get(scope)
            if (f"Bearer {token.text}" if token is not None else self._basic) not in ("", refused):
                return  # another thread has handled it
            by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
            if "bearer" in by_scheme and by_scheme["bearer"].parameters.get("realm"):
                self._challenges[scope] = by_scheme["bearer"]
                self._fetch(scope)
            elif "basic" in by_scheme:
                self._basic = self._name_and_password(refused)
            else:
                raise AccessDeniedError(
                    f"{self._registry.authority}: unauthorized: the registry sent no usable WWW-Authenticate challenge"
                )

    def root_challenges(self) -> tuple[Challenge, ...]:
        """The challenges of `/v2/`, where docker begins, without their scope, which is not that of any repository."""
        with self._lock:
            if self._root is None:
                self._root = ()
                with suppress(TransportError), self._pool.exchange(self._greeting()) as response:
                    lines = response.header_lines("WWW-Authenticate") if response.status == 401 else []
                    self._root = tuple(challenge.without_scope for challenge in parse_challenges(lines))
            return self._root

    def denied_error(self, where: Url, reason: str) -> AccessDeniedError:
        """The error for a request to *where* that was denied although it carried all credentials we have."""
        credential = self._credential[0] if self._credential else None
        return tokens.hint_login(tokens.denied_error(where, credential, reason), self._registry, credential)

    def redacted(self, text: str) -> str:
        """*text* without any secret used here."""
        for secret in tuple(self._secrets):  # other threads may add to them
            text = text.replace(secret, "***")
        return text

    def credential(self) -> Credential | None:
        """The user's credential for the registry, None if there is none; looked up once."""
        if self._credential is None:
            credential = self._find()
            self._credential = (credential,)
            self._secrets.update(credential.secrets if credential is not None else ())
        return self._credential[0]

    def _greeting(self) -> Request:
        return Request(method="GET", url=self._registry.at("/v2/"))

    def _fetch(self, scope: str) -> Token:
        challenge, credential = self._challenges[scope], self.credential()
        if credential is not None and credential.registry_token:
            token = Token(text=credential.registry_token, expires=float("inf"))
        else:
            scopes = merge_scopes([*challenge.parameters.get("scope", "").split()[:_MAX_SCOPES], *scope.split()])
            realm, service = self._realm(challenge.parameters["realm"]), challenge.parameters.get("service", "")
            token = fetch_token(self._pool, realm, self._registry, service, scopes, credential)
        self._secrets.add(token.text)
        self._tokens[scope] = token
        return token

    def _token_for_wider_scope(self, scope: str) -> Token | None:
        """A token for *scope* if there was a challenge for its first part: without it, the registry would challenge
        again."""
        with self._lock:
            challenge = next(
                (challenge for prefix, challenge in self._challenges.items() if scope.startswith(f"{prefix} ")), None
            )
            if challenge is None or scope in self._challenges:
                return self._tokens.get(scope)
            self._challenges[scope] = challenge
            return self._fetch(scope)

    def _realm(self, text: str) -> Url:
        try:
            return self._registry.joined(text)
        except TransportError as error:
            raise TransportError(
                f"{self._registry.authority} sent an invalid token realm in WWW-Authenticate"
            ) from error

    def _name_and_password(self, refused: str) -> str:
        credential = self.credential()
        if credential is None or not credential.password or credential.basic == refused:
            raise tokens.hint_login(tokens.denied_error(self._registry, credential), self._registry, credential)
        return credential.basic


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """*scopes* with the actions of each repository merged into one scope, so that one token covers all requests.

    Other scopes are opaque to us and unchanged (RFC 6750 §3).

    >>> merge_scopes(["repository:a:pull", "repository:a:pull,push", "repository:b:pull", "*"])
    ('repository:a:pull,push', 'repository:b:pull', '*')
    """
    actions_of: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        if resource.startswith(_MERGED):
            actions_of.setdefault(f"{resource}:", {}).update(dict.fromkeys(actions.split(",")))
        else:
            actions_of.setdefault(scope, {})
    return tuple(resource + ",".join(actions) for resource, actions in actions_of.items())
