"""Opens an image by its reference; the error for a missing image suggests similar names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eci_convert import transports
from eci_convert.errors import NotFoundError
from eci_convert.transports.base import Source
from eci_convert.transports.settings import Settings


@contextmanager
def open_image(reference: str, settings: Settings, default: str = "") -> Iterator[Source]:
    """The source of *reference*, for a block whose NotFoundError gets a hint with similar names. *default* is the
    transport of a bare name."""
    with transports.open_source(reference, settings, default) as source:
        try:
            yield source
        except NotFoundError as error:
            if names := source.traits.nearest_names():
                error.add_note(f"hint: the repository has tags such as {', '.join(map(repr, names))}")
            raise
