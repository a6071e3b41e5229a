"""Packs parts that come through pipes: in one pass, without a copy.

A digest is known when the last byte was sent. So a blob is sent even if the sink has it, and what the sink loses is
lost: the upload cannot begin again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eci_convert.dialects.blueprint import Recipe, StoredBlob
from eci_convert.errors import UploadLostError
from eci_convert.model import Pipe, part_order
from eci_convert.pack.blob_writer import BlobWriter
from eci_convert.reading.pipes import PipedContent


def write_pipes(recipes: dict[int, Recipe], writer: BlobWriter) -> dict[int, StoredBlob]:
    """What became of each of *recipes*, by its number: all of their parts come through pipes.

    The pipes are read one after the other, in the order of the parts: who fills them may do the same.
    """
    in_order = sorted(recipes.items(), key=lambda numbered: part_order(numbered[1].part))
    return {number: _write(recipe, writer) for number, recipe in in_order}


def _write(recipe: Recipe, writer: BlobWriter) -> StoredBlob:
    pipe = recipe.part.locator
    if not isinstance(pipe, Pipe) or recipe.entry:
        raise TypeError(f"{recipe.part.name!r} is to be a member of an archive, which needs its size: spool it first")
    content = PipedContent(recipe.part, pipe, writer.reporter)

    def seen() -> tuple[Recipe, int]:
        typed = recipe.with_disk_type(content.disk_type) if recipe.with_disk_type and content.disk_type else recipe
        return typed, content.size

    try:
        return writer.write_once(recipe, _limited(recipe, content, writer), seen)
    except UploadLostError as error:
        error.add_note(f"hint: {pipe.name} cannot be read again: put it into a file, and push that")
        raise


def _limited(recipe: Recipe, chunks: Iterable[bytes], writer: BlobWriter) -> Iterator[bytes]:
    """*chunks* unchanged. Raises LimitExceededError as soon as they are more than the user allows."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        writer.check_size(recipe, size)
        yield chunk
