"""An image in the Docker engine.

The engine does not export manifests, so manifest and config are synthesised from its ImageInspect: labels, platform and
diff ids are correct, sizes of layers are unknown and 0, and layers cannot be fetched. Files are read through
`filesystem()`; original manifests and layers come from `filesystem().full_image()`. Docker 25 to 28 with containerd's
store report nothing about an image whose layers were unpacked for another one before (moby/moby#51566): there a
container of it is inspected.

An image for several platforms is saved whole instead: an engine creates containers of one platform only.
"""

from __future__ import annotations

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
from eci_convert.transports.schemes import nearest_names, other_meaning
from eci_convert.transports.settings import Settings

_PLATFORM: Final = {"Architecture": "architecture", "Os": "os", "Variant": "variant", "OsVersion": "os.version"}


class DaemonSource:
    """The image *name* in the engine of *settings*. Raises UsageError for an invalid name."""

    def __init__(self, name: str, settings: Settings) -> None:
        if not is_id(name):
            Reference.parse(name)
        self._name = name
        self._engine = Engine(settings)
        self._small_blobs: dict[Digest, bytes] = {}
        self._root: Descriptor | None = None
        self._files: DockerContainerFiles | None = None
        self._saved = SavedImageSource(self._engine, name, self.origin)

    @property
    def origin(self) -> str:
        return f"docker-daemon:{self._name}"

    @property
    def traits(self) -> SourceTraits:
        return self._saved.traits

    def resolve(self) -> Descriptor:
        if self._root is None:
            inspected = self._inspect()
            if _platform_count(inspected) > 1:
                self._root = replace(
                    self._saved.resolve(), annotations={IMAGE_ID_ANNOTATION: image_id(inspected, self.origin)}
                )
                return self._root
            image_id_text = image_id(inspected, self.origin)
            self._files = DockerContainerFiles(
                self._engine, image_id_text, _platform(inspected), self._saved, _volumes(inspected)
            )
            if not inspected.get("Os"):
                inspected = {**inspected, **self._files.labels_and_platform()}
            self._root = replace(self._synthesise_manifest(inspected), annotations={IMAGE_ID_ANNOTATION: image_id_text})
        return self._root

    @contextmanager
    def fetch(self, blob: Descriptor, skip: int = 0) -> Iterator[Iterable[bytes]]:
        self.resolve()
        if self._files is None:
            with self._saved.fetch(blob, skip) as chunks:
                yield chunks
            return
        if blob.digest not in self._small_blobs:
            raise TransportError(f"{self.origin}: a Docker engine exports layers as part of the whole image only")
        yield (self._small_blobs[blob.digest][skip:],)

    def filesystem(self) -> ContainerFiles | None:
        self.resolve()
        return self._files

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        return ()

    def _inspect(self) -> Json:
        try:
            return self._engine.inspect_image(self._name)
        except NotFoundError as error:
            missing = NotFoundError(f"{self.origin}: no such image in the Docker engine")
            for hint in self._hints():
                missing.add_note(f"hint: {hint}")
            raise missing from error

    def _hints(self) -> Iterator[str]:
        """Suggestions for a name that the engine does not have."""
        name = self._name
        if meaning := other_meaning(name):
            yield meaning
        elif is_id(name):
            yield "`eci-convert list docker-daemon:` shows the ids of the images that the engine has"
        else:
            if nearest := nearest_names(name, self._known_names()):
                yield f"the engine has {', '.join(map(repr, nearest))}"
            tool = "podman" if self._engine.is_podman else "docker"
            yield f"`{tool} pull {name}` it first, or read it from its registry: docker://{name}"

    def _known_names(self) -> tuple[str, ...]:
        try:
            return tuple(self._engine.image_names())
        except EciError:  # used only for a hint
            return ()

    def _synthesise_manifest(self, inspected: Json) -> Descriptor:
        where = self.origin
        diff_ids = _diff_ids(inspected, where)
        config = self._store(to_json(_config(inspected, diff_ids, where)), media_types.OCI_CONFIG)
        layers = tuple(Descriptor(media_type=media_types.OCI_LAYER, digest=each, size=0) for each in diff_ids)
        return self._store(to_json(Manifest(config=config, layers=layers)), media_types.OCI_MANIFEST)

    def _store(self, content: bytes, media_type: str) -> Descriptor:
        descriptor = Descriptor.of(content, media_type)
        self._small_blobs[descriptor.digest] = content
        return descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._files is not None:
                self._files.close()
        finally:
            self._saved.close()
            self._engine.close()


def _config(inspected: Json, diff_ids: tuple[Digest, ...], where: str) -> dict[str, Any]:
    """The config of the image, as far as ImageInspect has it (Docker Engine API v1.51)."""
    config: dict[str, Any] = {
        ours: text
        for theirs, ours in _PLATFORM.items()
        if (text := json_fields.optional(inspected, theirs, str, where, ""))
    }
    config |= {
        key.lower(): text
        for key in ("Created", "Author")
        if (text := json_fields.optional(inspected, key, str, where, ""))
    }
    settings = json_fields.optional(inspected, "Config", dict, where, {})
    config["config"] = {key: value for key, value in sorted(settings.items()) if value}
    config["rootfs"] = {"type": "layers", "diff_ids": [str(each) for each in diff_ids]}
    return config


def _diff_ids(inspected: Json, where: str) -> tuple[Digest, ...]:
    layers = json_fields.optional(json_fields.optional(inspected, "RootFS", dict, where, {}), "Layers", list, where, [])
    return tuple(Digest.parse(json_fields.typed(each, str, where), where=where) for each in layers)


def _platform_count(inspected: Json) -> int:
    """The number of platforms that the engine has the image for; attestation manifests do not count."""
    manifests = json_fields.optional(inspected, "Manifests", list, "image", [])
    return sum(
        1 for each in manifests if isinstance(each, dict) and each.get("Kind") == "image" and each.get("Available")
    )


def _platform(inspected: Json) -> str:
    """The platform as a parameter for creating a container, which the engine requires to match.

    "" if the config has no architecture: the engine then finds the image for no platform at all.
    """
    os, architecture, variant = (str(inspected.get(key) or "") for key in ("Os", "Architecture", "Variant"))
    return "/".join(part for part in (os, architecture, variant) if part) if os and architecture else ""


def _volumes(inspected: Json) -> tuple[str, ...]:
    """The mount points of the image's volumes."""
    settings = inspected.get("Config")
    volumes = settings.get("Volumes") if isinstance(settings, dict) else None
    return tuple(map(str, volumes)) if isinstance(volumes, dict) else ()
