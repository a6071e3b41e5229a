"""What `build`, `push` and `copy` tell when they are done."""

from __future__ import annotations

from collections.abc import Mapping

from eci_convert.cli import output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.output import info
from eci_convert.dialects import READ_AS
from eci_convert.errors import UsageError
from eci_convert.files.output_paths import inherited_descriptor
from eci_convert.oci.manifest import Manifest
from eci_convert.pack.result import PushResult
from eci_convert.transports import open_source, parse_reference
from eci_convert.transports.base import IMAGE_ID_ANNOTATION

_NOTHING: Mapping[str, str] = {}


def check_stdout(call: CommonOptions, reference: str) -> None:
    """Raises UsageError where an archive and `--json` both want standard output."""
    if call.json and _is_stdout(reference):
        raise UsageError("--json and the archive both want standard output")


def report_push(
    call: CommonOptions,
    reference: str,
    format: str,
    packed: PushResult,
    *,
    sentence: str,
    dry_run: bool,
    more: Mapping[str, str] = _NOTHING,
) -> None:
    """One image now stands in a place, or would, if it were not for *dry_run*; *sentence* says it to people.

    Where the image itself went to standard output, the sentence goes to standard error.
    """
    if call.json:
        return output.json(
            {
                "reference": reference,
                "digest": str(packed.descriptor.digest),
                "dialect": READ_AS.get(format, format) or None,
                "bytes_written": packed.bytes_written,
                "bytes_reused": packed.bytes_reused,
            }
            | ({"dry_run": True} if dry_run else dict(more))
        )
    if dry_run:
        sentence = would_be_written(reference, packed)
    return info(sentence) if _is_stdout(reference) else output.line(sentence)


def would_be_written(reference: str, packed: PushResult) -> str:
    """What a dry run says."""
    moved = f"{output.size(packed.bytes_written)} would be written to {reference}"
    return f"{moved}, {output.size(packed.bytes_reused)} are there already"


def result_image_id(call: CommonOptions, reference: str, packed: PushResult) -> str:
    """The id of an image that was just written: what the Docker engine calls it, elsewhere its config's digest."""
    scheme, _ = parse_reference(reference, "docker-daemon")
    if scheme.name == "docker-daemon":
        with open_source(reference, call.settings, "docker-daemon") as source:
            return str(source.resolve().annotations.get(IMAGE_ID_ANNOTATION, ""))
    found = packed.manifest
    return str(found.config.digest if isinstance(found, Manifest) else packed.descriptor.digest)


def _is_stdout(reference: str) -> bool:
    scheme, colon, rest = reference.partition(":")
    return (
        scheme in ("oci-archive", "docker-archive")
        and bool(colon)
        and inherited_descriptor(rest.partition(":")[0]) == 1
    )
