"""`eci-convert discover`: lists the referrers of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from eci_convert.cli import output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.operations.store.discover import Referrer
from eci_convert.operations.store.discover import discover as discovered
from eci_convert.reading.open_image import open_image

_EXAMPLES = """
eci-convert discover registry.example/edge/machine:1.2
eci-convert discover registry.example/edge/machine:1.2 --artifact-type sbom/spdx -q
eci-convert discover oci:layout:edge --json
"""


@command(
    click.argument("reference"),
    option("--artifact-type", default="", metavar="TYPE", help="Only what is of this type."),
    examples=_EXAMPLES,
    without=frozenset({"concurrency"}),
)
def discover(call: CommonOptions, *, reference: str, artifact_type: str) -> None:
    """List what refers to the image REFERENCE, and what refers to that: type, digest and size.

    The place is a registry, with the referrers API or the tags in its stead, an OCI layout or containerd; others keep
    no such things. --platform chooses one image of an index. -v shows annotations, -q nothing but digests.
    """
    from eci_convert.operations.store.attach import subject_of

    check_connections(call, reads=[reference], default="docker")
    with open_image(reference, call.reading, "docker") as source:
        subject = subject_of(source, call.platform)
        referrers = discovered(source, subject, artifact_type)
        origin = source.origin
    if call.json:
        return output.json({"reference": origin, "digest": str(subject.digest), "referrers": _json(referrers)})
    if call.quiet:
        for referrer, _ in _flattened(referrers):
            output.line(str(referrer.descriptor.digest))
        return None
    if not referrers:
        of_type = f" of type {artifact_type!r}" if artifact_type else ""
        return output.info(f"nothing{of_type} refers to {origin}, which is {subject.digest}")
    rows = [("ARTIFACT TYPE", "DIGEST", "SIZE"), *(_row(referrer, depth) for referrer, depth in _flattened(referrers))]
    output.table(rows)
    if call.verbose:
        for referrer, _ in _flattened(referrers):
            output.mapping(f"annotations of {referrer.descriptor.digest}", referrer.annotations)
    return None


def _flattened(referrers: Sequence[Referrer], depth: int = 0) -> Iterator[tuple[Referrer, int]]:
    """Each of *referrers* with its depth, followed by its own referrers."""
    for referrer in referrers:
        yield referrer, depth
        yield from _flattened(referrer.referrers, depth + 1)


def _row(referrer: Referrer, depth: int) -> tuple[str, ...]:
    descriptor = referrer.descriptor
    return "  " * depth + (referrer.artifact_type or "-"), str(descriptor.digest), output.size(descriptor.size)


def _json(referrers: Sequence[Referrer]) -> list[dict[str, Any]]:
    return [
        {
            "artifact_type": referrer.artifact_type or None,
            "media_type": referrer.descriptor.media_type,
            "digest": str(referrer.descriptor.digest),
            "size": referrer.descriptor.size,
            "annotations": dict(referrer.annotations),
            "referrers": _json(referrer.referrers),
        }
        for referrer in referrers
    ]
