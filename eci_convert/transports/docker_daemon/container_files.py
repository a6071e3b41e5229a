"""Reads single files of an image that an engine keeps unpacked, without transferring any layer.

The engine serves files of containers only, so one is created, with a command that does not exist, and never started. A
container differs from the image: paths that it may hide or add raise NotShown, and are read from the saved image. The
container is removed when the source is closed. A label names the process; containers of processes that were killed are
removed when eci-convert next creates one on that engine.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from eci_convert.errors import AccessDeniedError, EciError, NotFoundError, TransportError
from eci_convert.oci import json_fields
from eci_convert.transports.base import NotShown, Source
from eci_convert.transports.docker_daemon import hidden_paths
from eci_convert.transports.docker_daemon.engine import Engine, Json
from eci_convert.transports.docker_daemon.errors import Refused
from eci_convert.transports.docker_daemon.saved_image import SavedImageSource

OWNER_LABEL: Final = "io.eci-convert.process"
_COMMAND: Final = ["/never-started"]
_ABANDONED: Final = 24 * 60 * 60
"""Seconds after which a container created on another computer is considered abandoned."""


class DockerContainerFiles:
    """The files of the image with the id *image*, for *platform* ("": chosen by the engine).

    *volumes* are the mount points of the image's volumes.
    """

    def __init__(
        self, engine: Engine, image: str, platform: str, full_image: SavedImageSource, volumes: Collection[str] = ()
    ) -> None:
        self._engine = engine
        self._image = image
        self._platform = platform
        self._full_image = full_image
        self._mounts = frozenset(volumes)
        self._binds = False
        self._refusal: EciError | None = None
        self._lock = Lock()
        self._container = ""
        self._created = False

    @contextmanager
    def fetch(self, path: str) -> Iterator[Iterable[bytes]]:
        if not hidden_paths.is_encodable(path):
            raise NotShown(f"{self._engine.host}: {path!r} is not UTF-8")
        container = self._container_name()
        if self._binds or hidden_paths.is_hidden(path, self._mounts) or (path.endswith("/") and self._mounts):
            raise NotShown(f"{self._engine.host}: a container may hide {path!r}")
        if hidden_paths.is_pattern(path) and not self._engine.is_docker:
            raise NotShown(f"{self._engine.host}: the engine may interpret {path!r} as a pattern")
        with ExitStack() as stack:
            try:
                parameters = {"path": path.rstrip("/") or "/"}
                stream = self._engine.stream(f"/containers/{container}/archive", parameters)
                pieces = stack.enter_context(stream)
            except NotFoundError as error:
                self._check_exists(error)
                if hidden_paths.may_be_replaced(path):
                    raise NotShown(f"{self._engine.host}: a container may hide {path!r}") from error
                raise
            except Refused as error:
                if hidden_paths.is_about_path(str(error)):
                    raise
                raise NotShown(str(error)) from error  # read from the saved image instead
            yield pieces

    @property
    def hides_files(self) -> bool:
        return bool(self._mounts)

    @property
    def follows_links(self) -> bool:
        self._container_name()
        return self._engine.is_podman

    def full_image(self) -> Source:
        return self._full_image

    def labels_and_platform(self) -> Json:
        """The labels and platform of the image, read from a container and keyed as in `Engine.inspect_image`; empty if
        no container can be created."""
        try:
            container = self._container_name()
            container_json = self._inspect(container)
        except EciError:
            return {}
        where = f"{self._engine.host}: container"
        config = json_fields.optional(container_json, "Config", dict, where, {})
        labels = json_fields.strings(config, "Labels", f"{where}.Config")
        labels.pop(OWNER_LABEL, None)
        descriptor = json_fields.optional(container_json, "ImageManifestDescriptor", dict, where, {})
        platform = json_fields.optional(descriptor, "platform", dict, where, {}) or {
            "os": json_fields.optional(container_json, "Platform", str, where, "")
        }
        return {"Config": {"Labels": labels}, **{key.capitalize(): text for key, text in platform.items()}}

    def close(self) -> None:
        """Removes the container."""
        with self._lock:
            container, self._container, self._created = self._container, "", False
        if container:
            _remove(self._engine, container)

    def _container_name(self) -> str:
        with self._lock:
            if self._refusal:
                raise NotShown(str(self._refusal)) from self._refusal
            if not self._created:
                # Chosen here, so that it can be removed even if the creation is interrupted.
                self._container = f"eci-convert-{secrets.token_hex(8)}"
                self._create_with_fallback()
                self._created = True
                self._read_mounts()
                _remove_abandoned(self._engine)
            return self._container

    def _create_with_fallback(self) -> None:
        """Creates the container. Raises NotShown if the engine refuses.

        For an image without an architecture in its config an engine responds 404 to any platform, so the platform is
        left out then: the id identifies the image.
        """
        try:
            try:
                self._create(self._platform)
            except NotFoundError:
                if not self._platform:
                    raise
                self._create("")
        except (NotFoundError, AccessDeniedError, Refused) as error:
            self._container, self._refusal = "", error
            raise NotShown(str(error)) from error

    def _read_mounts(self) -> None:
        """Records what is mounted over the image: its volumes, and mounts from the engine's configuration."""
        with suppress(EciError):
            mounts = json_fields.optional(self._inspect(self._container), "Mounts", list, "container", [])
            mount_list = [mount for mount in mounts if isinstance(mount, dict)]
            self._mounts |= {str(mount.get("Destination") or "") for mount in mount_list} - {""}
            self._binds = any(mount.get("Type") == "bind" for mount in mount_list)

    def _inspect(self, container: str) -> Json:
        with self._engine.client() as client:
            container_json: Json = client.inspect_container(container)
        if not isinstance(container_json, dict):
            raise TransportError(f"{self._engine.host}: invalid response about the container {container!r}")
        return container_json

    def _create(self, platform: str) -> None:
        with self._engine.client(slow=True) as client:
            client.create_container(
                self._image,
                command=_COMMAND,
                name=self._container,
                labels={OWNER_LABEL: _signature()},
                host_config=client.create_host_config(network_mode="none"),
                platform=platform or None if client.at_least(1, 41) else None,
                use_config_proxy=False,
            )

    def _check_exists(self, error: NotFoundError) -> None:
        """A 404 may be about the path or about the container, which another process may have removed."""
        try:
            self._inspect(self._container)
        except NotFoundError:
            raise TransportError(
                f"{self._engine.host}: the container {self._container!r} was removed by another process"
            ) from error


def _remove(engine: Engine, container: str) -> None:
    with suppress(NotFoundError), engine.client(slow=True) as client:
        client.remove_container(container, v=True, force=True)


def _remove_abandoned(engine: Engine) -> None:
    """Removes containers of processes that were killed. Errors are ignored."""
    with suppress(EciError):
        with engine.client() as client:
            containers = client.containers(all=True, filters={"label": OWNER_LABEL, "status": "created"})
        for container in json_fields.typed(containers, list, "containers"):
            if _is_abandoned(json_fields.typed(container, dict, "container")):
                _remove(engine, json_fields.required(container, "Id", str, "container"))


def _is_abandoned(container: Json) -> bool:
    fields = json_fields.strings(container, "Labels", "container").get(OWNER_LABEL, "").split("/")
    if len(fields) == 4 and fields[:2] == _signature().split("/")[:2]:
        return not fields[2].isdigit() or _start_time(int(fields[2])) != fields[3]
    return time.time() - json_fields.optional(container, "Created", int, "container", 0) > _ABANDONED


def _signature() -> str:
    """Identifies this process: boot id, pid namespace, pid, start time."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text().strip() if boot.exists() else "unknown"
    namespace = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else "unknown"
    return f"{boot_id}/{namespace}/{os.getpid()}/{_start_time(os.getpid())}"


def _start_time(process: int) -> str:
    """The start time of *process* in clock ticks since boot, "" if it does not exist (proc(5), stat)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
