"""A talk with one registry about one repository: credentials where they belong, redirects, and repeated attempts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property

from eci_convert.errors import TransportError
from eci_convert.oci.reference import HUB, HUB_API, Reference, registry_name
from eci_convert.progress import waiting
from eci_convert.transports.base import ExplicitLogin
from eci_convert.transports.credentials.config_files import Credential
from eci_convert.transports.registry.auth.authenticator import Authenticator
from eci_convert.transports.registry.auth.challenge import Challenge, parse_challenges
from eci_convert.transports.registry.endpoints.choice import is_insecure
from eci_convert.transports.registry.http import addresses, errors, proxies
from eci_convert.transports.registry.http.connection import Request
from eci_convert.transports.registry.http.dial import answers_tls
from eci_convert.transports.registry.http.errors import parse_error_body
from eci_convert.transports.registry.http.pool import ConnectionPool
from eci_convert.transports.registry.http.response import Response
from eci_convert.transports.registry.http.retry import RetryBudget, TransientError
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.http.warnings import RegistryWarnings
from eci_convert.transports.registry.state.blob_locations import BlobLocations
from eci_convert.transports.registry.state.host_facts import HostFacts
from eci_convert.transports.settings import Settings

PULL, PUSH, DELETE = "pull", "pull,push", "pull,delete"
CATALOG = "registry:catalog:*"
"""The scope in which a registry lists its repositories."""

_MAX_REDIRECTS = 10
_MAX_DISCARDED = 64 * 1024
_FOLLOWED = frozenset({301, 302, 303, 307, 308})

_log = logging.getLogger(__name__)


class RegistryClient:
    """Asks the registry of *reference*. Used from several threads; nothing is asked before it is needed.

    *find* looks the user's credential up; where there is none, the places of `auth` are looked through. Not
    *logs_in*: a 401 is an answer like any other. *insecure*: as registries.conf may say of it too, no certificate is
    checked, and plain HTTP is spoken where TLS is not answered.
    """

    def __init__(
        self,
        reference: Reference,
        settings: Settings,
        find: Callable[[], Credential | None] | None = None,
        *,
        logs_in: bool = True,
        insecure: bool = False,
    ) -> None:
        self.reference = reference
        self.settings = settings
        self._insecure = insecure
        self._logs_in = logs_in
        self._find = find or self._credential
        self._lock = threading.RLock()

    @property
    def explicit_login(self) -> ExplicitLogin | None:
        """The login out of the settings that would be used here, if one was given."""
        if not self.settings.username:
            return None
        return ExplicitLogin(registry=registry_name(self.reference.host), settings=self.settings)

    @cached_property
    def base(self) -> Url:
        """The root of the registry: HTTPS, but for `--plain-http`, and for this computer and registries that the user's
        files call insecure where HTTPS is not answered.

        Raises AccessDeniedError where those files block it, and LocalError where they make no sense.
        """
        host = HUB_API if self.reference.host == HUB else self.reference.host
        secure = Url.of_host("https", host)
        plain = Url.of_host("http", host)
        self._insecure |= is_insecure(self.reference, self.settings)
        if self.settings.plain_http:
            return plain
        may_be_plain = addresses.is_loopback(secure.host) or (
            self._insecure and proxies.proxy_for(secure, self.settings.environ) is None
        )
        if not may_be_plain:
            return secure
        with self._waiting("an answer over TLS"):
            return secure if answers_tls(secure, self.settings) else plain

    @property
    def is_insecure(self) -> bool:
        """Whether no certificate is checked, by the settings or by the user's files. Known once `base` is."""
        return self.settings.insecure or self._insecure

    @property
    def host(self) -> HostFacts:
        """What is known of the registry's host."""
        with self._lock:
            return self._known_host

    @property
    def whereabouts(self) -> BlobLocations:
        """In which repositories of the registry blobs were seen."""
        with self._lock:
            return self._known_whereabouts

    def url(self, path: str) -> Url:
        """The URL of *path* in the repository, such as `manifests/latest`."""
        return self._base().at(f"/v2/{self.reference.repository}/{path}")

    def patience(self, size: int | None = None) -> RetryBudget:
        """The patience for one transfer of *size* bytes."""
        return RetryBudget(self.settings.retries, size, self.settings.reporter)

    def request(
        self,
        method: str,
        url: Url,
        *,
        accept: Iterable[int],
        scope: str = PULL,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        patience: RetryBudget | None = None,
    ) -> Response:
        """The answer to a small request, tried again where that may help. Its status is one of *accept*.

        Raises NotFound, AccessDenied, TransportError.
        """
        body, length = (None, None) if content is None else ((content,), len(content))
        request = Request(method=method, url=url, headers=dict(headers or {}), body=body, length=length)
        patience = patience or self.patience()
        while True:
            try:
                return self.send_once(request, accept=accept, scope=scope)
            except TransientError as error:
                patience.wait_or_raise(error)

    def read(self, url: Url, *, accept: str, limit: int, scope: str = PULL) -> tuple[Response, bytes]:
        """A small document of media type *accept*: the answer, closed, and its body of at most *limit* bytes.

        Raises as `ask` does, and TransportError where the body is longer.
        """
        request = Request(method="GET", url=url, headers={"Accept": accept})
        patience = self.patience()
        while True:
            try:
                with self.send_once(request, accept=(200,), scope=scope) as answer:
                    return answer, answer.read(limit)
            except TransientError as error:
                patience.wait_or_raise(error)

    def send_once(self, request: Request, *, accept: Iterable[int], scope: str = PULL) -> Response:
        """The answer to *request*, asked once (and again after logging in). Its status is one of *accept*.

        Raises Transient where it may be better later, NotFound, AccessDenied, TransportError.
        """
        answer = self._follow(request, scope)
        if answer.status in accept:
            return answer
        with answer:
            said = parse_error_body(answer, self.redact)
            if answer.status in (401, 403) and answer.url.origin == self._base().origin and not errors.is_quota(said):
                raise self._login().denied(answer.url, said.reason)
            raise errors.error_of(answer, said)

    def authorization(self, url: Url) -> str:
        """The Authorization header with which *url* is read; "" where none was asked for, and for other servers.

        As secret as the credential that it was made from. Raises as `request` does where a token is renewed.
        """
        return self._login().header(url, f"repository:{self.reference.repository}:{PULL}")

    def redact(self, text: str) -> str:
        """*text* without any secret."""
        return self._login().redacted(text)

    def close(self) -> None:
        """Ends the talk, and writes down where blobs were seen."""
        if "_known_whereabouts" in self.__dict__:
            self._known_whereabouts.save()
        if "_pool" in self.__dict__:
            self._pool.close()

    def _follow(self, request: Request, scope: str) -> Response:
        """The first answer that is neither a redirect nor a call for credentials that we can follow."""
        asked_again = not self._logs_in
        scope = scope if scope == CATALOG else f"repository:{self.reference.repository}:{scope}"
        for _ in range(_MAX_REDIRECTS):
            with self._waiting("credentials"):
                carried = self._login().header(request.url, scope)
            answer = self._send(request, carried)
            if answer.status in _FOLLOWED and answer.header("Location"):
                request = self._redirected(request, answer)
            elif not asked_again and (challenges := self._challenges(request, answer, carried)) is not None:
                asked_again = answer.status == 401
                with answer:
                    _discard(answer)
                with self._waiting("the login"):
                    self._login().handle_challenge(challenges, scope, carried)
                if not request.repeatable:
                    raise TransientError(f"{request.url.shown}: the login was renewed")
            else:
                return answer
        raise TransportError(f"{request.url.shown}: redirected more than {_MAX_REDIRECTS} times")

    def _challenges(self, request: Request, answer: Response, carried: str) -> tuple[Challenge, ...] | None:
        """What *answer*, to a request that *carried* a login or none, wants to be told first; None: it is final.

        A registry may hide from strangers what there is, or leave it to its root to say how to log in.
        """
        if request.url.origin != self._base().origin:
            return None
        if answer.status == 401:
            return parse_challenges(answer.header_lines("WWW-Authenticate")) or self._login().root_challenges()
        return (self._login().root_challenges() or None) if answer.status in (403, 404) and not carried else None

    def _send(self, request: Request, authorization: str) -> Response:
        if authorization:
            request = replace(request, headers={**request.headers, "Authorization": authorization})
        with waiting(self.settings.reporter, f"{request.url.authority} to answer {request.method}"):
            answer = self._pool.exchange(request)
        if request.url.origin == self._base().origin:
            self._warnings.report(answer)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s: %s", request.method, self.redact(request.url.shown), answer.status)
        return answer

    def _redirected(self, request: Request, answer: Response) -> Request:
        """The request to where *answer* points. Its headers are ours and hold no secret; nobody is asked in clear
        text who was asked over TLS."""
        with answer:
            _discard(answer)
        target = request.url.joined(answer.header("Location"))
        secured = target.secured(request.url, self._base())
        if secured is None:
            raise TransportError(f"{request.url.shown}: redirected from https to {target.shown}: refused")
        target = secured
        if answer.status == 303 and request.method != "HEAD":
            return replace(request, method="GET", url=target, body=None, length=None)
        if not request.repeatable:
            raise TransportError(f"{request.url.shown}: redirected in the middle of what was sent")
        return replace(request, url=target)

    def _waiting(self, what: str) -> AbstractContextManager[None]:
        return waiting(self.settings.reporter, f"{what}: {self.reference.host}")

    def _base(self) -> Url:
        with self._lock:
            return self.base

    def _credential(self) -> Credential | None:
        from eci_convert.transports.credentials import lookup

        return lookup.credential_for(self.reference, self.settings)

    @cached_property
    def _known_host(self) -> HostFacts:
        return HostFacts(self.reference.host, self.settings)

    @cached_property
    def _known_whereabouts(self) -> BlobLocations:
        return BlobLocations(f"{self._base().scheme}://{self.reference.host}", self.settings)

    @cached_property
    def _warnings(self) -> RegistryWarnings:
        return RegistryWarnings(self.reference.host, self.settings.reporter, self.redact)

    @cached_property
    def _pool(self) -> ConnectionPool:
        base = self._base()
        return ConnectionPool(base, replace(self.settings, insecure=self.is_insecure))

    def _login(self) -> Authenticator:
        with self._lock:
            return self._known_login

    @cached_property
    def _known_login(self) -> Authenticator:
        return Authenticator(self._base(), self._pool, self._find)


def _discard(answer: Response) -> None:
    """Reads a short body, so that the connection can be kept."""
    try:
        answer.read(_MAX_DISCARDED)
    except TransportError:
        return
