"""The builders of the Docker engine, as `build` uses them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eci_convert.cli import options, output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.part_options import artifact_from_options, pipes_as_files
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.docker_build.dockerfile import SCRATCH
from eci_convert.errors import UsageError
from eci_convert.model import Artifact
from eci_convert.transports import open_source
from eci_convert.transports.layout.selector import split_path

if TYPE_CHECKING:
    from eci_convert.docker_build.request import BuildRequest

_ARCHIVE = "oci-archive:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """The options of a build by the engine. *archive* is the file that BuildKit writes, for several platforms."""

    tag: str
    base: str
    file: Path | None
    context: Path | None
    archive: Path | None
    write: WriteOptions
    digest_file: Path | None


def output_archive(destination: str, builder: str) -> Path | None:
    """The file of an `oci-archive:`, which BuildKit can write itself. Raises UsageError for any other place."""
    if not destination:
        return None
    path = Path(split_path(destination.removeprefix(_ARCHIVE), os.path.isfile)[0])
    if builder != "buildx" or not destination.startswith(_ARCHIVE) or str(path) == "-":
        error = UsageError(f"--builder {builder} cannot write to {destination!r}")
        error.add_note("hint: --to needs --builder direct; buildx can write oci-archive:FILE")
        raise error
    return path


def archived_name(destination: str) -> str:
    """The NAME of `oci-archive:FILE:NAME`; "" where there is none."""
    if not destination.startswith(_ARCHIVE):
        return ""
    return split_path(destination.removeprefix(_ARCHIVE), os.path.isfile)[1].text


def run_build(call: CommonOptions, builder: str, spec: EngineBuild, words: Mapping[str, Any], *, dry_run: bool) -> None:
    """Builds, and prints the image's id; of an archive, its reference by digest."""
    request = _build_request(call, spec, words)
    if dry_run:
        return _dry_run(call, request, builder, spec.archive)
    log = call.reporter.said if call.verbose else str
    if spec.archive:
        from eci_convert.docker_build import buildx

        buildx.build(request, call.settings, log, archive=spec.archive)
        return _finish_archive(call, request, spec)
    from eci_convert.operations.check_build import build_checked

    identity = build_checked(request, call.settings, builder=builder, log=log)
    options.write_digest(spec.digest_file, identity)
    result = _result(f"docker-daemon:{request.reference}", identity) | {"image_id": identity}
    return output.json(result) if call.json else output.line(identity)


def _finish_archive(call: CommonOptions, request: BuildRequest, spec: EngineBuild) -> None:
    from eci_convert.operations.check_build import check_built

    reference = f"{_ARCHIVE}{spec.archive}"
    check_built(request, reference, call.settings)
    with open_source(reference, call.settings, "") as source:
        digest = str(source.resolve().digest)
    options.write_digest(spec.digest_file, digest)
    reference += f":{spec.tag}" if spec.tag else ""
    if call.json:
        return output.json(_result(reference, digest) | {"image_id": None})
    return output.line(digest if call.quiet else f"{reference}@{digest}")


def _dry_run(call: CommonOptions, request: BuildRequest, builder: str, archive: Path | None) -> None:
    from eci_convert.docker_build.builders import context_size

    count = context_size(request)
    if not call.json:
        return output.line(f"{output.size(count)} would be sent to {builder}, to build {_name(request, archive)}")
    reference = _name(request, archive) if archive else f"docker-daemon:{request.reference}"
    return output.json(_result(reference, None, written=count, reused=0) | {"dry_run": True})


def _name(request: BuildRequest, archive: Path | None) -> str:
    return f"{_ARCHIVE}{archive}" if archive else request.reference


def _build_request(call: CommonOptions, options: EngineBuild, words: Mapping[str, Any]) -> BuildRequest:
    from eci_convert.docker_build.request import BuildRequest

    return BuildRequest(
        name=options.tag,
        artifact=_artifact(call, options, words),
        base=options.base or SCRATCH,
        file=options.file,
        context=options.context,
        platforms=call.platforms,
        labels=options.write.labels,
        annotations=options.write.annotations,
        created=options.write.created,
    )


def _artifact(call: CommonOptions, options: EngineBuild, words: Mapping[str, Any]) -> Artifact | None:
    if not options.file:
        artifact = artifact_from_options(options.archive, options.digest_file, reporter=call.reporter, **words)
        return pipes_as_files(artifact, call.reporter)
    if any(words[name] for name in ("kernel", "initrd", "root", "disks", "config", "cmdline", "others")):
        raise UsageError("--file is a Dockerfile that copies the parts itself: name none beside it")
    return None


def _result(
    reference: str, digest: str | None, *, written: int | None = None, reused: int | None = None
) -> dict[str, Any]:
    return {
        "reference": reference,
        "digest": digest,
        "dialect": "labels",
        "bytes_written": written,
        "bytes_reused": reused,
    }
