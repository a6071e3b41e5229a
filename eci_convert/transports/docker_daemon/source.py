"""An image in the Docker engine, to be read.

The engine does not hand out an image's documents, so manifest and config are made from what it says about the image:
labels, platform and diff ids are true, the layers' sizes are not known and are 0, and no layer can be fetched. Files
come through `filesystem()`; who needs real documents and layers takes `filesystem().saved()`. Docker 25 to 28 with
containerd's store say nothing of an image whose layers they had unpacked for another one before (moby/moby#51566):
there a container of it is asked.

An image for several platforms is saved whole instead: an engine makes containers of the one that suits it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from eci_convert.errors import EciError, NotFoundError, TransportError
from eci_convert.oci import json_fields, media_types
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest, to_json
from eci_convert.oci.reference import Reference
from eci_convert.transports.base import IMAGE_ID_ANNOTATION, ContainerFiles, SourceTraits
from eci_convert.transports.docker_daemon.container_files import DockerContainerFiles
from eci_convert.transports.docker_daemon.engine import Engine, Json, image_id
from eci_convert.transports.docker_daemon.saved_image import SavedImageSource
from eci_convert.transports.ids import is_id
from eci_convert.transports.schemes import closest_transport, nearest_names
from eci_convert.transports.settings import Settings

_PLATFORM: Final = {"Architecture": "architecture", "Os": "os", "Variant": "variant", "OsVersion": "os.version"}


class DaemonSource:
    """The image that *name* stands for in the engine that *settings* lead to. Raises UsageError for what is no name."""

    def __init__(self, name: str, settings: Settings) -> None:
        if not is_id(name):
            Reference.parse(name)
        self._name = name
        self._engine = Engine(settings)
        self._documents: dict[Digest, bytes] = {}
        self._root: Descriptor | None = None
        self._unpacked: DockerContainerFiles | None = None
        self._saved = SavedImageSource(self._engine, name, self.origin)

    @property
    def origin(self) -> str:
        return f"docker-daemon:{self._name}"

    @property
    def traits(self) -> SourceTraits:
        return self._saved.traits

    def resolve(self) -> Descriptor:
        if self._root is None:
            found = self._inspected()
            if _images(found) > 1:
                self._root = replace(
                    self._saved.resolve(), annotations={IMAGE_ID_ANNOTATION: image_id(found, self.origin)}
                )
                return self._root
            identity = image_id(found, self.origin)
            self._unpacked = DockerContainerFiles(
                self._engine, identity, _platform(found), self._saved, _volumes(found)
            )
            if not found.get("Os"):
                found = {**found, **self._unpacked.labels_and_platform()}
            self._root = replace(self._described(found), annotations={IMAGE_ID_ANNOTATION: identity})
        return self._root

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self.resolve()
        if self._unpacked is None:
            with self._saved.fetch(blob, skip) as chunks:
                yield chunks
            return
        if blob.digest not in self._documents:
            raise TransportError(f"{self.origin}: a Docker engine gives layers with the whole image only")
        yield (self._documents[blob.digest][skip:],)

    def filesystem(self) -> ContainerFiles | None:
        self.resolve()
        return self._unpacked

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return ()

    def _inspected(self) -> Json:
        try:
            return self._engine.inspect_image(self._name)
        except NotFoundError as error:
            missing = NotFoundError(f"{self.origin}: the Docker engine has no such image")
            for hint in self._hints():
                missing.add_note(f"hint: {hint}")
            raise missing from error

    def _hints(self) -> Iterator[str]:
        """What a name that the engine does not have may have been meant for."""
        name, path = self._name, self._name.partition(":")[0]
        if closest := closest_transport(name):
            yield f"did you mean {closest!r}?"
        elif os.path.isfile(os.path.join(path, "index.json")):
            yield f"the image layout {path!r} is oci:{name}"
        elif os.path.isfile(path):
            yield f"the archive {path!r} is oci-archive:{name} or docker-archive:{name}"
        else:
            if nearest := nearest_names(name, self._known_names()):
                yield f"the engine has {', '.join(map(repr, nearest))}"
            tool = "podman" if self._engine.is_podman else "docker"
            yield f"`{tool} pull {name}` it first, or read it from its registry: docker://{name}"

    def _known_names(self) -> tuple[str, ...]:
        try:
            return tuple(self._engine.image_names())
        except EciError:  # they only were to help
            return ()

    def _described(self, found: Json) -> Descriptor:
        where = self.origin
        diff_ids = _diff_ids(found, where)
        config = self._kept(to_json(_config(found, diff_ids, where)), media_types.OCI_CONFIG)
        layers = tuple(Descriptor(media_type=media_types.OCI_LAYER, digest=each, size=0) for each in diff_ids)
        return self._kept(to_json(Manifest(config=config, layers=layers)), media_types.OCI_MANIFEST)

    def _kept(self, document: bytes, media_type: str) -> Descriptor:
        descriptor = Descriptor.of(document, media_type)
        self._documents[descriptor.digest] = document
        return descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._unpacked is not None:
                self._unpacked.close()
        finally:
            self._saved.close()
            self._engine.close()


def _config(found: Json, diff_ids: tuple[Digest, ...], where: str) -> dict[str, Any]:
    """The config of a container image, as far as the engine's words (Docker Engine API v1.51, ImageInspect) tell it."""
    config: dict[str, Any] = {
        ours: text
        for theirs, ours in _PLATFORM.items()
        if (text := json_fields.optional(found, theirs, str, where, ""))
    }
    config |= {
        key.lower(): text for key in ("Created", "Author") if (text := json_fields.optional(found, key, str, where, ""))
    }
    settings = json_fields.optional(found, "Config", dict, where, {})
    config["config"] = {key: value for key, value in sorted(settings.items()) if value}
    config["rootfs"] = {"type": "layers", "diff_ids": [str(each) for each in diff_ids]}
    return config


def _diff_ids(found: Json, where: str) -> tuple[Digest, ...]:
    layers = json_fields.optional(json_fields.optional(found, "RootFS", dict, where, {}), "Layers", list, where, [])
    return tuple(Digest.parse(json_fields.typed(each, str, where), where=where) for each in layers)


def _images(found: Json) -> int:
    """How many platforms the engine has the image for; the manifests of attestations do not count."""
    manifests = found.get("Manifests") or []
    return sum(
        1 for each in manifests if isinstance(each, dict) and each.get("Kind") == "image" and each.get("Available")
    )


def _platform(found: Json) -> str:
    """What the image runs on, as the engine wants to hear it again: it refuses a container for another platform.

    "" where the image does not say its architecture: then the engine finds it for no platform at all.
    """
    os, architecture, variant = (str(found.get(key) or "") for key in ("Os", "Architecture", "Variant"))
    return "/".join(word for word in (os, architecture, variant) if word) if os and architecture else ""


def _volumes(found: Json) -> tuple[str, ...]:
    """Where the image's volumes are."""
    settings = found.get("Config")
    volumes = settings.get("Volumes") if isinstance(settings, dict) else None
    return tuple(map(str, volumes)) if isinstance(volumes, dict) else ()
