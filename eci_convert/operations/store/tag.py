"""Adds names to an image, in its store."""

from __future__ import annotations

from collections.abc import Sequence

from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest
from eci_convert.transports import SCHEMES, open_catalog
from eci_convert.transports.base import Catalog
from eci_convert.transports.settings import Settings


def tag(image: str, names: Sequence[str], settings: Settings | None = None) -> Digest:
    """Make each of *names* stand for *image*, a reference with its transport; the image's id there.

    A name is one of the place (`machine:2`), or a reference into the same place. What it stood for before keeps its
    other names. Raises NotFoundError where there is no such image, UsageError for what is not a name there, and
    CannotHoldError where the place does not change; then no name has changed. And as sinks do: a registry that fails
    at one name has the names before it already.
    """
    settings = settings or Settings()
    if not names:
        raise UsageError("no new name is given")
    with open_catalog(image, settings) as catalog:
        titles = [_name_in(catalog, name, settings) for name in names]
        return catalog.tag(catalog.name, titles)


def _name_in(catalog: Catalog, text: str, settings: Settings) -> str:
    """The name that *text* is in the place of *catalog*. Raises UsageError for a reference to another place."""
    if not any(text.startswith(spelling) for scheme in SCHEMES for spelling in scheme.spellings):
        return text
    with open_catalog(text, settings) as other:
        if other.place != catalog.place:
            error = UsageError(f"{text!r} is in another place than {catalog.place}")
            error.add_note("hint: copy takes images to other places")
            raise error
        if not other.name:
            raise UsageError(f"{text!r} names no image")
        return other.name
