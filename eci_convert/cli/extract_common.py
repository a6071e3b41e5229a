"""Code shared by `extract`, `pull` and `pullfiles`: outputs named on the command line, and results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, TypeVar

from eci_convert.cli import options as cli_options
from eci_convert.cli import output as cli_output
from eci_convert.cli.eci_output import Lines
from eci_convert.cli.options import CommonOptions, F, option
from eci_convert.cli.output import json, line, size, table, text
from eci_convert.cli.param_types import KeyValueParam, PathParam
from eci_convert.errors import LocalError, UsageError
from eci_convert.files.atomic import named_file
from eci_convert.files.output_paths import inherited_descriptor
from eci_convert.model import Blob, Member, Part, Role, RootfsFile, part_label
from eci_convert.oci.annotations import TITLE
from eci_convert.operations.estimate import estimate_extract
from eci_convert.operations.extract import ExtractedPart, extract
from eci_convert.operations.extract_request import ExtractRequest, PartOutput, plan_targets
from eci_convert.operations.inspect import Inspection, inspect
from eci_convert.transports.base import Source


def _options(*, of_eci: bool) -> Callable[[F], F]:
    file = PathParam(str, may_be_empty=of_eci)
    ours = option("--cmdline", type=file, metavar="FILE", help="Where the kernel command line goes.")
    return cli_options.options(
        option("--kernel", type=file, metavar="FILE", help="Where the kernel goes."),
        option("--initrd", type=file, metavar="FILE", help="Where the initial ramdisk goes."),
        option("--root", type=file, metavar="FILE", help="Where the root disk goes."),
        option(
            "--disk",
            "disks",
            multiple=True,
            type=KeyValueParam(),
            metavar="N=FILE",
            help="Where disk N goes; repeatable.",
        ),
        option("--config", type=file, metavar="FILE", help="Where the config goes."),
        *(() if of_eci else (ours,)),
    )


options: Callable[[Callable[..., None]], Callable[..., None]] = _options(of_eci=False)
"""The outputs that parts can have; `extract_request` makes one of them."""

options_of_eci: Callable[[Callable[..., None]], Callable[..., None]] = _options(of_eci=True)
"""The same as `eci` takes them: an empty name is none."""

no_clobber: Callable[[Callable[..., None]], Callable[..., None]] = option(
    "--no-clobber", is_flag=True, help="Fail where a file exists, and replace none."
)

_ROLES = {
    "kernel": Role.KERNEL,
    "initrd": Role.INITRD,
    "root": Role.ROOT_DISK,
    "config": Role.CONFIG,
    "cmdline": Role.CMDLINE,
}


def extract_request(
    *,
    directory: Path | None,
    disks: tuple[tuple[str, str], ...],
    paths: tuple[tuple[str, str], ...] = (),
    only: tuple[str, ...] = (),
    names: str = "eci",
    config_blob: bool = False,
    dialect: str = "",
    sparse: bool = True,
    no_clobber: bool = False,
    **roles: str | None,
) -> ExtractRequest:
    """What the words of the command line ask for: the current directory, if they name no output. Raises UsageError."""
    named = bool(disks or paths or any(roles.values()))
    if directory is None and (only or not named):
        directory = Path()
    request = ExtractRequest(
        directory=directory,
        roles={_ROLES[role]: _parse_output(file) for role, file in roles.items() if file},
        disks=_distinct("--disk", [(_number(index), _parse_output(file)) for index, file in disks]),
        paths=_distinct("--path", [(path, _parse_output(file)) for path, file in paths]),
        only=tuple(map(Role, only)),
        image_names=names == "image",
        config_blob=config_blob,
        dialect=dialect,
        sparse=sparse,
        replace=not no_clobber,
    )
    if names == "image" and directory is None:
        raise UsageError("--names is about what goes to a directory, and none is named")
    if directory is not None and _to_stdout(request):
        raise UsageError("standard output can take one part: name no directory beside it")
    if len(_to_stdout(request)) > 1:
        raise UsageError("standard output can take one part")
    return request


def run_extract(
    call: CommonOptions, source: Source, request: ExtractRequest, max_size: int | None, *, lines: Lines | None = None
) -> None:
    """Extracts what *request* asks for from *source*, and prints the files: in a table, or as *lines*."""
    quiet = bool(_to_stdout(request))
    if quiet and call.json:
        raise UsageError("--json and a part both want standard output")
    request = replace(request, platform=call.platform, digests=call.json)
    options = call.transfer(max_size)
    if options.dry_run:
        return _dry_run(call, source, inspect(source, request.platform, request.dialect), request)
    result = extract(source, request, options)
    if call.json:
        json(result_fields(result.inspection) | {"parts": [_file(file) for file in result.parts]})
    elif call.quiet and not quiet:
        for file in result.parts:
            line(_destination(file, request))
    elif lines and not quiet:
        text("\n".join(lines(result)))
    elif not quiet:
        table((part_label(file.part), _destination(file, request), size(file.size)) for file in result.parts)
    return None


def result_fields(inspection: Inspection) -> dict[str, Any]:
    """The fields that every JSON result about one image begins with."""
    return {
        "reference": inspection.reference,
        "digest": str(inspection.digest),
        "dialect": inspection.dialect or None,
        "platform": str(inspection.image.platform) if inspection.image.platform else None,
    }


def part(part: Part) -> dict[str, Any]:
    """The fields that every JSON result about one part begins with."""
    return {
        "role": str(part.role),
        "index": part.index,
        "name": part.name,
        "type": str(part.disk_type) if part.disk_type else None,
    }


def location_of(part: Part) -> dict[str, str | None]:
    """The blob and the path in it, or in the filesystem, where a part lies."""
    match part.locator:
        case Blob(descriptor=descriptor):
            return {"blob": str(descriptor.digest), "path": None}
        case Member(descriptor=descriptor, path=path):
            return {"blob": str(descriptor.digest), "path": f"/{path}" if path else None}
        case RootfsFile(path=path):
            return {"blob": None, "path": path}
        case _:
            return {"blob": None, "path": None}


def _file(file: ExtractedPart) -> dict[str, Any]:
    place = location_of(file.part)
    blob = str(file.blob) if file.blob else place["blob"]
    return part(file.part) | {
        "type": str(file.disk_type) if file.disk_type else None,
        "path": str(file.path) if file.path else None,
        "size": file.size,
        "digest": str(file.digest) if file.digest else None,
        "source": {
            "blob": blob,
            "path": _absolute(file.image_path) or place["path"],
        },
    }


def _absolute(path: str) -> str:
    """*path* in an image as people write it: `kernel`, `./kernel` and `/kernel` are one file."""
    return "/" + path.removeprefix("./").lstrip("/") if path else ""


def _destination(file: ExtractedPart, request: ExtractRequest) -> str:
    """The name of the output that *file* went to, as the user gave it where it is an open file."""
    output: object = file.path
    match file.part:
        case _ if file.path:
            return str(file.path)
        case Part(role=Role.OTHER, locator=RootfsFile(path=path)):
            output = request.paths.get(path)
        case Part(role=Role.OTHER, locator=Blob(descriptor=layer)):
            output = request.paths.get(layer.annotations.get(TITLE, ""), request.paths.get(str(layer.digest)))
        case Part(role=Role.EXTRA_DISK, index=int(index)):
            output = request.disks.get(index)
        case Part(role=role):
            output = request.roles.get(role)
    return str(getattr(output, "name", "-"))


def _dry_run(call: CommonOptions, source: Source, inspection: Inspection, request: ExtractRequest) -> None:
    targets = plan_targets(inspection, request)
    estimate = estimate_extract(source, inspection.image, targets)
    rows = [
        (each.part, str(each.path) if each.path else str(getattr(each.file, "name", "-")), estimate.sizes[each])
        for each in targets
    ]
    if call.json:
        parts = [part(one) | {"path": path, "size": size, "source": location_of(one)} for one, path, size in rows]
        return json(result_fields(inspection) | {"parts": parts, "bytes_read": estimate.read, "dry_run": True})
    table(
        (part_label(one), "would be written to", path, "-" if size is None else cli_output.size(size))
        for one, path, size in rows
    )
    return line(f"{size(estimate.read)} would be read from {inspection.reference}")


def _parse_output(file: str) -> PartOutput:
    """Where a part goes: `-` and `/dev/stdout` are standard output, `/dev/fd/N` is a file that the shell has opened."""
    number = inherited_descriptor(file)
    if number == 1 and sys.stdout.isatty():
        raise UsageError("standard output is a terminal, and a part would not look good on it: redirect it, or pipe it")
    if number == 1:
        return sys.stdout.buffer
    if number is not None:
        try:
            stream = FileIO(number, "wb", closefd=False)
            stream.name = file
            return BufferedWriter(stream)
        except OSError as error:
            raise LocalError(f"{file!r} cannot be written: {error.strerror or error}") from error
    return named_file(file)


def _to_stdout(request: ExtractRequest) -> list[PartOutput]:
    places = [*request.roles.values(), *request.disks.values(), *request.paths.values()]
    return [place for place in places if place is sys.stdout.buffer]


K = TypeVar("K")


def _distinct(option: str, outputs: list[tuple[K, PartOutput]]) -> dict[K, PartOutput]:
    """*outputs* by what they are outputs of. Raises UsageError where the same thing is wanted twice."""
    by_key = dict(outputs)
    if len(by_key) < len(outputs):
        keys = [key for key, _ in outputs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"{option} {twice}=… is given twice, and one of the files would not be written")
    return by_key


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"--disk {text!r}: the number of a disk, then =, then a file")
    return int(text)
