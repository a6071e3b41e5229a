"""The files of an image as an engine keeps them unpacked, one at a time: nothing else of the image is read.

The engine gives files out of containers only, so one is created, with a command that does not exist, and never started.
It goes when the source is left. What a killed process leaves behind is told by a label that names the process, and goes
when eci-convert next makes a container on that engine.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from eci_convert.errors import EciError, NotFound, TransportError
from eci_convert.transports.base import Source
from eci_convert.transports.daemon.engine import Engine, Json
from eci_convert.transports.daemon.saved import Saved

LABEL: Final = "io.eci-convert.process"
_COMMAND: Final = ["/never-started"]
_ABANDONED: Final = 24 * 60 * 60
"""Seconds after which the container of a process on another computer is taken for one that was left behind."""


class Unpacked:
    """The files of the image with the id *image*, for *platform* ("" where the engine is to choose)."""

    def __init__(self, engine: Engine, image: str, platform: str, whole: Saved) -> None:
        self._engine = engine
        self._image = image
        self._platform = platform
        self._whole = whole
        self._lock = Lock()
        self._container = ""
        self._created = False

    @contextmanager
    def fetch(self, path: str) -> Iterator[Iterable[bytes]]:
        container = self._ready()
        with ExitStack() as stack:
            try:
                stream = self._engine.stream(f"/containers/{container}/archive", {"path": path})
                pieces = stack.enter_context(stream)
            except NotFound as error:
                self._check_is_there(error)
                raise
            yield pieces

    def saved(self) -> Source:
        return self._whole

    def told(self) -> Json:
        """What a container tells of its image: labels and platform, in the words of `Engine.inspected`; nothing where
        the engine makes no container of it."""
        try:
            container = self._ready()
            with self._engine.asked() as client:
                found = client.inspect_container(container)
        except EciError:
            return {}
        labels = {key: text for key, text in (found["Config"].get("Labels") or {}).items() if key != LABEL}
        platform = (found.get("ImageManifestDescriptor") or {}).get("platform") or {"os": found.get("Platform", "")}
        return {"Config": {"Labels": labels}, **{key.capitalize(): text for key, text in platform.items()}}

    def close(self) -> None:
        """Remove the container."""
        with self._lock:
            container, self._container, self._created = self._container, "", False
        if container:
            _remove(self._engine, container)

    def _ready(self) -> str:
        with self._lock:
            if not self._created:
                _sweep(self._engine)
                self._container = f"eci-convert-{secrets.token_hex(8)}"  # known before it exists: it can be removed
                self._create()
                self._created = True
            return self._container

    def _create(self) -> None:
        with self._engine.asked(patiently=True) as client:
            client.create_container(
                self._image,
                command=_COMMAND,
                name=self._container,
                labels={LABEL: _signature()},
                host_config=client.create_host_config(network_mode="none"),
                platform=self._platform or None if client.at_least(1, 41) else None,
                use_config_proxy=False,
            )

    def _check_is_there(self, error: NotFound) -> None:
        """The engine says 404 for a path and for a container: somebody may have removed ours."""
        try:
            with self._engine.asked() as client:
                client.inspect_container(self._container)
        except NotFound:
            raise TransportError(f"{self._engine.host}: somebody removed the container {self._container!r}") from error


def _remove(engine: Engine, container: str) -> None:
    with suppress(NotFound), engine.asked(patiently=True) as client:
        client.remove_container(container, v=True, force=True)


def _sweep(engine: Engine) -> None:
    """Remove the containers that killed processes left. What fails here is no reason not to go on."""
    with suppress(EciError):
        with engine.asked() as client:
            found = client.containers(all=True, filters={"label": LABEL, "status": "created"})
        for container in filter(_is_abandoned, found):
            _remove(engine, str(container.get("Id")))


def _is_abandoned(container: Json) -> bool:
    words = str(container.get("Labels", {}).get(LABEL, "")).split("/")
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
