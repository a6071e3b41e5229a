"""The destination of an image: its sink, the image that its name has now, and files that must not be overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.files.output_paths import inherited_descriptor
from eci_convert.files.temp_files import resolve_path
from eci_convert.model import Artifact, LocalFile, part_label
from eci_convert.oci.digest import Digest
from eci_convert.oci.reference import Reference
from eci_convert.pack.result import PushResult
from eci_convert.transports import open_sink, open_source, parse_reference
from eci_convert.transports.base import Sink, Source
from eci_convert.transports.layout.selector import split_path
from eci_convert.transports.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A name to write an image to. *existing* reads its current image, if blobs of that can be reused."""

    sink: Sink
    existing: Source | None


@contextmanager
def open_destination(reference: str, settings: Settings, default: str = "docker-daemon") -> Iterator[Destination]:
    """The place that *reference* names, to be used inside the `with`. Raises UsageError."""
    scheme, _ = parse_reference(reference, default)
    with ExitStack() as stack:
        existing = stack.enter_context(open_source(reference, settings, default)) if scheme.keeps_blobs else None
        yield Destination(sink=stack.enter_context(open_sink(reference, settings, default)), existing=existing)


def archive_path(reference: str) -> Path | None:
    """The file that an archive at *reference* is; None where that is another place, or no file."""
    from eci_convert.transports.layout.selector import split_path

    scheme, rest = parse_reference(reference, "docker-daemon")
    path = split_path(rest, os.path.isfile)[0] if scheme.archive else "-"
    return None if inherited_descriptor(path) is not None else Path(path)


def is_stdout(reference: str, default: str = "docker-daemon") -> bool:
    """Whether *reference* is an archive on standard output."""
    scheme, rest = parse_reference(reference, default)
    return scheme.archive and inherited_descriptor(rest.partition(":")[0]) == 1


def check_not_an_input(output: Path | None, artifact: Artifact) -> None:
    """Raises UsageError where the file *output*, which is to be written, is a part of *artifact*."""
    if output is None or inherited_descriptor(output) is not None:
        return
    place = resolved_path(output)
    for part in artifact.parts:
        if isinstance(part.locator, LocalFile):
            path = Path(part.locator.path)
            if place in (resolved_path(path), resolve_path(path)):
                raise UsageError(
                    f"{str(output)!r} is the {part_label(part)}, and would be replaced by what is made of it"
                )


def resolved_path(path: Path) -> Path:
    """*path* with its directory resolved, but not a link at its end: that is what is replaced."""
    return resolve_path(path.parent) / path.name


def pinned_reference(reference: str, digest: Digest) -> str:
    """A reference for the image *digest* that was written to *reference*: by digest, if it has no name in a layout."""
    scheme, _ = parse_reference(reference, "docker-daemon")
    return f"{reference}:@{digest}" if _is_unnamed(reference) and not scheme.archive else reference


def digest_reference(reference: str, digest: Digest) -> str:
    """The reference to what has *digest* in the place of *reference*; "" where a digest alone names nothing.

    >>> digest_reference("docker://localhost/edge:1", Digest.of(b""))[:34]
    'docker://localhost/edge@sha256:e3b'
    """
    scheme, rest = parse_reference(reference, "docker")
    if scheme.name == "docker":
        return f"docker://{Reference.parse(rest).name}@{digest}"
    return f"{scheme.name}:{split_path(rest, os.path.isdir)[0]}:@{digest}" if scheme.path_like else ""


def with_pinned_reference(result: PushResult, reference: str) -> PushResult:
    """*result* with the reference at which it can be read, where it was written to *reference*."""
    return replace(result, reference=pinned_reference(reference, result.digest))


def _is_unnamed(reference: str) -> bool:
    scheme, rest = parse_reference(reference, "docker-daemon")
    return scheme.path_like and ":" not in rest
