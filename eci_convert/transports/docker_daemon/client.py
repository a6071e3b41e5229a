"""The Docker SDK's low-level client, adapted (docker 7.2, docs/explanation/dependencies.md#docker).

* Its constructor reads the user's config.json and fails on unusual ones; an engine can be used without that file.
* It does not negotiate a maximum API version: here the version is the newest that both sides support.
* It parses error responses of any shape as JSON objects, and leaves errors within streams to the caller.
* Archives are requested over HTTP/1.0 (see `response_body`), for which the engine needs a third of the writes.
* For a build it sends all stored credentials to the engine: here only those that the build needs.
* From Python 3.13 it verifies certificates more strictly than docker.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from docker import APIClient
from docker.auth import AuthConfig, encode_header
from docker.errors import DockerException
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool
from docker.utils import parse_host
from docker.utils.proxy import ProxyConfig
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.util.ssl_ import create_urllib3_context

from eci_convert.errors import LimitExceededError, TransportError, UsageError
from eci_convert.transports.docker_daemon import errors
from eci_convert.transports.docker_daemon.endpoint import Endpoint
from eci_convert.transports.docker_daemon.errors import raise_for_event

NEWEST: Final = (1, 51)
"""The newest API version that this was tested with (Docker 28.5)."""
_OLDEST: Final = (1, 24)
_MAX_EVENT: Final = 4 << 20
_MAX_MESSAGE: Final = 64 << 10


class EngineClient(APIClient):
    """A client for the engine at *endpoint*, with a timeout of *timeout* seconds for each response.

    *version* is the API version; None: call `negotiate`. Raises UsageError for an invalid address.
    """

    def __init__(self, endpoint: Endpoint, timeout: float, version: str | None = None) -> None:
        requests.Session.__init__(self)
        self.host = endpoint.shown
        self.timeout = timeout  # type: ignore[assignment]  # whole seconds in the stubs alone
        self.trust_env = False
        self.credentials: Mapping[str, Mapping[str, str]] = {}
        self.credstore_env = None
        self._general_configs: dict[str, Any] = {}
        self._proxy_configs = ProxyConfig()
        self._auth_configs = AuthConfig({})
        self._custom_adapter: requests.adapters.BaseAdapter | None = None
        self._version = version or ".".join(map(str, _OLDEST))
        self.components: frozenset[str] = frozenset()
        try:
            self._mount_adapters(endpoint, str(parse_host(endpoint.host, False, endpoint.tls)))
        except (DockerException, ValueError):  # whose messages repeat part of the address
            raise UsageError(
                f"{endpoint.shown!r} is not a valid address of a Docker engine ({endpoint.origin})"
            ) from None

    def negotiate(self) -> str:
        """The API version to use: the engine's, or the newest that we support. Raises TransportError."""
        reply = self.version(api_version=False)
        engine_version = _version(reply.get("ApiVersion")) if isinstance(reply, dict) else None
        if engine_version is None:
            raise TransportError(f"{self.host}: the server is not a Docker engine")
        if engine_version < _OLDEST:
            raise TransportError(f"{self.host}: the Docker engine is too old: its API is {reply['ApiVersion']}")
        version = max(min(engine_version, NEWEST), _version(reply.get("MinAPIVersion")) or _OLDEST)
        self._version = ".".join(map(str, version))
        self.components = frozenset(_names(reply.get("Components")))
        return self._version

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the API version in use is at least *major*.*minor*."""
        return (_version(self._version) or _OLDEST) >= (major, minor)

    def _mount_adapters(self, endpoint: Endpoint, url: str) -> None:
        if url.startswith("http+unix://"):
            self._custom_adapter = UnixHTTPAdapter(url, self.timeout)
            self.adapters.clear()
            self.mount("http+docker://", self._custom_adapter)
            self.base_url = "http+docker://localhost"
            self.archive_url = "http+docker://archives"
            self.mount(self.archive_url, _Archives(url, self.timeout))
        elif url.startswith("ssh://"):
            self._mount_ssh_adapter(url)
        else:
            self.base_url = self.archive_url = url
            self.verify = (endpoint.ca or True) if endpoint.verify else False
            self.cert = (endpoint.cert, endpoint.key) if endpoint.cert and endpoint.key else None
            if endpoint.verify:
                self.mount("https://", _TlsAdapter())
            if not _is_loopback(url):
                self.proxies = get_environ_proxies(url)

    def _mount_ssh_adapter(self, url: str) -> None:
        try:
            from docker.transport import SSHHTTPAdapter
        except ImportError as error:
            missing = UsageError(f"{url}: ssh:// addresses need the Python package paramiko, which is not installed")
            missing.add_note("hint: pip install 'docker[ssh]'")
            raise missing from error
        self._custom_adapter = SSHHTTPAdapter(url, self.timeout, shell_out=True)
        self.adapters.clear()
        self.mount("http+docker://ssh", self._custom_adapter)
        self.base_url = self.archive_url = "http+docker://ssh"

    def _raise_for_status(self, response: requests.Response) -> None:
        if response.status_code < 400:
            return
        raise errors.response_error(response.status_code, _message(response), self.host)

    def _stream_helper(self, response: requests.Response, decode: bool = False) -> Iterator[Any]:
        self._raise_for_status(response)
        received = super()._stream_helper(response, False)  # type: ignore[misc]  # not in the stubs
        return _events(received, self.host) if decode else received

    def _set_auth_headers(self, headers: dict[str, Any]) -> None:
        if self.credentials:
            headers["X-Registry-Config"] = encode_header(dict(self.credentials))


class _TlsAdapter(HTTPAdapter):
    """An adapter that verifies certificates as docker does with every version of Python: an intermediate CA may be
    trusted, and CAs made by Docker's instructions lack extensions that Python 3.13 requires by default."""

    def init_poolmanager(self, *arguments: Any, **words: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=_tls_context(), **words)

    def proxy_manager_for(self, proxy: Any, **words: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=_tls_context(), **words)


def _tls_context() -> ssl.SSLContext:
    context = create_urllib3_context()
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    return context


class _Archives(UnixHTTPAdapter):
    """An adapter for the same socket that uses HTTP/1.0, with one connection for each archive."""

    def get_connection(self, url: Any, proxies: object = None) -> UnixHTTPConnectionPool:
        return _ConnectionPool(url, self.socket_path, self.timeout)


class _ConnectionPool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, self.timeout)  # type: ignore[arg-type]  # whole seconds there


class _Connection(UnixHTTPConnection):
    _http_vsn, _http_vsn_str = 10, "HTTP/1.0"  # http.client has no public setting for it


def _events(received: Iterable[bytes | str], host: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects, one on each line, of a progress stream. Raises the error that one of them reports."""
    line = b""
    for piece in received:
        *lines, line = (line + (piece.encode() if isinstance(piece, str) else piece)).split(b"\n")
        if len(line) > _MAX_EVENT:
            raise LimitExceededError(
                f"{host}: a line of the Docker engine's response is longer than {_MAX_EVENT} bytes"
            )
        yield from (_event(complete_line, host) for complete_line in lines if complete_line.strip())
    if line.strip():
        yield _event(line, host)


def _event(line: bytes, host: str) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TransportError(f"{host}: invalid JSON from the Docker engine: {line[:80]!r}") from error
    return raise_for_event(event if isinstance(event, dict) else {}, host)


def _message(response: requests.Response) -> str:
    """The message of an error response: that of the engine's JSON, or the text of a proxy in front of it."""
    text = response.raw.read(_MAX_MESSAGE, decode_content=True) or response.content
    try:
        message = json.loads(text).get("message")
    except (ValueError, RecursionError, AttributeError):
        message = None
    return message if isinstance(message, str) else text.decode(errors="replace")


def _version(text: object) -> tuple[int, int] | None:
    components = text.split(".") if isinstance(text, str) else []
    if len(components) != 2 or not all(
        component.isascii() and component.isdigit() and len(component) < 5 for component in components
    ):
        return None
    return int(components[0]), int(components[1])


def _names(components: object) -> Iterator[str]:
    """The names of the components that the engine reports."""
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and isinstance(component.get("Name"), str):
            yield component["Name"]


def _is_loopback(url: str) -> bool:
    """Whether *url* is on loopback, where no proxy is used."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
