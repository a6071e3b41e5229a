"""The VirtualMachine of KubeVirt that boots an image: its disks as containerDisks, its kernel by kernelBoot.

KubeVirt v1 API: `volumes[].containerDisk` with `path` where the disk is not the only file in /disk;
`domain.firmware.kernelBoot.container` with the paths of kernel and initrd in the image, and `kernelArgs`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from eci_convert.dialects.image_config import container_platform
from eci_convert.errors import CannotHoldError, MissingPartError
from eci_convert.model import DISK_ROLES, DiskType, Member, Part, Role, RootfsFile
from eci_convert.operations.inspect import Inspection

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+", re.ASCII)
_BOOTED_TYPES: Final = (DiskType.RAW, DiskType.QCOW2, DiskType.ISO, None)
_HINT = "hint: copy --format containerdisk makes an image that KubeVirt boots"


def virtual_machine(inspection: Inspection, image_name: str) -> dict[str, Any]:
    """The definition of a machine that boots the image that *inspection* is about, pulled as *image_name*.

    Raises MissingPartError for an image without parts that boot, CannotHoldError for parts that KubeVirt cannot use.
    """
    artifact, name = inspection.artifact, _machine_name(image_name)
    disks = [part for part in artifact.parts if part.role in DISK_ROLES]
    kernel, initrd = artifact.part(Role.KERNEL), artifact.part(Role.INITRD)
    if not disks and not kernel:
        error = MissingPartError(f"{inspection.reference} has neither a disk nor a kernel that a machine could boot")
        error.add_note("hint: --dialect containerdisk reads an image without marks as a containerDisk")
        raise error
    domain: dict[str, Any] = {
        "devices": {
            "disks": [_device(part) for part in disks],
            "interfaces": [{"name": "default", "masquerade": {}}],
        },
        "memory": {"guest": "1Gi"},
    }
    if kernel:
        domain["firmware"] = {"kernelBoot": _kernel_boot(kernel, initrd, image_name, artifact.command_line)}
    spec: dict[str, Any] = {
        "domain": domain,
        "networks": [{"name": "default", "pod": {}}],
        "volumes": [{"name": _volume(part), "containerDisk": _container_disk(part, image_name)} for part in disks],
    }
    if inspection.image.platform:
        spec = {"architecture": container_platform(inspection.image.platform).architecture, **spec}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {
            "runStrategy": "Always",
            "template": {"metadata": {"labels": {"kubevirt.io/domain": name}}, "spec": spec},
        },
    }


def _kernel_boot(kernel: Part, initrd: Part | None, image_name: str, arguments: str | None) -> dict[str, Any]:
    container = {"image": image_name, "kernelPath": _path(kernel)}
    if initrd:
        container["initrdPath"] = _path(initrd)
    return {"container": container, **({"kernelArgs": arguments} if arguments else {})}


def _container_disk(part: Part, image_name: str) -> dict[str, Any]:
    if part.disk_type not in _BOOTED_TYPES:
        error = CannotHoldError(f"KubeVirt boots raw, qcow2 and iso disks, and {part.name!r} is {part.disk_type}")
        error.add_note("hint: qemu-img convert makes one of another type")
        raise error
    path = _path(part)
    return {"image": image_name} if path.endswith("/") else {"image": image_name, "path": path}


def _device(part: Part) -> dict[str, Any]:
    device = {"cdrom": {"bus": "sata"}} if part.disk_type is DiskType.ISO else {"disk": {"bus": "virtio"}}
    return {"name": _volume(part), **device}


def _volume(part: Part) -> str:
    return "rootdisk" if part.index is None else f"disk-{part.index}"


def _path(part: Part) -> str:
    """Where *part* is in the image's filesystem. Raises CannotHoldError for one that is a blob of its own."""
    match part.locator:
        case RootfsFile(path=path):
            return path if path.startswith("/") or path.endswith("/") else f"/{path}"
        case Member(path=path) if path:
            return f"/{path}"
        case _:
            error = CannotHoldError(f"KubeVirt boots files of container images, and {part.name!r} is a blob")
            error.add_note(_HINT)
            raise error


def _machine_name(image_name: str) -> str:
    last = image_name.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return _NOT_IN_A_NAME.sub("-", last.lower()).strip("-")[:63].strip("-") or "machine"
