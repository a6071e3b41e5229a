"""`eci-convert build`: makes an image of the parts of a machine, in the Docker engine or elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from eci_convert.cli import options, part_options, push_report
from eci_convert.cli.build_with_engine import EngineBuild, archived_name, output_archive, run_build
from eci_convert.cli.commands.store import index
from eci_convert.cli.connection_options import check_connections
from eci_convert.cli.image_options import check_format, check_place, check_trust_type, write_options
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.param_types import PathParam
from eci_convert.cli.part_options import artifact_from_options
from eci_convert.cli.push_report import report_dry_run, report_push
from eci_convert.compression.codec import Codec
from eci_convert.dialects import WRITERS
from eci_convert.errors import UsageError
from eci_convert.oci.reference import Reference
from eci_convert.operations import push
from eci_convert.operations.destination import archive_path
from eci_convert.operations.published_image import published_image
from eci_convert.progress import warn
from eci_convert.transports import SCHEMES, closest_transport, open_sink, open_source, parse_reference

_DIRECT_ONLY = {"author": "--author", "also": "--also", "compression": "--compression", "plat": "--plat"}

_EXAMPLES = """
eci-convert build --kernel vmlinuz --initrd initrd.img --root disk.raw -t my-machine:1
eci-convert build --kernel vmlinuz --root disk.qcow2 --to oci:layout:my-machine
eci-convert build --kernel vmlinuz --root disk.raw -t my-machine:1 --builder buildx --base alpine:3
"""


@command(
    options.parts,
    option("-t", "--tag", default="", once=True, metavar="NAME", help="Name of the image in the Docker engine."),
    option("--to", "destination", default="", once=True, metavar="REF",
           help="Write the image to another place: oci:, docker://, containerd: …"),
    option("--format", default="legacy", once=True, type=click.Choice(list(WRITERS)), show_default=True,
           help="The format to write; engines hold container images only: legacy, containerdisk."),
    options.plat,
    option("--builder", type=click.Choice(["direct", "docker", "buildx"]), default="direct", show_default=True,
           help="Make the layers here, with the Docker engine's builder, or with BuildKit."),
    option("--base", default="", once=True, metavar="IMAGE", help="Base image (docker, buildx)."),
    option("--file", type=PathParam(), metavar="DOCKERFILE",
           help="A Dockerfile of your own (docker, buildx)."),
    option("--context", type=PathParam(directory=True), metavar="DIR",
           help="Build context of that Dockerfile."),
    option("--author", default="lf-edge/edge-containers", show_default=True, help="Author of the image."),
    option("--also", multiple=True, metavar="FORMAT", help="Make the image serve this dialect too: containerdisk."),
    options.label,
    options.annotation,
    index.append,
    options.compression,
    options.compat,
    options.digest_file,
    options.dry_run,
    examples=_EXAMPLES,
    platform="What the image is for; the platform of this computer by default.",
)  # fmt: skip
def build(
    call: CommonOptions, *, tag: str, destination: str, format: str, plat: str, builder: str, base: str,
    file: Path | None, context: Path | None, author: str, also: tuple[str, ...], labels: tuple[tuple[str, str], ...],
    annotations: tuple[tuple[str, str], ...], append: str | None, compression: str | None, digest_file: Path | None,
    dry_run: bool, **words: Any,
) -> None:  # fmt: skip
    """Make an image of the parts (the legacy format unless another one is named), and print what it is known by.

    With -t it goes into the Docker engine, and its image id is printed; with --to anywhere else, without an engine,
    and its reference by digest is printed. The same parts make the same image, on any day and any machine.
    """
    tag, destination = _places(call, tag, destination)
    engine = call.default_transport if builder == "direct" else "docker-daemon"
    reference = destination or _in_engine(engine, tag)
    if builder != "direct":
        format, append = _check_builder(call, builder, reference, format, append)  # noqa: A001
    given: dict[str, Any] = {
        "author": author, "labels": labels, "annotations": annotations, "also": also, "plat": plat,
        "compression": compression, "platforms": None,
    }  # fmt: skip
    check_format(call, format, given)
    check_place(call, reference, given)
    check_trust_type(call, words)
    write = write_options(reference, format, given, call.platforms[0] if call.platforms else None)
    if builder != "direct":
        engine_options = EngineBuild(
            tag=tag or archived_name(destination), base=base, file=file, context=context,
            archive=output_archive(destination, builder), write=write, digest_file=digest_file,
        )  # fmt: skip
        return run_build(call, builder, engine_options, words, dry_run=dry_run)
    for name, value in (("base", base), ("file", file), ("context", context)):
        call.unless(f"--{name} needs --builder docker or buildx" if value else "", name, value, None)
    if len(call.platforms) > 1:
        raise UsageError("several platforms need --builder buildx")
    check_connections(call, writes=[reference])
    push_report.check_stdout(call, reference)
    codec = Codec.parse(given["compression"] or "none")
    part_options.check_apart(reference, digest_file)
    artifact = artifact_from_options(archive_path(reference), digest_file, reporter=call.reporter, **words)
    with ExitStack() as stack:  # existing layers are not reused, so that the same parts give the same bytes
        sink = stack.enter_context(open_sink(reference, call.settings, ""))
        before = stack.enter_context(open_source(reference, call.settings, ""))
        request = push.PushRequest(format=format, write=write, codec=codec)
        send = partial(push.push, artifact, sink, request, options=call.transfer())
        packed = index.publish_or_append(call, append, sink, before, request, send)
    _warn_of_lost_annotations(call, reference, given["annotations"])
    if dry_run:
        return report_dry_run(call, reference, format, packed)
    image = published_image(reference, packed, call.settings)
    options.write_digest(digest_file, image.digest)
    by_id = bool(tag) or parse_reference(reference)[0].name == "docker-daemon"
    return report_push(call, reference, format, packed, image, image.image_id if by_id else image.pinned)


def _check_builder(
    call: CommonOptions, builder: str, reference: str, format: str, append: str | None
) -> tuple[str, str | None]:
    """*format* and *append* as builders of the Docker engine have them. Raises UsageError for options that they know
    nothing of."""
    reason = f"--format {format} needs --builder direct: a Dockerfile makes a container image"
    format = call.unless(reason if format != "legacy" else "", "format", format, "legacy")  # noqa: A001
    append = call.unless("--append needs --builder direct", "append", append, None)
    for name, spelt in _DIRECT_ONLY.items():
        call.unless(f"{spelt} needs --builder direct", name, None, None)
    pulls = ["docker://base"] if builder == "docker" and {"base", "file"} & call.given else []
    unused = {"concurrency", "retries"} | ({"plain_http", "insecure", "ca_file", "cert_file", "key_file"} & call.given)
    for name in sorted(unused):
        call.unless(f"--{name.replace('_', '-')} has no effect on --builder {builder}", name, None, None)
    check_connections(call, reads=pulls, writes=[reference], accepted={"timeout"})
    return format, append


def _warn_of_lost_annotations(call: CommonOptions, reference: str, annotations: tuple[tuple[str, str], ...]) -> None:
    if not annotations or parse_reference(reference)[0].name != "docker-daemon":
        return
    from eci_convert.transports.docker_daemon.engine import Engine

    engine = Engine(call.settings)
    try:
        if not engine.keeps_images_in_containerd:
            warn(call.reporter, "this Docker engine keeps no manifests, so the annotations are lost")
    finally:
        engine.close()


def _in_engine(engine: str, tag: str) -> str:
    """The reference of *tag*, a name in *engine*. Raises UsageError for one that is a reference with a transport."""
    scheme = next(scheme for scheme in SCHEMES if scheme.name == engine)
    try:
        if not scheme.path_like:
            Reference.parse(tag)
    except UsageError as error:
        if meant := closest_transport(tag):
            error.add_note(f"hint: -t takes a name in the engine; elsewhere goes --to {meant}")
        raise
    return scheme.spellings[0] + tag


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
