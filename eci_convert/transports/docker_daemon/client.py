"""The Docker SDK's low-level client, without what breaks it (docker 7.2, docs/explanation/dependencies.md#docker).

* Its constructor reads the user's config.json and fails over odd ones; an engine can be spoken to without it.
* It pins no API version but takes whatever the engine has: here it is the newest that both know.
* It tells errors by parsing an answer that may be of any shape, and leaves a stream's errors to whoever reads it.
* It asks for an archive as for anything else: here over HTTP/1.0, where it can be told from one that was cut short
  (`wire`), for then the engine does with a third of the writes.
* A build sends every credential that the user has to the engine: here those, and only those, that were asked for.
"""

from __future__ import annotations

import ipaddress
import json
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
from requests.utils import get_environ_proxies

from eci_convert.errors import LimitExceededError, TransportError, UsageError
from eci_convert.transports.docker_daemon import errors
from eci_convert.transports.docker_daemon.endpoint import Endpoint
from eci_convert.transports.docker_daemon.errors import raise_for_event

NEWEST: Final = (1, 51)
"""The newest version of the API that this was tried with (Docker 28.5)."""
_OLDEST: Final = (1, 24)
_MAX_EVENT: Final = 4 << 20
_MAX_MESSAGE: Final = 64 << 10


class EngineClient(APIClient):
    """A client for the engine at *endpoint* that waits *timeout* seconds for each answer.

    *version* is the API's; None: `negotiate` will say. Raises UsageError for an address that is none.
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
            self._reach(endpoint, str(parse_host(endpoint.host, False, endpoint.tls)))
        except (DockerException, ValueError):  # which repeat a part of it
            raise UsageError(f"{endpoint.shown!r} is no address of a Docker engine ({endpoint.origin})") from None

    def negotiate(self) -> str:
        """The version of the API to use: the engine's, or the newest that we know. Raises TransportError."""
        said = self.version(api_version=False)
        theirs = _version(said.get("ApiVersion")) if isinstance(said, dict) else None
        if theirs is None:
            raise TransportError(f"{self.host}: no Docker engine answers, but something else does")
        if theirs < _OLDEST:
            raise TransportError(f"{self.host}: the Docker engine is too old: its API is {said['ApiVersion']}")
        version = max(min(theirs, NEWEST), _version(said.get("MinAPIVersion")) or _OLDEST)
        self._version = ".".join(map(str, version))
        self.components = frozenset(_names(said.get("Components")))
        return self._version

    def at_least(self, major: int, minor: int) -> bool:
        """Whether the API in use has what came with this version of it."""
        return (_version(self._version) or _OLDEST) >= (major, minor)

    def _reach(self, endpoint: Endpoint, url: str) -> None:
        if url.startswith("http+unix://"):
            self._custom_adapter = UnixHTTPAdapter(url, self.timeout)
            self.adapters.clear()
            self.mount("http+docker://", self._custom_adapter)
            self.base_url = "http+docker://localhost"
            self.archive_url = "http+docker://archives"
            self.mount(self.archive_url, _Archives(url, self.timeout))
        elif url.startswith("ssh://"):
            self._reach_by_ssh(url)
        else:
            self.base_url = self.archive_url = url
            self.verify = (endpoint.ca or True) if endpoint.verify else False
            self.cert = (endpoint.cert, endpoint.key) if endpoint.cert and endpoint.key else None
            if not _is_here(url):
                self.proxies = get_environ_proxies(url)

    def _reach_by_ssh(self, url: str) -> None:
        try:
            from docker.transport import SSHHTTPAdapter
        except ImportError as error:
            missing = UsageError(f"{url}: an engine is reached through ssh with the Python package paramiko, not here")
            missing.add_note("hint: pip install 'docker[ssh]'")
            raise missing from error
        self._custom_adapter = SSHHTTPAdapter(url, self.timeout, shell_out=True)
        self.adapters.clear()
        self.mount("http+docker://ssh", self._custom_adapter)
        self.base_url = self.archive_url = "http+docker://ssh"

    def _raise_for_status(self, response: requests.Response) -> None:
        if response.status_code < 400:
            return
        raise errors.refused(response.status_code, _message(response), self.host)

    def _stream_helper(self, response: requests.Response, decode: bool = False) -> Iterator[Any]:
        self._raise_for_status(response)
        received = super()._stream_helper(response, False)  # type: ignore[misc]  # not in the stubs
        return _events(received, self.host) if decode else received

    def _set_auth_headers(self, headers: dict[str, Any]) -> None:
        if self.credentials:
            headers["X-Registry-Config"] = encode_header(dict(self.credentials))


class _Archives(UnixHTTPAdapter):
    """Connections to the same socket that speak HTTP/1.0, one for each archive."""

    def get_connection(self, url: Any, proxies: object = None) -> UnixHTTPConnectionPool:
        return _ConnectionPool(url, self.socket_path, self.timeout)


class _ConnectionPool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        return _Connection(self.base_url, self.socket_path, self.timeout)  # type: ignore[arg-type]  # whole seconds there


class _Connection(UnixHTTPConnection):
    _http_vsn, _http_vsn_str = 10, "HTTP/1.0"  # http.client has no other word for it


def _events(received: Iterable[bytes | str], host: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects, one a line, of a stream that tells of progress. Raises the error that one of them tells of."""
    line = b""
    for piece in received:
        *lines, line = (line + (piece.encode() if isinstance(piece, str) else piece)).split(b"\n")
        if len(line) > _MAX_EVENT:
            raise LimitExceededError(f"{host}: the Docker engine says a line of more than {_MAX_EVENT} bytes")
        yield from (_event(one, host) for one in lines if one.strip())
    if line.strip():
        yield _event(line, host)


def _event(line: bytes, host: str) -> Mapping[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TransportError(f"{host}: the Docker engine says what is no JSON: {line[:80]!r}") from error
    return raise_for_event(event if isinstance(event, dict) else {}, host)


def _message(response: requests.Response) -> str:
    """What the engine says about a refusal: JSON with a message, or a page of whoever stands before it."""
    text = response.raw.read(_MAX_MESSAGE, decode_content=True) or response.content
    try:
        said = json.loads(text).get("message")
    except (ValueError, RecursionError, AttributeError):
        said = None
    return said if isinstance(said, str) else text.decode(errors="replace")


def _version(text: object) -> tuple[int, int] | None:
    words = text.split(".") if isinstance(text, str) else []
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
        return None
    return int(words[0]), int(words[1])


def _names(components: object) -> Iterator[str]:
    """The names of the programs that an engine says it is made of."""
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and isinstance(component.get("Name"), str):
            yield component["Name"]


def _is_here(url: str) -> bool:
    """Whether *url* is on this computer, where no proxy has any business."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
