"""All images of one namespace of containerd. Its garbage collector removes what no record refers to."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from eci_convert.errors import NotFoundError, UsageError
from eci_convert.oci.digest import Digest
from eci_convert.transports.base import CatalogEntry, Source, shared_id_error
from eci_convert.transports.containerd.images import all_records, delete_record, resolve_name, set_target
from eci_convert.transports.containerd.lease import ContainerdSession
from eci_convert.transports.containerd.names import RecordName
from eci_convert.transports.containerd.source import ContainerdSource
from eci_convert.transports.settings import Settings


def open_catalog(rest: str, settings: Settings) -> ContainerdCatalog:
    """The namespace configured by *settings*; *rest* may name an image. Raises UsageError."""
    return ContainerdCatalog(rest, settings)


class ContainerdCatalog:
    """The images of a namespace; *name* is what the reference named."""

    place = "containerd:"

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._dry_run = settings.dry_run
        self._session = ContainerdSession(settings)

    def images(self) -> tuple[CatalogEntry, ...]:
        records = all_records(self._session.connection)
        return tuple(
            CatalogEntry(name=name.removesuffix(f"@{target.digest}"), digest=target.digest)
            for name, target in records.items()
        )

    def open_image(self, entry: CatalogEntry) -> Source | None:
        return ContainerdSource(RecordName.parse(str(entry.digest)), self._session)

    def tag(self, name: str, new: Sequence[str]) -> Digest:
        names = [self._writable(title) for title in new]
        connection = self._session.connection
        target = resolve_name(connection, self._selected(name))
        self._session.lease.keep(target.digest)
        for title in () if self._dry_run else names:
            set_target(connection, title, target)
        return target.digest

    def delete(self, names: Sequence[str], *, all_tags: bool = False) -> tuple[CatalogEntry, ...]:
        records = all_records(self._session.connection)
        to_delete: dict[str, Digest] = {}
        for name in names:
            selected = self._selected(name)
            digest = resolve_name(self._session.connection, selected).digest
            titles = [title for title, target in records.items() if target.digest == digest]
            own = [title for title in titles if title in (*selected.records(), *selected.by_eci(titles))]
            if not titles:
                error = NotFoundError(f"{self.place}{name}: no image record refers to it directly")
                error.add_note("hint: it is an image in an index: `index remove` removes it from the index")
                raise error
            if len(titles) > 1 and not own and not all_tags:
                raise shared_id_error(self.place, name, titles)
            to_delete |= dict.fromkeys(titles if all_tags or not own else own[:1], digest)
        for position, title in enumerate(() if self._dry_run else to_delete, 1):
            delete_record(self._session.connection, title, collect=position == len(to_delete))
        return tuple(CatalogEntry(name=title, digest=digest) for title, digest in to_delete.items())

    def _selected(self, name: str) -> RecordName:
        if not name:
            raise UsageError(f"{self.place} has no image name: write {self.place}NAME")
        return RecordName.parse(name)

    def _writable(self, text: str) -> str:
        name = RecordName.parse(text)
        if name.digest:
            raise UsageError(f"{text!r} has a digest: a new name needs a tag instead")
        return name.written()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
