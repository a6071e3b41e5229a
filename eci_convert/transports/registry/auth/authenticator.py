"""What a registry is told about who we are: nothing until it asks, and then it alone."""

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
    """The Authorization headers for one registry, by scope. Used from several threads.

    *find* looks the user's credential up; it is called once, when the registry asks for one.
    """

    def __init__(self, registry: Url, pool: ConnectionPool, find: Callable[[], Credential | None]) -> None:
        self._registry = registry
        self._pool = pool
        self._find = find
        self._lock = threading.RLock()
        self._found: tuple[Credential | None] | None = None
        self._basic = ""
        self._tokens: dict[str, Token] = {}
        self._asked: dict[str, Challenge] = {}
        self._secrets: set[str] = set()
        self._root: tuple[Challenge, ...] | None = None

    def header(self, url: Url, scope: str) -> str:
        """The Authorization header for *url* under *scope*; "" for other servers, and where none is known.

        A token near the end of its life is renewed, and one for more than another token is for is fetched at once,
        both of which raise as `learn` does.
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
        """Finds the header that satisfies the *challenges* of a 401 to a request that carried *refused*.

        Raises AccessDenied where there is none or where that very header was refused, and what the token server raises.
        """
        with self._lock:
            token = self._tokens.get(scope)
            if (f"Bearer {token.text}" if token is not None else self._basic) not in ("", refused):
                return  # another thread was here first
            asked = {one.scheme: one for one in reversed(challenges)}
            if "bearer" in asked and asked["bearer"].parameters.get("realm"):
                self._asked[scope] = asked["bearer"]
                self._fetch(scope)
            elif "basic" in asked:
                self._basic = self._name_and_password(refused)
            else:
                raise AccessDeniedError(f"{self._registry.authority}: access denied, and no way to log in is named")

    def root_challenges(self) -> tuple[Challenge, ...]:
        """The challenges at the registry's root, where docker begins. Their scope is not for any repository."""
        with self._lock:
            if self._root is None:
                self._root = ()
                with suppress(TransportError), self._pool.exchange(self._greeting()) as answer:
                    lines = answer.header_lines("WWW-Authenticate") if answer.status == 401 else []
                    self._root = tuple(one.without_scope for one in parse_challenges(lines))
            return self._root

    def denied(self, where: Url, reason: str) -> AccessDeniedError:
        """The error of being turned away from *where* although we said all there is to say."""
        who = self._found[0] if self._found else None
        return tokens.hint_login(tokens.denied(where, who, reason), self._registry, who)

    def redacted(self, text: str) -> str:
        """*text* without any secret that this login has held."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def credential(self) -> Credential | None:
        """The user's credential for the registry; looked up once."""
        if self._found is None:
            found = self._find()
            self._found = (found,)
            self._secrets.update(found.secrets if found is not None else ())
        return self._found[0]

    def _greeting(self) -> Request:
        return Request(method="GET", url=self._registry.at("/v2/"))

    def _fetch(self, scope: str) -> Token:
        asked, who = self._asked[scope], self.credential()
        if who is not None and who.registry_token:
            token = Token(text=who.registry_token, expires=float("inf"))
        else:
            scopes = merged([*asked.parameters.get("scope", "").split()[:_MAX_SCOPES], *scope.split()])
            realm, service = self._realm(asked.parameters["realm"]), asked.parameters.get("service", "")
            token = fetch_token(self._pool, realm, self._registry, service, scopes, who)
        self._secrets.add(token.text)
        self._tokens[scope] = token
        return token

    def _token_for_wider_scope(self, scope: str) -> Token | None:
        """A token for *scope*, where there was one for the first part of it: the registry would only ask for it."""
        with self._lock:
            asked = next((asked for part, asked in self._asked.items() if scope.startswith(f"{part} ")), None)
            if asked is None or scope in self._asked:
                return self._tokens.get(scope)
            self._asked[scope] = asked
            return self._fetch(scope)

    def _realm(self, text: str) -> Url:
        try:
            return self._registry.joined(text)
        except TransportError as error:
            raise TransportError(f"{self._registry.authority} names no URL to get a token from") from error

    def _name_and_password(self, refused: str) -> str:
        who = self.credential()
        if who is None or not who.password or who.basic == refused:
            raise tokens.hint_login(tokens.denied(self._registry, who), self._registry, who)
        return who.basic


def merged(scopes: Iterable[str]) -> tuple[str, ...]:
    """*scopes* with the actions of each repository in one of them, so that one token does for all that is to come.

    Any other scope is the registry's own affair and comes out as it went in (RFC 6750 §3: "not intended to be
    displayed", an opaque word).

    >>> merged(["repository:a:pull", "repository:a:pull,push", "repository:b:pull", "*"])
    ('repository:a:pull,push', 'repository:b:pull', '*')
    """
    found: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        if resource.startswith(_MERGED):
            found.setdefault(f"{resource}:", {}).update(dict.fromkeys(actions.split(",")))
        else:
            found.setdefault(scope, {})
    return tuple(resource + ",".join(actions) for resource, actions in found.items())
