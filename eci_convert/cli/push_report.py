"""What `build`, `push`, `copy` and `index` print when they are done: one digest, whichever way it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eci_convert.cli import output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.output import info
from eci_convert.dialects import READ_AS
from eci_convert.errors import UsageError
from eci_convert.oci.digest import Digest
from eci_convert.oci.manifest import Manifest
from eci_convert.oci.reference import Reference
from eci_convert.operations.destination import is_stdout
from eci_convert.pack.result import PushResult
from eci_convert.transports import open_source, parse_reference
from eci_convert.transports.base import IMAGE_ID_ANNOTATION
from eci_convert.transports.settings import Settings

_BY_IMAGE_ID = frozenset({"docker-daemon", "docker-archive"})
"""Transports that keep no manifest: an image has no digest there but its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What an image that was just written is known by. *pinned* is its reference by *digest*; *image_id* is "" for an
    index."""

    pinned: str
    digest: str
    image_id: str


def published(reference: str, packed: PushResult, settings: Settings, default: str = "docker-daemon") -> Published:
    """How the image *packed*, which *reference* stands for now, is named by its digest. *default* is the transport of
    a bare name. Raises what the Docker engine raises when it is asked for the image's id."""
    scheme, rest = parse_reference(reference, default)
    image_id = str(packed.manifest.config.digest) if isinstance(packed.manifest, Manifest) else ""
    if scheme.name == "docker-daemon":
        with open_source(reference, settings, default) as source:
            image_id = str(source.resolve().annotations.get(IMAGE_ID_ANNOTATION, ""))
        return Published(pinned=f"docker-daemon:{image_id}", digest=image_id, image_id=image_id)
    digest = image_id if scheme.name in _BY_IMAGE_ID else str(packed.descriptor.digest)
    if scheme.name == "docker":
        return Published(pinned=by_digest(rest, digest), digest=digest, image_id=image_id)
    name = reference.removesuffix(f"@{digest}")
    return Published(pinned=f"{name}@{digest}", digest=digest, image_id=image_id)


def by_digest(name: str, digest: str) -> str:
    """The reference to *digest* as `docker pull` takes it: *name*, which is in a registry, and no transport.

    >>> by_digest("localhost:5000/edge:1", "sha256:" + 64 * "0").replace(64 * "0", "0…")
    'localhost:5000/edge:1@sha256:0…'
    """
    return str(replace(Reference.parse(name), digest=Digest.parse(digest)))


def check_stdout(call: CommonOptions, reference: str) -> None:
    """Raises UsageError where an archive and `--json` both want standard output."""
    if call.json and is_stdout(reference):
        raise UsageError("--json and the archive both want standard output")


def report_push(
    call: CommonOptions, reference: str, format: str, packed: PushResult, image: Published, sentence: str
) -> None:
    """Prints that *image* now stands in a place: JSON, or with -q its digest, or *sentence*.

    Where the image itself went to standard output, the sentence goes to standard error.
    """
    if call.json:
        identity = {"digest": image.digest, "image_id": image.image_id or None}
        return output.json({"reference": reference, **identity, **_counts(format, packed)})
    if not is_stdout(reference):
        return output.line(image.digest if call.quiet else sentence)
    return None if call.quiet else info(sentence)


def report_dry_run(call: CommonOptions, reference: str, format: str, packed: PushResult) -> None:
    """Prints what would be written to *reference*."""
    if call.json:
        digest = {"digest": str(packed.descriptor.digest)}
        return output.json({"reference": reference, **digest, **_counts(format, packed), "dry_run": True})
    sentence = would_be_written(reference, packed)
    return info(sentence) if is_stdout(reference) else output.line(sentence)


def _counts(format: str, packed: PushResult) -> dict[str, object]:
    return {
        "dialect": READ_AS.get(format, format) or None,
        "bytes_written": packed.bytes_sent,
        "bytes_reused": packed.bytes_reused,
    }


def would_be_written(reference: str, packed: PushResult) -> str:
    """What a dry run says."""
    moved = f"{output.size(packed.bytes_sent)} would be written to {reference}"
    return f"{moved}, {output.size(packed.bytes_reused)} are there already"
