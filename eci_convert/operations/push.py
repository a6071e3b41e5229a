"""The parts of a machine become an image in a place."""

from __future__ import annotations

from eci_convert import dialects, pack
from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import Packed, Terms
from eci_convert.model import Artifact
from eci_convert.progress import SILENT, Reporter
from eci_convert.reading import blobs
from eci_convert.transports.base import Sink, Source


def push(
    artifact: Artifact,
    sink: Sink,
    *,
    format: str,
    terms: Terms,
    codec: Codec,
    before: Source | None = None,
    probe: bool = False,
    reporter: Reporter = SILENT,
    concurrency: int = 1,
    dry_run: bool = False,
    strict: pack.Strict | None = None,
    publish: bool = True,
) -> Packed:
    """Writes *artifact* as an image of *format*, a row of `WRITERS`, to the name of *sink*.

    *before* reads the image that the name stands for now: a layer that is in it is neither packed nor sent again.
    With *probe*, files that are sent as they are are hashed first, so that the sink can be asked for them: worth while
    where sending is slow. *dry_run* writes nothing and counts what would be written. *strict* knows
    a registry that refuses manifests with an artifactType: it is sent one without. Not *publish*: it gets no name yet.

    Raises CannotHold before the first byte, LocalError for files that change while they are read, and what the sink
    raises.
    """
    blueprint = dialects.by_name(format)(artifact, terms)
    return pack.pack(
        blueprint,
        sink,
        codec=codec,
        existing=blobs.standing(before),
        probe=probe,
        reporter=reporter,
        concurrency=concurrency,
        dry_run=dry_run,
        strict=strict,
        publish=publish,
    )
