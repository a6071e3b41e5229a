"""`eci-convert build`: the parts of a machine become an ECI image, in the Docker engine or anywhere else."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import options, part_options, push_report
from eci_convert.cli.build_with_engine import EngineBuild, archived_name, output_archive, run_build
from eci_convert.cli.commands.store import index
from eci_convert.cli.options import CommonOptions, command, created_time, option
from eci_convert.cli.param_types import PathParam
from eci_convert.cli.part_options import archive_path, artifact_from_options
from eci_convert.cli.push_report import published, report_dry_run, report_push
from eci_convert.compression.codec import Codec
from eci_convert.dialects import INDEXED, WRITERS
from eci_convert.dialects.blueprint import WriteOptions
from eci_convert.errors import UsageError
from eci_convert.operations import push
from eci_convert.transports import image_name, open_sink, open_source, parse_reference

_EXAMPLES = """
eci-convert build --kernel vmlinuz --initrd initrd.img --root disk.raw -t my-machine:1
eci-convert build --kernel vmlinuz --root disk.qcow2 --to oci:layout:my-machine
eci-convert build --kernel vmlinuz --root disk.raw -t my-machine:1 --builder buildx --base alpine:3
"""


@command(
    options.parts,
    option("-t", "--tag", default="", once=True, metavar="NAME", help="The image's name in the Docker engine."),
    option("--to", "destination", default="", once=True, metavar="REF",
           help="Write it elsewhere: oci:, docker://, containerd: …"),
    option("--format", default="legacy", once=True, type=click.Choice(list(WRITERS)), show_default=True,
           help="The dialect to write; engines hold legacy, containerdisk and kubevirt."),
    options.plat,
    option("--builder", type=click.Choice(["direct", "docker", "buildx"]), default="direct", show_default=True,
           help="Make the layers here, or have the engine's builder do it, or BuildKit."),
    option("--base", default="", once=True, metavar="IMAGE", help="The image to build on (docker, buildx)."),
    option("--file", type=PathParam(), once=True, metavar="DOCKERFILE", help="A Dockerfile of your own (docker, buildx)."),
    option("--context", type=PathParam(directory=True), once=True, metavar="DIR", help="The context of that Dockerfile."),
    option("--author", default="lf-edge/edge-containers", show_default=True, help="Who made the image."),
    option("--also", multiple=True, metavar="FORMAT", help="Make the image serve this dialect too: containerdisk."),
    options.label,
    options.annotation,
    index.append,
    options.compression,
    options.digest_file,
    options.dry_run,
    examples=_EXAMPLES,
)  # fmt: skip
def build(
    call: CommonOptions, *, tag: str, destination: str, format: str, plat: str, builder: str, base: str, file: Path | None,
    context: Path | None, author: str, also: tuple[str, ...], labels: tuple[tuple[str, str], ...],
    annotations: tuple[tuple[str, str], ...], append: str | None, compression: str, digest_file: Path | None,
    dry_run: bool, **words: Any,
) -> None:  # fmt: skip
    """Make an image of the parts (the legacy format unless another one is named), and print what it is known by.

    With -t it goes into the Docker engine, and its image id is printed; with --to anywhere else, without an engine,
    and its reference by digest is printed. The same parts make the same image, on any day and any machine.
    """
    from eci_convert.operations.store import index as store_index

    tag, destination = _places(call, tag, destination)
    reference = destination or f"docker-daemon:{tag}"
    terms = WriteOptions(
        platform=part_options.platform(call.platforms[0] if call.platforms else None, "", ""),
        author=author,
        created=created_time(),
        labels=dict(labels),
        annotations=dict(annotations),
        name=image_name(reference),
        extra_dialects=also,
        system=part_options.system(plat, format),
    )
    if builder != "direct" and append:
        raise UsageError("--append needs --builder direct")
    if builder != "direct" and format != "legacy":
        raise UsageError(f"--format {format} needs --builder direct: a Dockerfile makes a container image")
    if builder != "direct":
        wanted = EngineBuild(
            tag=tag or archived_name(destination), base=base, file=file, context=context,
            archive=output_archive(destination, builder), terms=terms, digest_file=digest_file,
        )  # fmt: skip
        return run_build(call, builder, wanted, words, dry_run=dry_run)
    if base or file or context:
        raise UsageError("--base, --file and --context need --builder docker or buildx")
    if len(call.platforms) > 1:
        raise UsageError("several platforms need --builder buildx")
    push_report.check_stdout(call, reference)
    codec = Codec.parse(compression)
    part_options.check_apart(reference, digest_file)
    artifact = artifact_from_options(archive_path(reference), digest_file, reporter=call.reporter, **words)
    with ExitStack() as stack:
        sink = stack.enter_context(open_sink(reference, call.settings, "docker-daemon"))
        before = stack.enter_context(open_source(reference, call.settings, "docker-daemon"))
        notes = dict(annotations) if format in INDEXED else {}
        appending = index.appending(call, append, sink, before, notes, dry_run=dry_run)
        packed = push.push(
            artifact, sink, format=format, terms=terms, codec=codec, reporter=call.reporter,
            concurrency=call.settings.concurrency, dry_run=dry_run, publish=not appending,
        )  # fmt: skip
        if appending:
            packed = store_index.append(packed, sink, before, *appending)
    if dry_run:
        return report_dry_run(call, reference, format, packed)
    image = published(reference, packed, call.settings)
    options.write_digest(digest_file, image.digest)
    in_engine = parse_reference(reference)[0].name == "docker-daemon"
    return report_push(call, reference, format, packed, image, image.image_id if in_engine else image.pinned)


def _places(call: CommonOptions, tag: str, destination: str) -> tuple[str, str]:
    """The name in the engine and the place elsewhere, of which one is "". Raises UsageError."""
    if tag and destination:
        if ("tag" in call.given) == ("destination" in call.given):
            error = UsageError("-t puts the image into the Docker engine and --to anywhere else: give one of the two")
            error.add_note("hint: --to oci:DIR:NAME, oci-archive:FILE:NAME and docker-archive:FILE:NAME hold a name")
            raise error
        tag, destination = (tag, "") if "tag" in call.given else ("", destination)
    if not tag and not destination:
        raise UsageError("the image needs a name: give it one with -t NAME, or a place with --to REF")
    if destination:
        parse_reference(destination)
    return tag, destination
