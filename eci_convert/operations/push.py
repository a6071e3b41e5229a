"""The parts of a machine become an image in a place."""

from __future__ import annotations

from eci_convert.compression.codec import Codec
from eci_convert.dialects import writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.model import Artifact
from eci_convert.pack import image
from eci_convert.pack.image import ArtifactTypeSupport
from eci_convert.pack.result import PushResult
from eci_convert.progress import NULL_REPORTER, Reporter
from eci_convert.reading.images import existing_image
from eci_convert.transports.base import Sink, Source


def push(
    artifact: Artifact,
    sink: Sink,
    *,
    format: str,
    terms: WriteOptions,
    codec: Codec,
    before: Source | None = None,
    probe: bool = False,
    reporter: Reporter = NULL_REPORTER,
    concurrency: int = 1,
    dry_run: bool = False,
    strict: ArtifactTypeSupport | None = None,
    publish: bool = True,
) -> PushResult:
    """Writes *artifact* as an image of *format*, a row of `WRITERS`, to the name of *sink*.

    *before* reads the image that the name stands for now: a layer that is in it is neither packed nor sent again.
    With *probe*, files that are sent as they are are hashed first, so that the sink can be asked for them: worth while
    where sending is slow. *dry_run* writes nothing and counts what would be written. *strict* knows
    a registry that refuses manifests with an artifactType: it is sent one without. Not *publish*: it gets no name yet.

    Raises CannotHold before the first byte, LocalError for files that change while they are read, and what the sink
    raises.
    """
    blueprint = writer(format)(artifact, terms)
    return image.pack(
        blueprint,
        sink,
        codec=codec,
        existing=existing_image(before),
        probe=probe,
        reporter=reporter,
        concurrency=concurrency,
        dry_run=dry_run,
        strict=strict,
        publish=publish,
    )
