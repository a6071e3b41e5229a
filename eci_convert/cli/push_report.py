"""The output of `build`, `push`, `copy` and `index`: the same digest as text, as JSON and in --digest-file."""

from __future__ import annotations

from eci_convert.cli import output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.output import info
from eci_convert.dialects import READ_AS
from eci_convert.errors import UsageError
from eci_convert.operations.destination import is_stdout
from eci_convert.operations.published_image import PublishedImage
from eci_convert.pack.result import PushResult


def check_stdout(call: CommonOptions, reference: str) -> None:
    """Raises UsageError where an archive and `--json` both want standard output."""
    if call.json and is_stdout(reference):
        raise UsageError("--json and the archive both want standard output")


def report_push(
    call: CommonOptions, reference: str, format: str, packed: PushResult, image: PublishedImage, sentence: str
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
    """The summary of a dry run."""
    moved = f"{output.size(packed.bytes_sent)} would be written to {reference}"
    return f"{moved}, {output.size(packed.bytes_reused)} are there already"
