"""All images of the Docker engine. It counts references and collects layers itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from eci_convert.errors import NotFoundError, TransportError, UsageError
from eci_convert.oci import json_fields
from eci_convert.oci.digest import Digest
from eci_convert.oci.platform import Platform
from eci_convert.oci.reference import Reference
from eci_convert.transports.base import CatalogEntry, Source, shared_id_error
from eci_convert.transports.docker_daemon.engine import Engine, image_id
from eci_convert.transports.docker_daemon.source import DaemonSource
from eci_convert.transports.ids import check_is_name, is_id
from eci_convert.transports.settings import Settings

_UNNAMED = "<none>"
_PLACE = "docker-daemon:"


def open_catalog(rest: str, settings: Settings) -> DaemonCatalog:
    """The engine configured by *settings*; *rest* may name an image. Raises UsageError."""
    return DaemonCatalog(rest, settings)


class DaemonCatalog:
    """The images of the engine; *name* is what the reference named."""

    place = _PLACE

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._engine = Engine(settings)
        self._several: set[Digest] = set()
        self._opened = ExitStack()

    def images(self) -> tuple[CatalogEntry, ...]:
        with self._engine.client() as client:
            url = f"{client.base_url}/v{client.api_version}/images/json"
            response = client.get(url, params={"manifests": "1"}, timeout=client.timeout)
            client._raise_for_status(response)
            summaries = response.json()
        if not isinstance(summaries, list):
            raise TransportError(f"{self._engine.host}: the server is not a Docker engine")
        return tuple(
            entry
            for position, summary in enumerate(summaries)
            for entry in self._entries(summary, f"{self._engine.host}: images[{position}]")
        )

    def open_image(self, entry: CatalogEntry) -> Source | None:
        """None for images of several platforms: the engine exports their manifests only with the whole image."""
        if entry.digest in self._several:
            return None
        return self._opened.enter_context(DaemonSource(str(entry.digest), self._settings))

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        targets = [self._writable(title) for title in new]
        inspected = self._inspect(name)
        identity = Digest.parse(image_id(inspected, self.place), where=self.place)
        for target in () if self._settings.dry_run else targets:
            with self._engine.client(slow=True) as client:
                client.tag(str(identity), target.name, target.tag)
        return identity

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        to_delete = {entry: None for name in names for entry in self._to_delete(name, all_tags=all_tags)}
        for entry in () if self._settings.dry_run else to_delete:
            self._remove(entry.name or str(entry.digest))
        return tuple(to_delete)

    def _to_delete(self, name: str, *, all_tags: bool) -> list[CatalogEntry]:
        inspected = self._inspect(name)
        identity = Digest.parse(image_id(inspected, self.place), where=self.place)
        tags = _tags(inspected, f"{self._engine.host}: image {name!r}")
        own = [] if is_id(name) else _own(tags, name)
        if len(tags) > 1 and not own and not all_tags:
            raise shared_id_error(self.place, name, tags)
        chosen = tags if all_tags or not own else own
        return [CatalogEntry(name=tag, digest=identity) for tag in chosen or [""]]

    def _remove(self, name: str) -> None:
        with self._engine.client(slow=True) as client:
            url = f"{client.base_url}/v{client.api_version}/images/{quote(name, safe='/:')}"
            response = client.delete(url, timeout=client.timeout)
            if response.status_code == 404:
                raise NotFoundError(f"{self.place}{name}: the Docker engine has no such image")
            client._raise_for_status(response)

    def _inspect(self, name: str) -> Mapping[str, Any]:
        if not name:
            raise UsageError(f"{self.place} has no image name: write {self.place}NAME")
        if not is_id(name):
            Reference.parse(name)
        try:
            return self._engine.inspect_image(name)
        except NotFoundError as error:
            raise NotFoundError(f"{self.place}{name}: the Docker engine has no such image") from error

    def _entries(self, summary: object, where: str) -> list[CatalogEntry]:
        """One entry for each tag; one without a name if there is none, as for an image pulled by its digest.

        Raises FormatError if *summary* is not an ImageSummary of the engine's API."""
        fields = json_fields.typed(summary, dict, where)
        identity = Digest.parse(json_fields.required(fields, "Id", str, where), where=f"{where}.Id")
        platforms = self._platforms(identity, fields, where)
        size = fields.get("Size")
        names = _tags(fields, where)
        return [
            CatalogEntry(name=name, digest=identity, platforms=platforms, size=size if isinstance(size, int) else None)
            for name in dict.fromkeys(names or [""])
        ]

    def _platforms(self, identity: Digest, summary: json_fields.Fields, where: str) -> tuple[Platform, ...] | None:
        """The platforms of an image, as listed by an engine with containerd's store; None if it lists none."""
        manifests = json_fields.optional(summary, "Manifests", list, where, [])
        described = [each for each in manifests if isinstance(each, dict) and each.get("Kind") == "image"]
        image_data = [
            json_fields.optional(each, "ImageData", dict, f"{where}.Manifests", {})
            for each in described
            if each.get("Available")
        ]
        if len(image_data) < 2:
            return None
        self._several.add(identity)
        platforms = [json_fields.optional(each, "Platform", dict, f"{where}.Manifests", {}) for each in image_data]
        return tuple(Platform.from_json(each, f"{where}.Manifests") for each in platforms if each)

    def _writable(self, text: str) -> Reference:
        check_is_name(text)
        reference = Reference.parse(text)
        if reference.digest:
            raise UsageError(f"{text!r} has a digest: a new name needs a tag instead")
        return reference

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._opened.close()
        finally:
            self._engine.close()


def _tags(image: json_fields.Fields, where: str) -> list[str]:
    """The names of *image*, an ImageSummary or ImageInspect of the engine's API. Raises FormatError."""
    tags = json_fields.optional(image, "RepoTags", list, where, [])
    names = [json_fields.typed(tag, str, f"{where}.RepoTags[{position}]") for position, tag in enumerate(tags)]
    return [name for name in names if not name.startswith(_UNNAMED)]


def _own(tags: Sequence[str], name: str) -> list[str]:
    """The one of *tags* that *name* refers to: as expanded by Docker, or by podman (`localhost/NAME`)."""
    spellings = (name, f"localhost/{name}")
    return next(filter(None, ([tag for tag in tags if _same(tag, spelt)] for spelt in spellings)), [])


def _same(tag: str, name: str) -> bool:
    try:
        return Reference.parse(tag).store_name == Reference.parse(name.partition("@")[0]).store_name
    except UsageError:
        return tag == name
