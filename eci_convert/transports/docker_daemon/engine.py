"""One Docker engine, reached when it is first asked for something.

There are two patiences: `Settings.timeout` for answers that are due at once and for streams that have begun, and ten
times that where the engine has work to do before it says anything (docker save, load, build, create).
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

_PATIENCE: Final = 10
_MOST_NAMES: Final = 1000
_AS_STORED: Final = {"Accept-Encoding": "identity", "Connection": "close"}
"""Asked otherwise, the engine compresses an archive with gzip, which takes it four times as long."""

_TELLS_MANIFESTS: Final = (1, 48)

Json = Mapping[str, Any]


class Engine:
    """The engine that the user's environment names. Nothing is asked of it yet; raises UsageError and LocalError."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._endpoint = endpoint.find(settings.environ)
        self._clients: dict[float, EngineClient] = {}
        self._components: frozenset[str] = frozenset()
        self._lock = Lock()

    @property
    def host(self) -> str:
        """Its address for people, as DOCKER_HOST spells it, without a password."""
        return self._endpoint.shown

    @contextmanager
    def client(self, *, patiently: bool = False) -> Iterator[EngineClient]:
        """A client; the block holds what is asked of it and nothing else. Foreign errors of the block become
        TransportError and AccessDenied."""
        timeout = self.settings.timeout * (_PATIENCE if patiently else 1)
        with (
            translated_engine_errors(self.host, timeout),
            waiting(self.settings.reporter, "the Docker engine to answer"),
        ):
            yield self._client(timeout)

    @contextmanager
    def stream(self, path: str, parameters: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """The body of what the engine answers to GET *path*, an archive, in large pieces, while the block lasts.

        Raises NotFound for an answer 404, TransportError for one that is cut short or stops.
        """
        with self.client(patiently=True) as client:
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
        """What the engine says of the image called *name*, and of each manifest that it has for it. Raises NotFound."""
        with self.client() as client:
            wanted = {"manifests": "1"} if client.at_least(*_TELLS_MANIFESTS) else {}
            url = f"{client.base_url}/v{client.api_version}/images/{quote(name, safe='/:')}/json"
            response = client.get(url, params=wanted, timeout=client.timeout)
            client._raise_for_status(response)
            found = response.json()
        if not isinstance(found, dict):
            raise TransportError(f"{self.host}: no Docker engine answers, but something else does")
        return found

    def image_names(self) -> Iterator[str]:
        """The names that images have in the engine, at most _MOST_NAMES. Raises TransportError."""
        with self.client() as client:
            response = client.get(f"{client.base_url}/v{client.api_version}/images/json", timeout=client.timeout)
            client._raise_for_status(response)
            images = response.json()
        for image in (images if isinstance(images, list) else [])[:_MOST_NAMES]:
            names = image.get("RepoTags") if isinstance(image, dict) else None
            yield from (name for name in names or () if isinstance(name, str) and name != "<none>:<none>")

    @cached_property
    def keeps_images_in_containerd(self) -> bool:
        """Whether images are in containerd's store, which leaves manifests as they are, and not in the classic one."""
        with self.client() as client:
            status = client.info().get("DriverStatus")
        return ["driver-type", "io.containerd.snapshotter.v1"] in (status or [])

    @property
    def is_docker(self) -> bool:
        """Whether the engine says that it is Docker's own. Known once it was asked for something."""
        return "Engine" in self._components

    @property
    def is_podman(self) -> bool:
        """Whether the engine says that it is podman. Known once it was asked for something."""
        return "Podman Engine" in self._components

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()

    def _client(self, timeout: float) -> EngineClient:
        with self._lock:
            if timeout not in self._clients:
                known = next((client.api_version for client in self._clients.values()), None)
                client = EngineClient(self._endpoint, timeout, known)
                if known is None:
                    client.negotiate()
                    self._components = client.components
                self._clients[timeout] = client
            return self._clients[timeout]

    def _pieces(self, response: Any) -> Iterator[bytes]:
        with translated_engine_errors(self.host, self.settings.timeout):
            yield from response_body.pieces(response)


def image_id(found: Json, where: str) -> str:
    """The id in what `Engine.inspect_image` says. Raises TransportError."""
    identity = found.get("Id")
    if not isinstance(identity, str) or not identity:
        raise TransportError(f"{where}: the Docker engine does not say the image's id")
    return identity
