"""Reads and writes the files of CNAB bundles: bundle.json and the relocation map; `-` is a standard stream."""

from __future__ import annotations

from eci_convert.cli import output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.output import raw_bytes
from eci_convert.cnab import bundle as bundles
from eci_convert.cnab.canonical_json import canonical
from eci_convert.cnab.documents import config_blob
from eci_convert.cnab.fixup import FixedBundle
from eci_convert.cnab.relocation import parse_relocation_map
from eci_convert.errors import FormatError, UsageError
from eci_convert.files.output_paths import inherited_descriptor, write_output
from eci_convert.files.safe_open import read_chunks
from eci_convert.oci.json_fields import MAX_DOCUMENT


def read_bundle(path: str, *, strict: bool) -> bundles.Bundle:
    """The bundle in the file *path*. Raises LocalError, FormatError."""
    return bundles.parse(_read(path), strict=strict)


def read_named_bundle(path: str, *, strict: bool) -> bundles.Bundle:
    """As `read_bundle`, but an error says which file it is about; cnab-to-oci's own says nothing of that."""
    try:
        return read_bundle(path, strict=strict)
    except FormatError as error:
        error.add_note(f"in {path!r}")
        raise


def write_outputs(bundle: str, relocation_map: str, fixed: FixedBundle, *, strict: bool) -> None:
    """Writes both documents of *fixed*; to standard output each with a newline. Raises LocalError."""
    for path, content in (
        (bundle, config_blob(fixed.bundle, strict=strict)),
        (relocation_map, canonical(fixed.relocation_map)),
    ):
        if path == "-":
            raw_bytes(content + b"\n")
        else:
            write_output(path, content)


def print_paths(*paths: str) -> None:
    """Prints those of *paths* that are files of their own."""
    for path in paths:
        if inherited_descriptor(path) != 1:
            output.line(path)


def read_map(path: str | None) -> dict[str, str]:
    """The relocation map in the file *path*, if there is one. Raises LocalError, FormatError."""
    return parse_relocation_map(_read(path), path) if path else {}


def _read(path: str) -> bytes:
    content = b""
    for chunk in read_chunks(0 if path == "-" else path):
        content += chunk
        if len(content) > MAX_DOCUMENT:
            break  # which the parser refuses
    return content


def check_outputs(call: CommonOptions, *paths: str) -> None:
    """Raises UsageError where `--json` and one of *paths* both want standard output."""
    for path in paths:
        if call.json and inherited_descriptor(path) == 1:
            raise UsageError(f"--json and {path!r} both want standard output")
