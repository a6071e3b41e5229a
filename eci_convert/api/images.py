"""Operations on images, one function each: push, copy, extract, inspect, verify. Terms are the command line's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from eci_convert.api.machine import Machine
from eci_convert.api.options import Options
from eci_convert.api.words import ALL, ENGINE, as_codec, as_format, as_platform, as_roles, as_words
from eci_convert.compression.codec import Codec
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import UsageError
from eci_convert.model import Role
from eci_convert.oci.platform import Platform, host_platform
from eci_convert.operations import copy as copy_operation
from eci_convert.operations import extract as extract_operation
from eci_convert.operations import inspect as inspect_operation
from eci_convert.operations import push as push_operation
from eci_convert.operations.copy_request import KEEP, CopyRequest
from eci_convert.operations.destination import open_destination, with_pinned_reference
from eci_convert.operations.extract import ExtractResult
from eci_convert.operations.extract_request import ExtractRequest
from eci_convert.operations.inspect import Inspection
from eci_convert.operations.verify import Report, verify_image
from eci_convert.options import source_date_epoch
from eci_convert.pack.result import PushResult
from eci_convert.progress import Reporter
from eci_convert.reading.open_image import open_image
from eci_convert.transports import image_name

Output = str | os.PathLike[str] | BinaryIO
"""The output for a part: the path of a file, or an object whose `write` takes bytes."""

_NOTHING: Mapping[str, str] = {}


def push(
    machine: Machine,
    reference: str,
    *,
    format: str = "artifacts",
    platform: Platform | str | None = None,
    compression: Codec | str = "gzip",
    labels: Mapping[str, str] = _NOTHING,
    annotations: Mapping[str, str] = _NOTHING,
    also: Iterable[str] = (),
    dry_run: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> PushResult:
    """Packs *machine* as an image of *format* and writes it to *reference*, which includes its transport.

    *also*: further formats that readers of the same image should find in it. Blobs that exist at the destination are
    not sent again. *dry_run* writes nothing and returns what would be written.

    Raises CannotHoldError before anything is sent, what `Machine.artifact` raises, and TransportError.
    """
    options = options or Options()
    write = _write_options(reference, platform, labels, annotations, also, options)
    codec, named = as_codec(compression), as_format(format)
    with (
        machine.artifact() as artifact,
        open_destination(reference, options.settings(progress, dry_run=dry_run), "") as destination,
    ):
        result = push_operation.push(
            artifact,
            destination.sink,
            push_operation.PushRequest(format=named, write=write, codec=codec),
            existing=destination.existing,
            options=options.transfer(progress, dry_run=dry_run),
        )
    return with_pinned_reference(result, reference)


def copy(
    source: str,
    destination: str,
    *,
    format: str = KEEP,
    platform: Platform | str | None = None,
    compression: Codec | str | None = None,
    referrers: bool = False,
    dialect: str = "",
    labels: Mapping[str, str] = _NOTHING,
    annotations: Mapping[str, str] = _NOTHING,
    also: Iterable[str] = (),
    max_size: int | None = None,
    dry_run: bool = False,
    progress: Reporter | None = None,
    options: Options | None = None,
    destination_options: Options | None = None,
) -> PushResult:
    """Copies the image *source* to *destination*; both include their transport.

    *format* "keep" keeps every byte and digest; any other converts the image to that format. *platform* "all" is every
    image of an index. *referrers*: signatures, SBOMs and other referrers are copied too. *destination_options* are for
    a destination with another login; None: *options* are for both.

    Raises UsageError for contradicting arguments, CannotHoldError before anything is sent, IntegrityError, and
    TransportError.
    """
    options = options or Options()
    chosen = None if platform == ALL else as_platform(platform)
    request = CopyRequest(
        format=as_format(format, KEEP),
        platform=chosen,
        all_platforms=platform == ALL,
        referrers=referrers,
        dialect=dialect,
        write=_write_options(destination, chosen, labels, annotations, also, options),
        codec=as_codec(compression) if compression is not None else None,
    )
    request.check()
    settings = options.settings(progress, dry_run=dry_run)
    destination_settings = destination_options.settings(progress, dry_run=dry_run) if destination_options else settings
    with (
        open_image(source, settings.for_reading()) as origin,
        open_destination(destination, destination_settings, "") as place,
    ):
        result = copy_operation.copy(
            origin,
            place.sink,
            request,
            existing=place.existing,
            options=options.transfer(progress, max_size=max_size, dry_run=dry_run),
        )
    return with_pinned_reference(result, destination)


def extract(
    reference: str,
    directory: str | os.PathLike[str] | None = None,
    *,
    kernel: Output | None = None,
    initrd: Output | None = None,
    root: Output | None = None,
    disks: Mapping[int, Output] | None = None,
    config: Output | None = None,
    cmdline: Output | None = None,
    files: Mapping[str, Output] | None = None,
    only: Iterable[Role | str] = (),
    platform: Platform | str | None = None,
    dialect: str = "",
    sparse: bool = True,
    replace: bool = True,
    max_size: int | None = None,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> ExtractResult:
    """Writes parts of the image *reference*: all of them into *directory* under their own names, and single ones to the
    given outputs. No file is changed unless everything was read and verified.

    *disks* are keyed by their numbers in the image, *files* are files of its filesystem, by path. *only* limits what
    is written to the directory to parts of these roles. *max_size* (bytes) limits each part. Without *replace*, a file
    that exists is a LocalError, and no file is changed.

    Raises UsageError without any output, MissingPartError, IntegrityError, FormatError, LocalError, and TransportError.
    Data written to an open file before an error stays written.
    """
    options = options or Options()
    by_role = {
        Role.KERNEL: kernel,
        Role.INITRD: initrd,
        Role.ROOT_DISK: root,
        Role.CONFIG: config,
        Role.CMDLINE: cmdline,
    }
    if directory is None and only:
        raise UsageError("only selects parts for a directory, and none was given")
    if directory is None and not disks and not files and all(output is None for output in by_role.values()):
        raise UsageError("no output: give a directory, or the path of a part or a file")
    request = ExtractRequest(
        directory=Path(directory) if directory is not None else None,
        roles={role: _output(output) for role, output in by_role.items() if output is not None},
        disks={number: _output(output) for number, output in (disks or {}).items()},
        paths={path: _output(output) for path, output in (files or {}).items()},
        only=as_roles(only),
        platform=as_platform(platform),
        dialect=dialect,
        sparse=sparse,
        digests=True,
        replace=replace,
    )
    with open_image(reference, options.settings(progress).for_reading(), ENGINE) as source:
        return extract_operation.extract(source, request, options.transfer(progress, max_size=max_size))


def inspect(
    reference: str,
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    options: Options | None = None,
) -> Inspection:
    """The dialect, platforms and parts of the image *reference*; only manifests and configs are read.

    Raises as `open_image` does.
    """
    options = options or Options()
    with open_image(reference, options.settings().for_reading(), ENGINE) as source:
        return inspect_operation.inspect(source, as_platform(platform), dialect)


def verify(
    reference: str,
    directory: str | os.PathLike[str] | None = None,
    *,
    platform: Platform | str | None = None,
    dialect: str = "",
    max_size: int | None = None,
    progress: Reporter | None = None,
    options: Options | None = None,
) -> Report:
    """Checks every blob, layer, label and disk type of the image *reference*; with *directory*, whether the files there
    are its parts. Faults are in the report.

    Raises what prevents the check: TransportError, and the errors of manifests and configs.
    """
    options = options or Options()
    with open_image(reference, options.settings(progress).for_reading(), ENGINE) as source:
        return verify_image(
            source,
            platform=as_platform(platform),
            dialect=dialect,
            directory=Path(directory) if directory is not None else None,
            options=options.transfer(progress, max_size=max_size),
        )


def _output(output: Output) -> Path | BinaryIO:
    if isinstance(output, str | os.PathLike):
        return Path(output)
    if not hasattr(output, "write"):
        raise UsageError(f"{type(output).__name__} is not an output: give a path, or a file that can be written")
    return output


def _write_options(
    reference: str,
    platform: Platform | str | None,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    also: Iterable[str],
    options: Options,
) -> WriteOptions:
    return WriteOptions(
        platform=as_platform(platform) or host_platform(),
        created=source_date_epoch(options.environment),
        labels=dict(labels),
        annotations=dict(annotations),
        name=image_name(reference),
        extra_dialects=as_words(also),
    )
