"""One Docker engine, connected to on first use.

There are two timeouts: `Settings.timeout` for short requests and for streams that have begun, and ten times that where
the engine has work to do before it responds (docker save, load, build, create).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from threading import Lock
from typing import Any, Final
from urllib.parse import quote

from eci_convert.errors import TransportError
from eci_convert.progress import waiting
from eci_convert.transports.docker_daemon import endpoint, response_body
from eci_convert.transports.docker_daemon.client import EngineClient
from eci_convert.transports.docker_daemon.errors import translated_engine_errors
from eci_convert.transports.settings import Settings

_SLOW_FACTOR: Final = 10
_MAX_NAMES: Final = 1000
_AS_STORED: Final = {"Accept-Encoding": "identity", "Connection": "close"}
"""Otherwise the engine compresses archives with gzip, which takes it four times as long."""

_LISTS_MANIFESTS: Final = (1, 48)

Json = Mapping[str, Any]


class Engine:
    """The engine configured in the user's environment. The constructor sends nothing; raises UsageError, LocalError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._endpoint = endpoint.find(settings.environ)
        self._clients: dict[float, EngineClient] = {}
        self._components: frozenset[str] = frozenset()
        self._lock = Lock()

    @property
    def host(self) -> str:
        """Its address for display, as in DOCKER_HOST, without a password."""
        return self._endpoint.shown

    @contextmanager
    def client(self, *, slow: bool = False) -> Iterator[EngineClient]:
        """A client, for a block that contains only requests to it. Other libraries' errors become TransportError and
        AccessDeniedError."""
        timeout = self.settings.timeout * (_SLOW_FACTOR if slow else 1)
        with (
            translated_engine_errors(self.host, timeout),
            waiting(self.settings.reporter, "the Docker engine to answer"),
        ):
            yield self._client(timeout)

    @contextmanager
    def stream(self, path: str, parameters: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """The body of the response to GET *path*, an archive, in large chunks, for the duration of the block.

        Raises NotFoundError on 404, TransportError if the body is truncated or stalls.
        """
        with self.client(slow=True) as client:
            url = f"{client.archive_url}/v{client.api_version}{path}"
            response = client.get(url, params=parameters, headers=_AS_STORED, stream=True, timeout=client.timeout)
        try:
            with self.client():
                client._raise_for_status(response)
                response_body.allow_silence(response, self.settings.timeout)
            yield self._pieces(response)
        finally:
            response.close()

    def inspect_image(self, name: str) -> Json:
        """The engine's ImageInspect of *name*, with the manifests it has for it. Raises NotFoundError."""
        with self.client() as client:
            parameters = {"manifests": "1"} if client.at_least(*_LISTS_MANIFESTS) else {}
            url = f"{client.base_url}/v{client.api_version}/images/{quote(name, safe='/:')}/json"
            response = client.get(url, params=parameters, timeout=client.timeout)
            client._raise_for_status(response)
            inspected = response.json()
        if not isinstance(inspected, dict):
            raise TransportError(f"{self.host}: the server is not a Docker engine")
        return inspected

    def image_names(self) -> Iterator[str]:
        """The names that images have in the engine, at most _MAX_NAMES. Raises TransportError."""
        with self.client() as client:
            response = client.get(f"{client.base_url}/v{client.api_version}/images/json", timeout=client.timeout)
            client._raise_for_status(response)
            images = response.json()
        for image in (images if isinstance(images, list) else [])[:_MAX_NAMES]:
            names = image.get("RepoTags") if isinstance(image, dict) else None
            listed = names if isinstance(names, list) else []
            yield from (name for name in listed if isinstance(name, str) and name != "<none>:<none>")

    @cached_property
    def keeps_images_in_containerd(self) -> bool:
        """Whether images are in containerd's store, which keeps manifests unchanged, and not in the classic one."""
        with self.client() as client:
            info = client.info()
        status = info.get("DriverStatus") if isinstance(info, dict) else None
        return isinstance(status, list) and ["driver-type", "io.containerd.snapshotter.v1"] in status

    @property
    def is_docker(self) -> bool:
        """Whether the engine is Docker's own. Valid after the first request."""
        return "Engine" in self._components

    @property
    def is_podman(self) -> bool:
        """Whether the engine is podman. Valid after the first request."""
        return "Podman Engine" in self._components

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def _client(self, timeout: float) -> EngineClient:
        with self._lock:
            if timeout not in self._clients:
                version = next((client.api_version for client in self._clients.values()), None)
                client = EngineClient(self._endpoint, timeout, version)
                if version is None:
                    client.negotiate()
                    self._components = client.components
                self._clients[timeout] = client
            return self._clients[timeout]

    def _pieces(self, response: Any) -> Iterator[bytes]:
        with translated_engine_errors(self.host, self.settings.timeout):
            yield from response_body.pieces(response)


def image_id(inspected: Json, where: str) -> str:
    """The id in the result of `Engine.inspect_image`. Raises TransportError."""
    image_id_text = inspected.get("Id")
    if not isinstance(image_id_text, str) or not image_id_text:
        raise TransportError(f"{where}: no image id in the Docker engine's response")
    return image_id_text
