"""All tags of a repository, or all repositories of a registry (distribution-spec v1.1.1, "Listing Tags")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from eci_convert.errors import (
    CannotHoldError,
    FormatError,
    IntegrityError,
    LimitExceededError,
    NotFoundError,
    TransportError,
    UsageError,
)
from eci_convert.oci import json_fields
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import to_json
from eci_convert.oci.reference import Reference
from eci_convert.progress import warn
from eci_convert.transports.base import CatalogEntry, Source, shared_id_error
from eci_convert.transports.ids import may_be_digest
from eci_convert.transports.registry import manifests, referrers
from eci_convert.transports.registry.client import CATALOG, DELETE, PULL, RegistryClient
from eci_convert.transports.registry.http.errors import parse_error_body
from eci_convert.transports.registry.http.links import next_page
from eci_convert.transports.registry.http.url import Url
from eci_convert.transports.registry.source import RegistrySource
from eci_convert.transports.registry.tags import nearest_tags
from eci_convert.transports.settings import Settings

_HOST: Final = re.compile(r"localhost|[^/@]*[.:\]][^/@]*", re.ASCII)
_MAX_PAGES: Final = 1000
_MAX_NAMES: Final = 100_000
_MAX_LIST: Final = 64 * 1024 * 1024  # bytes of all pages together
_ANY: Final = "any"  # RegistryClient needs a repository; the requests that list repositories do not contain it


def open_catalog(rest: str, settings: Settings) -> RegistryCatalog | RepositoriesCatalog:
    """The repository of the reference *rest*, or the registry if *rest* is only a host. Raises UsageError."""
    if _is_host(rest):
        return RepositoriesCatalog(rest.rstrip("/"), settings)
    reference = Reference.parse(rest)
    tagged = ":" in rest.partition("@")[0].rpartition("/")[2]
    return RegistryCatalog(reference if tagged or reference.digest else replace(reference, tag=""), settings)


class RegistryCatalog:
    """The tags of the repository of *reference*."""

    def __init__(self, reference: Reference, settings: Settings) -> None:
        self._repository = replace(reference, tag="", digest=None)
        self._settings = settings
        self._client = RegistryClient(reference, settings)
        self.name = reference.tag if not reference.digest else f"{reference.tag}@{reference.digest}"

    @property
    def place(self) -> str:
        return f"docker://{self._repository.name}"

    def images(self) -> tuple[CatalogEntry, ...]:
        tags = self._tags()
        with ThreadPoolExecutor(self._settings.concurrency) as pool:
            digests = pool.map(self._resolve, tags)
            return tuple(
                CatalogEntry(name=f"{self._repository.name}:{tag}", digest=digest)
                for tag, digest in zip(tags, digests, strict=True)
            )

    def open_image(self, entry: CatalogEntry) -> Source | None:
        return RegistrySource(replace(self._repository, digest=entry.digest), self._settings, self._client)

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        tags = [self._writable(title) for title in new]
        descriptor, content = self._manifest(name)
        for tag in () if self._settings.dry_run else tags:
            manifests.put(self._client, tag, descriptor.media_type, content)
        return descriptor.digest

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        removed: dict[CatalogEntry, None] = {}
        chosen = [(name, *self._manifest(name)) for name in names]
        for name, descriptor, content in chosen:
            tag = "" if "@" in name or self._selected(name) == str(descriptor.digest) else name
            removed |= dict.fromkeys(self._delete(tag, descriptor.digest, all_tags=all_tags))
            if b'"subject"' in content and not self._settings.dry_run:
                self._unlist(descriptor, content)
        return tuple(removed)

    def _unlist(self, referrer: Descriptor, content: bytes) -> None:
        """Removes *referrer*, if it was deleted, from its subject's fallback tag, and deletes an empty tag."""
        if manifests.exists(self._client, str(referrer.digest)):
            return
        changed = referrers.without_referrer(self._client, referrer, content)
        if changed is None:
            return
        subject, left = changed
        tag = referrers.fallback_tag(subject)
        listed, _ = manifests.get(self._client, tag)
        if left.manifests:
            manifests.put(self._client, tag, left.media_type, to_json(left))
        elif not self._try_delete(tag):
            self._try_delete(str(listed.digest))

    def _delete(self, tag: str, digest: Digest, *, all_tags: bool) -> list[CatalogEntry]:
        """Deletes one tag if the registry supports that, else the manifest and with it all its tags."""
        if tag and not all_tags and (self._settings.dry_run or self._try_delete(tag)):
            return [self._entry(tag, digest)]
        tags = [each for each in self._tags() if self._resolve(each) == digest]
        if len(tags) > 1 and not all_tags:
            shared = shared_id_error(self.place, tag or str(digest), tags)
            if tag:
                shared.__notes__ = ["hint: the registry deletes an image with all its tags alone: add --all-tags"]
            raise shared
        if not self._settings.dry_run and not self._try_delete(str(digest)):
            error = CannotHoldError(f"{self.place}: the registry does not delete manifests")
            error.add_note("hint: its administrator can allow it (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED)")
            raise error
        return [self._entry(each, digest) for each in tags or [""]]

    def _try_delete(self, name: str) -> bool:
        """Deletes the tag or digest *name*. Returns False if the registry does not support that."""
        url = self._client.url(f"manifests/{name}")
        statuses = (200, 202, 204, 400, 404, 405, 501)
        with self._client.request("DELETE", url, accept=statuses, scope=DELETE) as response:
            if response.status == 404 and parse_error_body(response, self._client.redact).code != "UNSUPPORTED":
                return self._is_gone(name)
            return response.status < 300

    def _is_gone(self, name: str) -> bool:
        """Whether *name* does not exist. A 404 to DELETE does not prove it: some registries respond so to any tag."""
        try:
            manifests.get(self._client, name)
        except NotFoundError:
            return True
        return False

    def _entry(self, tag: str, digest: Digest) -> CatalogEntry:
        return CatalogEntry(name=f"{self._repository.name}:{tag}" if tag else "", digest=digest)

    def _tags(self) -> list[str]:
        names = _list_pages(self._client, self._client.url("tags/list?n=1000"), "tags", PULL)
        return [name for name in names if _is_tag(name)]

    def _resolve(self, tag: str) -> Digest | None:
        """The digest of *tag*; None, after a warning, if its manifest is missing or invalid."""
        try:
            return manifests.get(self._client, tag)[0].digest
        except (NotFoundError, FormatError, IntegrityError) as error:
            warn(self._settings.reporter, f"{self.place}:{tag}: {error}")
            return None

    def _manifest(self, name: str) -> tuple[Descriptor, bytes]:
        """The manifest *name*. Raises NotFoundError, with a hint that has the nearest tags."""
        selected = self._selected(name)
        try:
            return manifests.get(self._client, selected)
        except NotFoundError as error:
            nearest = nearest_tags(self._client, selected) if _is_tag(selected) else ()
            if nearest:
                error.add_note(f"hint: the repository has tags such as {', '.join(map(repr, nearest))}")
            raise

    def _selected(self, name: str) -> str:
        """The tag or digest in *name*. Raises UsageError if it is empty."""
        tag, _, digest = name.rpartition("@")
        if not name:
            raise UsageError(f"{self.place}: missing tag: write {self.place}:TAG")
        if may_be_digest(digest):
            return digest
        return tag or name

    def _writable(self, text: str) -> str:
        """The tag to write for *text*, a tag or a reference into this repository. Raises UsageError."""
        if _is_tag(text):
            return text
        reference = Reference.parse(text)
        if replace(reference, tag="", digest=None) != self._repository:
            error = UsageError(f"{text!r} is not in the repository {self._repository.name!r}")
            error.add_note("hint: copy writes images to other repositories")
            raise error
        if reference.digest or not reference.tag:
            raise UsageError(f"{text!r} has a digest: a new name needs a tag instead")
        return reference.tag

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


class RepositoriesCatalog:
    """The repositories of the registry *host*, if it lists them."""

    name = ""

    def __init__(self, host: str, settings: Settings) -> None:
        self._host = host
        self._client = RegistryClient(Reference.parse(f"{host}/{_ANY}"), settings)

    @property
    def place(self) -> str:
        return f"docker://{self._host}"

    def images(self) -> tuple[CatalogEntry, ...]:
        """The names of the repositories, without digests."""
        url = self._client.base.at("/v2/_catalog?n=1000")
        try:
            names = list(_list_pages(self._client, url, "repositories", CATALOG))
        except NotFoundError as error:
            raise CannotHoldError(f"{self.place}: the registry does not list its repositories") from error
        return tuple(CatalogEntry(name=f"{self._host}/{name}", digest=None) for name in names)

    def open_image(self, entry: CatalogEntry) -> Source | None:
        return None

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        raise UsageError(f"{self.place} does not name an image")

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        raise UsageError(f"{self.place} does not name an image")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _list_pages(client: RegistryClient, first: Url, key: str, scope: str) -> Iterator[str]:
    """The names under *key* in all pages of a list. Raises NotFoundError, FormatError, LimitExceededError."""
    url: Url | None = first
    count = size = 0
    for _ in range(_MAX_PAGES):
        if url is None:
            return
        response, content = client.read(url, accept="application/json", limit=json_fields.MAX_DOCUMENT, scope=scope)
        if response.is_html:
            raise TransportError(f"{url.shown}: HTML response instead of a list (captive portal or proxy?)")
        size += len(content)
        if size > _MAX_LIST:
            raise LimitExceededError(f"the list is longer than {_MAX_LIST} bytes", where=first.shown)
        names = json_fields.optional(json_fields.document(content, key), key, list, key, [])
        count += len(names)
        if count > _MAX_NAMES:
            raise LimitExceededError(f"more than {_MAX_NAMES} names", where=first.shown)
        yield from (json_fields.typed(name, str, f"{key}[{place}]") for place, name in enumerate(names))
        url = next_page(url, ", ".join(response.header_lines("Link")))
    raise LimitExceededError(f"the list has more than {_MAX_PAGES} pages", where=first.shown)


def _is_host(text: str) -> bool:
    return bool(_HOST.fullmatch(text.rstrip("/"))) and "/" not in text.rstrip("/") and not _is_tagged_name(text)


def _is_tagged_name(text: str) -> bool:
    """Whether *text* is `NAME:TAG` of Docker Hub rather than `HOST:PORT`."""
    name, colon, tag = text.rpartition(":")
    return bool(colon) and not tag.isdigit() and not re.search(r"[.\]]", name) and name != "localhost"


def _is_tag(text: str) -> bool:
    return bool(re.fullmatch(r"\w[\w.-]{0,127}", text, re.ASCII))
