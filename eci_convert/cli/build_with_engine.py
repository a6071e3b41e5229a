"""The builders of the Docker engine, as `build` uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eci_convert.cli import options, output
from eci_convert.cli.options import CommonOptions
from eci_convert.cli.output import info
from eci_convert.cli.part_options import artifact_from_options
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.docker_build.dockerfile import SCRATCH
from eci_convert.errors import UsageError
from eci_convert.model import Artifact
from eci_convert.transports import open_source

if TYPE_CHECKING:
    from eci_convert.docker_build.request import BuildRequest

_ARCHIVE = "oci-archive:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuild:
    """What a builder of the engine is asked for. *archive* is where BuildKit writes several platforms."""

    tag: str
    base: str
    file: Path | None
    context: Path | None
    archive: Path | None
    terms: WriteOptions
    digest_file: Path | None


def output_archive(destination: str, builder: str) -> Path | None:
    """The file of an `oci-archive:`, which BuildKit can write itself. Raises UsageError for any other place."""
    if not destination:
        return None
    path = Path(destination.removeprefix(_ARCHIVE))
    if builder != "buildx" or not destination.startswith(_ARCHIVE) or str(path) == "-":
        error = UsageError(f"--builder {builder} cannot write to {destination!r}")
        error.add_note("hint: --to needs --builder direct; buildx can write oci-archive:FILE")
        raise error
    return path


def run_build(
    call: CommonOptions, builder: str, wanted: EngineBuild, words: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Builds, and prints the image's id; of an archive, its file."""
    order = _order(call, wanted, words)
    if dry_run:
        return _dry_run(call, order, builder)
    heard = getattr(call.reporter, "said", info) if call.verbose else str
    if wanted.archive:
        from eci_convert.docker_build import buildx

        buildx.build(order, call.settings, heard, archive=wanted.archive)
        _check(call, order, f"oci-archive:{wanted.archive}")
        if wanted.digest_file:
            with open_source(f"oci-archive:{wanted.archive}", call.settings, "") as source:
                options.write_digest(wanted.digest_file, source.resolve().digest)
        return _report(call, f"oci-archive:{wanted.archive}", str(wanted.archive))
    from eci_convert.docker_build.builders import build

    identity = build(order, call.settings, builder=builder, heard=heard)
    _check(call, order, f"docker-daemon:{identity}")
    options.write_digest(wanted.digest_file, identity)
    return _report(call, f"docker-daemon:{order.reference}", identity)


def _check(call: CommonOptions, order: BuildRequest, reference: str) -> None:
    from eci_convert.operations.check_build import check_built

    check_built(order, reference, call.settings)


def _dry_run(call: CommonOptions, order: BuildRequest, builder: str) -> None:
    from eci_convert.docker_build.builders import context_size

    count = context_size(order)
    if not call.json:
        return output.line(f"{output.size(count)} would be sent to {builder}, to build {order.reference}")
    return output.json(_result(f"docker-daemon:{order.reference}", None, written=count, reused=0) | {"dry_run": True})


def _order(call: CommonOptions, wanted: EngineBuild, words: Mapping[str, Any]) -> BuildRequest:
    from eci_convert.docker_build.request import BuildRequest

    return BuildRequest(
        name=wanted.tag,
        artifact=_artifact(call, wanted, words),
        base=wanted.base or SCRATCH,
        file=wanted.file,
        context=wanted.context,
        platforms=call.platforms,
        labels=wanted.terms.labels,
        annotations=wanted.terms.annotations,
        created=wanted.terms.created,
    )


def _artifact(call: CommonOptions, wanted: EngineBuild, words: Mapping[str, Any]) -> Artifact | None:
    if not wanted.tag:
        raise UsageError("the image needs a name: give it one with -t NAME")
    if not wanted.file:
        return artifact_from_options(wanted.archive, wanted.digest_file, reporter=call.reporter, **words)
    if any(words[name] for name in ("kernel", "initrd", "root", "disks", "config", "cmdline", "others")):
        raise UsageError("--file is a Dockerfile that copies the parts itself: name none beside it")
    return None


def _report(call: CommonOptions, reference: str, identity: str) -> None:
    if call.json:
        digest = identity if identity.startswith("sha256:") else None
        return output.json(_result(reference, digest) | {"image_id": identity})
    return output.line(identity)


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
