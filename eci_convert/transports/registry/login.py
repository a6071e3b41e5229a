"""What a registry is told about who we are: nothing until it asks, and then it alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

from eci_convert.errors import AccessDenied, TransportError
from eci_convert.transports.auth_files import Credential
from eci_convert.transports.registry import challenge, tokens
from eci_convert.transports.registry.challenge import Challenge
from eci_convert.transports.registry.pool import Pool
from eci_convert.transports.registry.tokens import Token
from eci_convert.transports.registry.url import Url

_MAX_SCOPES = 8


class Login:
    """The Authorization headers for one registry, by scope. Used from several threads.

    *find* looks the user's credential up; it is called once, when the registry asks for one.
    """

    def __init__(self, registry: Url, pool: Pool, find: Callable[[], Credential | None]) -> None:
        self._registry = registry
        self._pool = pool
        self._find = find
        self._lock = threading.RLock()
        self._found: tuple[Credential | None] | None = None
        self._basic = ""
        self._tokens: dict[str, Token] = {}
        self._secrets: set[str] = set()

    def header(self, url: Url, scope: str) -> str:
        """The Authorization header for *url* under *scope*; "" for other servers, and where none is known."""
        if url.origin != self._registry.origin:
            return ""
        token = self._tokens.get(scope)
        return f"Bearer {token.text}" if token is not None and token.fresh else self._basic

    def learn(self, challenges: list[str], scope: str, refused: str) -> None:
        """Finds the header that satisfies the *challenges* of a 401 to a request that carried *refused*.

        Raises AccessDenied where there is none or where that very header was refused, and what the token server raises.
        """
        with self._lock:
            if self.header(self._registry, scope) not in ("", refused):
                return  # another thread was here first
            self._tokens.pop(scope, None)
            asked = {found.scheme: found for found in reversed(challenge.parse(challenges))}
            if "bearer" in asked and asked["bearer"].parameters.get("realm"):
                self._tokens[scope] = self._token(asked["bearer"], scope)
                self._secrets.add(self._tokens[scope].text)
            elif "basic" in asked:
                self._basic = self._name_and_password(refused)
            else:
                raise AccessDenied(f"{self._registry.authority}: access denied, and no way to log in is named")

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

    def _token(self, asked: Challenge, scope: str) -> Token:
        who = self.credential()
        if who is not None and who.registry_token:
            return Token(text=who.registry_token, expires=float("inf"))
        realm = self._realm(asked.parameters["realm"])
        scopes = tuple((asked.parameters.get("scope") or scope).split()[:_MAX_SCOPES])
        service = asked.parameters.get("service", "")
        return tokens.fetched(self._pool, realm, self._registry, service, scopes, who)

    def _realm(self, text: str) -> Url:
        try:
            return self._registry.joined(text)
        except TransportError as error:
            raise TransportError(f"{self._registry.authority} names no URL to get a token from") from error

    def _name_and_password(self, refused: str) -> str:
        who = self.credential()
        if who is None or not who.password or who.basic == refused:
            raise tokens.denied(self._registry, who)
        return who.basic
