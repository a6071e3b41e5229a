"""The machine that the words of a command line describe."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eci_convert.errors import UsageError
from eci_convert.files.output_paths import inherited_descriptor
from eci_convert.files.temp_files import resolve_path
from eci_convert.model import Artifact, LocalFile, part_label
from eci_convert.oci.platform import Platform, host_platform, parse_platform
from eci_convert.reading.local_parts import Disk, artifact_from_parts

_PLAT = re.compile(r"[A-Za-z0-9_.+-]{1,64}", re.ASCII)


def artifact_from_options(
    *outputs: Path | None,
    kernel: Path | None,
    initrd: Path | None,
    root: str | None,
    disks: tuple[str, ...],
    config: Path | None,
    trust_type: bool,
) -> Artifact:
    """The machine that `parts` describe.

    Raises UsageError where one of *outputs*, which are to be written, is a part, and what `artifact_from_parts` raises.
    """
    found = artifact_from_parts(
        kernel=kernel,
        initrd=initrd,
        root=Disk.parse(root, trusted=trust_type) if root else None,
        disks=[Disk.parse(disk, trusted=trust_type) for disk in disks],
        config=config,
    )
    for output in outputs:
        _check_not_an_input(output, found)
    return found


def archive_path(reference: str) -> Path | None:
    """The file that an archive at *reference* is; None where that is another place, or no file."""
    from eci_convert.transports import parse_reference
    from eci_convert.transports.layout.selector import split_path

    scheme, rest = parse_reference(reference, "docker-daemon")
    path = split_path(rest, os.path.isfile)[0] if scheme.name in ("oci-archive", "docker-archive") else "-"
    return None if inherited_descriptor(path) is not None else Path(path)


def check_apart(reference: str, digest_file: Path | None) -> None:
    """Raises UsageError where an archive at *reference* and *digest_file* are one file."""
    written = archive_path(reference) if digest_file else None
    if written and digest_file and _place(written) == _place(digest_file):
        raise UsageError(f"{str(digest_file)!r} is the archive, and cannot hold the digest too")


def _place(path: Path) -> Path:
    return resolve_path(path.parent) / path.name


def _check_not_an_input(output: Path | None, machine: Artifact) -> None:
    if output is None or inherited_descriptor(output) is not None:
        return
    place = _place(output)
    for part in machine.parts:
        if isinstance(part.locator, LocalFile):
            path = Path(part.locator.path)
            if place in (_place(path), resolve_path(path)):
                raise UsageError(
                    f"{str(output)!r} is the {part_label(part)}, and would be replaced by what is made of it"
                )


def system(plat: str, format: str) -> str:
    """What `--plat` says that a unikernel runs on. Raises UsageError for any other format."""
    if plat and format != "unikraft":
        raise UsageError("--plat is what a unikernel runs on: it needs --format unikraft")
    if plat and not _PLAT.fullmatch(plat):
        raise UsageError(f"--plat {plat!r} is not the name of a platform, such as qemu, fc or xen")
    return plat


def platform(asked: Platform | None, os: str, arch: str) -> Platform:
    """What the machine runs on: `--OS` and `--arch` over `--platform`, and this computer where nothing is said."""
    base = asked or host_platform()
    if not os and not arch:
        return base
    return parse_platform(f"{os or base.os}/{arch or base.architecture}")
