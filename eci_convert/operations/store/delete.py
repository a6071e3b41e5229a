"""Deletes names of images, and in layouts and containers-storage unreferenced blobs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from eci_convert.errors import UsageError
from eci_convert.transports import check_one_registry, open_catalog
from eci_convert.transports.base import Catalog, CatalogEntry
from eci_convert.transports.settings import Settings


def delete(
    references: Sequence[str], settings: Settings | None = None, *, all_tags: bool = False
) -> tuple[tuple[str, CatalogEntry], ...]:
    """Remove the names *references*, each with its transport; what was removed, with the place of each.

    A reference may be an id, or the beginning of one; an id that several names share is UsageError unless *all_tags*.
    Raises NotFoundError for what is not there, and then nothing has changed; CannotHoldError where the place does not
    change, and as sinks do.
    """
    settings = settings or Settings()
    if settings.username:
        check_one_registry(references)
    removed: list[tuple[str, CatalogEntry]] = []
    with ExitStack() as stack:
        catalogs: dict[str, Catalog] = {}
        names: dict[str, list[str]] = {}
        first: dict[str, str] = {}
        for reference in references:
            catalog = stack.enter_context(open_catalog(reference, settings))
            if not catalog.name:
                raise UsageError(f"{reference!r} names a place, and an image is to be deleted")
            first.setdefault(catalog.place, reference)
            names.setdefault(catalogs.setdefault(catalog.place, catalog).place, []).append(catalog.name)
        for place, reference in first.items() if len(first) > 1 else ():  # a single place looks at all names first
            with open_catalog(reference, replace(settings, dry_run=True)) as catalog:
                catalog.delete(names[place], all_tags=all_tags)
        for place, catalog in catalogs.items():
            gone = catalog.delete(names[place], all_tags=all_tags)
            removed += [(place, entry) for entry in gone]
    return tuple(removed)
