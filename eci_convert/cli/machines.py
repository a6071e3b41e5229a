"""The machine that the words of a command line describe."""

from __future__ import annotations

from pathlib import Path

from eci_convert.model import Artifact
from eci_convert.oci.manifest import Platform
from eci_convert.oci.select import here, parse_platform
from eci_convert.parts import Disk, machine


def artifact(
    *,
    kernel: Path | None,
    initrd: Path | None,
    root: str | None,
    disks: tuple[str, ...],
    config: Path | None,
    trust_type: bool,
) -> Artifact:
    """The machine that `arguments.parts` describe. Raises as `parts.machine` does."""
    return machine(
        kernel=kernel,
        initrd=initrd,
        root=Disk.parse(root, trusted=trust_type) if root else None,
        disks=[Disk.parse(disk, trusted=trust_type) for disk in disks],
        config=config,
    )


def platform(asked: Platform | None, os: str, arch: str) -> Platform:
    """What the machine runs on: `--OS` and `--arch` over `--platform`, and this computer where nothing is said."""
    base = asked or here()
    if not os and not arch:
        return base
    return parse_platform(f"{os or base.os}/{arch or base.architecture}")
