"""`eci-convert attach`: stores files that refer to an image beside it."""

from __future__ import annotations

from pathlib import Path

import click

from eci_convert.cli import options, output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.eci_remote import Remote
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.push_report import would_be_written

_EXAMPLES = """
eci-convert attach registry.example/edge/machine:1.2 sbom.json:application/spdx+json --artifact-type sbom/spdx
eci-convert attach registry.example/gardenlinux:1 os-release --artifact-type build/os-release
eci-convert attach oci:layout:edge build.log:text/plain --artifact-type build/log --annotation job=17
"""


@command(
    click.argument("reference"),
    click.argument("files", nargs=-1, metavar="[FILE[:MEDIA-TYPE]]..."),
    option("--artifact-type", required=True, metavar="TYPE", help="What the files are, such as build/log."),
    options.annotation,
    options.compat,
    options.digest_file,
    options.dry_run,
    examples=_EXAMPLES,
)
def attach(
    call: CommonOptions, *, reference: str, files: tuple[str, ...], artifact_type: str,
    annotations: tuple[tuple[str, str], ...], digest_file: Path | None, dry_run: bool,
) -> None:  # fmt: skip
    """Attach FILES to the image REFERENCE, as `oras attach` does; `discover` lists what is attached.

    The place is a registry, an OCI layout or containerd. The media type of a file is application/octet-stream unless
    said otherwise. --platform chooses one image of an index, without it they are attached to all of it.
    """
    from eci_convert.operations.store import attach as operation
    from eci_convert.transports import open_referrer_sink

    attachments = [operation.parse_attachment(text) for text in files]
    operation.check_anything(attachments, dict(annotations))
    operation.check_media_type(artifact_type)
    check_connections(call, reads=[reference], writes=[reference], default="docker")
    place = Remote(reference=reference, settings=call.settings)
    with open_referrer_sink(reference, call.settings) as sink, place.source() as source:
        subject = operation.subject_of(source, call.platform)
        attached = operation.attach(
            subject, sink, attachments, artifact_type, annotations=dict(annotations), options=call.transfer()
        )  # fmt: skip
    digest = str(attached.descriptor.digest)
    if not dry_run:
        options.write_digest(digest_file, digest)
    if call.json:
        return output.json(
            {
                "reference": reference,
                "subject": str(subject.digest),
                "artifact_type": artifact_type,
                "digest": digest,
                "bytes_written": attached.bytes_sent,
                "bytes_reused": attached.bytes_reused,
            }
            | ({"dry_run": True} if dry_run else {})
        )
    if dry_run:
        return output.line(would_be_written(reference, attached))
    return output.line(digest if call.quiet else f"Attached {digest} to {reference}, which is {subject.digest}")
