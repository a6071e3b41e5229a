"""`eci-convert dockerfile`: generates a Dockerfile that makes an ECI image of the parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eci_convert.cli import options
from eci_convert.cli import output as cli_output
from eci_convert.cli.image_options import check_trust_type
from eci_convert.cli.options import CommonOptions, command, option
from eci_convert.cli.output import info, json, size
from eci_convert.cli.param_types import PathParam
from eci_convert.cli.part_options import artifact_from_options, pipes_as_files
from eci_convert.docker_build.dockerfile import SCRATCH, context_names, paths_in_context, render, stage_context
from eci_convert.errors import UsageError
from eci_convert.files.atomic import named_file
from eci_convert.files.output_paths import inherited_descriptor, write_output
from eci_convert.model import Artifact
from eci_convert.reading.local_content import total_size

_EXAMPLES = """
eci-convert dockerfile --kernel vmlinuz --initrd initrd.img --root disk.raw -o Dockerfile
eci-convert dockerfile --kernel /boot/vmlinuz --root /var/disk.raw --stage context/ && docker build context/
eci-convert dockerfile --kernel vmlinuz --root disk.qcow2 | docker build -t my-machine -f - .
"""


@command(
    options.parts,
    option("-o", "--output", type=PathParam(named_file), metavar="FILE", help="Write the Dockerfile there."),
    option(
        "--context",
        type=PathParam(directory=True),
        once=True,
        metavar="DIR",
        help="Build context; the current directory by default.",
    ),
    option(
        "--stage",
        type=PathParam(directory=True),
        once=True,
        metavar="DIR",
        help="Make a build context there, of links or copies of the parts.",
    ),
    option("--base", default=SCRATCH, metavar="IMAGE", show_default=True, help="Base image."),
    option("--single-layer", is_flag=True, help="All parts in one layer."),
    options.label,
    options.dry_run,
    examples=_EXAMPLES,
    without=options.LOCAL,
)
def dockerfile(
    call: CommonOptions, *, output: Path | None, context: Path | None, stage: Path | None, base: str,
    single_layer: bool, labels: tuple[tuple[str, str], ...], dry_run: bool, **words: Any,
) -> None:  # fmt: skip
    """Print a Dockerfile of which plain `docker build` makes an ECI image: the parts, and labels for them.

    A part outside the build context cannot be copied: --stage makes a context that has all of them, with the
    Dockerfile in it.
    """
    if context and stage:
        raise UsageError("--context and --stage exclude each other")
    check_trust_type(call, words)
    artifact = artifact_from_options(output, reporter=call.reporter, **words)
    if stage:
        artifact = pipes_as_files(artifact, call.reporter)
    sources = _sources(artifact, context, stage, dry_run=dry_run)
    text = render(artifact, sources, base=base, single_layer=single_layer, labels=dict(labels))
    if output and inherited_descriptor(output) == 1:
        output = None
    target = output or (stage / "Dockerfile" if stage else None)
    if target and not dry_run:
        write_output(target, text.encode())
    staging = total_size(artifact) if stage else 0
    if call.json:
        would_be = {"bytes_written": len(text.encode()), "bytes_staged": staging, "dry_run": True} if dry_run else {}
        json({"dockerfile": text, "path": str(target) if target else None, **would_be})
    elif not output or dry_run:
        cli_output.text(text)
    if dry_run and stage and not call.quiet:
        info(f"{size(staging)} would be linked or copied into {stage}")
    if dry_run and target and not call.quiet:
        info(f"{size(len(text.encode()))} would be written to {target}")


def _sources(artifact: Artifact, context: Path | None, stage: Path | None, *, dry_run: bool) -> Mapping[str, str]:
    """Where the parts lie for the builder, or would, if it were not for *dry_run*."""
    if not stage:
        return paths_in_context(artifact, context or Path())
    return context_names(artifact) if dry_run else stage_context(artifact, stage, lasting=True)
