"""`eci-convert verify`: verifies an image, or a directory with its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from eci_convert.cli import options, output, part_options, push_report
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.param_types import PathParam
from eci_convert.errors import EciError, one_line
from eci_convert.operations.destination import pinned_reference
from eci_convert.operations.published_image import published_image
from eci_convert.operations.verify import Report, repair_source, verify_image
from eci_convert.pack.result import PushResult
from eci_convert.reading.open_image import open_image
from eci_convert.transports import open_sink, open_source, parse_reference
from eci_convert.transports.base import Source

_EXAMPLES = """
eci-convert verify my-machine:1.2
eci-convert verify docker://registry.example/edge/machine:1.2 machine/
eci-convert verify oci:made-by-eci --fix oci:layout:repaired
"""


@command(
    click.argument("reference"),
    click.argument("directory", required=False, type=PathParam(directory=True)),
    option("--fix", once=True, metavar="DST", help="Write the image again, to DST, as it should be."),
    options.dialect,
    options.digest_file,
    options.max_size,
    options.dry_run,
    examples=_EXAMPLES,
)
def verify(
    call: CommonOptions,
    *,
    reference: str,
    directory: Path | None,
    fix: str | None,
    dialect: str,
    digest_file: Path | None,
    max_size: int | None,
    dry_run: bool,
) -> None:
    """Check the image REFERENCE: every blob against its digest, every layer against its diff id, every label against
    a file that is there, every disk's type against its bytes. With DIRECTORY, the files there are to be its parts.

    With --fix, an image of the original `eci`, whose diff ids and schemaVersion are wrong, is written again so that
    engines and registries take it; a package of KraftKit's, whose index has wrong sizes, with right ones. A REFERENCE
    without a transport is an image in the Docker engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says.
    """
    check_connections(call, reads=[reference], writes=[fix] if fix else (), default=call.default_transport)
    for name in ("digest_file", "dry_run") if not fix else ():
        call.unless(f"--{name.replace('_', '-')} needs --fix DST: nothing else is written", name, None, None)
    if fix:
        parse_reference(fix)
        part_options.check_apart(fix, digest_file)
    with open_image(reference, call.reading, call.default_transport) as source:
        report = verify_image(
            source,
            platform=call.platform,
            dialect=dialect,
            directory=directory,
            options=call.transfer(max_size),
        )
        packed = _repair(call, source, report, fix) if fix else None
        if fix and packed and not dry_run:
            options.write_digest(digest_file, published_image(fix, packed, call.destination, "").digest)
            with open_source(pinned_reference(fix, packed.descriptor.digest), call.settings, "") as repaired:
                report = verify_image(repaired, platform=call.platform, dialect=dialect, options=call.transfer())
    would_be = packed if dry_run else None
    output.json(_json(report, would_be)) if call.json else _print_report(report, quiet=call.quiet)
    if fix and would_be and not call.json:
        output.line(push_report.would_be_written(fix, would_be))
    _end_with_worst(report)


def _end_with_worst(report: Report) -> None:
    """Exits with the code of the worst problem. The problems themselves have been printed; one more line counts them
    and gives the hint of the worst."""
    try:
        report.raise_worst()
    except EciError as worst:
        faults = f"{len(report.problems)} faults" if len(report.problems) > 1 else "1 fault"
        hints = [note for note in getattr(worst, "__notes__", ()) if note.startswith("hint: ")]
        output.error(f"{report.reference} failed verification: {faults}", hints)
        raise click.exceptions.Exit(worst.exit_code) from worst


def _repair(call: CommonOptions, source: Source, report: Report, destination: str) -> PushResult:
    with open_sink(destination, call.destination, "") as sink:
        return repair_source(source, sink, report.diff_ids, platform=call.platform, options=call.transfer())


def _json(report: Report, would_be: PushResult | None) -> dict[str, Any]:
    return {
        "reference": report.reference,
        "digest": str(report.digest),
        "good": report.ok,
        "images": report.images,
        "blobs": report.blobs,
        "bytes": report.size,
        "findings": [{"subject": one.subject, "error": str(one.error)} for one in report.problems],
        "notes": list(report.notes),
    } | (
        {"dry_run": True, "bytes_written": would_be.bytes_sent, "bytes_reused": would_be.bytes_reused}
        if would_be
        else {}
    )


def _print_report(report: Report, *, quiet: bool) -> None:
    for finding in report.problems:
        message = str(finding.error)
        names_it = message.startswith((finding.subject, repr(finding.subject)))
        output.line(one_line(f"wrong: {message if names_it else f'{finding.subject}: {message}'}"))
    if quiet:
        return output.line(str(report.digest)) if report.ok else None
    for note in report.notes:
        output.line(one_line(f"note:  {note}"))
    if report.ok:
        what = f"{report.blobs} blobs, {output.size(report.size)}"
        output.line(f"{report.reference} is what it claims to be: {what}, {report.digest}")
    return None
