"""`eci-convert inspect`: shows dialects, platforms and parts of an image."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import click

from eci_convert.cli import options, output
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.inspect_text import inspection_json, print_inspection, shorten_digest
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.output import info, raw_bytes
from eci_convert.dialects import read_with
from eci_convert.errors import AmbiguousRoleError, LimitExceededError, MissingPartError, UnknownDialectError, UsageError
from eci_convert.model import Part
from eci_convert.oci.annotations import REF_NAME
from eci_convert.oci.descriptor import Descriptor
from eci_convert.oci.digest import Digest
from eci_convert.oci.index import BUNDLE_COMPONENT, BUNDLE_HINT, BUNDLE_KIND, Index, IsBundleError
from eci_convert.operations.inspect import Inspection, inspect_all
from eci_convert.operations.inspect import inspect as inspect_image
from eci_convert.operations.part_sizes import PartFacts, declared_facts, measured_facts, parts_of
from eci_convert.reading.open_image import open_image
from eci_convert.transports.base import Source

_NOT_RAW = {"as_json": "--json", "quiet": "--quiet", "dialect": "--dialect", "max_size": "--max-size",
            "platforms": "--platform"}  # fmt: skip

_EXAMPLES = """
eci-convert inspect my-machine:1.2
eci-convert inspect docker://registry.example/edge/machine:1.2 --json
eci-convert inspect oci:layout:edge --raw
eci-convert inspect docker://registry.example/vm/machine:1 --kubevirt | kubectl apply -f -
"""


@command(
    click.argument("reference"),
    option("--raw", is_flag=True, help="Print the manifest or index as it is stored."),
    option("--deep", is_flag=True, help="Read the parts too, for their sizes, digests and types."),
    option("--kubevirt", is_flag=True, help="Print the YAML of a KubeVirt VirtualMachine that boots the image."),
    option("--no-trunc", is_flag=True, help="Print whole digests on a terminal too."),
    options.dialect,
    options.max_size,
    examples=_EXAMPLES,
    without=frozenset({"concurrency"}),
)
def inspect(
    call: CommonOptions, *, reference: str, raw: bool, deep: bool, kubevirt: bool, no_trunc: bool, dialect: str,
    max_size: int | None,
) -> None:  # fmt: skip
    """Show the dialects, the platforms and the parts of the image REFERENCE, and where each part is stored.

    Only manifests and configs are read, unless with --deep. A REFERENCE without a transport is an image in the Docker
    engine, or where ECI_CONVERT_DEFAULT_TRANSPORT says.
    """
    from eci_convert.reading.blobs import load_document

    _check_options(call, raw=raw, deep=deep, kubevirt=kubevirt)
    check_connections(call, reads=[reference], default=call.default_transport)
    for name, spelt in _NOT_RAW.items() if raw else ():
        call.unless(f"{spelt} has no effect on --raw, which prints what is stored", name, None, None)
    with open_image(reference, call.reading, call.default_transport) as source:
        if raw:
            return raw_bytes(load_document(source, source.resolve(), "manifest"))
        try:
            inspection = inspect_image(source, call.platform, dialect)
        except IsBundleError as bundle:
            if call.platform or dialect or kubevirt:
                raise
            return _show_bundle(call, source, bundle.index, short=sys.stdout.isatty() and not no_trunc)
        facts: Mapping[Part, PartFacts] = {}
        _check_sizes(inspection, facts, max_size)
        if deep:
            inspection, facts = _measure(call, source, inspection, max_size)
        _check_sizes(inspection, facts, max_size)
        if kubevirt:
            return _print_machine(inspection, source, reference, call.default_transport)
        every = inspect_all(source, inspection)
    if call.quiet and not call.json:
        return output.line(str(inspection.digest))
    if call.json:
        return output.json(inspection_json(inspection, every, facts))
    return print_inspection(inspection, every, facts, no_trunc=no_trunc)


def _check_options(call: CommonOptions, *, raw: bool, deep: bool, kubevirt: bool) -> None:
    for first, second, given in (
        ("--raw", "--deep", raw and deep),
        ("--raw", "--kubevirt", raw and kubevirt),
        ("--raw", "--json", raw and call.json),
        ("--kubevirt", "--json", kubevirt and call.json),
    ):
        if given:
            raise UsageError(f"{first} and {second} exclude each other: each prints something else")


def _measure(
    call: CommonOptions, source: Source, inspection: Inspection, max_size: int | None
) -> tuple[Inspection, Mapping[Part, PartFacts]]:
    """*inspection* and what the bytes of its parts tell. An image that declares none is looked at for a containerDisk,
    which may be without any mark."""
    if inspection.dialect:
        parts = parts_of(inspection.artifact)
        return inspection, measured_facts(source, inspection.image, parts, reporter=call.reporter, max_size=max_size)
    with suppress(UnknownDialectError, MissingPartError, AmbiguousRoleError):
        name, artifact = read_with("containerdisk", inspection.image)
        facts = measured_facts(source, inspection.image, artifact.parts, reporter=call.reporter, max_size=max_size)
        return replace(inspection, dialect=name, artifact=artifact, unknown=""), facts
    return inspection, {}


def _check_sizes(inspection: Inspection, facts: Mapping[Part, PartFacts], max_size: int | None) -> None:
    for part in inspection.artifact.parts:
        size = (facts.get(part) or declared_facts(part, inspection.image)).size
        if max_size is not None and (size or 0) > max_size:
            raise LimitExceededError(f"{part.name!r} is larger than the limit of {max_size} bytes")


def _print_machine(inspection: Inspection, source: Source, reference: str, default: str) -> None:
    from eci_convert.cli.yaml_text import yaml_text
    from eci_convert.operations.kubevirt_machine import virtual_machine
    from eci_convert.transports import image_name, parse_reference

    scheme, rest = parse_reference(reference, default)
    stored = image_name(reference) or source.resolve().annotations.get(REF_NAME, "IMAGE") if scheme.path_like else ""
    name = stored or rest
    output.text(yaml_text(virtual_machine(inspection, name)))
    if scheme.name != "docker":
        info("a cluster pulls the image from a registry: copy it to one, and name that in the YAML")


def _show_bundle(call: CommonOptions, source: Source, index: Index, *, short: bool) -> None:
    """Prints the images of a CNAB bundle, which is no machine."""
    digest = source.resolve().digest
    images = [entry for entry in index.manifests if entry.annotations.get(BUNDLE_KIND) != "config"]
    if call.json:
        return output.json(_bundle_json(source.origin, digest, index, images))
    output.line(f"reference: {source.origin}")
    output.line(f"digest:    {shorten_digest(str(digest), short)}")
    output.line("dialect:   cnab (a bundle: several images that belong together)")
    output.line("images:")
    rows = [("  KIND", "NAME", "TYPE", "DIGEST")]
    for entry in images:
        kind, name = (entry.annotations.get(key, "-") for key in (BUNDLE_KIND, BUNDLE_COMPONENT))
        rows.append((f"  {kind}", name, entry.media_type, shorten_digest(str(entry.digest), short)))
    output.table(rows)
    output.mapping("annotations", index.annotations)
    return info(BUNDLE_HINT.removeprefix("hint: "))


def _bundle_json(reference: str, digest: Digest, index: Index, images: Sequence[Descriptor]) -> dict[str, Any]:
    return {
        "reference": reference,
        "digest": str(digest),
        "dialect": "cnab",
        "platform": None,
        "platforms": [],
        "parts": [],
        "annotations": dict(index.annotations),
        "images": [
            {
                "kind": entry.annotations.get(BUNDLE_KIND),
                "name": entry.annotations.get(BUNDLE_COMPONENT),
                "media_type": entry.media_type,
                "digest": str(entry.digest),
                "size": entry.size,
            }
            for entry in images
        ],
    }
