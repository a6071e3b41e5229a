"""Writes the parts of a machine as an image to a sink."""

from __future__ import annotations

from dataclasses import dataclass

from eci_convert.compression.codec import Codec
from eci_convert.dialects import TAR_LAYERS, writer
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.model import Artifact
from eci_convert.options import TransferOptions
from eci_convert.pack import image
from eci_convert.pack.result import PushResult
from eci_convert.reading.images import existing_image
from eci_convert.reading.pipes import prepared_pipes
from eci_convert.transports.base import Sink, Source

_GZIP = Codec.parse("gzip")
_DEFAULTS = TransferOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """What the parts become: an image of *format*, a row of `WRITERS`, written with *write*; its layers are compressed
    with *codec* where the format allows it and the sink does not store them uncompressed."""

    format: str
    write: WriteOptions
    codec: Codec = _GZIP


def push(
    artifact: Artifact,
    sink: Sink,
    request: PushRequest,
    *,
    existing: Source | None = None,
    options: TransferOptions = _DEFAULTS,
    publish: bool = True,
) -> PushResult:
    """Writes *artifact* as the image of *request* to the name of *sink*.

    *existing* reads the image that the name stands for now: a layer that is in it is neither packed nor sent again.
    Unless *publish*, the image gets no name yet.

    Raises CannotHoldError before the first byte, LocalError for files that change while they are read, and what the
    sink and `prepared_pipes` raise.
    """
    as_files = request.format in TAR_LAYERS
    with prepared_pipes(artifact, reporter=options.reporter, as_files=as_files) as prepared:
        return image.pack(
            writer(request.format)(prepared, request.write),
            sink,
            codec=request.codec,
            existing=existing_image(existing),
            options=options,
            publish=publish,
        )
