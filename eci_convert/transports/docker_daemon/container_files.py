"""The files of an image as an engine keeps them unpacked, one at a time: nothing else of the image is read.

The engine gives files out of containers only, so one is created, with a command that does not exist, and never started.
A container is not the image: what it may hide or add is not asked for (`NotShown`), and comes from the saved image.
It goes when the source is left. What a killed process leaves behind is told by a label that names the process, and goes
when eci-convert next makes a container on that engine.
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
from eci_convert.transports.base import NotShown, Source
from eci_convert.transports.docker_daemon import hidden_paths
from eci_convert.transports.docker_daemon.engine import Engine, Json
from eci_convert.transports.docker_daemon.errors import Refused
from eci_convert.transports.docker_daemon.saved_image import SavedImageSource

OWNER_LABEL: Final = "io.eci-convert.process"
_COMMAND: Final = ["/never-started"]
_ABANDONED: Final = 24 * 60 * 60
"""Seconds after which the container of a process on another computer is taken for one that was left behind."""


class DockerContainerFiles:
    """The files of the image with the id *image*, for *platform* ("" where the engine is to choose).

    *volumes* are those of the image.
    """

    def __init__(
        self, engine: Engine, image: str, platform: str, whole: SavedImageSource, volumes: Collection[str] = ()
    ) -> None:
        self._engine = engine
        self._image = image
        self._platform = platform
        self._whole = whole
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
        container = self._created_container()
        if self._binds or hidden_paths.is_hidden(path, self._mounts) or (path.endswith("/") and self._mounts):
            raise NotShown(f"{self._engine.host}: a container may hide {path!r}")
        if hidden_paths.is_pattern(path) and not self._engine.is_docker:
            raise NotShown(f"{self._engine.host}: the engine may take {path!r} for a pattern")
        with ExitStack() as stack:
            try:
                parameters = {"path": path.rstrip("/") or "/"}
                stream = self._engine.stream(f"/containers/{container}/archive", parameters)
                pieces = stack.enter_context(stream)
            except NotFoundError as error:
                self._check_is_there(error)
                if hidden_paths.may_be_replaced(path):
                    raise NotShown(f"{self._engine.host}: a container may hide {path!r}") from error
                raise
            except Refused as error:
                if hidden_paths.is_about_path(str(error)):
                    raise
                raise NotShown(str(error)) from error  # the saved image tells, or the engine fails again
            yield pieces

    @property
    def hides_files(self) -> bool:
        return bool(self._mounts)

    @property
    def follows_links(self) -> bool:
        self._created_container()
        return self._engine.is_podman

    def full_image(self) -> Source:
        return self._whole

    def labels_and_platform(self) -> Json:
        """What a container tells of its image: labels and platform, in the words of `Engine.inspect_image`; nothing where
        the engine makes no container of it."""
        try:
            container = self._created_container()
            found = self._about(container)
        except EciError:
            return {}
        labels = {key: text for key, text in (found["Config"].get("Labels") or {}).items() if key != OWNER_LABEL}
        platform = (found.get("ImageManifestDescriptor") or {}).get("platform") or {"os": found.get("Platform", "")}
        return {"Config": {"Labels": labels}, **{key.capitalize(): text for key, text in platform.items()}}

    def close(self) -> None:
        """Remove the container."""
        with self._lock:
            container, self._container, self._created = self._container, "", False
        if container:
            _remove(self._engine, container)

    def _created_container(self) -> str:
        with self._lock:
            if self._refusal:
                raise NotShown(str(self._refusal)) from self._refusal
            if not self._created:
                self._container = f"eci-convert-{secrets.token_hex(8)}"  # known before it exists: it can be removed
                self._create_anyhow()
                self._created = True
                self._note_mounts()
                _sweep(self._engine)
            return self._container

    def _create_anyhow(self) -> None:
        """Create the container. Raises NotShown where the engine makes none of this image.

        An engine finds no image for a platform where the image does not say its architecture (404, as for an image
        that is not there): such an image is known by its id well enough.
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

    def _note_mounts(self) -> None:
        """What is mounted over the image: its volumes, and what the engine's configuration adds."""
        with suppress(EciError):
            mounts = self._about(self._container).get("Mounts") or []
            found = [mount for mount in mounts if isinstance(mount, dict)]
            self._mounts |= {str(mount.get("Destination") or "") for mount in found} - {""}
            self._binds = any(mount.get("Type") == "bind" for mount in found)

    def _about(self, container: str) -> Json:
        with self._engine.client() as client:
            found: Json = client.inspect_container(container)
        if not isinstance(found, dict):
            raise TransportError(f"{self._engine.host}: invalid answer about the container {container!r}")
        return found

    def _create(self, platform: str) -> None:
        with self._engine.client(patiently=True) as client:
            client.create_container(
                self._image,
                command=_COMMAND,
                name=self._container,
                labels={OWNER_LABEL: _signature()},
                host_config=client.create_host_config(network_mode="none"),
                platform=platform or None if client.at_least(1, 41) else None,
                use_config_proxy=False,
            )

    def _check_is_there(self, error: NotFoundError) -> None:
        """The engine says 404 for a path and for a container: somebody may have removed ours."""
        try:
            self._about(self._container)
        except NotFoundError:
            raise TransportError(f"{self._engine.host}: somebody removed the container {self._container!r}") from error


def _remove(engine: Engine, container: str) -> None:
    with suppress(NotFoundError), engine.client(patiently=True) as client:
        client.remove_container(container, v=True, force=True)


def _sweep(engine: Engine) -> None:
    """Remove the containers that killed processes left. What fails here is no reason not to go on."""
    with suppress(EciError):
        with engine.client() as client:
            found = client.containers(all=True, filters={"label": OWNER_LABEL, "status": "created"})
        for container in filter(_is_abandoned, found):
            _remove(engine, str(container.get("Id")))


def _is_abandoned(container: Json) -> bool:
    words = str(container.get("Labels", {}).get(OWNER_LABEL, "")).split("/")
    if len(words) == 4 and words[:2] == _signature().split("/")[:2]:
        return not words[2].isdigit() or _started(int(words[2])) != words[3]
    return time.time() - int(container.get("Created", 0)) > _ABANDONED


def _signature() -> str:
    """Which process this is: the computer since it was started, the process's namespace, its number, its start."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    boot_id = boot.read_text().strip() if boot.exists() else "unknown"
    namespace = os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else "unknown"
    return f"{boot_id}/{namespace}/{os.getpid()}/{_started(os.getpid())}"


def _started(process: int) -> str:
    """When *process* was started, in clock ticks since the computer was; "" if there is none (proc(5), stat)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
