"""Names of images removed, and in layouts and containers-storage the blobs that nothing refers to any more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from eci_convert.errors import UsageError
from eci_convert.transports import open_catalog
from eci_convert.transports.base import Catalog, CatalogEntry
from eci_convert.transports.settings import Settings


def delete(
    references: Sequence[str], settings: Settings | None = None, *, all_tags: bool = False
) -> tuple[tuple[str, CatalogEntry], ...]:
    """Remove the names *references*, each with its transport; what was removed, with the place of each.

    A reference may be an id, or the beginning of one; an id that several names share is UsageError unless *all_tags*.
    Raises NotFoundError for what is not there, and then nothing of its place has changed; CannotHoldError where the
    place does not change, and as sinks do.
    """
    settings = settings or Settings()
    removed: list[tuple[str, CatalogEntry]] = []
    with ExitStack() as stack:
        catalogs: dict[str, Catalog] = {}
        names: dict[str, list[str]] = {}
        for reference in references:
            catalog = stack.enter_context(open_catalog(reference, settings))
            if not catalog.name:
                raise UsageError(f"{reference!r} names a place, and an image is to be deleted")
            names.setdefault(catalogs.setdefault(catalog.place, catalog).place, []).append(catalog.name)
        for place, catalog in catalogs.items():
            gone = catalog.delete(names[place], all_tags=all_tags)
            removed += [(place, entry) for entry in gone]
    return tuple(removed)
