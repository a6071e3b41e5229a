"""Requests to one registry about one repository, with credentials, redirects and retries."""

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
from eci_convert.transports.traits import ExplicitLogin

PULL, PUSH, DELETE = "pull", "pull,push", "pull,delete"
CATALOG = "registry:catalog:*"
"""The scope in which a registry lists its repositories."""

_MAX_REDIRECTS = 10
_MAX_DISCARDED = 64 * 1024
_FOLLOWED = frozenset({301, 302, 303, 307, 308})

_log = logging.getLogger(__name__)


class RegistryClient:
    """A client for the registry of *reference*. Thread-safe; sends nothing before it is needed.

    *find* looks the user's credential up; by default `credentials.lookup` does. Not *logs_in*: a 401 is a response like
    any other. *insecure*, which registries.conf may also set: certificates are not verified, and plain HTTP is used if
    the server does not speak TLS.
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
        """The login from the settings that would be used here, None if none was given."""
        registry = registry_name(self.reference.host)
        return ExplicitLogin(registry=registry, settings=self.settings) if self.settings.username else None

    @cached_property
    def base(self) -> Url:
        """The root URL of the registry: HTTPS, except with `--plain-http`, and on loopback and for registries that the
        user's configuration files call insecure if the server does not speak TLS.

        Raises AccessDeniedError if those files block the registry, and LocalError if they are invalid.
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
        """Whether certificates are not verified, by the settings or the user's files. Valid once `base` was read."""
        return self.settings.insecure or self._insecure

    @property
    def host(self) -> HostFacts:
        """The facts about the registry's host."""
        with self._lock:
            return self._known_host

    @property
    def blob_locations(self) -> BlobLocations:
        """The repositories of the registry that were seen to hold a blob."""
        with self._lock:
            return self._known_blob_locations

    def url(self, path: str) -> Url:
        """The URL of *path* in the repository, such as `manifests/latest`."""
        return self._base().at(f"/v2/{self.reference.repository}/{path}")

    def retry_budget(self, size: int | None = None) -> RetryBudget:
        """A fresh budget of retries for one transfer of *size* bytes."""
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
        budget: RetryBudget | None = None,
    ) -> Response:
        """The response to a small request, retried after transient errors. Its status is one of *accept*.

        Raises NotFoundError, AccessDeniedError, TransportError.
        """
        body, length = (None, None) if content is None else ((content,), len(content))
        request = Request(method=method, url=url, headers=dict(headers or {}), body=body, length=length)
        budget = budget or self.retry_budget()
        while True:
            try:
                return self.send_once(request, accept=accept, scope=scope)
            except TransientError as error:
                budget.wait_or_raise(error)

    def read(self, url: Url, *, accept: str, limit: int, scope: str = PULL) -> tuple[Response, bytes]:
        """The response to a GET for media type *accept*, closed, and its body.

        Raises as `request` does, and TransportError if the body is longer than *limit* bytes.
        """
        request = Request(method="GET", url=url, headers={"Accept": accept})
        budget = self.retry_budget()
        while True:
            try:
                with self.send_once(request, accept=(200,), scope=scope) as response:
                    return response, response.read(limit)
            except TransientError as error:
                budget.wait_or_raise(error)

    def send_once(self, request: Request, *, accept: Iterable[int], scope: str = PULL) -> Response:
        """The response to *request*, sent once (and again after authenticating). Its status is one of *accept*.

        Raises TransientError if a retry may help, NotFoundError, AccessDeniedError, TransportError.
        """
        response = self._follow(request, scope)
        if response.status in accept:
            return response
        with response:
            error_body = parse_error_body(response, self.redact)
            if (
                response.status in (401, 403)
                and response.url.origin == self._base().origin
                and not errors.is_quota(error_body)
            ):
                raise self._login().denied_error(response.url, error_body.reason)
            raise errors.error_of(response, error_body)

    def authorization(self, url: Url) -> str:
        """The Authorization header with which *url* is read; "" before any challenge, and for other servers.

        As secret as the credential it was made from. Raises as `request` does if a token is refreshed.
        """
        return self._login().header(url, f"repository:{self.reference.repository}:{PULL}")

    def redact(self, text: str) -> str:
        """*text* without any secret."""
        return self._login().redacted(text)

    def close(self) -> None:
        """Saves where blobs were seen, and closes all connections."""
        if "_known_blob_locations" in self.__dict__:
            self._known_blob_locations.save()
        if "_pool" in self.__dict__:
            self._pool.close()

    def _follow(self, request: Request, scope: str) -> Response:
        """Sends *request*, follows redirects and authenticates once. Returns the final response."""
        authenticated = not self._logs_in
        scope = scope if scope == CATALOG else f"repository:{self.reference.repository}:{scope}"
        for _ in range(_MAX_REDIRECTS):
            with self._waiting("credentials"):
                authorization = self._login().header(request.url, scope)
            response = self._send(request, authorization)
            if response.status in _FOLLOWED and response.header("Location"):
                request = self._redirected(request, response)
            elif not authenticated and (challenges := self._challenges(request, response, authorization)) is not None:
                authenticated = response.status == 401
                with response:
                    _drain(response)
                with self._waiting("the login"):
                    self._login().handle_challenge(challenges, scope, authorization)
                if not request.repeatable:
                    raise TransientError(f"{request.url.shown}: authenticated again; the request has to be repeated")
            else:
                return response
        raise TransportError(f"{request.url.shown}: redirected more than {_MAX_REDIRECTS} times")

    def _challenges(self, request: Request, response: Response, authorization: str) -> tuple[Challenge, ...] | None:
        """The challenges that *response*, to a request with the Authorization header *authorization*, calls for; None:
        final.

        A registry may respond 403 or 404 to anonymous requests, or send its challenge at `/v2/` only.
        """
        if request.url.origin != self._base().origin:
            return None
        if response.status == 401:
            return parse_challenges(response.header_lines("WWW-Authenticate")) or self._login().root_challenges()
        return (
            (self._login().root_challenges() or None) if response.status in (403, 404) and not authorization else None
        )

    def _send(self, request: Request, authorization: str) -> Response:
        if authorization:
            request = replace(request, headers={**request.headers, "Authorization": authorization})
        with waiting(self.settings.reporter, f"{request.url.authority} to answer {request.method}"):
            response = self._pool.exchange(request)
        if request.url.origin == self._base().origin:
            self._warnings.report(response)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s %s: %s", request.method, self.redact(request.url.shown), response.status)
        return response

    def _redirected(self, request: Request, response: Response) -> Request:
        """The request for the redirect *response*, without credentials. Raises TransportError for a downgrade to HTTP,
        and for status 303 unless it redirects GET or HEAD: the GET that it calls for would store nothing."""
        with response:
            _drain(response)
        target = request.url.joined(response.header("Location"))
        secured = target.secured(request.url, self._base())
        if secured is None:
            raise TransportError(f"{request.url.shown}: redirected from https to {target.shown}: refused")
        target = secured
        if response.status == 303 and request.method not in ("GET", "HEAD"):
            raise TransportError(f"{request.method} {request.url.shown}: redirected with status 303: refused")
        if not request.repeatable:
            raise TransportError(f"{request.url.shown}: redirected during an upload whose body cannot be repeated")
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
    def _known_blob_locations(self) -> BlobLocations:
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


def _drain(response: Response) -> None:
    """Reads a short body to its end, so that the connection can be reused."""
    try:
        response.read(_MAX_DISCARDED)
    except TransportError:
        return
